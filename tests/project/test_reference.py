"""The pages of docs/reference that are made of the code are what the code gives."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.database


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What .ci/reference_pages.py defines."""
    monkeypatch.syspath_prepend(ROOT / ".ci")
    return runpy.run_path(str(ROOT / ".ci" / "reference_pages.py"))


def test_the_pages_are_what_the_code_gives(script: dict[str, Any]) -> None:
    """`python .ci/reference_pages.py` changes nothing, and leaves no mark in a page."""
    pages = script["pages"]()

    assert {path.name for path in pages} == {"cli.md", "configuration.md", "exit-codes.md", "json.md"}
    assert {path: path.read_text() for path in pages} == pages
    assert [path.name for path, text in pages.items() if text.count("<!--") != 1] == []


def test_no_option_is_explained_twice_in_the_same_words(script: dict[str, Any]) -> None:
    """What several commands take stands in one table, with their names."""
    page = script["pages"]()[script["FOLDER"] / "cli.md"]
    rows = [line for line in page.splitlines() if line.startswith("| `--")]

    assert len(rows) > 40
    assert len(set(rows)) == len(rows)
    assert [row for row in rows if row.startswith("| `--where ")] == [
        row for row in rows if row.startswith("| `--where ") and "`run`" in row
    ]
