"""Whatever lists the states of a key, its variables or its files has all of them, as the code does.

Read are README, pages, `.env.sample`, everything in deploy/ and docs/examples, and the code. A piece is a block, a
table, or the lines between two empty ones; two names of one kind in it are a list.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyring_core import KeyState
from keyring_core.environment import KEY_VARIABLES
from keyring_core.sources import FORMS
from tests.conftest import Named
from tests.project.documents import ROOT

STATES, NUMBERS = [str(state) for state in KeyState], ["no", "one", "two", "three", "four", "five", "six"]
ALONE = {KEY_VARIABLES.primary, KEY_VARIABLES.previous}
"""The two that a program has before it first stages a key: a list of these alone is no list of all."""

_STATE, _NUMBER, _FORM = "|".join(STATES), "|".join(NUMBERS), "|".join(FORMS)
VARIABLE = re.compile(rf"(?<![A-Z])(\w*?)({'|'.join(KEY_VARIABLES)})({_FORM})(?![A-Z_])", re.IGNORECASE | re.ASCII)
FILE = re.compile(rf"([\w.$-]*/)({_STATE})(?![\w/])")
ENUMERATION = re.compile(rf"`?(?:{_STATE})`?(?:(?:,| or| and|, or|, and)\s+`?(?:{_STATE})`?){{2,}}")
"""Three or more: "a previous or suspended key" is what has one property, and no list."""
COUNT = re.compile(rf"\b({_NUMBER}) (?:(other) )?(?:key files|key variables|states)\b")
REST = re.compile(r"\bthe (?:other|last) (two|three|four|five)\b")
OF_KEYS = re.compile(rf"{KEY_VARIABLES.primary}|key file|keyring", re.IGNORECASE)

SUFFIXES = {".md", ".py", ".sample", ".toml", ".yaml", ".service", ".cron", ".sh", ".1", ".env", ".conf", ""}
FENCED = re.compile(r"^ *```(\w*).*?^ *```$", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)

RIGHT = {
    ("docs/explanation/guarantees.md", "keys of two states"): "one file for two of the states is refused",
    ("docs/how-to/keys/files.md", "If your tokens have a key already"): "each sentence is on the file that it names",
    ("docs/how-to/keys/files.md", "**3. Promote it.**"): "a promotion touches no suspended key",
    ("docs/how-to/try-a-retirement.md", "The key moves from"): "a suspension moves a key between these two",
    ("docs/reference/errors.md", "key 2 of 2: empty, ignored"): "messages, each on one variable",
    (
        "rotation/configuration/key_sets.py",
        "located(self.primary), staged",
    ): "the primary key stands before, in brackets",
}
"""Pieces that are right as they are, each with its reason: the file, and a text in the piece."""


@pytest.fixture(scope="module")
def found() -> list[tuple[str, str, list[str]]]:
    """Each piece with a fault: its file, its text, and what it lacks."""
    return [(file, piece, lacks) for file, piece in _pieces() if (lacks := list(_faults(piece)))]


def _pieces() -> Iterator[tuple[str, str]]:
    folders = (ROOT / name for name in ("docs", "deploy", "keyring_core", "rotation"))
    named = [*ROOT.glob("*.md"), ROOT / ".env.sample", ROOT / "compose.yaml"]
    for path in sorted(named + [path for folder in folders for path in folder.rglob("*")]):
        name = str(path.relative_to(ROOT))
        # Pages and presets of other applications, which have variables of their own; what was changed once.
        if name.startswith(("docs/applications", "rotation/applications/known")) or name == "CHANGELOG.md":
            continue
        if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts:
            yield from ((name, piece) for piece in _split(path))


def _split(path: Path) -> Iterator[str]:
    text = path.read_text()
    # What a command prints are the keys that there are.
    yield from (block[0] for block in FENCED.finditer(text) if block[1] != "console")
    yield from re.split(r"\n[ #]*\n", HIDDEN.sub("", FENCED.sub("", text)) if path.suffix == ".md" else text)


def _faults(piece: str) -> Iterator[str]:
    """What *piece* lacks, in words."""
    variables: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
    files: defaultdict[str, set[str]] = defaultdict(set)
    for prefix, name, form in VARIABLE.findall(piece):
        variables[prefix.upper(), form.upper(), name.isupper()].add(name.upper())
    for folder, name in FILE.findall(piece):
        files[folder].add(name)
    for found in variables.values():
        if len(found) > 1 and found != ALONE and (lacking := {*KEY_VARIABLES} - found):
            yield f"lacks {sorted(lacking)}"
    for found in [*files.values(), *({*re.findall(_STATE, one)} for one in ENUMERATION.findall(piece))]:
        if len(found) > 1 and (lacking := {*STATES} - found):
            yield f"lacks {sorted(lacking)}"
    if OF_KEYS.search(piece):
        counts = [(number, len(STATES) - bool(other)) for number, other in COUNT.findall(piece)]
        counts += [(number, len(STATES) - 1) for number in REST.findall(piece)]
        yield from (f"says {number}" for number, right in counts if NUMBERS.index(number) != right)


def test_every_list_has_every_state(found: list[tuple[str, str, list[str]]], named: Named) -> None:
    """A list of variables, of files or of states names all four, and a number of them is the right one."""
    for file, piece, lacks in found:
        with named(file, piece.strip()[:60]):
            assert any(file == where and text in piece for where, text in RIGHT), lacks


def test_each_exception_is_needed(found: list[tuple[str, str, list[str]]], named: Named) -> None:
    """A piece that was corrected, or is no more, leaves the table."""
    for where, text in RIGHT:
        with named(where, text):
            assert any(file == where and text in piece for file, piece, _ in found)
