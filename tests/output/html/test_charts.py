"""A target's cells as parts of one bar, tokens per month as columns, the states of a key over time, and its scale."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.output.html.charts import (
    TICKS,
    AgeColumn,
    TimeScale,
    cell_parts,
    element,
    histogram,
    month_columns,
    percent,
    spans,
    timeline,
)
from tests.checks.worlds import PREVIOUS, PRIMARY
from tests.checks.worlds import census as cells
from tests.conftest import Named
from tests.output.html.samples import NOW, RECORDS, RETIRED, day, key

YEAR = [f"{year}-{month:02}" for year, month in [(2025, 12), *((2026, month) for month in range(1, 12))]]


def test_columns_are_months_or_years(named: Named) -> None:
    """Without gaps, from the first token to now; what lies outside is one column; no token is lost."""
    cases = {
        "none": ({}, [], {}),
        "a year at least": ({"2026-11": 3}, YEAR, {"2026-11": 3}),
        "just a year": ({"2025-12": 1, "2026-01": 2}, YEAR, {"2025-12": 1, "2026-01": 2}),
        "a month more": ({"2025-11": 1}, ["2025-11", *YEAR], {"2025-11": 1}),
        "too many months": (
            {"2021-11": 1, "2026-11": 2},
            ["2021", "2022", "2023", "2024", "2025", "2026"],
            {"2021": 1, "2026": 2},
        ),
        "too many years": (
            {"2006-12": 1, "2007-01": 2},
            ["before 2007", *(str(year) for year in range(2007, 2027))],
            {"before 2007": 1, "2007": 2},
        ),
        "only long ago": ({"1970-01": 7}, ["before 2026", "2026"], {"before 2026": 7}),
        "the future": ({"9999-12": 4, "2026-12": 1}, [*YEAR, "after 2026-11"], {"after 2026-11": 5}),
    }

    for name, (ages, labels, used) in cases.items():
        with named(name):
            found = month_columns(ages, NOW)

            assert [column.label for column in found] == labels
            assert {column.label: column.number for column in found if column.number} == used
            assert [column.kind for column in found if column.label.startswith("after")] == ["wrong"] * (
                "9999-12" in ages
            )


def test_five_years_are_months() -> None:
    """Sixty months are as many as a phone shows."""
    assert len(month_columns({"2021-12": 1}, NOW)) == 60


def test_heights_are_in_proportion() -> None:
    """The highest column is full, half as many tokens are half as high, and one among many can be seen."""
    drawn = histogram(
        [AgeColumn("2026-01", 1000), AgeColumn("2026-02", 500), AgeColumn("2026-03", 1), AgeColumn("2026-04", 0)]
    )

    assert re.findall(r'height="(\d+)" class="column', drawn) == ["120", "60", "2", "0"]
    assert "2026-01: 1,000" in drawn
    assert histogram([]) == histogram([AgeColumn("2026-01", 0)]) == ""


STATES = {PRIMARY: "primary", PREVIOUS: "previous"}


def shown(**values: int) -> dict[str, int]:
    under = {PRIMARY: 5, PREVIOUS: 2}
    found = cell_parts(cells(under, **({"scanned": 7} | values)), STATES, STATES)
    return {part.name: part.number for part in found}


def test_the_parts_come_to_all_cells() -> None:
    """Tokens per key, and what is none; the rest is unsettled."""
    assert shown(scanned=10, unreadable=1, plaintext=1) == {
        PRIMARY: 5, PREVIOUS: 2, "unreadable": 1, "plaintext": 1, "unsettled": 1
    }  # fmt: skip


def test_a_token_with_another_inside_is_a_part_of_its_own() -> None:
    """If one of a target's cells needs another key as well, no key is shown with all of them."""
    assert shown(nested=1) == {PRIMARY: 4, PREVIOUS: 2, "with another token inside": 1}
    assert shown(nested=6) == {PREVIOUS: 1, "with another token inside": 6}


JAN, FEB, MAR, APR = (day(2026, month) for month in (1, 2, 3, 4))
NEXT = key("next", staged=FEB, promoted=MAR)


def test_a_key_is_in_one_state_after_the_other(named: Named) -> None:
    """Staged, primary until the next promotion, previous until retired or now; no state of no length."""
    cases = {
        "staged": (key("k", staged=JAN), [("staged", JAN, NOW)]),
        "never promoted": (key("k", staged=JAN, retired=FEB), [("staged", JAN, FEB)]),
        "primary": (NEXT, [("staged", FEB, MAR), ("primary", MAR, NOW)]),
        "superseded": (key("k", promoted=JAN), [("primary", JAN, MAR), ("previous", MAR, NOW)]),
        "a whole life": (
            key("k", staged=JAN, promoted=FEB, retired=APR),
            [("staged", JAN, FEB), ("primary", FEB, MAR), ("previous", MAR, APR)],
        ),
        "retired while primary": (key("k", promoted=JAN, retired=FEB), [("primary", JAN, FEB)]),
        "older than the ledger": (key("k", first_seen=JAN), [("previous", JAN, NOW)]),
        "just now": (key("k", promoted=NOW), []),
    }

    for name, (record, states) in cases.items():
        with named(name):
            assert [span[:3] for span in spans(record, [record, NEXT], NOW)] == states


def test_a_bound_is_shown_as_one() -> None:
    """A key that was only found primary was so before; the next one ends its time likewise, and begins what follows."""
    found = key("k", promoted_before=JAN)
    by_hand = key("next", first_seen=FEB, promoted_after=FEB, promoted_before=MAR)

    [primary, previous] = spans(found, [found, by_hand], NOW)

    assert primary.words == "primary from before 2026-01-01 to before 2026-03-01"
    assert previous.words == f"previous from before 2026-03-01 to {NOW:%Y-%m-%d}"
    assert spans(key("old", first_seen=JAN), [], NOW)[0].words == f"previous from before 2026-01-01 to {NOW:%Y-%m-%d}"
    assert "k: primary from before 2026-01-01 to before 2026-03-01" in timeline([found, by_hand], NOW)


def test_the_timeline_draws_each_span() -> None:
    """A line per key with its spans in the states' colours, and a cross where it was retired."""
    drawn = timeline(RECORDS, NOW)

    assert drawn.count('class="span staged"') == 3
    assert drawn.count('class="span primary"') == 3
    assert drawn.count('class="span previous"') == 2
    assert drawn.count('class="mark wrong"') == 1
    assert f"{RETIRED}: primary from 2024-01-09 to 2025-02-03" in drawn
    assert 'x="0%"' in drawn
    assert timeline([], NOW) == ""


def test_a_key_of_this_moment_has_a_line() -> None:
    """A key that was seen for the first time just now has no span yet, and still its place."""
    drawn = timeline([key("just-now", promoted=NOW), *RECORDS], NOW)

    assert "just-now" in drawn


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
    assert [label for _, label in TimeScale(first, last).ticks()] == labels


@given(TIMES, TIMES)
def test_ticks_are_few_and_in_order(one: datetime, other: datetime) -> None:
    """Whatever the span: at most one more than TICKS, from left to right, within the axis."""
    ticks = TimeScale(min(one, other), max(one, other)).ticks()

    assert len(ticks) <= TICKS + 1
    assert all(0 <= at <= 1 for at, _ in ticks)
    assert all(before < after for (before, _), (after, _) in pairwise(ticks))


def test_what_lies_outside_is_put_on_the_edge() -> None:
    """A clock that was wrong draws nothing beside the picture; a scale of one moment has a day."""
    scale = TimeScale(day(2026, 1), day(2026, 2))

    assert (scale.at(day(2025, 1)), scale.at(day(2027, 1))) == (0, 1)
    assert TimeScale(day(2026, 1), day(2026, 1)).at(day(2026, 1) - timedelta(hours=12)) == 0.5
