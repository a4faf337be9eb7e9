"""Times in words, and the time in a token, which may lie beyond any calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotation.model.text import many

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


def span(time: timedelta) -> str:
    """A length of time in its largest whole unit: `371 days`, `5 hours`, `1 second`."""
    seconds = int(time.total_seconds())
    # At least two of a unit, so that 36 hours do not become one day.
    units = (("day", 86400), ("hour", 3600), ("minute", 60))
    name, size = next(((name, size) for name, size in units if abs(seconds) >= 2 * size), ("second", 1))
    number = abs(seconds) // size
    return many(number, name)
