"""`[policy]` of rotation.toml: how old keys may become, which checks are off, what is not searched, and why."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36500)


class Span(timedelta):
    """A length of time, written as in `365d`, `12h` or `90s`."""

    @classmethod
    def parse(cls, text: object) -> Span:
        """The span that *text* spells. Raises ValueError, with words for an admin."""
        found = re.fullmatch(r"(\d{1,12})([smhdw])", text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("a length of time is written as 365d, 12h, 30m or 90s")
        seconds = int(found[1]) * timedelta(**{_UNITS[found[2]]: 1}).total_seconds()
        if seconds > _LONGEST.total_seconds():
            raise ValueError("a length of time is 100 years at most")
        return cls(seconds=seconds)

    def spelled(self) -> str:
        """The span as it is written, in the largest unit that fits: `365d`, `90m`."""
        units = ((unit, timedelta(**{_UNITS[unit]: 1})) for unit in "dhms")
        return next(f"{self // one}{unit}" for unit, one in units if not self % one)


class Policy(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How old keys, tokens and runs may become. A limit itself is still OK."""

    max_key_age: Span = Span(days=365)
    """The primary key, since it was promoted."""
    warn_before: Span = Span(days=30)
    """How long before `max_key_age` to warn."""
    max_staged_age: Span = Span(days=14)
    """A staged key, until it is promoted."""
    max_left_age: Span = Span(days=7)
    """Tokens under a previous key, since the next key was promoted."""
    max_previous_age: Span = Span(days=90)
    """A previous key, since the next key was promoted, until it is retired."""
    max_reload_age: Span = Span(hours=1)
    """How long after a promotion a service may still encrypt under the key before."""
    max_run_age: Span = Span(days=32)
    """How long ago the last finished run may be."""
    max_clock_skew: Span = Span(seconds=60)
    """How far the clocks of two machines may differ."""
    off: dict[str, str] = {}
    """Checks that are turned off, by name, and why."""
    unsearched_databases: dict[str, str] = {}
    """Patterns of the names of databases that a search leaves out, and why. None that a target names is left out."""

    def __post_init__(self) -> None:
        if self.warn_before > self.max_key_age:
            raise ValueError(
                f"warn_before ({self.warn_before.spelled()}; 30d if it is not written) is longer than max_key_age "
                f"({self.max_key_age.spelled()}); write a shorter warn_before"
            )
        for name, reason in self.off.items():
            if not reason.strip():
                raise ValueError(f"off: say why {name} is off")
        for name, reason in self.unsearched_databases.items():
            if not name.strip():
                raise ValueError("unsearched_databases: a pattern is empty; write a database's name, or *")
            if not reason.strip():
                raise ValueError(f"unsearched_databases: say why {name} is not searched")


def decode_span(kind: type, value: Any) -> Any:
    """The hook by which msgspec reads a Span."""
    if kind is Span:
        return Span.parse(value)
    raise NotImplementedError(kind)
