"""The use of each key, from what the ledger knows: reads, complete runs, and suspensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from keyring_core import KeyState
from keyring_core.names import printable
from rotation.ledger.ledger import Ledger, utc_now
from rotation.ledger.records import LIVE, InstanceRecord, KeyRecord, ReadRecord, in_fleet, took_over
from rotation.model.key_use import KeyUse, named
from rotation.model.text import to_second


@dataclass(frozen=True)
class KnownUse:
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
    def of(cls, ledger: Ledger, states: Mapping[str, KeyState], service: str) -> KnownUse:
        """What *ledger* knows, for the keys with these *states*. Raises LedgerError."""
        primary = _primary(states)
        run = ledger.last_complete_run(service, primary) if primary else None
        fleet = in_fleet(ledger.instances(LIVE), states, service)
        return cls(service, ledger.reads(), run.finished if run else None, fleet, ledger.keys(), utc_now())

    def use(self, key_id: str, states: Mapping[str, KeyState], days: int = 0) -> KeyUse:
        """The use of one key; *days* is the policy's `suspend_days`."""
        older = [each for each, state in states.items() if state.is_superseded]
        promoted = took_over(_primary(states), older, self.records, self.service)
        since = max((when for when in (self.run, promoted and promoted.latest) if when), default=None)
        own = next((one for one in self.records if (one.id, one.service) == (key_id, self.service)), None)
        is_suspended = states.get(key_id) is KeyState.SUSPENDED
        reading = {_who(one) for one in self.reads}
        stale = [_who(one) for one in self.fleet if since and one.seen <= since]
        silent = [_who(one) for one in self.fleet if _who(one) not in {*reading, *stale}]
        return KeyUse(
            reads=[one for one in self.reads if one.key_id == key_id],
            since=since,
            # A run from before that promotion, if the key was primary before, moved nothing to it since.
            by_run=since is not None and since == self.run,
            unheard=_notes(stale, silent, since),
            asked=[_who(one) for one in self.fleet if _who(one) not in {*stale, *silent}],
            opening=[one.words for one in self.fleet if is_suspended and key_id in one.known],
            is_suspended=is_suspended,
            suspended=own.suspended if own else None,
            days=days,
            now=self.now or utc_now(),
        )


def _primary(states: Mapping[str, KeyState]) -> str:
    return next((key_id for key_id, state in states.items() if state is KeyState.PRIMARY), "")


def _who(one: InstanceRecord | ReadRecord) -> str:
    return printable(f"{one.service} on {one.instance}")


def _notes(stale: Sequence[str], silent: Sequence[str], since: datetime | None) -> list[str]:
    """A sentence on each kind of instances whose reads after *since* are not known."""
    found = []
    if stale and since:
        found.append(f"{named(stale)} said nothing of what is read with which key since {to_second(since)}")
    if silent:
        found.append(f"{named(silent)} announced no read with any key: there was none, or keyring-core is older there")
    return found
