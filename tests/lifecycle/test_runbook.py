"""The commands of the pages on rotations do what they say, in their order, and print what they show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyring_core.redaction import Redactor
from tests.databases import Database, open_database
from tests.lifecycle.runbook import PART, Stage, runbook, without_times

pytestmark = pytest.mark.database


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def test_every_command_of_the_pages_prints_what_they_show(kind: str, tmp_path: Path) -> None:
    """From a planned rotation to a restored backup; in the end every row is under the primary key, and whole."""
    text = runbook()
    with open_database(kind, tmp_path) as database:
        stage = Stage(tmp_path, database)
        played = stage.play(text)

        assert without_times(played) == without_times(text)
        screens = "".join(part["block"] or "" for part in PART.finditer(played))
        assert Redactor().redact(screens) == screens  # as it is on an admin's screen, behind the redactor
        assert _plaintexts(stage, database) == {"sk-live-4242"}


def test_every_step_says_when_it_is_done() -> None:
    """A numbered step ends with its "Done when"."""
    steps = re.split(r"^\*\*\d\. ", runbook(), flags=re.MULTILINE)[1:]

    assert len(steps) > 12
    assert [step.splitlines()[0] for step in steps if step.count("Done when: ") != 1] == []


def _plaintexts(stage: Stage, database: Database) -> set[str]:
    primary = stage.settings().primary
    cells = database.rows("SELECT api_key FROM user_credentials")
    return {primary.fernet.decrypt(token).decode() for (token,) in cells}
