"""The next command, in the terms of this one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rotation.model.invocation import (
    Invocation,
    begin,
    command_line,
    invoked,
    program,
    program_name,
    same_command,
    same_options,
)
from rotation.model.text import next_lines, steps

TAKES = {
    "run": {"--config", "--env-file", "--url", "--table", "--batch-size", "--dry-run", "--json"},
    "discover": {"--config", "--env-file", "--url"},
    "keys": {"--config", "--env-file", "--keys"},
}
TARGET = {"--url": ["--url '$URL'"], "--table": ["--table a", "--table b"]}


def takes(words: Sequence[str]) -> set[str]:
    return TAKES[words[0]]


def test_a_library_prints_the_plain_form() -> None:
    """Without a command line a command has the installed name and no options."""
    assert command_line("keys", "promote", key_set="redash") == "keyring-rotate keys promote --keys redash"
    assert same_command() == "run the same command again"


def test_what_was_set_ends_with_the_command() -> None:
    """A second command in the same process does not repeat options of the first."""
    with invoked(Invocation("tool")):
        begin(["run"], {"--env-file": ["--env-file .env"]}, takes)
        assert command_line("run") == "tool run --env-file .env"
    assert (program(), command_line("run")) == ("keyring-rotate", "keyring-rotate run")


@pytest.mark.parametrize(
    ("words", "options", "expected"),
    [
        pytest.param("run", {"--env-file": ["--env-file .env"]}, "run --env-file .env", id="sources"),
        pytest.param("run", {"--batch-size": ["--batch-size 9"]}, "run", id="only what it needs"),
        pytest.param("run", TARGET, "run --url '$URL' --table a --table b", id="target"),
        pytest.param("keys", TARGET, "keys", id="an option that it does not take"),
        pytest.param("run", {"--url": ["--url x"]}, "run", id="a url alone names no target"),
        pytest.param("discover", TARGET, "discover --url '$URL'", id="a search of the target's database"),
    ],
)
def test_it_repeats_what_the_next_command_needs(words: str, options: dict[str, list[str]], expected: str) -> None:
    """Options that say where keys and targets are, if the next command takes them."""
    with invoked(Invocation("tool")):
        begin(["status"], options, takes)

        assert command_line(words) == f"tool {expected}"


def test_the_same_command_has_all_its_options() -> None:
    """Once more with all of them; after a dry run without that."""
    with invoked(Invocation("tool")):
        begin(["run"], {"--dry-run": ["--dry-run"], "--batch-size": ["--batch-size 9"]}, takes)

        assert same_command() == "tool run --dry-run --batch-size 9"
        assert same_options("run") == "tool run --batch-size 9"


@pytest.mark.parametrize(
    ("argv", "typed", "name"),
    [
        pytest.param(["{bin}/tool"], ["/x/python", "{bin}/tool"], "tool", id="installed, on PATH"),
        pytest.param(["{other}/tool"], ["/x/python", "{other}/tool"], "{other}/tool", id="another one than on PATH"),
        pytest.param(["my venv/tool"], ["/x/python", "my venv/tool"], "'my venv/tool'", id="by its path"),
        pytest.param(["{bin}/tool.py", "run"], ["python3", "{bin}/tool.py", "run"], "tool.py", id="a script on PATH"),
        pytest.param(["a/tool.py", "run"], ["python", "a/tool.py", "run"], "python a/tool.py", id="a script"),
        pytest.param(["/x/__main__.py", "-x"], ["python", "-m", "tool", "-x"], "python -m tool", id="a module"),
        pytest.param(["-c"], ["python", "-c", "pass"], "keyring-rotate", id="no program"),
        pytest.param([], [], "keyring-rotate", id="embedded"),
    ],
)
def test_the_name_can_be_typed(
    argv: list[str], typed: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was typed, or shorter if PATH has it."""
    places = {"bin": str(tmp_path / "bin"), "other": str(tmp_path / "other")}
    for path in places.values():
        Path(path).mkdir()
        for file in ("tool", "tool.py"):
            (Path(path) / file).touch(0o700)
    monkeypatch.setenv("PATH", places["bin"])

    found = program_name([word.format(**places) for word in argv], [word.format(**places) for word in typed])

    assert found == name.format(**places)


def test_several_steps_are_numbered() -> None:
    """One step stands on the line itself."""
    assert next_lines("a") == ["Next: a"]
    assert next_lines(steps("a", "b")) == ["Next:", "  1. a", "  2. b"]
