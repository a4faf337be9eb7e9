"""The number of files and functions on the way of a cell, a check, a key and a log event, and what fixed work takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Named

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.database, pytest.mark.long, pytest.mark.xdist_group("hops")]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"


@pytest.fixture(scope="module")
def traced() -> subprocess.CompletedProcess[str]:
    """What `python .ci/costs.py` and `python .ci/hops.py` print, from an interpreter that no other test has touched."""
    command = [sys.executable, str(ROOT / ".ci" / "costs.py"), "--hops"]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the table is made with the lowest version of Python")
def test_the_table_is_that_of_the_code(traced: subprocess.CompletedProcess[str], named: Named) -> None:
    """The page shows what `python .ci/hops.py --write` writes into it.

    A redactor looks through a set of objects, so that turns may differ a little from run to run.
    """
    _, _, rest = PAGE.read_text().partition("<!-- hops begin -->\n")
    shown, counted = _rows(rest.partition("<!-- hops end -->\n")[0]), _rows(traced.stdout)

    assert counted, traced.stderr
    assert list(shown) == list(counted)
    for journey, (files, functions, turns, frames, *classes) in counted.items():
        with named(journey):
            assert shown[journey] == [
                *(files, functions),
                *(pytest.approx(turns, rel=0.03), pytest.approx(frames, rel=0.03)),
                *classes,
            ]


def _rows(table: str) -> dict[str, list[int]]:
    """The numbers of each journey."""
    rows = re.findall(r"^\| (\S.*?) \| (\d.*)$", table, re.MULTILINE)
    return {name: [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", rest)] for name, rest in rows}


def test_no_journey_takes_more_hops_than_its_limit(traced: subprocess.CompletedProcess[str]) -> None:
    """A cell, a block, a check and a retirement take no more of each kind of hop than .ci/hops.py allows."""
    assert "allowed" not in traced.stderr


def test_fixed_work_takes_no_more_than_is_accepted(traced: subprocess.CompletedProcess[str]) -> None:
    """A run, a check, `--help`, a call of the library and a log event take the calls and lines of .ci/costs.toml."""
    assert (traced.returncode, traced.stderr) == (0, ""), traced.stdout
