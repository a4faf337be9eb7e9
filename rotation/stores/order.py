"""Conditions on keys of one or more columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

from rotation.stores.place import AsRead


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
