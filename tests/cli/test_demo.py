"""The demo, as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]


def test_the_demo_rotates_and_proves_it_with_stock_fernet() -> None:
    """The demo exits 0 after it has shown the rotation, the broken rows and the proof."""
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts/rotate.py", "demo"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0
    assert "Rotated 19,994 tokens." in ran.stdout
    assert "opens 19,994 of 19,994 sound" in ran.stdout
    for row, category in (
        (812, "truncated"),
        (4077, "bytes-repr"),
        (9001, "glued"),
        (12345, "unknown-key"),
        (17017, "unknown-key"),
        (19998, "plaintext"),
    ):
        assert f"user_credentials.api_key, id={row}: {category}" in ran.stdout
    assert "rotate.py run --dry-run --url" in ran.stdout
    assert "REDACTED" not in ran.stdout + ran.stderr


def test_the_demo_leaves_nothing_behind(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's database is gone when it ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    ran = cli("demo", "--json")

    assert ran.document == {"complete": True}
    assert list(tmp_path.iterdir()) == []
