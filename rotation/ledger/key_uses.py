"""The use of each key, from what the ledger knows: reads, complete runs, and suspensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from keyring_core import KeyState
from keyring_core.errors import printable
from rotation.ledger.clock import utc_now
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import SKEW, InstanceRecord, KeyRecord, in_fleet, took_over
from rotation.ledger.session import Session
from rotation.model.key_use import KeyUse, ReadRecord, named
from rotation.model.text import span, to_second


@dataclass(frozen=True)
class KeyUses:
    """What a ledger knows about the use of the keys of one service."""

    service: str = ""
    reads: Sequence[ReadRecord] = ()
    """Of all services."""
    run: datetime | None = None
    """The end of the last run that left every token of all targets under today's primary key."""
    fleet: Sequence[InstanceRecord] = ()
    """The running services with keys of this one."""
    records: Sequence[KeyRecord] = ()
    now: datetime | None = None
    """The time of the ledger's clock."""

    @classmethod
    def in_session(cls, session: Session, states: Mapping[str, KeyState], service: str | None = None) -> KeyUses:
        """What the ledger of *session* knows, for the keys with these *states* of *service*, by default its own."""
        return session.attempt(lambda ledger: cls.of(ledger, states, service or session.service)) or cls()

    @classmethod
    def of(cls, ledger: Ledger, states: Mapping[str, KeyState], service: str) -> KeyUses:
        """What *ledger* knows, for the keys with these *states*. Raises LedgerError."""
        primary = _primary(states)
        now, run, instances, reads, keys = ledger.uses(service, primary)
        ended = run.finished if run and primary else None
        return cls(service, reads, ended, in_fleet(instances, states, service), keys, now)

    def of_key(self, key_id: str, states: Mapping[str, KeyState], days: int = 0) -> KeyUse:
        """The use of one key; *days* is the policy's `suspend_days`."""
        older = [each for each, state in states.items() if state.is_superseded]
        promoted = took_over(_primary(states), older, self.records, self.service)
        known = [when for when in (self.run, promoted and promoted.latest) if when]
        # To count reads from then on would leave out all that come before.
        ahead = [when for when in known if self.is_late(when)]
        since = max((when for when in known if when not in ahead), default=None)
        own = next((one for one in self.records if (one.id, one.service) == (key_id, self.service)), None)
        is_suspended = states.get(key_id) is KeyState.SUSPENDED
        stale = [one for one in self.fleet if since and one.seen <= since]
        asked = [one for one in self.fleet if one not in stale]
        unheard = [
            f"the last run, or the promotion, ended at {to_second(when)}, which is still to come: it counts for nothing"
            for when in ahead
        ]
        if stale and since:
            silent = f"{named(list(map(_who, stale)))} said nothing of what is read with which key"
            unheard.insert(0, f"{silent} since {to_second(since)}")
        return KeyUse(
            reads=[one for one in self.reads if one.key_id == key_id],
            since=since,
            # A run from before that promotion, if the key was primary before, moved nothing to it since.
            by_run=since is not None and since == self.run,
            run=self.run,
            unheard=[*unheard, *of_clocks(self.fleet)],
            asked=[f"{_who(one)}, up to {to_second(one.seen)}" for one in sorted(asked, key=lambda one: one.seen)],
            opening=[one.words for one in self.fleet if is_suspended and key_id in one.known],
            is_suspended=is_suspended,
            suspended=own.suspended if own else None,
            days=days,
            now=self.time,
        )

    @property
    def time(self) -> datetime:
        """The time of the ledger's clock; without a ledger this machine's."""
        return self.now or utc_now()

    def is_late(self, when: datetime) -> bool:
        """True if *when* is still to come: a clock that was ahead wrote it, and it counts for nothing."""
        return when > self.time + SKEW


def _primary(states: Mapping[str, KeyState]) -> str:
    return next((key_id for key_id, state in states.items() if state is KeyState.PRIMARY), "")


def _who(one: InstanceRecord | ReadRecord) -> str:
    return printable(f"{one.service} on {one.instance}")


def of_clocks(fleet: Sequence[InstanceRecord]) -> Iterator[str]:
    """A sentence on each service whose clock is wrong."""
    for one in fleet:
        if one.has_wrong_clock:
            ahead = timedelta(seconds=one.ahead or 0)
            where = "ahead of" if ahead > timedelta() else "behind"
            differs = f"is {span(abs(ahead))} {where} the one of the ledger's server"
            yield f"the clock of {_who(one)} {differs}; its times were put right"
