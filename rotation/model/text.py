"""Phrases that several outputs share, and times in words; a token's time may lie beyond any calendar."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

UNOPENED = "Read, but tokens there open under none of your keys (another application's, or bound ones)"
GONE = "Gone meanwhile"
UNCHANGED = "Unchanged since an earlier search, so not read again"
NO_KEY_PAGE = "docs/how-to/no-primary-key.md"


def many(number: int, noun: str) -> str:
    """`1 cell`, `2,000 cells`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def be(number: int) -> str:
    """The verb behind `many`."""
    return "is" if number == 1 else "are"


def as_toml(text: str) -> str:
    """*text* as a string of TOML; what nobody sees, or a terminal obeys, is escaped in it."""
    # A basic string of TOML is one of JSON, but for what JSON may leave as it is.
    text = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


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


MINUTE = "%Y-%m-%d %H:%M"
UTC_MINUTE, UTC_SECOND = f"{MINUTE} UTC", f"{MINUTE}:%S UTC"
LAST = datetime.max.replace(tzinfo=UTC)
"""A calendar ends with the year 9999; a token may carry any number of seconds up to 2**64 - 1."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def issued(seconds: float) -> datetime | None:
    """The time that a token carries, in *seconds* since 1970; None if no calendar has it."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def to_minute(time: datetime) -> str:
    """`2026-01-03 12:00 UTC`."""
    return f"{time.astimezone(UTC):{UTC_MINUTE}}"


def to_second(time: datetime | float) -> str:
    """`2026-01-03 12:00:00 UTC`; a token's seconds as they are, if no calendar has them."""
    when = time if isinstance(time, datetime) else issued(time)
    return f"second {time}" if when is None else f"{when.astimezone(UTC):{UTC_SECOND}}"


def size_of(count: int) -> str:
    """A number of bytes: `16 kB`, `12.4 GB`."""
    units = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
    name, size = next(((name, size) for name, size in units if count >= size), ("", 0))
    if not size:
        return many(count, "byte")
    # One digit behind the point, for a number that has one in front of it or two.
    return (
        f"{count / size:.1f} {name}" if count < 100 * size and name not in {"MB", "kB"} else f"{count // size} {name}"
    )


def time_left(seconds: float) -> str:
    """An estimate in words: `less than a minute left`, `about 3 minutes left`, `about 2 hours left`."""
    if seconds < 60:
        return "less than a minute left"
    minutes = round(seconds / 60)
    # At least two hours, as in `span`.
    about = many(minutes, "minute") if minutes < 120 else many(round(minutes / 60), "hour")
    return f"about {about} left"


def span(time: timedelta) -> str:
    """A length of time in its largest whole unit: `371 days`, `5 hours`, `1 second`."""
    seconds = int(time.total_seconds())
    # At least two of a unit, so that 36 hours do not become one day.
    units = (("day", 86400), ("hour", 3600), ("minute", 60))
    name, size = next(((name, size) for name, size in units if abs(seconds) >= 2 * size), ("second", 1))
    return many(abs(seconds) // size, name)
