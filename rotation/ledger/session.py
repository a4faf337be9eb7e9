"""One command's ledger; the command chooses what happens if the ledger fails.

It keeps the tokens that an earlier census counted and that are gone, though no run has moved them. A run explains
missing tokens if it was on the same table, or rotated at least as many in a table of that name. Otherwise an empty
table, or another database behind the same url, would prove that nothing needs a key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, TypeVar

from keyring_core import KeyState
from rotation.ledger.clock import SERVICE_CLOCK_REMEDY, utc_now
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import LIVE, CensusRecord, InstanceRecord, census_record, in_fleet
from rotation.model.failures import UsageError
from rotation.model.report import Report
from rotation.model.target import TargetId

T = TypeVar("T")


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
    by: str | None = None
    """Who runs the command."""

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
        """Records the keys as they are now; warns before that of clocks that differ by more than *skew*."""
        if clocks := self.attempt(Ledger.clocks):
            for fault, remedy in clocks.faults(skew):
                self.warn(f"Warning: {fault}. Next: {remedy}")
            if clocks.note:
                self.warn(f"Note: {clocks.note}.")
        for words in self.settle(skew):
            self.warn(f"Warning: {words}. Next: {SERVICE_CLOCK_REMEDY}")
        self.attempt(lambda ledger: ledger.see_keys(states, self.service))

    def time(self) -> datetime:
        """The time of the ledger; without one this machine's."""
        return self.attempt(Ledger.time) or utc_now()

    def date(self) -> datetime:
        """The date of what is found now: the time, or the latest one in the ledger if that is a moment later."""
        return self.attempt(Ledger.date) or utc_now()

    def settle(self, skew: timedelta) -> list[str]:
        """Sets to now what services announced with a time that is later than the server's by more than *skew*.

        Returns a sentence on each.
        """
        found = self.attempt(lambda ledger: ledger.settle(skew)) or ()
        return [f"the ledger held a time of {each}, later than its server's clock: it counts as now" for each in found]

    def fleet(self, key_ids: Collection[str]) -> list[InstanceRecord]:
        """The running services that share one of these keys, or the name of this service."""
        return in_fleet(self.attempt(lambda ledger: ledger.instances(LIVE)) or (), key_ids, self.service)

    def censuses(self, *, whole: bool = False) -> list[CensusRecord]:
        """The last census of each target that the ledger knows, or the last of every row."""
        return self.attempt(lambda ledger: ledger.censuses(whole=whole)) or []

    def keep_censuses(
        self, report: Report, known: Sequence[CensusRecord], *, by_run: bool = False
    ) -> list[CensusRecord]:
        """Records and returns the census of each target that was read to its end.

        Each keeps the tokens that the *known* census of its place found and that no run has moved.
        """
        now = self.date()
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


class Unexplained(NamedTuple):
    """Tokens under one key in one column."""

    target: TargetId
    tokens: int
    counted: datetime
    """When they were counted last."""


def carried(census: CensusRecord, known: Iterable[CensusRecord]) -> CensusRecord:
    """*census*, with the tokens that the *known* one of the same place counted and that no run explains.

    What is known was recorded before: no clock is asked whether it was.
    """
    before = next((other for other in known if other.place == census.place), None)
    if before is None:
        return census
    now, found = census.counts.under, {key_id: _known(before, key_id) for key_id in _key_ids(before)}
    waiting = {
        key_id: tokens
        for key_id, tokens in found.items()
        if tokens > now.get(key_id, 0) and not _explains(census, before, tokens)
    }
    if not waiting:
        return census
    return replace(census, unexplained=waiting, home=_home(before), seen=_seen(before).isoformat())


def settled(known: CensusRecord, runs: Iterable[CensusRecord]) -> CensusRecord:
    """A *known* census of another place, without the tokens that one of the *runs* explains."""
    runs = list(runs)
    waiting = {
        key_id for key_id in _key_ids(known) if not any(_explains(run, known, _known(known, key_id)) for run in runs)
    }
    counts = replace(known.counts, under=Counter(_only(known.counts.under, waiting)))
    return replace(known, counts=counts, unexplained=_only(known.unexplained, waiting))


def unexplained(
    key_id: str, now: Sequence[CensusRecord], known: Sequence[CensusRecord], service: str
) -> Iterator[Unexplained]:
    """The missing tokens of that key: in the censuses of *now*, and in places that are no longer a target."""
    places = {census.place for census in now}
    for census in now:
        if tokens := census.unexplained.get(key_id, 0):
            yield Unexplained(census.target, tokens, _seen(census))
    for census in known:
        tokens = _known(census, key_id)
        if tokens and census.service == service and census.place not in places:
            yield Unexplained(census.target, tokens, _seen(census))


def _key_ids(census: CensusRecord) -> list[str]:
    return list(dict.fromkeys((*census.counts.under, *census.unexplained)))


def _known(census: CensusRecord, key_id: str) -> int:
    return max(census.counts.under.get(key_id, 0), census.unexplained.get(key_id, 0))


def _only(tokens: Mapping[str, int], keys: Collection[str]) -> dict[str, int]:
    return {key_id: number for key_id, number in tokens.items() if key_id in keys}


def _home(census: CensusRecord) -> str:
    """The identity of the table that held the tokens."""
    return census.home or census.identity


def _seen(census: CensusRecord) -> datetime:
    """When the tokens were counted last."""
    return datetime.fromisoformat(census.seen) if census.seen else census.taken


def _explains(later: CensusRecord, before: CensusRecord, tokens: int) -> bool:
    """True if *later* is of a run that read those *tokens*, and so has moved them if it had to."""
    if not later.by_run or later.service != before.service:
        return False
    (_, database, *cells, _), (_, database_before, *cells_before, _) = later.place, before.place
    if cells != cells_before:
        return False
    return (database == database_before and later.identity == _home(before)) or later.counts.rotated >= tokens
