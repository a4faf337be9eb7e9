"""The use of each key, from what the ledger knows: reads, complete runs, and suspensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from keyring_core import KeyState
from keyring_core.names import printable
from rotation.ledger.ledger import Ledger, utc_now
from rotation.ledger.records import LIVE, InstanceRecord, KeyRecord, ReadRecord, in_fleet, took_over
from rotation.model.key_use import KeyUse
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
        since = self.run or (promoted.latest if promoted else None)
        own = next((one for one in self.records if (one.id, one.service) == (key_id, self.service)), None)
        is_suspended = states.get(key_id) is KeyState.SUSPENDED
        unheard = _unheard(self.fleet, self.reads, since)
        return KeyUse(
            reads=[one for one in self.reads if one.key_id == key_id],
            since=since,
            by_run=self.run is not None,
            unheard=list(unheard.values()),
            asked=[f"{one.service} on {one.instance}" for one in self.fleet if _name(one) not in unheard],
            opening=[one.words for one in self.fleet if is_suspended and key_id in one.known],
            is_suspended=is_suspended,
            suspended=own.suspended if own else None,
            days=days,
            now=self.now or utc_now(),
        )


def _primary(states: Mapping[str, KeyState]) -> str:
    return next((key_id for key_id, state in states.items() if state is KeyState.PRIMARY), "")


def _name(one: InstanceRecord | ReadRecord) -> tuple[str, str]:
    return one.service, one.instance


def _unheard(
    fleet: Collection[InstanceRecord], reads: Collection[ReadRecord], since: datetime | None
) -> dict[tuple[str, str], str]:
    """The instances whose reads after *since* are not known, with the reason."""
    reading, found = {_name(one) for one in reads}, {}
    for one in fleet:
        who = printable(f"{one.service} on {one.instance}")
        if since and one.seen <= since:
            found[_name(one)] = f"{who} last said at {to_second(one.seen)} what it reads, before {to_second(since)}"
        elif _name(one) not in reading:
            found[_name(one)] = f"{who} has announced no read with any key: it made none, or its keyring-core is older"
    return found
