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


def release() -> str:
    """The version of this program, or words in its place if it runs from a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and few commands need it

    try:
        return version("keyring-core")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"


def retire_command(key_id: str, key_set: str | None = None) -> str:
    """The command that retires a previous key. It names an archive, which may be the key's only copy from then on."""
    return with_keys(f"rotate.py keys retire {key_id} --archive FILE", key_set)


def with_keys(command: str, key_set: str | None) -> str:
    """*command* for the keys of that set; None: the environment's own."""
    return command if key_set is None else f"{command} --keys {key_set}"
