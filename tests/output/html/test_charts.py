"""A target's cells as parts of one bar, and tokens per month as columns."""

from __future__ import annotations

import re

from rotation.output.html.charts import Column, cell_parts, histogram, month_columns
from tests.checks.worlds import PREVIOUS, PRIMARY
from tests.checks.worlds import census as cells
from tests.conftest import Named
from tests.output.html.samples import NOW

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
    drawn = histogram([Column("2026-01", 1000), Column("2026-02", 500), Column("2026-03", 1), Column("2026-04", 0)])

    assert re.findall(r'height="(\d+)" class="column', drawn) == ["120", "60", "2", "0"]
    assert "2026-01: 1,000" in drawn
    assert histogram([]) == histogram([Column("2026-01", 0)]) == ""


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
