"""Windows all over a table, whatever its keys are."""

from __future__ import annotations

import datetime
import decimal
import uuid
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.discovery.key_windows import Window, middle_of, spread

ROOM = 20
"""Rows of a look."""


class Sorted:
    """Keys of one or more columns, in memory; it counts what it is asked."""

    def __init__(self, keys: list[tuple[Any, ...]]) -> None:
        self.keys, self.asked = sorted(keys), 0

    def inside(self, window: Window) -> list[tuple[Any, ...]]:
        width = len(window.prefix)
        return [
            key
            for key in self.keys
            if key[:width] == window.prefix
            and (window.start is None or key[width] >= window.start)
            and (window.end is None or key[width] < window.end)
        ]

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        self.asked += 1
        found = [key[len(window.prefix)] for key in self.inside(window)]
        return (found[0], found[-1]) if found else None

    def is_crowded(self, window: Window) -> bool:
        self.asked += 1
        return len(self.inside(window)) > ROOM

    def is_last(self, window: Window) -> bool:
        return len(window.prefix) == len(self.keys[0]) - 1


KEYS = {
    "numbers": [(number,) for number in range(2000)],
    "one far away": [(number,) for number in range(2000)] + [(2**62,)],
    "two far groups": [(number,) for number in range(1000)] + [(2**60 + number,) for number in range(1000)],
    "negative": [(number,) for number in range(-3000, -1000)],
    "many tenants": [(number % 300, number) for number in range(2000)],
    "two tenants": [(number % 2, number) for number in range(2000)],
    "one tenant, one more far away": [(7, number) for number in range(2000)] + [(2**31, 1)],
    "hexadecimal": [(f"{number * 7919 % 1_000_003:032x}",) for number in range(2000)],
    "capitals": [(f"KEY-{number * 7919 % 1_000_003:08X}",) for number in range(2000)],
    "bytes": [(uuid.UUID(int=number * 2**108 + 5).bytes,) for number in range(2000)],
    "uuids": [(uuid.UUID(int=number * 2**100),) for number in range(2000)],
    "times": [(datetime.datetime(2026, 1, 1) + datetime.timedelta(minutes=number),) for number in range(2000)],
    "days": [(datetime.date(2000, 1, 1) + datetime.timedelta(days=number),) for number in range(2000)],
    "fractions": [(decimal.Decimal(number) / 8,) for number in range(2000)],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_windows_are_all_over_the_table(keys: list[tuple[Any, ...]]) -> None:
    """Each tenth of the rows is looked into, no row is in two windows, and few questions are asked."""
    table = Sorted(keys)

    windows = list(spread(table, 50))

    seen = [key for window in windows for key in table.inside(window)[:ROOM]]
    assert len(windows) <= 50
    assert len(seen) == len(set(seen))
    assert len(seen) > 500
    places = {bisect_left(table.keys, key) * 10 // len(table.keys) for key in seen}
    assert places >= set(range(10))
    assert table.asked < 400


@given(
    keys=st.one_of(
        st.lists(st.tuples(st.integers(-(2**63), 2**63)), unique=True, max_size=100),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000)), unique=True, max_size=200),
        st.lists(st.tuples(st.text(max_size=5)), unique=True, max_size=100),
        st.lists(st.tuples(st.binary(max_size=5)), unique=True, max_size=100),
    ),
    count=st.integers(1, 20),
)
def test_no_window_overlaps_another(keys: list[tuple[Any, ...]], count: int) -> None:
    """Whatever the keys: at most so many windows, and no row twice."""
    table = Sorted(keys)

    windows = list(spread(table, count)) if keys else []

    seen = [key for window in windows for key in table.inside(window)]
    assert len(windows) <= count
    assert len(seen) == len(set(seen))


@given(
    st.one_of(st.tuples(st.text(), st.text()), st.tuples(st.binary(), st.binary()), st.tuples(st.floats(), st.floats()))
)
def test_a_middle_is_between_or_there_is_none(ends: tuple[Any, Any]) -> None:
    """So halves get smaller, or are no more split."""
    middle = middle_of(*ends)

    assert middle is None or ends[0] < middle < ends[1]


@pytest.mark.parametrize("ends", [(1, "a"), (None, None), (True, False), ((), ())])
def test_some_types_have_no_middle(ends: tuple[Any, Any]) -> None:
    """SQLite compares a number with a text; nothing is between."""
    assert middle_of(*ends) is None
