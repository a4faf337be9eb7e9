"""Opens the encrypted columns of all rows that a result fetches at once, and names the row of a token that fails.

A type's result processor sees one cell at a time. A fetch strategy sees whole rows: it opens many cells in a fraction
of the time, and knows the primary key, if the statement selects it. It puts an `Opened` in place of the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import CursorResult
from sqlalchemy.engine.cursor import ResultFetchStrategy
from sqlalchemy.sql.elements import ColumnClause, Label

from keyring_core.errors import InvalidToken
from keyring_core.integrations.cells import Cells
from keyring_core.integrations.sqlalchemy.column_type import cells_of
from keyring_core.integrations.sqlalchemy.statements import once

_LONGEST_KEY = 80


class Opened:
    """The value of a cell, or the error for it, until the type's result processor takes it out."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "<Opened>"


class RowPlan(NamedTuple):
    """The cells to open in each row of a statement's results."""

    width: int
    columns: tuple[tuple[int, Cells, Sequence[tuple[int, str]]], ...]
    """Of each encrypted one its place, its cells, and the places and names of its table's primary key.

    That is empty if the statement does not select all of it.
    """

    def open(self, rows: Sequence[Any]) -> list[Any]:
        """*rows* with each cell of an encrypted column as `Opened`; NULL stays None."""
        opened = [list(row) for row in rows]
        for place, cells, key in self.columns:
            found = [row for row in opened if len(row) == self.width and row[place] is not None]
            for row, value in zip(found, cells.open_many([row[place] for row in found]), strict=True):
                # Later columns need the row's key as it came: it is never an encrypted one.
                failed = isinstance(value, InvalidToken)
                row[place] = Opened(cells.placed(value, _name_of(row, key)) if failed else value)
        return [tuple(row) for row in opened]


class OpeningStrategy:
    """Fetches as *inner* does, which does all the rest, and opens what it fetched."""

    __slots__ = ("inner", "plan")

    def __init__(self, inner: ResultFetchStrategy, plan: RowPlan) -> None:
        self.inner, self.plan = inner, plan

    def fetchone(self, result: CursorResult[Any], dbapi_cursor: Any, hard_close: bool = False) -> Any:  # noqa: FBT001, FBT002
        """The next row, or None."""
        row = self.inner.fetchone(result, dbapi_cursor, hard_close)
        return None if row is None else self.plan.open([row])[0]

    def fetchmany(self, result: CursorResult[Any], dbapi_cursor: Any, size: int | None = None) -> Any:
        """The next rows."""
        return self.plan.open(self.inner.fetchmany(result, dbapi_cursor, size))

    def fetchall(self, result: CursorResult[Any], dbapi_cursor: Any) -> Any:
        """The remaining rows."""
        return self.plan.open(self.inner.fetchall(result, dbapi_cursor))

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        """Fetches *num* rows at a time. Some strategies replace themselves for it."""
        self.inner.yield_per(result, dbapi_cursor, num)
        if result.cursor_strategy is not self:
            self.inner, result.cursor_strategy = result.cursor_strategy, self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def open_rows_of(
    _connection: Any, _statement: Any, _multiparams: Any, _params: Any, _options: Any, result: Any
) -> None:
    """The listener after each execution: lets *result* open its rows, if its statement selects an encrypted column."""
    context = result.context
    compiled = context.compiled
    if compiled is None:
        return
    plan = once(compiled, "keyring_core_plan", _plan_of)
    # Rows of RETURNING that SQLAlchemy fetched by itself went through the processors already.
    if plan is not None and not context.returned_default_rows:
        result.cursor_strategy = OpeningStrategy(result.cursor_strategy, plan)


def _plan_of(compiled: Any) -> RowPlan | None:
    """The cells to open; None without an encrypted column, or if columns are not known by their place (plain text)."""
    entries = getattr(compiled, "_result_columns", None)
    if not entries or not getattr(compiled, "_ordered_columns", False):
        return None
    selected: dict[Any, int] = {}
    for place, (_, _, objects, _) in enumerate(entries):
        for column in _columns_in(objects):
            selected.setdefault(column, place)
    columns = tuple(
        (place, cells, _key_of(entry.objects, selected))
        for place, entry in enumerate(entries)
        if (cells := cells_of(entry))
    )
    return RowPlan(len(entries), columns) if columns else None


def _key_of(objects: Sequence[Any], selected: dict[Any, int]) -> Sequence[tuple[int, str]]:
    for column in _columns_in(objects):
        keys = tuple(getattr(column.table, "primary_key", None) or ())
        if keys and all(key in selected and not cells_of(key) for key in keys):
            return [(selected[key], key.name) for key in keys]
    return ()


def _columns_in(objects: Sequence[Any]) -> list[ColumnClause[Any]]:
    plain = [each.element if isinstance(each, Label) else each for each in objects]
    return [each for each in plain if isinstance(each, ColumnClause) and each.table is not None]


def _name_of(row: Sequence[Any], key: Sequence[tuple[int, str]]) -> str:
    shown = []
    for place, name in key:
        part = row[place]
        text = bytes(part).hex() if isinstance(part, bytes | bytearray | memoryview) else str(part)
        shown.append(f"{name}={text if len(text) <= _LONGEST_KEY else f'{text[:_LONGEST_KEY]}...'}")
    return ", ".join(shown)
