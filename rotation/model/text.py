"""Phrases that several outputs share."""

from __future__ import annotations

LIST_ROWS = "rotate.py run --dry-run --problems FILE"
"""The command that names every row with a problem."""


def many(number: int, noun: str) -> str:
    """`1 cell`, `2,000 cells`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def be(number: int) -> str:
    """The verb behind `many`."""
    return "is" if number == 1 else "are"


def install(*extras: str | None) -> str:
    """The command that installs the *extras* beside `rotate`, from a checkout: no package index has this project."""
    named = ",".join(["rotate", *filter(None, extras)])
    return f"in a checkout of this project: pip install '.[{named}]'"


def retire_command(key_id: str) -> str:
    """The command that retires a previous key. It names an archive, which may be the key's only copy from then on."""
    return f"rotate.py keys retire {key_id} --archive FILE"
