"""A database's own catalog: of one table, for a target; and of all tables, for a search through the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import ClassVar, NamedTuple

import sqlalchemy as sa

from keyring_core.blind_index import LENGTH
from rotation.planning.inner_tokens import SHORTEST, Spelled
from rotation.stores.columns import ForeignKey, QualifiedName, TableFacts, UniqueColumn
from rotation.stores.origins import Edge

INDEX_SIZES = tuple(LENGTH * width for width in (1, 2, 4))
"""Bytes of a blind index, in each width of characters."""
LEAST = min(SHORTEST, *INDEX_SIZES)
"""Bytes of the smallest cell that is searched. A column without room for it is not read."""
LEVELS = 98, 146, 196, 262
"""Bytes. Each is asked of a cell by itself, so that there are fewer of them than sizes of forms; measured on SQLite."""
WIDE = 50
"""Conditions that stand beside each other."""


class TableEntry(NamedTuple):
    """A table by its names, as the catalog has it."""

    schema: str | None
    table: str
    plain: bool
    """True if its name alone finds it."""
    parents: tuple[tuple[str, str], ...] = ()
    """Tables that are read with this one: schema and name."""
    is_partition: bool = False
    readable: bool = True
    """True if this user may read any column of it."""
    by_columns: bool = False
    """True if this user may read some columns only, and none of the system's columns."""
    has_history: bool = False
    """True if it keeps the rows of the past."""
    caution: str | None = None
    """The reason why rows of it may be missed while others write."""
    hidden: str | None = None
    """The reason why rows may be hidden from this user."""
    has_parts: bool = False
    """True if others may be read with it."""
    size: int = 0
    """About how many bytes it has, with its large cells; 0 if the catalog does not say."""
    rows: int | None = None
    """About how many rows it has; None if the catalog does not say."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.table if self.plain else f"{self.schema}.{self.table}"

    @property
    def names(self) -> set[str]:
        """All names by which a target finds it."""
        return {self.name, *([f"{self.schema}.{self.table}"] if self.schema else [])}


class SearchedColumn(NamedTuple):
    """A column, and how it is searched."""

    name: str
    searched: bool = True
    """True if its type can hold a token."""
    is_bytes: bool = False
    """True if it is searched, and fetched, as bytes."""
    readable: bool = True
    unsearched: str | None = None
    """Its type, if that can hold a token and is not searched."""
    is_text: bool = False
    """True if its type is a text, even if `is_bytes`: then the database has to be asked for its bytes."""


class Catalog:
    """Answers from the catalog, as far as all kinds of databases have them in common."""

    has_snapshots: ClassVar[bool] = True
    """True if a table is read in one transaction that sees one moment; otherwise each read is short."""
    follows_keys: ClassVar[bool] = True
    """True if a search reads a table by its key; otherwise by the places of its rows in its file."""
    row_numbers: ClassVar[tuple[str, ...]] = ()
    """The names of the column in which the database numbers rows, if it does: better to follow than a key."""
    schemas_are_databases: ClassVar[bool] = False
    """True if an admin calls each schema a database."""
    has_neighbours: ClassVar[bool] = False
    """True if the server may have other databases, which need a connection of their own."""
    piece: ClassVar[int | None] = 4 * 1024 * 1024
    """The part of a large cell that is read at once, in bytes or letters; None: all of it."""

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
        """The server's other databases, if it `has_neighbours`: those to enter, and the rest, with why."""
        raise NotImplementedError

    def database_sizes(self, connection: sa.Connection) -> dict[str, int]:
        """The bytes of those that this user may enter."""
        raise NotImplementedError

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

    # Of a cell, in SQL.

    def quote(self, name: str) -> str:
        """*name* as an identifier. Not SQLAlchemy's own, which doubles a percent sign, as literal SQL does again."""
        return '"' + name.replace('"', '""') + '"'

    def table(self, entry: TableEntry) -> str:
        """The rows of a table, and of those that are read with it."""
        return ".".join(self.quote(name) for name in (entry.schema, entry.table) if name is not None)

    def cell(self, kind: SearchedColumn) -> str:
        """The cell as text or bytes."""
        raise NotImplementedError

    def size(self, kind: SearchedColumn) -> str:
        """The bytes of the cell, without reading all of it if the database can do that."""
        return f"octet_length({self.cell(kind)})"

    def holds(self, kind: SearchedColumn, marks: Iterable[bytes]) -> dict[bytes, str]:
        """For each of *marks* what is true for a cell that holds it."""
        raise NotImplementedError

    def constant(self, kind: SearchedColumn, value: bytes) -> str:
        """*value* as such a cell."""
        raise NotImplementedError

    def is_marked(self, kind: SearchedColumn, forms: Sequence[Spelled]) -> str:
        """True for a cell that holds a mark of one of *forms*, and room for a token in it."""
        return in_any_form(forms, self.size(kind), self.holds(kind, marks_of(forms)))


def marks_of(forms: Iterable[Spelled]) -> set[bytes]:
    """All marks of *forms*, and the pieces that they share."""
    return {mark for form in forms for mark in (*form.marks, form.piece)}


def in_any_form(forms: Sequence[Spelled], size: str, holds: Mapping[bytes, str]) -> str:
    """The SQL that is true for a cell of *size* with a mark of one of *forms*; *holds* asks for each of `marks_of`.

    Most cells are too small for most forms, and have none of their pieces.
    """

    def level(form: Spelled) -> int:
        return max((level for level in LEVELS if level <= form.least), default=form.least)

    def in_form(form: Spelled) -> str:
        marks = any_of(holds[mark] for mark in form.marks)
        return marks if form.marks == (form.piece,) else f"({holds[form.piece]} AND ({marks}))"

    found: str | None = None
    by_level = groupby(sorted(forms, key=level), level)
    for least, those in reversed([(least, list(those)) for least, those in by_level]):
        parts = [*map(in_form, those), *([found] if found else [])]
        found = f"({size} >= {least} AND ({any_of(parts)}))"
    return found or any_of(())


def any_of(conditions: Iterable[str]) -> str:
    """The SQL that is true if one of *conditions* is; nested, since SQLite bounds how deep an expression may be."""
    parts = list(conditions)
    while len(parts) > WIDE:
        parts = [f"({' OR '.join(parts[start : start + WIDE])})" for start in range(0, len(parts), WIDE)]
    return f"({' OR '.join(parts)})" if parts else "(1 = 0)"
