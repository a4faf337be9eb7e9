"""Lines of real programs that hold no secret, in tests/data/harmless_lines.txt: none is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyring_core.redaction import Redactor

LINES = Path(__file__).parents[2] / "data" / "harmless_lines.txt"


def lines_by_kind() -> dict[str, list[str]]:
    """The lines of the file by their kind, which stands before a tab."""
    kinds: dict[str, list[str]] = {}
    for entry in LINES.read_text(encoding="utf-8").split("\n")[:-1]:
        kind, _, line = entry.partition("\t")
        kinds.setdefault(kind, []).append(line)
    return kinds


KINDS = lines_by_kind()


@pytest.mark.parametrize("kind", KINDS)
def test_harmless_line_stays(kind: str) -> None:
    """A harmless line comes back as the very same object."""
    redactor = Redactor()

    changed = {line: after for line in KINDS[kind] if (after := redactor.redact(line)) is not line}

    assert changed == {}


@pytest.mark.parametrize("kind", KINDS)
def test_harmless_lines_stay_together(kind: str) -> None:
    """Lines that stay one by one stay in one text, too."""
    redactor = Redactor()
    text = "\n".join(line for line in KINDS[kind] if redactor.redact(line) is line)

    after = redactor.redact(text)

    assert after == text


def test_there_are_enough_harmless_lines() -> None:
    """The file has at least 40 kinds, with at least eight different lines each."""
    sizes = {kind: len(set(lines)) for kind, lines in KINDS.items()}

    assert len(sizes) >= 40
    assert {kind: size for kind, size in sizes.items() if size < 8} == {}
