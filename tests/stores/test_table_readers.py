"""Windows are all over a table, whatever its keys are."""

from __future__ import annotations

import datetime
import decimal
import uuid
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotation.discovery.table_readers import Window, middle_of, spread

ROOM = 20
"""Rows that are read of a window."""


class Sorted:
    """Keys of one or more columns, in memory. Counts the questions."""

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
    "a common beginning": [(f"cl{number:06x}abc",) for number in range(2000)],
    "times": [(datetime.datetime(2026, 1, 1) + datetime.timedelta(minutes=number),) for number in range(2000)],
    "days": [(datetime.date(2000, 1, 1) + datetime.timedelta(days=number),) for number in range(2000)],
    "fractions": [(decimal.Decimal(number) / 8,) for number in range(2000)],
}


@pytest.mark.some(5)
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_windows_are_all_over_the_table(keys: list[tuple[Any, ...]]) -> None:
    """Some rows of each tenth of the table are read, no row is in two windows, and few questions are asked."""
    table = Sorted(keys)

    windows = spread(table, 50)

    seen = [key for window in windows for key in table.inside(window)[:ROOM]]
    assert len(windows) == 50
    assert len(seen) == len(set(seen))
    assert len(seen) > 500
    places = {bisect_left(table.keys, key) * 10 // len(table.keys) for key in seen}
    assert places == set(range(10))
    assert table.asked < 160


@given(
    keys=st.one_of(
        st.lists(st.tuples(st.integers(-(2**63), 2**63)), unique=True, max_size=100),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000)), unique=True, max_size=100),
        st.lists(st.tuples(st.text(max_size=5)), unique=True, max_size=100),
        st.lists(st.tuples(st.binary(max_size=5)), unique=True, max_size=100),
    ),
    count=st.integers(1, 20),
)
# Many keys take long to make on a busy machine.
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_each_row_is_in_one_window(keys: list[tuple[Any, ...]], count: int) -> None:
    """Whatever the keys: at most so many windows, no row in two of them, and none left out."""
    table = Sorted(keys)

    windows = spread(table, count)

    assert len(windows) <= count
    assert sorted(key for window in windows for key in table.inside(window)) == table.keys


def test_a_value_of_one_column_is_searched_by_the_next() -> None:
    """Most tables of one tenant have many rows for the same first column of the key."""
    table = Sorted([(7, number) for number in range(2000)])

    windows = spread(table, 50)

    assert {window.prefix for window in windows} == {(7,)}


@given(
    st.one_of(
        st.tuples(st.text(), st.text()),
        st.tuples(st.binary(), st.binary()),
        st.tuples(st.integers(), st.integers()),
        st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
        st.tuples(st.dates(), st.dates()),
    )
)
def test_a_middle_leaves_no_half_empty(ends: tuple[Any, Any]) -> None:
    """One half holds the least value, and the other one the greatest."""
    low, high = sorted(ends)

    middle = middle_of(low, high)

    assert low < middle <= high or low == middle == high


@pytest.mark.parametrize("ends", [(1, "a"), (None, None), (True, False), ((), ())])
def test_some_types_have_no_middle(ends: tuple[Any, Any]) -> None:
    """SQLite compares a number with a text; then the greatest value is split off."""
    assert middle_of(*ends) == ends[1]
