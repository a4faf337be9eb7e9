"""Keys of rows: the conditions that follow them in order, the check that a walk gets on, and the shards.

A shard is one of several independent runs over a table. The runs do not communicate, and rows come and go, so the key
alone decides to which shard a row belongs. Whole numbers are divided into blocks, so that a run can skip the blocks of
others; keys of other types are divided by a checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

from rotation.model.failures import CONTINUE, StoreError, UsageError
from rotation.stores.columns import AsRead

BLOCK_BITS = 13
"""Blocks of 8192 consecutive keys belong to one shard."""


@dataclass(frozen=True)
class Shard:
    """Shard *index*, from 0, of *count* shards."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `0/3`, `1/3` or `2/3`. Raises UsageError."""
        first, _, second = text.partition("/")
        if first.isascii() and first.isdigit() and second.isascii() and second.isdigit():
            index, count = int(first), int(second)
            if index < count <= 10_000:
                return cls(index, count)
        raise UsageError(f"--shard {text}: expected I/N with I from 0 to N - 1, such as 0/3, 1/3 and 2/3")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def block_behind(self, key: int) -> tuple[int, int]:
        """The next keys of this shard after *key* in one block, as bounds: after the first number, up to the second."""
        block = (key + 1) >> BLOCK_BITS
        ahead = (self.index - block) % self.count
        first = (block + ahead) << BLOCK_BITS
        return max(key, first - 1), first + (1 << BLOCK_BITS) - 1


class Forward:
    """Notices a walk along keys that does not get on: a comparison and an order that disagree would go round for ever.

    Keeps one key, replaced after 1, 2, 4, ... steps (Brent's algorithm), and so finds a circle of any length.
    """

    def __init__(self, start: object = None) -> None:
        self._kept, self._steps, self._limit = start, 0, 1

    def to(self, key: object) -> None:
        """Advances to *key*. Raises StoreError if the walk was there before."""
        if key == self._kept:
            raise StoreError(
                "the keys do not grow: the database gave a row again whose key is not greater than the last one "
                f"(its collation, or a damaged index?). Check the table's index. {CONTINUE}"
            )
        self._steps += 1
        if self._steps == self._limit:
            self._kept, self._steps, self._limit = key, 0, self._limit * 2


def beyond(columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """True for a row after *key*: `a >= x AND (a > x OR (a = x AND b > y))`.

    The row-value form `(a, b) > (x, y)` reads the whole index on MariaDB.
    """
    column, part = columns[0], _value(key[0])
    if len(columns) == 1:
        last: ColumnElement[bool] = column > part
        return last
    rest = beyond(columns[1:], key[1:])
    return sa.and_(column >= part, sa.or_(column > part, sa.and_(column == part, rest)))


def same_key(columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """True for the row of *key*."""
    return sa.and_(*(column == _value(part) for column, part in zip(columns, key, strict=True)))


def between(column: ColumnElement[Any], start: Any, end: Any) -> list[ColumnElement[bool]]:
    """The conditions that *column* is from *start* on and before *end*; None is open."""
    from_start = [] if start is None else [column >= _value(start)]
    return [*from_start, *([] if end is None else [column < _value(end)])]


def _value(part: Any) -> Any:
    # SQLAlchemy has words of its own for True, False and None.
    return part if isinstance(part, ClauseElement) else sa.literal(part, AsRead())
