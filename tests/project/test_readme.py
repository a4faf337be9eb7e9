"""The README is short, and its blocks do what it says."""

from __future__ import annotations

import io
import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keyring_core.config import get_keyring
from keyring_core.encryption_service import get_encryption_service
from rotation.cli.main import main
from tests.keys import key_text
from tests.project.documents import ROOT, page_blocks

pytestmark = pytest.mark.database

README = (ROOT / "README.md").read_text()
BLOCKS = list(page_blocks(README))


def test_the_readme_is_short() -> None:
    """It has at most 130 lines."""
    assert len(README.splitlines()) <= 130


def test_the_first_screen_says_what_it_is() -> None:
    """Before its first heading it names the language, both parts, and which keys it is about."""
    opening, _, _ = README.partition("\n## ")

    assert all(word in opening for word in ("Python library", "a command, `keyring-rotate`", "Fernet key"))


def test_the_two_commands_are_where_ci_looks() -> None:
    """.ci/run takes the first and the second command that make an environment."""
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]

    assert [command.split()[-1] for command in commands] == ["demo", "pytest"]


def test_contributors_find_the_command_first() -> None:
    """CONTRIBUTING.md begins with the README's command that runs the tests."""
    first, *_ = page_blocks((ROOT / "CONTRIBUTING.md").read_text())

    assert first.text == BLOCKS[-1].text


def test_the_lines_for_a_service_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the swapped lines give encrypts and decrypts text."""
    [block] = [block.text for block in BLOCKS if block.language == "python"]
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("readme"))
    names: dict[str, object] = {}
    get_keyring.reset()
    get_encryption_service.reset()
    try:
        exec(compile(block, "README.md", "exec"), names)

        assert names["decrypt"](names["encrypt"]("sk-live-4242")) == "sk-live-4242"  # type: ignore[operator]
    finally:
        get_keyring.reset()
        get_encryption_service.reset()


def test_the_five_commands_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the practice database, without its broken rows, they end with a retired key and nothing left to do."""
    [block] = [block.text for block in BLOCKS if "keys promote" in block.text]
    commands = [shlex.split(line)[1:] for line in block.splitlines() if not line.startswith("#")]
    monkeypatch.chdir(tmp_path)
    _type(["demo", "--keep", "practice"])
    monkeypatch.chdir(tmp_path / "practice")
    with closing(sqlite3.connect("app.db")) as connection, connection:
        connection.execute("DELETE FROM user_credentials WHERE id IN (812, 4077, 9001, 12345, 17017, 19998)")
    keys = json.loads(_type(["keys", "list", "--json"]))["keys"]

    for command in commands:
        _type([keys[-1]["id"] if word == "OLD_KEY_ID" else word for word in command])

    states = {key["id"]: key["state"] for key in json.loads(_type(["keys", "list", "--json"]))["keys"]}
    assert len(commands) == 5
    assert states[keys[-1]["id"]] == "retired"


def _type(argv: list[str]) -> str:
    out = io.StringIO()
    assert main(argv, {}, out, out) == 0, out.getvalue()
    return out.getvalue()
