"""The tables of an SQLite file, and the way to search it: any column may hold any value, and most rows are numbered."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import sqlalchemy as sa

from rotation.planning.inner_tokens import Spelled, forms_of_texts
from rotation.stores.catalog import Catalog, SearchedColumn, TableEntry, in_any_form, marks_of
from rotation.stores.columns import QualifiedName, UniqueColumn
from rotation.stores.origins import Edge, generated, generated_in
from rotation.stores.sqlite.change_tracker import file_status

OWN = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3"})
"""SQLite's own tables, which hold names and numbers. Not sqlite_stat4: it holds pieces of cells."""
EVENT = re.compile(r"\b(DELETE|INSERT|UPDATE(?:\s+OF\b.*?)?)\s+ON\b", re.DOTALL | re.IGNORECASE)
OCTET_LENGTH = 3, 43
"""The version that knows the size of a cell without looking at the cell."""
COLUMNS = """SELECT m.name, c.name FROM sqlite_master m, pragma_table_xinfo(m.name) c
WHERE m.type = 'table' AND c.hidden <> 1 AND (:table IS NULL OR m.name = :table) ORDER BY m.name, c.cid"""


class SQLiteCatalog(Catalog):
    """No transaction is held open: in a rollback journal a reader keeps every writer waiting."""

    has_snapshots: ClassVar[bool] = False
    piece: ClassVar[int | None] = None
    row_numbers: ClassVar[tuple[str, ...]] = ("rowid", "_rowid_", "oid")

    def table_identity(self, connection: sa.Connection, qualified: QualifiedName) -> str | None:
        """The number of the file."""
        del qualified
        status = file_status(connection)
        return str(status.st_ino) if status else None

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[UniqueColumn]:
        """A column's own collation is in no catalog, so each index reports its own."""
        found = sa.text(
            "SELECT i.name, c.name, c.coll FROM pragma_index_list(:table, :schema) i"
            " JOIN pragma_index_xinfo(i.name, :schema) c"
            ' WHERE i."unique" AND NOT i.partial AND c."key" ORDER BY i.seq, c.seqno'
        )
        rows = connection.execute(found, {"table": qualified.table, "schema": qualified.schema})
        return [UniqueColumn(*row) for row in rows]

    def triggers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """UPDATE triggers."""
        catalog = sa.table(
            "sqlite_master", *map(sa.column, ("type", "name", "tbl_name", "sql")), schema=qualified.schema
        )
        query = sa.select(catalog.c.name, catalog.c.sql).where(
            catalog.c.type == sa.literal("trigger"),
            sa.func.lower(catalog.c.tbl_name) == sa.func.lower(qualified.table),
        )
        found = [(name, EVENT.search(sql)) for name, sql in connection.execute(query)]
        return [f"trigger {name}" for name, event in found if not event or event[1].upper().startswith("UPDATE")]

    def referrers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """SQLite knows a table's own foreign keys only, so each table is asked."""
        found = sa.text(
            "SELECT m.name FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'"
            ' AND lower(k."table") = lower(:table) AND lower(k."to") = lower(:column)'
        )
        return list(connection.scalars(found, {"table": qualified.table, "column": qualified.column}))

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The file, however it was named."""
        status = file_status(connection)
        return (status.st_dev, status.st_ino) if status else None

    def entries(self, connection: sa.Connection) -> list[TableEntry]:
        """Of the file itself: no other file is attached."""
        names = connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
        return [TableEntry(None, name, plain=True) for name in names if name not in OWN]

    def columns(
        self, connection: sa.Connection, schema: str | None, table: str | None = None
    ) -> Mapping[str, list[SearchedColumn]]:
        """Generated ones too. The hidden columns of a virtual table only take its arguments."""
        found: dict[str, list[SearchedColumn]] = {}
        del schema
        for named, name in connection.execute(sa.text(COLUMNS), {"table": table}):
            found.setdefault(named, []).append(SearchedColumn(name))
        return found

    def origins(self, connection: sa.Connection, schema: str | None, table: str) -> list[Edge]:
        """Generated columns, of which only the text of their CREATE TABLE says what they are made of."""
        hidden = sa.text("SELECT name, hidden FROM pragma_table_xinfo(:table)")
        columns = dict(tuple(row) for row in connection.execute(hidden, {"table": table}))
        created = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table")
        create = connection.scalar(created, {"table": table}) or ""
        # 2: computed when it is read, 3: when its row is written.
        expressions = (each for each in generated_in(create) if columns.get(each[0]) in {2, 3})
        return list(generated((schema, table), expressions, columns))

    def forms(self, connection: sa.Connection, forms: Sequence[Spelled]) -> Sequence[Spelled]:
        """As the file holds them: its texts may be UTF-16."""
        encoding = str(connection.scalar(sa.text("PRAGMA encoding")))
        if encoding == "UTF-8":
            return forms

        def recoded(mark: bytes) -> bytes:
            return mark.decode().encode(encoding)

        plain = (form for form in forms if all(map(bytes.isascii, form.marks)))
        return [*forms, *(Spelled(tuple(map(recoded, each.marks)), each.least, recoded(each.piece)) for each in plain)]

    def cell(self, kind: SearchedColumn) -> str:
        """As it is."""
        return self.quote(kind.name)

    def size(self, kind: SearchedColumn) -> str:
        """In bytes: letters of a text are counted only up to a NUL."""
        if sqlite3.sqlite_version_info >= OCTET_LENGTH:
            return f"octet_length({self.quote(kind.name)})"
        return f"length({self._bytes(kind)})"

    def holds(self, kind: SearchedColumn, marks: Iterable[bytes]) -> dict[bytes, str]:
        """In all its bytes, also those after a NUL."""
        cell = self._bytes(kind)
        return {mark: f"instr({cell}, x'{mark.hex()}')" for mark in marks}

    def constant(self, kind: SearchedColumn, value: bytes) -> str:
        """A text: a column has no type."""
        del kind
        return f"'{value.decode()}'"

    def is_marked(self, kind: SearchedColumn, forms: Sequence[Spelled]) -> str:
        """By GLOB, which is faster and ends at a NUL; then by all its bytes, if it is no text or has a NUL.

        SQLite leaves out what follows from the left of an OR only in a condition, not in a value.
        """
        cell, size = self.quote(kind.name), self.size(kind)
        texts = forms_of_texts(forms)
        by_text = in_any_form(texts, size, {mark: f"{cell} GLOB '*{mark.decode()}*'" for mark in marks_of(texts)})
        has_nul = f"(length({cell}) < {size} AND instr({cell}, char(0)))"
        # Bytes are greater than any text; an operator costs less than a function.
        by_bytes = f"(({cell} >= x'' OR {has_nul}) AND {super().is_marked(kind, forms)})"
        return f"({by_text} OR {by_bytes})"

    def _bytes(self, kind: SearchedColumn) -> str:
        return f"CAST({self.quote(kind.name)} AS BLOB)"
