"""The use of one key: who reads with it, as services announced, and since when it has been suspended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from keyring_core.errors import printable
from rotation.model.text import many, span, to_second

UNNAMED = "default"
"""The name in the ledger of a service without a name."""
SHOWN = 3
"""Instances that one message names; it gives the number of the others."""


@dataclass(frozen=True)
class ReadRecord:
    """How often a process of a service has read with one key, and when last."""

    service: str
    instance: str
    key_id: str
    seen: datetime
    """When the process announced these numbers."""
    opened: int = 0
    """Tokens that it opened with the key since it began."""
    last_opened: datetime | None = None
    refused: int = 0
    """Tokens that it did not open since it began, because the key is suspended."""
    last_refused: datetime | None = None

    @property
    def last(self) -> datetime | None:
        """When it last met a token under the key, opened or refused; None if it never did."""
        return max((when for when in (self.last_opened, self.last_refused) if when), default=None)

    @property
    def words(self) -> str:
        """Its name in messages: `billing on web-1:4242 (last read 2026-01-03 12:00:00 UTC)`."""
        last = "never read" if self.last is None else f"last read {to_second(self.last)}"
        return printable(f"{self.service} on {self.instance} ({last})")


@dataclass(frozen=True)
class KeyUse:
    """What is known about the use of one key. Without a ledger that is nothing."""

    reads: Sequence[ReadRecord] = ()
    """One for each instance, of whatever service, that has ever read with the key."""
    since: datetime | None = None
    """Reads after this time count against the key; None: all of them."""
    by_run: bool = False
    """True if that is the end of the last complete run; otherwise the primary key took over then."""
    run: datetime | None = None
    """The end of the last complete run, also if by its date it does not count; None if there was none."""
    unheard: Sequence[str] = ()
    """Sentences on the running instances whose reads since then are not known."""
    asked: Sequence[str] = ()
    """Running instances whose reads are known up to a time after that, with that time; the earliest first."""
    opening: Sequence[str] = ()
    """Running instances that still hold the key as a previous one, though it is suspended here."""
    is_suspended: bool = False
    suspended: datetime | None = None
    """Since when, if the ledger knows."""
    days: int = 0
    """How long the policy wants the key to be suspended before it is retired."""
    now: datetime | None = None

    @property
    def late(self) -> list[ReadRecord]:
        """The reads that count against the key, the last one first."""
        return _after(self.reads, self.since)

    @property
    def refused(self) -> list[ReadRecord]:
        """The instances that refused tokens since the key was suspended and since the last complete run."""
        start = max((when for when in (self.since, self.suspended) if when), default=None)
        return [one for one in _after(self.reads, start) if _is_after(one.last_refused, start)]

    @property
    def read(self) -> list[ReadRecord]:
        """The instances that ever read with the key, the last one first."""
        return _after(self.reads, None)

    @property
    def last(self) -> ReadRecord | None:
        """The instance that read with the key last."""
        return next(iter(self.read), None)

    @property
    def ends(self) -> datetime | None:
        """From when on the key has been suspended for long enough; None if that is not known."""
        return self.suspended and self.suspended + timedelta(days=self.days)


def trial(days: int) -> str:
    """The length of a trial, in words; *days* is the policy's."""
    return f"{many(days, 'day')} (suspend_days)" if days else "as long as you want to try it"


def in_words(reads: Sequence[ReadRecord], since: datetime | None = None) -> str:
    """The instances with their numbers and times, the first SHOWN by name; of those times the ones after *since*."""
    return named([_words(one, since) for one in reads], "; ")


def named(instances: Sequence[str], separator: str = ", ") -> str:
    """The first SHOWN of *instances*, and the number of the others."""
    more = [f"and {many(len(instances) - SHOWN, 'instance')} more"] if len(instances) > SHOWN else []
    return separator.join([*instances[:SHOWN], *more])


def of_last_run(use: KeyUse, primary: str) -> str:
    """A sentence on the last complete run, which does not count; *primary* is the primary key's id."""
    if use.run is None:
        return f"no run of all targets of rotation.toml has ended complete under {primary}"
    late = use.now and use.run > use.now
    why = "which is still to come" if late else f"by the dates in the ledger before {primary} was promoted"
    return f"the last complete run was at {to_second(use.run)}, {why}, so it does not count"


def last_read(use: KeyUse, now: datetime) -> str:
    """The last read for a table: `3 minutes ago by billing`, `refused 3 minutes ago by billing`; empty without one."""
    if use.last is None or use.last.last is None:
        return ""
    verb = "refused " if use.last.last == use.last.last_refused else ""
    # The name that a service has without one says nothing to a reader.
    who = use.last.instance if use.last.service == UNNAMED else use.last.service
    return printable(f"{verb}{span(max(now - use.last.last, timedelta()))} ago by {who}")


def _words(one: ReadRecord, since: datetime | None) -> str:
    parts = []
    for verb, number, when in ("opened", one.opened, one.last_opened), ("refused", one.refused, one.last_refused):
        if when and _is_after(when, since):
            # The number is of the process, and begins again with it: then the time alone is from before.
            tokens = f"{many(number, 'token')} since its start" if number else "tokens"
            parts.append(f"{verb} {tokens}, the last at {to_second(when)}")
    return printable(f"{one.service} on {one.instance} {' and '.join(parts)}")


def _after(reads: Sequence[ReadRecord], since: datetime | None) -> list[ReadRecord]:
    found = [(one.last, one) for one in reads if one.last and _is_after(one.last, since)]
    return [one for _, one in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _is_after(when: datetime | None, since: datetime | None) -> bool:
    return when is not None and (since is None or when > since)
