"""Picks key ranges to sample: bisects the key space and skips empty halves, since keys have gaps.

Equal steps would not do: one key far from all others is common, and then nearly all steps would lead to nothing.
"""

from __future__ import annotations

import datetime
import decimal
from bisect import bisect_left
from collections import deque
from os.path import commonprefix
from typing import Any, NamedTuple, Protocol

SMALL = "0123456789abcdefghijklmnopqrstuvwxyz"
"""These characters have the same order in any collation, as long as one case is used."""
BYTES = bytes(range(256)).decode("latin-1")


class Window(NamedTuple):
    """Rows whose first key columns equal *prefix*, and whose next one is from *start* on and before *end*."""

    prefix: tuple[Any, ...] = ()
    start: Any = None
    end: Any = None
    """None: open."""


class Keys(Protocol):
    """The questions that `spread` asks of a table."""

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        """The least and the greatest value in *window* of the column that it is about; None if it is empty."""

    def is_crowded(self, window: Window) -> bool:
        """Whether more rows are in *window* than are read of one."""

    def is_last(self, window: Window) -> bool:
        """Whether the window is about the last column of the key."""


def spread(keys: Keys, count: int) -> list[Window]:
    """At most *count* windows that do not overlap and begin all over the table. Splits the oldest crowded one first."""
    crowded, others = deque([Window()]), list[Window]()
    while crowded and len(crowded) + len(others) < count:
        window = crowded.popleft()
        bounds = keys.bounds(window)
        if bounds is None:
            continue
        low, high = bounds
        if low == high and keys.is_last(window):
            others.append(window)
        elif low == high:
            crowded.append(Window((*window.prefix, low)))
        else:
            middle = middle_of(low, high)
            for half in (window._replace(start=low, end=middle), window._replace(start=middle)):
                (crowded if keys.is_crowded(half) else others).append(half)
    return [*crowded, *others]


def middle_of(low: Any, high: Any) -> Any:
    """A value above *low* and not above *high*, near their middle if their type has one; otherwise *high*."""
    middles: list[Any] = []
    if type(low) is not type(high):
        return high
    if isinstance(low, str):
        middles = [_between(low, high, letters) for letters in (SMALL, SMALL.upper(), BYTES)]
    elif isinstance(low, bytes):
        middles = [_between(low.decode("latin-1"), high.decode("latin-1"), BYTES).encode("latin-1")]
    elif isinstance(low, int):
        middles = [(low + high + 1) // 2]
    elif isinstance(low, float | decimal.Decimal | datetime.date):
        middles = [low + (high - low) / 2]
    return next((middle for middle in middles if low < middle <= high), high)


def _between(low: str, high: str, letters: str) -> str:
    """What the two begin with, and one of *letters*: halfway between those in which they differ."""
    common = len(commonprefix((low, high)))  # noqa: RUF071 - texts, not paths
    first, last = (
        min(bisect_left(letters, text[common]), len(letters) - 1) if text[common:] else -1 for text in (low, high)
    )
    return low[:common] + letters[(first + last + 1) // 2]
