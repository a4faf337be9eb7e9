"""Elements and scales of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.output.html.svg import TICKS, TimeScale, element, percent
from tests.output.html.samples import day

TIMES = st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))


def test_an_element_escapes_what_it_is_given() -> None:
    """Text and attributes cannot end the element that they stand in."""
    drawn = element("text", '</text><script>"', class_='"><script>', text_anchor="end", x=None)

    assert drawn == ('<text class="&#34;&gt;&lt;script&gt;" text-anchor="end">&lt;/text&gt;&lt;script&gt;&#34;</text>')


@pytest.mark.parametrize(("share", "shown"), [(0, "0%"), (1, "100%"), (1 / 3, "33.3333%"), (1e-9, "1e-07%")])
def test_shares_are_percentages(share: float, shown: str) -> None:
    """Few digits, and a form that SVG reads."""
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        pytest.param(day(2026, 2, 27), day(2026, 3, 2), ["2026-02-28", "2026-03-01", "2026-03-02"], id="days"),
        pytest.param(
            day(2024, 2, 26), day(2024, 3, 3), ["2024-02-28", "2024-03-01", "2024-03-03"], id="29 February, by twos"
        ),
        pytest.param(day(2025, 11, 2), day(2026, 3, 2), ["2025-12", "2026-01", "2026-02", "2026-03"], id="months"),
        pytest.param(day(2025, 2, 2), day(2026, 3, 2), ["2025-04", "2025-07", "2025-10", "2026-01"], id="quarters"),
        pytest.param(day(2023, 2, 2), day(2026, 3, 2), ["2024", "2025", "2026"], id="years"),
        pytest.param(
            day(1971, 1), day(9000, 1), ["2854", "4281", "5708", "7135", "8562"], id="all the years there are"
        ),
        pytest.param(day(2001, 2, 2), day(2026, 3, 2), ["2004", "2010", "2016", "2022"], id="many years"),
    ],
)
def test_ticks_are_round_times(first: datetime, last: datetime, labels: list[str]) -> None:
    """The beginnings of days, months or years, whichever are few."""
    assert [tick.label for tick in TimeScale(first, last).ticks()] == labels


@given(TIMES, TIMES)
def test_ticks_are_few_and_in_order(one: datetime, other: datetime) -> None:
    """Whatever the span: at most one more than TICKS, from left to right, within the axis."""
    ticks = TimeScale(min(one, other), max(one, other)).ticks()

    assert len(ticks) <= TICKS + 1
    assert all(0 <= tick.at <= 1 for tick in ticks)
    assert all(before.at < after.at for before, after in pairwise(ticks))


def test_what_lies_outside_is_put_on_the_edge() -> None:
    """A clock that was wrong draws nothing beside the picture; a scale of one moment has a day."""
    scale = TimeScale(day(2026, 1), day(2026, 2))

    assert (scale.at(day(2025, 1)), scale.at(day(2027, 1))) == (0, 1)
    assert TimeScale(day(2026, 1), day(2026, 1)).at(day(2026, 1) - timedelta(hours=12)) == 0.5
