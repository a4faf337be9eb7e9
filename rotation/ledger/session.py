"""One command's ledger; the command chooses what happens if the ledger fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from keyring_core import KeyState
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger, utc_now
from rotation.ledger.records import LIVE, CensusRecord, InstanceRecord, census_record, in_fleet
from rotation.ledger.unexplained import carried, settled
from rotation.model.failures import UsageError
from rotation.model.report import Report

T = TypeVar("T")

CLOCK_REMEDY = "set this machine's clock by NTP: timedatectl"


class OnFailure(Enum):
    """The choice of a command if its ledger cannot be opened, read or written."""

    RAISE = "it stops"
    WARN = "it warns once, records nothing more, and goes on"
    NOTE = "it goes on, and reports the fault as a finding"


@dataclass
class Session:
    """One command's ledger, or none. Only with OnFailure.RAISE does a method raise LedgerError."""

    service: str
    on_failure: OnFailure
    warn: Callable[[str], None]
    ledger: Ledger | None = None
    fault: str | None = None
    """The reason that the ledger was not opened, or the last failure."""

    @classmethod
    @contextmanager
    def open(
        cls,
        open_ledger: Callable[[], Ledger | None],
        service: str,
        on_failure: OnFailure,
        warn: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Session]:
        """Opens what *open_ledger* opens, and closes it at the end."""
        session = cls(service, on_failure, warn)
        try:
            session.ledger = open_ledger()
        except (LedgerError, UsageError) as error:
            if on_failure is OnFailure.RAISE:
                raise
            session._note(f"{str(error).rstrip('.')}. Nothing of this command is recorded.", str(error))
        try:
            yield session
        finally:
            session.close()

    def attempt(self, act: Callable[[Ledger], T]) -> T | None:
        """Returns what *act* returns; None without a ledger, or if it failed and the command goes on."""
        if self.ledger is None:
            return None
        try:
            return act(self.ledger)
        except LedgerError as error:
            if self.on_failure is OnFailure.RAISE:
                raise
            self._note(f"{error} Nothing more of this command is recorded.", str(error))
        if self.on_failure is OnFailure.WARN:
            self.close()
        return None

    def close(self) -> None:
        """Closes the ledger; nothing more is recorded."""
        if self.ledger is not None:
            self.ledger.close()
            self.ledger = None

    def see_keys(self, states: Mapping[str, KeyState], skew: timedelta) -> None:
        """Records the keys as they are now; warns before that if the clock is behind the ledger by more than *skew*."""
        if fault := clock_fault(self.attempt(Ledger.latest), utc_now(), skew):
            self.warn(f"Warning: {fault}. Next: {CLOCK_REMEDY}")
        self.attempt(lambda ledger: ledger.see_keys(states, self.service))

    def fleet(self, key_ids: Collection[str]) -> list[InstanceRecord]:
        """The running services that share one of these keys, or the name of this service."""
        return in_fleet(self.attempt(lambda ledger: ledger.instances(LIVE)) or (), key_ids, self.service)

    def censuses(self) -> list[CensusRecord]:
        """The last census of each target that the ledger knows."""
        return self.attempt(Ledger.censuses) or []

    def keep_censuses(
        self, report: Report, known: Sequence[CensusRecord], *, by_run: bool = False
    ) -> list[CensusRecord]:
        """Records and returns the census of each target that was read to its end.

        Each keeps the tokens that the *known* census of its place found and that no run has moved.
        """
        now = utc_now()
        # One shard's counts are not the target's.
        read = [part for part in report.targets if part.stopped is None and report.shard is None]
        censuses = [census_record(part, report.primary, self.service, now, by_run=by_run) for part in read]
        kept = [carried(census, known) for census in censuses]
        places = {census.place for census in censuses}
        explained = [settled(other, censuses) for other in known if other.place not in places]
        self.keep((*kept, *(other for other in explained if other not in known)))
        return kept

    def keep(self, censuses: Iterable[CensusRecord]) -> None:
        """Records *censuses* as they are, in one transaction: a run may have many targets."""
        self.attempt(lambda ledger: ledger.keep_censuses(censuses))

    def _note(self, words: str, fault: str) -> None:
        self.fault = fault
        if self.on_failure is OnFailure.WARN:
            self.warn(f"Warning: {words}")


def clock_fault(latest: datetime | None, now: datetime, skew: timedelta) -> str | None:
    """A sentence about a clock that is behind the ledger's *latest* time by more than *skew*; None if it is not."""
    if latest is None or latest - now <= skew:
        return None
    return f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the ledger holds an entry of {latest:%Y-%m-%d %H:%M} UTC"
