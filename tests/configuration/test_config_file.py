"""rotation.toml is read in bounded time and memory, whatever stands there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rotation.configuration.config_file import DEPTH, read_toml
from tests.conftest import Cli, Named

SECRET = "sk-live-4242"


def test_what_no_admin_wrote_is_refused(tmp_path: Path, named: Named) -> None:
    """By its fault and place, without the parser's recursion, and without quoting the file."""
    cases = {
        "brackets": ("x = " + "[" * 500_000, "line 1: nested more than"),
        "braces": ("\n\nx = " + "{a = " * 100_000, "line 3: nested more than"),
        "dotted name": ("a" + ".a" * 500_000 + " = 1", "line 1: nested more than"),
        "dotted quoted name": ('"a" . ' * 100_000 + "a = 1", "line 1: nested more than"),
        "dotted table": ("[" + "a." * 500_000 + "a]", "line 1: nested more than"),
        "text without an end": ('x = """' + '\\"' * 500_000, "not TOML (at end of document)"),
        "huge number": ("x = " + "9" * 500_000, "not TOML"),
        "cut in a text": (f'url = "{SECRET}', "not TOML"),
        "without quotes": (f"url = {SECRET}", 'not TOML (line 1, column 7): a value is a "text" in quotes'),
    }

    for name, (text, words) in cases.items():
        with named(name):
            path = tmp_path / "rotation.toml"
            path.write_text(text)

            with pytest.raises(ValueError, match=re.escape(words)) as raised:
                read_toml(path)
            assert SECRET not in str(raised.value)


def test_dots_and_brackets_in_texts_and_comments_do_not_count(tmp_path: Path) -> None:
    """A condition, a host's name or a comment may hold as many as it likes."""
    many = "[{." * 4 * DEPTH
    path = tmp_path / "rotation.toml"
    path.write_text(
        f"# {many}\na = \"{many}\\\"{many}\"\nb = '{many}'\nc = '''{many}\n'{many}'''\nd = \"\"\"{many}\"\"\"\n"
    )

    assert read_toml(path) == {"a": f'{many}"{many}', "b": many, "c": f"{many}\n'{many}", "d": many}


def test_as_deep_as_it_may_be(tmp_path: Path) -> None:
    """Up to the bound it is a table, however often."""
    path = tmp_path / "rotation.toml"
    path.write_text(f"x = [{'[' * (DEPTH - 1)}{']' * (DEPTH - 1)}]\n{'a.' * DEPTH}a = 1\n{'b.' * DEPTH}b = 1\n")

    assert set(read_toml(path)) == {"x", "a", "b"}


@pytest.mark.database
@pytest.mark.parametrize("command", ["status", "check", "run", "report"])
@pytest.mark.parametrize("kind", ["FIFO", "device", "directory", "huge", "latin-1", "deep"])
def test_a_command_refuses_it_at_once(cli: Cli, tmp_path: Path, kind: str, command: str) -> None:
    """C03: exit code 2, of check 3, by path and fault; a FIFO and a device that never ends are not waited for."""
    path = tmp_path / "rotation.toml"
    words = f"is not a regular file but a {kind}"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge":
        path.write_bytes(b"#" * 1_100_000)
        words = "has 1100000 bytes, more than any rotation.toml"
    elif kind == "latin-1":
        path.write_bytes(b"# caf\xe9")
        words = "which is UTF-8 (byte 6)"
    else:
        path.write_text("x = " + "[" * 100_000)
        words = "nested more than"
    page = ["--html", str(tmp_path / "page.html")] if command == "report" else []

    ran = cli(command, "--config", str(path), *page)

    assert ran.code == (3 if command == "check" else 2)
    told = ran.out if command == "check" else ran.err
    assert str(path) in told
    assert words in " ".join(told.split())
