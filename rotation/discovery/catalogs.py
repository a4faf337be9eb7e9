"""What a search asks each kind of database: its tables, their columns, how they are read and searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import sqlalchemy as sa

from rotation.discovery.cells import CellSyntax
from rotation.discovery.table_readers import Source, TableReader
from rotation.discovery.tables import Column, TableEntry, Unsearchable
from rotation.stores.access import Access


class Catalog(CellSyntax):
    """What all kinds of databases have in common."""

    has_snapshots: ClassVar[bool] = True
    """Whether a table is read in one transaction that sees one moment; otherwise each read is short."""
    follows_keys: ClassVar[bool] = True
    """Whether a table is read by its key."""
    schemas_are_databases: ClassVar[bool] = False
    """Whether each schema is what an admin calls a database."""

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The same for two urls that lead to the same tables; None if the database does not say."""
        raise NotImplementedError

    def tables(self, connection: sa.Connection) -> list[TableEntry]:
        """Every table that holds rows, except the system's; no view, and nothing of other servers."""
        raise NotImplementedError

    def unsearchable(self, connection: sa.Connection) -> list[Unsearchable]:
        """The parts of this database that no table shows to this user."""
        del connection
        return []

    def databases(self, connection: sa.Connection) -> tuple[list[str], list[str]]:
        """The server's other databases that need a connection of their own: those this user may enter, and the rest."""
        del connection
        return [], []

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[Column]:
        """The columns of a table; none if it has vanished."""
        raise NotImplementedError

    def hides_columns(self, access: Access, entry: TableEntry) -> bool:
        """Whether `columns` leaves out those that this user may not read."""
        del access, entry
        return False

    def marks(self, connection: sa.Connection, marks: Sequence[bytes]) -> Sequence[bytes]:
        """*marks* as cells hold them."""
        del connection
        return marks

    def largest(self, connection: sa.Connection) -> int | None:
        """The size of the largest cell that this database returns, if that is bounded."""
        del connection
        return None

    def hold_snapshot(self, connection: sa.Connection) -> None:
        """Begins a transaction that sees one moment from now on, and writes nothing."""
        raise NotImplementedError

    def whole(self, source: Source) -> TableReader:
        """How all of the table is read, with its history."""
        raise NotImplementedError

    def parts(self, source: Source) -> list[TableReader]:
        """How it is read for a sample, without its history: each part by itself, if it has parts."""
        return [self.whole(source)]

    def caution(self, connection: sa.Connection, entry: TableEntry) -> str | None:
        """Why rows may be hidden from this user."""
        del connection, entry
        return None
