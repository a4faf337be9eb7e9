"""A key's states from its dates, and their picture."""

from __future__ import annotations

from rotation.output.html.key_chart import spans, timeline
from tests.conftest import Named
from tests.output.html.samples import NOW, RECORDS, RETIRED, day, key

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
