"""A key's states from its dates, and their picture."""

from __future__ import annotations

import pytest

from rotation.ledger.records import KeyRecord
from rotation.output.html.key_chart import Span, spans, timeline
from tests.output.html.samples import NOW, RECORDS, RETIRED, day, key

JAN, FEB, MAR, APR = (day(2026, month) for month in (1, 2, 3, 4))
NEXT = key("next", staged=FEB, promoted=MAR)


@pytest.mark.parametrize(
    ("record", "states"),
    [
        pytest.param(key("k", staged=JAN), [("staged", JAN, NOW)], id="staged"),
        pytest.param(key("k", staged=JAN, retired=FEB), [("staged", JAN, FEB)], id="never promoted"),
        pytest.param(NEXT, [("staged", FEB, MAR), ("primary", MAR, NOW)], id="primary"),
        pytest.param(key("k", promoted=JAN), [("primary", JAN, MAR), ("previous", MAR, NOW)], id="superseded"),
        pytest.param(
            key("k", staged=JAN, promoted=FEB, retired=APR),
            [("staged", JAN, FEB), ("primary", FEB, MAR), ("previous", MAR, APR)],
            id="a whole life",
        ),
        pytest.param(key("k", promoted=JAN, retired=FEB), [("primary", JAN, FEB)], id="retired while primary"),
        pytest.param(key("k", first_seen=JAN), [("previous", JAN, NOW)], id="older than the ledger"),
        pytest.param(key("k", promoted=NOW), [], id="just now"),
    ],
)
def test_a_key_is_in_one_state_after_the_other(record: KeyRecord, states: list[Span]) -> None:
    """Staged, primary until the next promotion, previous until retired or now; no state of no length."""
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
