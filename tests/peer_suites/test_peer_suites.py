"""The tests of other packages pass on the types and fields of this one, but for those with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.peer_suites.suites import SUITES, Suite

pytestmark = pytest.mark.database

PAGE = Path(__file__).parents[2] / "docs/how-to/taking-over.md"


@pytest.mark.long
@pytest.mark.parametrize("own", [False, True], ids=["types under test", "own types"])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_all_tests_pass_but_those_with_a_reason(suite: Suite, own: bool, tmp_path: Path) -> None:
    """As many tests run as are expected, and those that do not pass are the ones that suites.toml names."""
    outcomes, printed = suite.run(tmp_path, own=own)
    failing = {test for test, outcome in outcomes.items() if outcome != "passed"}
    expected = set(suite.own_failures if own else suite.not_passing)
    broken, passing = sorted(failing - expected), sorted(expected - failing)

    assert len(outcomes) == suite.tests, printed
    assert not broken, f"these do not pass, without a reason: {broken}\n{printed}"
    assert not passing, f"these pass now, or are gone, and suites.toml names them: {passing}"


def test_the_page_has_the_numbers_and_the_reasons() -> None:
    """The page has a row for each suite, how many tests run and pass, and a row for each reason, with their number."""
    section = PAGE.read_text().partition("\n## What is different afterwards\n")[2].partition("\n## ")[0]
    numbers, reasons = [], []
    for suite in SUITES:
        passing = suite.tests - len(suite.not_passing), suite.tests - len(suite.own_failures)
        numbers.append(_row(suite.name, suite.tests, *passing))
        reasons += [_row(suite.name, len(each.tests), f"{each.kind}: {each.why}") for each in suite.differences]

    assert [line for line in section.splitlines() if re.match(r"\| [a-z-]+ \| \d", line)] == numbers + reasons


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def test_each_test_has_one_reason_of_a_known_kind() -> None:
    """No test has two reasons, and each is a choice of this project, or a thing that it does not have."""
    for suite in SUITES:
        assert len(suite.not_passing) == len(set(suite.not_passing))
        assert {each.kind for each in suite.differences} <= {"by design", "not applicable"}
