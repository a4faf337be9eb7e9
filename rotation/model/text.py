"""Phrases that several outputs share."""

from __future__ import annotations

UNOPENED = "Read, but tokens there open under none of your keys (another application's, or bound ones)"
GONE = "Gone meanwhile"
NO_KEY_PAGE = "docs/how-to/no-primary-key.md"


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
