"""The pages for bad days: their commands, programs and SQL do what they say, and print what they show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyring_core.redaction import Redactor
from tests.conftest import Named
from tests.databases import open_database
from tests.lifecycle.bad_days import PAGES, played
from tests.lifecycle.runbook import PART, without_times

pytestmark = pytest.mark.database


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_prints_what_it_shows(page: Path, kind: str, tmp_path: Path) -> None:
    """From the bad news to a check that finds nothing; and no screen shows a key or a token."""
    with open_database(kind, tmp_path) as database:
        text = played(page, tmp_path, database)

    assert without_times(text) == without_times(page.read_text())
    typed = re.compile(r"^\$ .*\n", re.MULTILINE)
    screens = "".join(typed.sub("", part["block"] or "") for part in PART.finditer(text))
    assert Redactor().redact(screens) == screens


def test_every_step_says_when_it_is_done(named: Named) -> None:
    """A numbered step ends with its "Done when"."""
    for page in PAGES:
        with named(page.stem):
            steps = re.split(r"^\*\*\d\. ", page.read_text(), flags=re.MULTILINE)[1:]

            assert len(steps) > 3
            assert [step.splitlines()[0] for step in steps if step.count("Done when: ") != 1] == []
