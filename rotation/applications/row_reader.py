"""One row of a target's table, with the values beside the cell that a key may be salted with."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from keyring_core.row_keys import salt_of
from rotation.model.counts import RowKey
from rotation.model.failures import UsageError
from rotation.model.report import row_in_words
from rotation.planning.inner_tokens import BEGINNING, bytes_of, holds_mark
from rotation.stores.columns import free_column
from rotation.stores.reader import Reader, same_key
from rotation.stores.target_schema import base_type, columns_of

LOOKED_THROUGH = 200
"""Rows among which the first one with a token is looked for; the database searches the others for `MARKS`."""
MARKS = (BEGINNING.decode(), base64.b64encode(BEGINNING).decode()[:6], BEGINNING.hex())
"""How a token begins in a text, in base64, and in hex, as PostgreSQL also spells bytes."""
LARGEST_CELL = 1024 * 1024
"""Bytes of the largest cell that is read."""
LONGEST_SALT = 256
"""Bytes of the longest value that may be a salt."""
MOST_SALTS = 40
"""Columns whose values are taken, those first that are called a salt."""


class RowReader(Reader):
    """The table of a target, of which single rows are read. Raises as `Reader` does."""

    def row(self, key: Sequence[str] = ()) -> tuple[str, str | bytes, Mapping[str, str | bytes]]:
        """The row whose key is spelled by *key*, or the first one with what looks like a token: in words, and its cell.

        Behind them the values of other columns of text, whole numbers, UUIDs or bytes, by name; numbers and UUIDs as
        text. Raises UsageError if there is no such row, or its cell is NULL or too large.
        """
        names, label = self.key_names(), self._target.label
        if key and len(key) != len(names):
            raise UsageError(f"{label}: a row is named by {', '.join(names)}: give --row {len(names)} times, in order")
        rows = self._found(
            [same_key(self._key, [self._part(*each) for each in zip(names, self._cells.key_kinds, key, strict=False)])]
            if key
            else []
        )
        if not rows:
            of = ", ".join(f"{name}={part}" for name, part in zip(names, key, strict=False))
            raise UsageError(f"{label}: there is no row {of}" if key else f"{label}: no row has a value in this column")
        if not (key or any(_has_token(each[1]) for each in rows)) and len(rows) == LOOKED_THROUGH:
            text = sa.cast(self._column, sa.Text)
            rows = [*self._found([sa.or_(*(text.like(f"%{mark}%") for mark in MARKS))]), *rows]
        found, cell, beside = rows[0] if key else next((each for each in rows if _has_token(each[1])), rows[0])
        words = f"{label}, {row_in_words(names, found)}"
        if cell is None:
            raise UsageError(f"{words}: the cell is NULL, or over {LARGEST_CELL:,} bytes")
        return words, cell, {name: value for name, value in beside.items() if value}

    def _found(
        self, conditions: Sequence[sa.ColumnElement[bool]]
    ) -> list[tuple[RowKey, str | bytes | None, dict[str, str | bytes | None]]]:
        """Key, cell and the values beside it of the rows that meet *conditions*, or of the first rows."""

        def small(column: sa.ColumnElement[Any], most: int) -> sa.ColumnElement[Any]:
            return sa.case((self._dialect.length(column) > most, None), else_=column)

        def read(connection: sa.Connection) -> Sequence[Sequence[Any]]:
            place = self._cells.qualified
            columns = columns_of(connection, place.schema, place.table)
            kinds = {name: base_type(each) for name, each in columns.items() if name != place.column}
            may_be_salt = [
                name
                for name, kind in kinds.items()
                if isinstance(kind, sa.Integer | sa.Uuid)
                or (self._dialect.holds_text(kind) and not isinstance(kind, sa.Enum))
            ]
            # Columns that are called a salt come first, then those that are called an id.
            names.extend(
                sorted(may_be_salt, key=lambda name: ("salt" not in name.lower(), not name.lower().endswith("id")))
            )
            del names[MOST_SALTS:]
            beside = [
                free_column(name)
                if isinstance(kinds[name], sa.Integer | sa.Uuid)
                else small(free_column(name), LONGEST_SALT)
                for name in names
            ]
            query = sa.select(*self._key, small(self._cell, LARGEST_CELL), *beside).select_from(self._table)
            chosen = conditions or [self._column.is_not(None)]
            return self._dialect.fetch_all(connection, query.where(self._rows, *chosen).limit(LOOKED_THROUGH))

        names: list[str] = []
        found = []
        for row in self._access.read(read):
            size = len(self._key)
            values = {name: _as_salt(value) for name, value in zip(names, row[size + 1 :], strict=True)}
            cell = row[size]
            # SQLite keeps a number among texts if somebody put one there.
            bare = cell if cell is None or isinstance(cell, str | bytes) else str(cell)
            found.append((tuple(row[:size]), bare, values))
        return found

    def _part(self, name: str, kind: sa.types.TypeEngine[Any], text: str) -> Any:
        """The part of a key that *text* spells."""
        with suppress(ValueError):
            if isinstance(kind, sa.Integer):
                return self._dialect.sendable(int(text))
            if isinstance(kind, sa.Uuid):
                return self._dialect.sendable(uuid.UUID(text))
            return self._dialect.sendable(bytes.fromhex(text) if isinstance(kind, sa.types._Binary) else text)
        raise UsageError(f"{self._target.label}: --row is a value of {name}, a {type(kind).__name__}")


def _has_token(cell: str | bytes | None) -> bool:
    return cell is not None and holds_mark(bytes_of(cell))


def _as_salt(value: object) -> str | bytes | None:
    """*value* as the salt that a run would take of it: text for all but bytes."""
    salt = salt_of(value)
    is_text = isinstance(value, str | int | uuid.UUID)
    return salt.decode("utf-8", "surrogateescape") if salt is not None and is_text else salt
