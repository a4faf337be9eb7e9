"""Months of issue, whatever a timestamp claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.model.counts import months


def signed(timestamp: int) -> bytes:
    """The beginning of a token."""
    return b"\x80" + timestamp.to_bytes(8, "big") + bytes(32)


@pytest.mark.parametrize(
    ("timestamp", "month"),
    [
        pytest.param(0, "1970-01", id="the epoch"),
        pytest.param(int(datetime(2026, 2, 14, tzinfo=UTC).timestamp()), "2026-02", id="mid-month"),
        pytest.param(int(datetime(9999, 12, 30, tzinfo=UTC).timestamp()), "9999-12", id="the calendar's end"),
        pytest.param(2**42, "9999-12", id="behind it"),
        pytest.param(2**64 - 1, "9999-12", id="the last that a token can bear"),
    ],
)
def test_a_month_is_told_for_every_timestamp(timestamp: int, month: str) -> None:
    """A time that no calendar has counts in the last month that one has."""
    assert months([signed(timestamp)]) == {month: 1}


@given(st.lists(st.integers(0, 4_000_000_000)))
def test_no_token_is_lost_and_none_is_ten_hours_off(timestamps: list[int]) -> None:
    """Each token counts once, in a month that it was in within nine hours and a bit."""
    assert months(list(map(signed, timestamps))).total() == len(timestamps)
    for timestamp in timestamps:
        [month] = months([signed(timestamp)])
        issued, slack = datetime.fromtimestamp(timestamp, UTC), timedelta(hours=9, minutes=7)
        assert month in {
            f"{time:%Y-%m}" for time in (max(issued - slack, datetime(1970, 1, 1, tzinfo=UTC)), issued, issued + slack)
        }
