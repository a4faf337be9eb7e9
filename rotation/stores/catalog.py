"""A database's own catalog: of one table, for a target; and of all tables, for a search through the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import sqlalchemy as sa

from rotation.planning.inner_tokens import Spelled
from rotation.stores.cells import CellSyntax, SearchedColumn, TableEntry
from rotation.stores.columns import ForeignKey, QualifiedName, TableFacts, UniqueColumn
from rotation.stores.origins import Edge
from rotation.stores.table_readers import TableReader, TableSource


class Catalog(CellSyntax):
    """Answers from the catalog, as far as all kinds of databases have them in common."""

    has_snapshots: ClassVar[bool] = True
    """True if a table is read in one transaction that sees one moment; otherwise each read is short."""
    follows_keys: ClassVar[bool] = True
    """True if a table is read by its key."""
    schemas_are_databases: ClassVar[bool] = False
    """True if an admin calls each schema a database."""

    # Of one table.

    def table_names(self, connection: sa.Connection, schema: str | None) -> list[str]:
        """The tables of a schema."""
        return sa.inspect(connection).get_table_names(schema)

    def has_table(self, connection: sa.Connection, schema: str | None, table: str) -> bool:
        """True for one of the `table_names`."""
        return table in self.table_names(connection, schema)

    def schema_of(self, connection: sa.Connection, table: str) -> str | None:
        """The schema in which a connection finds the table, if it searches several; otherwise None.

        What is called by it stays the same table if another one of that name comes into an earlier schema.
        """

    def facts(self, connection: sa.Connection, qualified: QualifiedName) -> TableFacts:
        """All that follows, and what SQLAlchemy reads of a table; of a database with a good catalog in one query."""
        inspector, (schema, table, column) = sa.inspect(connection), qualified
        indexes = {
            index["name"]
            for index in inspector.get_indexes(table, schema, include_auto_indexes=True)
            if column in index["column_names"] or any(column in text for text in index.get("expressions", ()))
        }
        indexes |= {
            entry["name"]
            for entry in inspector.get_unique_constraints(table, schema)
            if column in entry["column_names"]
        }
        ties = [
            ForeignKey(entry["name"], entry["referred_table"])
            for entry in inspector.get_foreign_keys(table, schema)
            if column in entry["constrained_columns"]
        ]
        estimate = self.estimate(qualified)
        return TableFacts(
            primary=self.primary_key(connection, qualified),
            unique=self.unique_columns(connection, qualified),
            kept=self.kept_columns(connection, qualified),
            triggers=self.triggers(connection, qualified),
            cautions=self.cautions(connection, qualified),
            indexes=sorted(indexes, key=str),
            foreign_keys=ties,
            referrers=self.referrers(connection, qualified),
            estimate=None if estimate is None else connection.scalar(estimate),
        )

    def primary_key(self, connection: sa.Connection, qualified: QualifiedName) -> tuple[str, ...]:
        """The columns of the primary key; empty without one."""
        return tuple(sa.inspect(connection).get_pk_constraint(qualified.table, qualified.schema)["constrained_columns"])

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> Sequence[UniqueColumn]:
        """Each column of each index that is unique over all rows.

        From the catalog itself: SQLAlchemy reads some of it from the text of a CREATE, and passes over words that it
        does not know.
        """
        raise NotImplementedError

    def kept_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Columns that the database would change by itself on an UPDATE, and that shall stay."""
        del connection, qualified
        return []

    def triggers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """The triggers and rules that fire on an UPDATE of the column, by kind and name."""
        raise NotImplementedError

    def cautions(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Other places where old tokens may live on, and the reasons why rows may be hidden."""
        del connection, qualified
        return []

    def referrers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Foreign keys of other tables that refer to the column, as `table.constraint`."""
        raise NotImplementedError

    def estimate(self, qualified: QualifiedName) -> sa.TextClause | None:
        """A query for the database's own estimate of the number of rows, if it keeps one."""

    def table_identity(self, connection: sa.Connection, qualified: QualifiedName) -> str | None:
        """A text that distinguishes it from a table of its name elsewhere, or made later; None: there is none."""
        raise NotImplementedError

    # Of all tables.

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The same for two urls that lead to the same tables; None if the database does not say."""
        raise NotImplementedError

    def entries(self, connection: sa.Connection) -> list[TableEntry]:
        """Every table that holds rows, except the system's; no view, and nothing of other servers."""
        raise NotImplementedError

    def unsearchable(self, connection: sa.Connection) -> list[tuple[str, str]]:
        """The parts of this database that no table shows to this user, each with the reason."""
        del connection
        return []

    def databases(self, connection: sa.Connection) -> tuple[list[str], dict[str, str]]:
        """The server's other databases that need a connection of their own: those to enter, and the rest, with why."""
        del connection
        return [], {}

    def database_sizes(self, connection: sa.Connection) -> dict[str, int]:
        """The bytes of those that this user may enter, if the server says them."""
        del connection
        return {}

    def columns(
        self, connection: sa.Connection, schema: str | None, table: str | None = None
    ) -> Mapping[str, list[SearchedColumn]]:
        """The columns of every table of a schema, or of that *table*, by its name; one that has vanished has none."""
        raise NotImplementedError

    def origins(self, connection: sa.Connection, schema: str | None, table: str) -> list[Edge]:
        """What the columns of a table, or of a view, are made of, and those in turn."""
        raise NotImplementedError

    def every_column(self, entries: Sequence[TableEntry]) -> sa.TextClause | None:
        """A query that is refused if `columns` leaves some out of one of *entries*, which this user may not read.

        None: it never does.
        """

    def forms(self, connection: sa.Connection, forms: Sequence[Spelled]) -> Sequence[Spelled]:
        """*forms* as cells hold them."""
        del connection
        return forms

    def largest(self, connection: sa.Connection) -> int | None:
        """The size of the largest cell that this database returns, if that is bounded."""

    def readers(self, source: TableSource, *, full: bool) -> list[TableReader]:
        """The readers of all of the table, with its history; or for a sample, without: each part by itself.

        None if there is no row, so that no statement about its columns has to be made.
        """
        raise NotImplementedError
