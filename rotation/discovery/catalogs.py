"""What a look through a whole database asks of each kind of it: its tables, their columns, how a cell is searched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.reads import Cells, Reads, Rows
from rotation.discovery.table_readers import TableReader
from rotation.model.inner_tokens import MARKS
from rotation.stores.access import Access
from rotation.stores.columns import table_clause


class TableEntry(NamedTuple):
    """A table by its names, as the catalog has it."""

    schema: str | None
    table: str
    plain: bool
    """Whether its name alone finds it."""
    parents: tuple[tuple[str, str], ...] = ()
    """Tables that are read with this one: schema and name."""
    is_partition: bool = False
    readable: bool = True
    """Whether this user may read any column of it."""
    by_columns: bool = False
    """Whether it may read some columns only, none of the system's among them."""
    has_history: bool = False
    """Whether it keeps the rows of the past."""
    caution: str | None = None
    """Why rows of it may be missed while others write."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.table if self.plain else f"{self.schema}.{self.table}"


class Column(NamedTuple):
    """A column, and how it is searched."""

    name: str
    searched: bool = True
    """Whether its type can hold a token."""
    is_bytes: bool = False
    """Whether it is searched, and fetched, as bytes."""
    readable: bool = True
    unsearched: str | None = None
    """Its type, where that can hold a token and is not searched."""
    is_text: bool = False
    """Whether it is text all the same, so that its bytes have to be asked for."""


class Unsearchable(NamedTuple):
    """What cannot be looked at, and why."""

    subject: str
    words: str


class Catalog:
    """What the three have in common."""

    has_snapshots: ClassVar[bool] = True
    """Whether a table is read in one transaction that sees one moment; otherwise each read is short."""
    follows_keys: ClassVar[bool] = True
    """Whether a table is read by its key."""
    piece: ClassVar[int | None] = 4 * 1024 * 1024
    """So much of a large cell is read at once, in bytes or letters; None: all of it."""

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The same for two urls that lead to the same tables; None where the database does not tell."""
        raise NotImplementedError

    def tables(self, connection: sa.Connection) -> list[TableEntry]:
        """Every table that holds rows, those of the system left out; no view, and nothing of other servers."""
        raise NotImplementedError

    def outside(self, connection: sa.Connection) -> list[Unsearchable]:
        """What of this database no table shows to this user."""
        del connection
        return []

    def databases(self, connection: sa.Connection) -> tuple[list[str], list[str]]:
        """Those of the server that need a connection of their own: what this user may enter, and what it may not."""
        del connection
        return [], []

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[Column]:
        """Its columns; none of a table that has vanished."""
        raise NotImplementedError

    def hides_columns(self, access: Access, entry: TableEntry) -> bool:
        """Whether `columns` leaves out those that this user may not read."""
        del access, entry
        return False

    def marks(self, connection: sa.Connection) -> Sequence[bytes]:
        """What cells are searched for."""
        del connection
        return MARKS

    def largest(self, connection: sa.Connection) -> int | None:
        """The size of the largest cell that this database hands out, where that is bounded."""
        del connection
        return None

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """The cell as text or bytes."""
        raise NotImplementedError

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """Whether it holds one of *marks*."""
        raise NotImplementedError

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """How long the cell is in bytes, without a look at all of it where that can be had."""
        del column
        return sa.func.octet_length(haystack)

    def hold_snapshot(self, connection: sa.Connection) -> None:
        """Begins a transaction that sees one moment from now on, and writes nothing."""
        raise NotImplementedError

    def source(self, entry: TableEntry) -> sa.FromClause:
        """The rows of a table, and of those that are read with it."""
        return table_clause(entry.schema, entry.table)

    def whole(self, access: Access, reader: Reads, entry: TableEntry, key: Sequence[str], cells: Cells) -> TableReader:
        """How all of the table is read, with its history."""
        raise NotImplementedError

    def parts(
        self, access: Access, reader: Reads, entry: TableEntry, key: Sequence[str], cells: Cells
    ) -> list[TableReader]:
        """How it is read for a sample, without its history: each part by itself, where it has parts."""
        return [self.whole(access, reader, entry, key, cells)]

    def caution(self, connection: sa.Connection, entry: TableEntry) -> str | None:
        """Why rows may be hidden from this user."""
        del connection, entry
        return None


def first(rows: Rows) -> Any:
    """The first value, None where there is none."""
    return next(iter(rows), (None,))[0]


def any_of(conditions: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether one of *conditions* holds."""
    return sa.or_(sa.false(), *conditions)
