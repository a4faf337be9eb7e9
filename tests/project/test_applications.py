"""The pages of the applications are what the data gives, and the package has the data."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rotation.applications.presets import load_preset, preset_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """What .ci/application_pages.py defines."""
    return runpy.run_path(str(ROOT / ".ci" / "application_pages.py"))


def test_the_pages_are_what_the_data_gives(script: dict[str, Any]) -> None:
    """`python .ci/application_pages.py` changes nothing, and no page is left without a preset."""
    pages = script["pages"]()

    assert {path: path.read_text() for path in pages} == pages
    assert sorted(path.stem for path in script["FOLDER"].iterdir()) == list(preset_names())


def test_enough_applications_are_served(script: dict[str, Any]) -> None:
    """The table of applications that hold tokens does not shrink, and neither does the part that is served."""
    total, served = map(int, re.findall(r"Of (\d+) applications .* serves (\d+):", script["TABLE"].read_text())[0])

    assert total >= 69
    assert served >= 54


def test_an_application_stands_in_one_place(script: dict[str, Any]) -> None:
    """One that has a preset is not called unserved or served by hand."""
    titles = [*(load_preset(name).title for name in preset_names()), *(other["title"] for other in script["OTHERS"])]

    assert [title for title, number in Counter(titles).items() if number > 1] == []


def test_pages_keep_the_rules_of_documents(script: dict[str, Any]) -> None:
    """One sentence a line, and links that lead to files."""
    for path, text in script["pages"]().items():
        prose = re.sub(r"`[^`\n]+`|\([^)]*\)", "X", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        lines = [re.sub(r"^ *(- )?(\*\*.*?\*\*)?", "", line) for line in prose.splitlines() if line[:1] not in "|#"]

        assert not [line for line in lines if re.search(r"[a-z)\]X]\. [A-Z[]", line)], path.name
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
        assert all((path.parent / link).is_file() for link in links if link), path.name
