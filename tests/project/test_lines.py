"""The budget of the product's lines."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_folder_has_more_lines_than_its_budget() -> None:
    """Every folder of the product stands in pyproject.toml with its lines, and has no more of them."""
    budget = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["keyring-core"]["lines"]
    lines: Counter[str] = Counter()
    for part in ("keyring_core", "rotation", "scripts"):
        for path in (ROOT / part).rglob("*.py"):
            folder = path.relative_to(ROOT).parent.parts[:2]
            lines["/".join(folder)] += len(path.read_text().splitlines())

    assert lines.keys() == budget.keys()
    assert {folder: count for folder, count in lines.items() if count > budget[folder]} == {}
