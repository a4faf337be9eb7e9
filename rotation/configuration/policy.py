"""`[policy]` of rotation.toml: how old keys may become, which checks are off, what is not searched, and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Annotated, NamedTuple

import msgspec

from rotation.configuration.settings import Section, said

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36500)
MOST_DAYS = 3650
"""The most days of `suspend_days`."""


class Duration(timedelta):
    """A length of time, written as in `365d`, `12h` or `90s`."""

    @classmethod
    def parse(cls, text: object) -> Duration:
        """The span that *text* spells. Raises ValueError, with words for an admin."""
        found = re.fullmatch(r"(\d{1,12})([smhdw])", text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("a length of time is written as 365d, 12h, 30m or 90s")
        seconds = int(found[1]) * timedelta(**{_UNITS[found[2]]: 1}).total_seconds()
        if seconds > _LONGEST.total_seconds():
            raise ValueError("a length of time is 100 years at most")
        return cls(seconds=seconds)

    def __str__(self) -> str:
        """The span as it is written, in the largest unit that fits: `365d`, `90m`."""
        units = ((unit, timedelta(**{_UNITS[unit]: 1})) for unit in "dhms")
        return next(f"{self // one}{unit}" for unit, one in units if not self % one)


class Policy(Section, frozen=True, kw_only=True):
    """`[policy]`: the limits for the age of keys, tokens and runs. An age that equals its limit is still OK."""

    max_key_age: Annotated[Duration, said("age of the primary key, since its promotion: CRITICAL beyond", '"90d"')] = (
        Duration(days=365)
    )
    warn_before: Annotated[Duration, said("how long before that limit to warn", '"14d"')] = Duration(days=30)
    max_staged_age: Annotated[Duration, said("age of a staged key", '"7d"')] = Duration(days=14)
    max_left_age: Annotated[
        Duration, said("how long tokens may stay under previous keys, since the promotion", '"2d"')
    ] = Duration(days=7)
    max_previous_age: Annotated[Duration, said("a previous key, since the next one took over", '"30d"')] = Duration(
        days=90
    )
    max_reload_age: Annotated[
        Duration, said("how long after a promotion a service may still write under the key before", '"10m"')
    ] = Duration(hours=1)
    suspend_days: Annotated[
        int,
        said(
            "days for which a key has to be suspended before `keys retire` removes it; 0: it need not be",
            "7",
            minimum=0,
            maximum=MOST_DAYS,
        ),
    ] = 0
    max_run_age: Annotated[Duration, said("since the last run came to its end", '"8d"')] = Duration(days=32)
    max_clock_skew: Annotated[Duration, said("difference of two machines' clocks", '"5s"')] = Duration(seconds=60)
    off: Annotated[
        dict[str, str],
        # The redactor would mask the value of a name such as `plaintext`, in the messages that show this example.
        said("checks to turn off, each with the reason, which every output shows", '{ clock = "until May" }'),
    ] = msgspec.field(default_factory=dict)
    unsearched_databases: Annotated[
        dict[str, str],
        said(
            "databases of your PostgreSQL or MariaDB server that a search leaves out, each with the reason, which "
            "every output shows; `*` and `?` stand for any letters; a database that a target names is searched all "
            "the same",
            '{ "zabbix*" = "of the monitoring team" }',
        ),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.warn_before > self.max_key_age:
            raise ValueError(
                f"warn_before ({self.warn_before}; 30d if it is not written) is longer than max_key_age "
                f"({self.max_key_age}); write a shorter warn_before"
            )
        if not 0 <= self.suspend_days <= MOST_DAYS:
            raise ValueError(f"suspend_days: {self.suspend_days} is not between 0 and {MOST_DAYS:,}")
        for name, reason in self.off.items():
            if not reason.strip():
                raise ValueError(f"off: say why {name} is off")
        for name, reason in self.unsearched_databases.items():
            if not name.strip():
                raise ValueError("unsearched_databases: a pattern is empty; write a database's name, or *")
            if not reason.strip():
                raise ValueError(f"unsearched_databases: say why {name} is not searched")


class LeftOut(NamedTuple):
    """The databases of a server that a search leaves out."""

    reasons: Mapping[str, str] = MappingProxyType({})
    """Patterns of their names, each with its reason."""
    named: Collection[str | None] = ()
    """The databases that urls name, which are never left out."""

    def why(self, database: str | None) -> str | None:
        """The reason why a database is left out; None if it is searched."""
        if database is None or database in self.named:
            return None
        # Of what fnmatch knows, only `*` and `?` are signs here.
        patterns = ((pattern.replace("[", "[[]"), why) for pattern, why in self.reasons.items())
        return next((why for pattern, why in patterns if fnmatchcase(database, pattern)), None)
