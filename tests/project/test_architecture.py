"""The map of the code shows the code of today."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Named

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
FILES = re.findall(r"`((?:rotation|keyring_core)/[\w/]*\.py)(?:: ([\w.]+))?`", PAGE)


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    """What .ci/draw_imports.py defines."""
    pytest.importorskip("grimp", reason="import-linter brings it: the extra dev")
    return runpy.run_path(str(ROOT / ".ci" / "draw_imports.py"))


def test_the_picture_is_that_of_the_imports(drawing: dict[str, Any]) -> None:
    """docs/explanation/architecture.svg is what `python .ci/draw_imports.py` draws now."""
    assert drawing["PICTURE"].read_text() == drawing["draw"]()


def test_the_table_has_every_import(drawing: dict[str, Any]) -> None:
    """Each folder has its row, with all folders that it imports, as the same command writes them."""
    named = {folder or root for _, root, folder, *_ in drawing["ROW"].findall(PAGE)}

    assert named == {*(name for row in drawing["floors"]() for name in row), "redaction"}
    assert drawing["tabulate"](PAGE) == PAGE


def test_every_step_exists(named: Named) -> None:
    """Each file that the page names is there, and defines what the page says it does."""
    for file, name in FILES:
        with named(file, name):
            source = (ROOT / file).read_text()

            for part in filter(None, name.split(".")):
                assert re.search(rf"^ *(async )?(def|class) {part}\b|^ *{part}\b.* = ", source, re.MULTILINE), part


def test_the_journeys_have_steps() -> None:
    """The page names more than a few functions, so that the test above looks at some."""
    assert len([name for _, name in FILES if name]) > 30


def test_every_folder_exists(named: Named) -> None:
    """Each folder that the page names is there."""
    for folder in re.findall(r"`((?:rotation|keyring_core)/[\w/]*/)`", PAGE):
        with named(folder):
            assert (ROOT / folder).is_dir()
