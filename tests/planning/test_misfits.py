"""Current cells beside the companions of another key are found among others, and nothing else is."""

from __future__ import annotations

import pytest

from keyring_core import Keyring
from rotation.model.batch import Batch
from rotation.planning.planner import Planner
from tests.fakes import token

CELLS = {
    "old": token("old"),
    "current": token("new"),
    "lost": token("nobody"),
    "empty": "",
    "null": None,
    "plain": "sk-live",
}


@pytest.mark.parametrize(
    ("cells", "misfits", "found"),
    [
        (["current"] * 5, {0, 3, 4}, {0, 3, 4}),
        (["old", "current", "lost", "empty", "null", "plain", "current"], {0, 1, 2, 3, 4, 5, 6}, {1, 6}),
        (["current", "old", "current"], {0, 1}, {0}),
        (["old", "lost"], {0, 1}, set()),
        (["current"], {7}, set()),
        (["current", "current"], set(), set()),
    ],
)
def test_only_current_misfits_are_fixed(keyring: Keyring, cells: list[str], misfits: set[int], found: set[int]) -> None:
    """Each keeps its cell; a row that is rotated anyway, and one without a token, is left out."""
    held = [CELLS[name] for name in cells]
    batch = Batch([(number,) for number in range(len(held))], held, misfits=frozenset((each,) for each in misfits))

    planner = Planner(keyring)

    fixes = planner.fixes(batch, planner.plan(batch))

    assert {key for (key,) in fixes.keys} == found
    assert list(fixes.old) == list(fixes.new) == [held[key] for (key,) in fixes.keys]
