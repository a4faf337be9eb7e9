"""Keys of one or more columns in their order: the conditions that follow it, and that a walk gets on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

from rotation.model.failures import CONTINUE, StoreError
from rotation.stores.columns import AsRead


class Forward:
    """Notices a walk along keys that does not get on: a comparison and an order that disagree would go round for ever.

    Keeps one key, replaced after 1, 2, 4, ... steps (Brent's algorithm), and so finds a circle of any length.
    """

    def __init__(self, start: object = None) -> None:
        self._kept, self._steps, self._limit = start, 0, 1

    def to(self, key: object) -> None:
        """The walk has come to *key*. Raises StoreError if it was there before."""
        if key == self._kept:
            raise StoreError(
                "the keys do not grow: the database gave a row again whose key is not greater than the last one "
                f"(its collation, or a damaged index?). Check the table's index. {CONTINUE}"
            )
        self._steps += 1
        if self._steps == self._limit:
            self._kept, self._steps, self._limit = key, 0, self._limit * 2


def beyond(columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row comes after *key*: `a >= x AND (a > x OR (a = x AND b > y))`.

    The row-value form `(a, b) > (x, y)` reads the whole index on MariaDB.
    """
    column, part = columns[0], _value(key[0])
    if len(columns) == 1:
        last: ColumnElement[bool] = column > part
        return last
    rest = beyond(columns[1:], key[1:])
    return sa.and_(column >= part, sa.or_(column > part, sa.and_(column == part, rest)))


def same_key(columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row is the one of *key*."""
    return sa.and_(*(column == _value(part) for column, part in zip(columns, key, strict=True)))


def between(column: ColumnElement[Any], start: Any, end: Any) -> list[ColumnElement[bool]]:
    """Conditions that *column* is from *start* on and before *end*; None is open."""
    from_start = [] if start is None else [column >= _value(start)]
    return [*from_start, *([] if end is None else [column < _value(end)])]


def _value(part: Any) -> Any:
    # SQLAlchemy has words of its own for True, False and None.
    return part if isinstance(part, ClauseElement) else sa.literal(part, AsRead())
