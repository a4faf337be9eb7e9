"""The ledger as a step of a key's life uses it: opened before anything is touched; and without one, a note."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keyring_core import KeyState
from keyring_core.config import LEDGER_URL
from rotation.cli.options import Common
from rotation.ledger.census_record import census_record
from rotation.ledger.clock import warn_of_clock
from rotation.ledger.database import LedgerError
from rotation.ledger.key_tables import Event
from rotation.ledger.ledger import Ledger, service_name, utc_now
from rotation.ledger.records import CensusRecord, InstanceRecord, Promotion
from rotation.ledger.unexplained import carried
from rotation.model.key_history import took_over
from rotation.model.report import Report
from rotation.retirement.refusals import LIVE, in_fleet

NO_LEDGER = (
    "no ledger counts here (a rotation.toml, or ROTATION_LEDGER_URL): no date was written down, and no service asked"
)
UNDATED = "the ledger does not know when {} was promoted, so it was not checked whether older keys still make tokens"
NO_FLEET = (
    "no service announces its keys in the {} (rotation.fleet.announce), so it was not checked that all have them; "
    f"where they announce elsewhere, set {LEDGER_URL}"
)


@dataclass
class KeyBook:
    """A ledger, or none."""

    ledger: Ledger | None
    service: str
    ring: frozenset[str] = frozenset()
    """The ids of this environment's keys."""

    def fleet(self) -> list[InstanceRecord]:
        """The services of this environment that run now."""
        return in_fleet(self.ledger.instances(LIVE), self.ring, self.service) if self.ledger else []

    def unchecked(self, fleet: Sequence[InstanceRecord]) -> list[str]:
        """What could not be looked at."""
        if self.ledger is None:
            return [NO_LEDGER]
        return [] if fleet else [NO_FLEET.format(self.ledger.name)]

    def promotion(self, primary: str, previous: Collection[str]) -> Promotion | None:
        """When the primary key took over from the *previous* ones, as far as anybody knows."""
        return took_over(primary, previous, self.ledger.keys() if self.ledger else [], self.service)

    def censuses(self) -> list[CensusRecord]:
        """The last census of each place that the ledger knows."""
        return self.ledger.censuses() if self.ledger else []

    def keep_censuses(self, report: Report, known: Sequence[CensusRecord]) -> list[CensusRecord]:
        """Keeps the census of each target that was read to its end, and returns it with what *known* ones wait for."""
        now = utc_now()
        found = [
            carried(census_record(part, report.primary, self.service, now), known)
            for part in report.targets
            if part.stopped is None
        ]
        if self.ledger:
            for census in found:
                self.ledger.keep_census(census)
        return found

    def mark(self, key_id: str, event: Event, *, forced: bool = False) -> list[str]:
        """Dates a step that is done; where that fails a note, since the step stays done."""
        if self.ledger is None:
            return []
        try:
            self.ledger.mark(key_id, event, self.service, forced=forced)
        except LedgerError as error:
            return [f"the step is done, but its date was not written down: {error}"]
        return []

    def keep(self, certificate: Mapping[str, Any]) -> None:
        """Keeps the certificate of a retirement. Raises LedgerError."""
        if self.ledger:
            self.ledger.keep_certificate(certificate)


@contextmanager
def open_book(common: Common, states: Mapping[str, KeyState]) -> Iterator[KeyBook]:
    """The ledger that counts here, with the keys as they are now taken down. Raises UsageError and LedgerError."""
    service = service_name(common.environ)
    ledger = common.open_ledger()
    if ledger is None:
        yield KeyBook(None, service)
        return
    with ledger:
        warn_of_clock(common, ledger)
        ledger.see_keys(states, service)
        yield KeyBook(ledger, service, frozenset(states))
