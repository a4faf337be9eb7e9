"""The number of calls and lines that fixed work takes."""

from __future__ import annotations

import runpy

import pytest

from tests.conftest import Named
from tests.project.documents import ROOT


def test_a_number_that_moved_by_more_than_a_tenth_is_named(monkeypatch: pytest.MonkeyPatch, named: Named) -> None:
    """The sentence says which thing took how much more, and how to accept it; a fall is named, and is no failure."""
    monkeypatch.syspath_prepend(ROOT / ".ci")
    costs = runpy.run_path(str(ROOT / ".ci" / "costs.py"))
    verdict, cost, accept = costs["verdict"], costs["Cost"], "`python .ci/costs.py --write`"
    accepted = {"encrypt": cost(1000, 2000)}
    more = "Take it back; or accept it by `python .ci/costs.py --write`, in a commit that says why."
    cases = {
        "a tenth more or less": (cost(1100, 1800), [], []),
        "more calls": (
            cost(1101, 2000),
            [f"encrypt: calls went from 1,000 to 1,101, more than a tenth up. {more}"],
            [],
        ),
        "fewer lines": (
            cost(1000, 1799),
            [],
            [f"encrypt: lines went from 2,000 to 1,799. Lower the file by {accept}."],
        ),
    }
    for name, (now, high, low) in cases.items():
        with named(name):
            assert verdict({"encrypt": now}, accepted) == (high, low)
    with named("another thing"):
        assert verdict({**accepted, "decrypt": cost(1, 1)}, accepted)[0] == [
            f"decrypt is not in costs.toml. {accept} adds it."
        ]
