"""What a service announces: the entry of one process in the ledger, and its reads with each key."""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa
import structlog

from keyring_core import Keyring, KeyState
from keyring_core.environment import LEDGER_URL
from keyring_core.key_reads import key_reads
from rotation.context import Context
from rotation.ledger.clock import utc_now
from rotation.ledger.database import LedgerAccess, LedgerPlace, open_for_service
from rotation.ledger.ledger import Ledger, service_name
from rotation.ledger.records import InstanceRecord
from rotation.model.failures import UsageError
from rotation.model.key_use import ReadRecord

_NO_LEDGER = f"no engine, and {LEDGER_URL} is not set: give it the ledger that keyring-rotate reads"
_ASYNCHRONOUS = (
    f"the engine is asynchronous: give a synchronous one, or none if {LEDGER_URL} is set, and call it through "
    "asyncio.to_thread"
)
log = structlog.get_logger(__name__)


class Announcement:
    """The entry of this process under one name, as it was written last."""

    def __init__(self, name: str, keys: str | None) -> None:
        """*keys* names a key set."""
        self.name, self._keys = name, keys
        self._place: LedgerPlace | sa.Engine | None = None
        self._access: LedgerAccess | None = None
        self._ledger: Ledger | None = None
        self._written: tuple[InstanceRecord, Keyring] | None = None
        self._logged: tuple[str, str] | None = None

    @property
    def key_ids(self) -> frozenset[str]:
        """The ids of the keys in it."""
        return frozenset(self._written[1].states_by_id) if self._written else frozenset()

    def write(
        self, engine: sa.Engine | None, keyring: Keyring, others: Collection[str], *, every: float | None = None
    ) -> None:
        """Writes it, with the reads with the keys of *keyring* and with all but those of *others*, by id.

        *every*: the seconds between two writes, if a thread goes on with them.

        Raises LedgerError, and UsageError if there is no ledger to write to.
        """
        ledger, record = self._open(engine), self._record(keyring, every)
        try:
            record = ledger.announce(record, _reads(record, keyring, others), clock=record.seen)
        except BaseException:
            # Somebody may have moved it: the next heartbeat looks again.
            self._ledger = None
            raise
        self._written = record, keyring
        # Both are to be compared with those that `keys promote` names.
        if self._logged != (ledger.name, record.primary):
            self._logged = ledger.name, record.primary
            log.info("rotation.announced", instance=self.name, ledger=ledger.name, primary=record.primary)
            if record.has_wrong_clock:
                log.warning("rotation.clock_differs", instance=self.name, ledger=ledger.name, seconds=record.ahead)

    def withdraw(self, others: Collection[str]) -> None:
        """Deletes it, and records the last reads. Raises LedgerError. Starts no thread."""
        if self._ledger and self._written:
            record, keyring = self._written
            self._ledger.withdraw(record, _reads(record, keyring, others))

    def _open(self, engine: sa.Engine | None) -> Ledger:
        url = os.environ.get(LEDGER_URL, "").strip()
        if engine is None and not url:
            raise UsageError(_NO_LEDGER)
        if hasattr(engine, "sync_engine"):
            raise UsageError(_ASYNCHRONOUS)
        place = LedgerPlace(url, LEDGER_URL) if engine is None else engine
        if self._access is None or self._place != place:
            if isinstance(place, LedgerPlace):
                Context(os.environ).check_ledger(place)
            self._place, self._access, self._ledger = place, open_for_service(place), None
        if self._ledger is None:
            self._ledger = Ledger(self._access)
        return self._ledger

    def _record(self, keyring: Keyring, every: float | None) -> InstanceRecord:
        seen = utc_now()
        ids = {state: [key.id for key, its in keyring.states.items() if its is state] for state in KeyState}
        return InstanceRecord(
            instance=self.name[:200],
            service=service_name(os.environ, self._keys),
            primary=keyring.primary.id,
            seen=seen,
            # A thread is sure to go on.
            seen_before=seen - timedelta(seconds=every) if every else None,
            previous=tuple(ids[KeyState.PREVIOUS]),
            staged=next(iter(ids[KeyState.STAGED]), None),
        )


def _reads(record: InstanceRecord, keyring: Keyring, others: Collection[str]) -> list[ReadRecord]:
    """The reads of this process so far: with each key of *keyring*, and with each that is not in *others*.

    A key that was in use until a moment ago, or of a keyring that is not announced, was still read with.
    """
    now, own = utc_now(), keyring.states_by_id
    return [
        ReadRecord(record.service, record.instance, key_id, now, **found._asdict())
        for key_id, found in key_reads().items()
        if key_id in own or key_id not in others
    ]
