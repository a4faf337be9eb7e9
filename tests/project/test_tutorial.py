"""The tutorial, typed as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from keyring_core import Key
from rotation.cli.demo import REPAIR
from tests.keys import make_key
from tests.project.documents import ROOT, play
from tests.warm.client import programs

pytestmark = pytest.mark.database

PAGE = ROOT / "docs" / "tutorial" / "first-rotation.md"
COMMAND = re.compile(r"^```(console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
KEYS = ("oldest", "older", "new")
"""The keys of the page, in the order in which they are made."""


def played(page: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """*page* with what its commands print now, typed from top to bottom in the current folder."""
    keys = map(make_key, KEYS)
    monkeypatch.setattr(Key, "generate", lambda: next(keys))
    names = {"/home/you": str(Path.cwd().resolve())}

    def typed(command: re.Match[str]) -> str:
        language, text = command.groups()
        if language == "console":
            return f"```console\n{_cut(text, play(text, names))}```"
        if text.startswith("cd "):
            monkeypatch.chdir(text.split()[1])
        else:
            environ = {"PATH": f"{programs()}:{os.environ['PATH']}"}
            subprocess.run(["bash", "-c", text], check=True, env=environ)
        return command[0]

    return COMMAND.sub(typed, page)


def _cut(shown: str, printed: str) -> str:
    """*printed*, with `...` after as many lines as *shown* has before its own; all of it if that has none."""
    lines, cut, _ = shown.partition("\n...\n")
    return "\n".join([*printed.splitlines()[: lines.count("\n") + 1], "...", ""]) if cut else printed


def test_the_tutorial_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the database to practise on to the check that finds nothing, each command prints what the page shows."""
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text()

    assert played(page, monkeypatch) == page


def test_the_tutorial_repairs_the_rows_as_the_demo_says() -> None:
    """The page and `demo --keep` give one command."""
    assert REPAIR in PAGE.read_text()


def test_the_tutorial_is_short() -> None:
    """It can be read in a sitting."""
    assert len(PAGE.read_text().splitlines()) <= 250
