"""The ledger as a check uses it: what cannot be read or written becomes a fact, and never ends the check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from keyring_core import KeyringError, KeyState
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
from rotation.ledger.run_tables import Outcome
from rotation.retirement.refusals import LIVE, in_fleet

COMMAND, RUN = "check", "run"
NO_LEDGER = "there is none: name one in ROTATION_LEDGER_URL, or write a rotation.toml, beside which it is made"
KEPT_RUNS = 20


@dataclass(frozen=True)
class Entries:
    """What the ledger held when the check began."""

    fault: str | None = None
    """Why it cannot be read."""
    unwritten: str | None = None
    """Why it cannot be written."""
    records: tuple[KeyRecord, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    """The last ones, and however old the last that came to its end."""
    begun: int = 0
    """How many were begun since that one."""
    censuses: tuple[CensusRecord, ...] = ()
    """The last one of each target."""
    checked: tuple[CensusRecord, ...] = ()
    """The last one that a check took: what is new since then nobody was told."""
    instances: tuple[InstanceRecord, ...] = ()
    archives: tuple[str, ...] = ()
    """Where this environment's retired keys were put, by their certificates."""
    latest: datetime | None = None
    """The latest time in it."""


@dataclass
class Book:
    """A ledger, opened for one check of one service."""

    service: str
    ledger: Ledger | None = None
    entries: Entries = field(default_factory=Entries)
    _number: int | None = None

    @classmethod
    @contextmanager
    def open(cls, open_ledger: Callable[[], Ledger | None], service: str) -> Iterator[Book]:
        """What *open_ledger* opens, or the fault that says why there is none."""
        try:
            ledger = open_ledger()
            fault = None if ledger else NO_LEDGER
        except KeyringError as error:
            ledger, fault = None, str(error)
        book = cls(service, ledger, Entries(fault=fault))
        try:
            yield book
        finally:
            if ledger is not None:
                ledger.close()

    def read(self, states: Mapping[str, KeyState]) -> None:
        """Reads what there is, and writes nothing."""
        if self.ledger is None:
            return
        try:
            self.entries = self._read(self.ledger, states)
        except KeyringError as error:
            self.entries = Entries(fault=str(error))

    def begin(self, states: Mapping[str, KeyState], primary: str) -> None:
        """Reads what there is, and takes down that a check begins and which keys it has."""
        self.read(states)
        if self.ledger is None or self.entries.fault is not None:
            return
        unwritten = _fault_of(partial(self._take_down, self.ledger, states, primary))
        # The dates that were taken down just now count, too.
        self.read(states)
        self.entries = replace(self.entries, unwritten=unwritten)

    def keep(self, censuses: Iterable[CensusRecord], *, well: bool, counts: Mapping[str, Any]) -> None:
        """Takes down what was counted and how the check ended."""
        if self.ledger is not None and self.entries.fault is None:
            _fault_of(partial(self._keep, self.ledger, censuses, "complete" if well else "left", counts))

    def _take_down(self, ledger: Ledger, states: Mapping[str, KeyState], primary: str) -> None:
        ledger.see_keys(states, self.service)
        self._number = ledger.begin_run(COMMAND, self.service, primary)

    def _keep(
        self, ledger: Ledger, censuses: Iterable[CensusRecord], outcome: Outcome, counts: Mapping[str, Any]
    ) -> None:
        for census in censuses:
            ledger.keep_census(census)
        if self._number is not None:
            ledger.end_run(self._number, outcome, counts)

    def _read(self, ledger: Ledger, states: Mapping[str, KeyState]) -> Entries:
        return Entries(
            records=tuple(ledger.keys()),
            runs=tuple(ledger.last_runs(KEPT_RUNS, self.service, RUN)),
            begun=ledger.begun_since_an_end(self.service, RUN),
            censuses=tuple(ledger.censuses()),
            checked=tuple(ledger.censuses(checked=True)),
            instances=tuple(in_fleet(ledger.instances(LIVE), states, self.service)),
            archives=tuple(_archives(ledger.certificates(), self.service)),
            latest=ledger.latest(),
        )


def _fault_of(act: Callable[[], None]) -> str | None:
    """Why *act* could not be done; None where it was."""
    try:
        act()
    except KeyringError as error:
        return str(error)
    return None


def _archives(certificates: Iterable[Mapping[str, Any]], service: str) -> Iterator[str]:
    for certificate in certificates:
        if certificate.get("service") == service and isinstance(path := certificate.get("archive"), str):
            yield path
