"""Next steps as values, and their text in the terms of this command."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from rotation.model.next_steps import (
    PLAIN,
    RUN,
    STATUS,
    THIS_AGAIN,
    Invocation,
    Next,
    Repeats,
    Steps,
    lines_of,
    read_the_rest,
)
from rotation.world.process import program_name

KEYS = Next(("keys", "stage"), keys="redash")


def test_a_step_is_known_by_what_it_says() -> None:
    """Two steps are the same if their words, their command and their key set are."""
    assert Next(("run",)) == RUN
    assert Next(("keys", "stage")) != KEYS
    assert {Steps("look", RUN)} == {Steps("look", RUN)}
    assert pickle.loads(pickle.dumps(Steps(KEYS, when="Then:"))) == Steps(KEYS, when="Then:")


def test_words_come_in_front_of_a_command() -> None:
    """The last ones first; the command stays as it is."""
    assert RUN.after("then:").after("look,") == Next(("run",), "look, then:")


def test_steps_in_steps_are_steps() -> None:
    """In order; the sentences that lead to some stand in front of the first of them."""
    inner = Steps(RUN, "look", when="If all have it:")

    assert Steps("first", inner, STATUS).steps == ("first", RUN.after("If all have it:"), "look", STATUS)
    assert lines_of(Steps("look", when="Then")) == ("Then look",)
    assert lines_of(RUN) == (RUN,)


def test_a_key_is_removed_with_an_archive() -> None:
    """The step names the key set and the file that keeps the key."""
    step = Next(("keys", "retire", "5f0c1a9e", "--archive", "5f0c1a9e.keys"), keys="redash")

    assert read_the_rest("5f0c1a9e", "redash").steps == (step,)


TAKES = {
    "run": {"--config", "--env-file", "--url", "--table", "--batch-size", "--dry-run", "--json"},
    "discover": {"--config", "--env-file", "--url"},
    "keys": {"--config", "--env-file", "--keys"},
}
TARGET = {"--url": [("--url", "$URL")], "--table": [("--table", "a"), ("--table", "b")]}
ENV_FILE = {"--env-file": [("--env-file", ".env")]}
PROMOTE = Next(("keys", "promote"), "When every service has it:", "redash")


def takes(words: Sequence[str]) -> set[str]:
    return TAKES[words[0]]


def started(options: dict[str, list[tuple[str, ...]]], *command: str) -> Invocation:
    return Invocation("tool", command or ("run",), options, takes)


def test_a_library_prints_the_plain_form() -> None:
    """Without a command line a command has the installed name and no options."""
    assert PLAIN.line(PROMOTE) == "When every service has it: keyring-rotate keys promote --keys redash"
    assert PLAIN.line(THIS_AGAIN) == "run the same command again"
    assert PLAIN.arguments(THIS_AGAIN) == []


@pytest.mark.parametrize(
    ("words", "options", "expected"),
    [
        pytest.param("run", ENV_FILE, "run --env-file .env", id="sources"),
        pytest.param("run", {"--batch-size": [("--batch-size", "9")]}, "run", id="only what it needs"),
        pytest.param("run", TARGET, "run --url '$URL' --table a --table b", id="target"),
        pytest.param("keys", TARGET, "keys", id="an option that it does not take"),
        pytest.param("run", {"--url": [("--url", "x")]}, "run", id="a url alone names no target"),
        pytest.param("discover", TARGET, "discover --url '$URL'", id="a search of the target's database"),
    ],
)
def test_it_repeats_what_the_next_command_needs(
    words: str, options: dict[str, list[tuple[str, ...]]], expected: str
) -> None:
    """Options that say where keys and targets are, if the next command takes them."""
    assert started(options, "status").line(Next((words,))) == f"tool {expected}"


def test_each_step_says_which_options_it_repeats() -> None:
    """All but a dry run, none, or this command once more with all of them and more."""
    here = started({"--dry-run": [("--dry-run",)], "--batch-size": [("--batch-size", "9")], **ENV_FILE})

    assert here.line(THIS_AGAIN) == "tool run --dry-run --batch-size 9 --env-file .env"
    assert here.line(Next(("--fresh",), repeats=Repeats.COMMAND)).endswith("--env-file .env --fresh")
    assert here.line(Next(("run",), repeats=Repeats.ALL)) == "tool run --batch-size 9 --env-file .env"
    assert here.line(Next(("run",), repeats=Repeats.NONE)) == "tool run"
    assert here.line(Next(("run", "--env-file", "b"))) == "tool run --env-file b"


def test_a_program_gets_the_arguments_and_a_person_quotes() -> None:
    """A word is one argument, whatever is in it; in a line it is quoted for a shell, and makes no line of its own."""
    here = started({"--env-file": [("--env-file", "my .env")]})
    archive = Next(("run", "--problems", "a\nb"))

    assert here.arguments(archive) == ["run", "--problems", "a\nb", "--env-file", "my .env"]
    assert here.line(archive) == r"tool run --problems $'a\012b' --env-file 'my .env'"


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
    """One step stands on the line itself; sentences that lead to the steps stand above them."""
    assert PLAIN.next_lines("a") == ["Next: a"]
    assert PLAIN.next_lines(Steps("a", RUN)) == ["Next:", "  1. a", "  2. keyring-rotate run"]
    assert PLAIN.next_lines(Steps(RUN, when="Then:")) == ["Then:", "Next: keyring-rotate run"]


def test_a_name_makes_no_step_of_its_own() -> None:
    """In words, in front of a command, and above the steps."""
    assert PLAIN.lines(Steps("a\nb", RUN.after("a\nb:"))) == [r"a\nb", r"a\nb: keyring-rotate run"]
    assert PLAIN.next_lines(Steps("a", when="b\nc")) == [r"b\nc", "Next: a"]
