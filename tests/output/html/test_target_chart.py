"""A target's cells as parts of one bar."""

from __future__ import annotations

from rotation.output.html.target_chart import parts
from tests.checks.worlds import PREVIOUS, PRIMARY, census

STATES = {PRIMARY: "primary", PREVIOUS: "previous"}


def shown(**values: int) -> dict[str, int]:
    under = {PRIMARY: 5, PREVIOUS: 2}
    found = parts(census(under, **({"scanned": 7} | values)), STATES, STATES)
    return {part.name: part.number for part in found}


def test_the_parts_come_to_all_cells() -> None:
    """Tokens per key, and what is none; the rest is unsettled."""
    assert shown(scanned=10, unreadable=1, plaintext=1) == {
        PRIMARY: 5, PREVIOUS: 2, "unreadable": 1, "plaintext": 1, "unsettled": 1
    }  # fmt: skip


def test_a_token_with_another_inside_is_a_part_of_its_own() -> None:
    """So that no key has all of a target's cells where one of them needs another key, too."""
    assert shown(nested=1) == {PRIMARY: 4, PREVIOUS: 2, "with another token inside": 1}
    assert shown(nested=6) == {PREVIOUS: 1, "with another token inside": 6}
