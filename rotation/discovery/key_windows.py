"""Where in a table to look, so that a few rows stand for all of it: windows over the whole range of its keys.

Keys have gaps, and one key far from all others is no rare thing: each half is asked whether anything is in it.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

DEEPEST = 100
"""Halves of halves; numbers of 64 bits need fewer."""
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""They have this order in any collation, as long as one does not mix their cases. Others count as their neighbours."""
TELLING = 10
"""Letters behind the common beginning that are reckoned with."""


class Window(NamedTuple):
    """Rows whose first key columns equal *prefix*, and the next one is from *start* on and before *end*."""

    prefix: tuple[Any, ...]
    start: Any
    end: Any
    """None: open."""


class Keys(Protocol):
    """What is asked of a table. A window without a start is all of its prefix."""

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        """The least and the greatest value in *window* of the column that it is about; None where it is empty."""

    def is_crowded(self, window: Window) -> bool:
        """Whether more rows are in *window* than one look takes."""

    def is_last(self, window: Window) -> bool:
        """Whether the window is about the last column of the key."""


def spread(keys: Keys, count: int, prefix: tuple[Any, ...] = ()) -> Iterator[Window]:
    """At most *count* windows that overlap nowhere and begin all over the table, the emptiest regions left out."""
    yield from _split(keys, Window(prefix, None, None), count, DEEPEST)


def _split(keys: Keys, window: Window, count: int, depth: int) -> Iterator[Window]:
    bounds = keys.bounds(window)
    if bounds is None:
        return
    low, high = bounds
    window = window._replace(start=low)
    if count < 2 or depth == 0 or not keys.is_crowded(window):
        yield window
        return
    if low == high:
        if keys.is_last(window):
            yield window
        else:
            yield from _split(keys, Window((*window.prefix, low), None, None), count, depth - 1)
        return
    middle = middle_of(low, high)
    if middle is None:
        middle = high
    left, right = window._replace(end=middle), window._replace(start=middle)
    shares = _shares(count, left=keys.is_crowded(left), right=keys.is_crowded(right))
    for half, share in zip((left, right), shares, strict=True):
        yield from _split(keys, half, share, depth - 1)


def _shares(count: int, *, left: bool, right: bool) -> tuple[int, int]:
    """How many windows each half gets: one will do where it is not crowded."""
    if left == right:
        return count - count // 2, count // 2
    return (count - 1, 1) if left else (1, count - 1)


def middle_of(low: Any, high: Any) -> Any:
    """A value between the two, near their middle; None where there is none, or their type has no such thing."""
    if type(low) is not type(high):
        return None
    middle: Any = None
    if isinstance(low, str):
        middle = _middle_text(low, high)
    elif isinstance(low, bytes):
        middle = _middle_bytes(low, high)
    elif isinstance(low, uuid.UUID):
        middle = uuid.UUID(int=(low.int + high.int) // 2)
    elif isinstance(low, int) and not isinstance(low, bool):
        middle = (low + high) // 2
    elif isinstance(low, float | decimal.Decimal | datetime.date):
        middle = low + (high - low) / 2
    return middle if middle is not None and low < middle < high else None


def _middle_text(low: str, high: str) -> str:
    common = _common(low, high)
    tails = low[common:] + high[common:]
    least, greatest = ([_place(letter) for letter in text[common:]] for text in (low, high))
    middle = "".join(LETTERS[digit] for digit in _middle_digits(least, greatest, len(LETTERS)))
    return low[:common] + (middle.upper() if tails.isupper() else middle)


def _place(letter: str) -> int:
    small = letter.lower()
    return min(sum(known < small for known in LETTERS), len(LETTERS) - 1)


def _middle_bytes(low: bytes, high: bytes) -> bytes:
    common = _common(low, high)
    return low[:common] + bytes(_middle_digits(list(low[common:]), list(high[common:]), 256))


def _common(low: str | bytes, high: str | bytes) -> int:
    """How long a beginning the two share."""
    pairs = zip(low, high, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(low), len(high)))


def _middle_digits(low: list[int], high: list[int], base: int) -> list[int]:
    numbers = [0, 0]
    for place in range(TELLING):
        for number, digits in enumerate((low, high)):
            numbers[number] = numbers[number] * base + (digits[place] if place < len(digits) else 0)
    middle, found = sum(numbers) // 2, []
    for _ in range(TELLING):
        middle, digit = divmod(middle, base)
        found.append(digit)
    return found[::-1]
