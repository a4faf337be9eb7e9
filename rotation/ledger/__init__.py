"""The ledger: keys' dates, runs, censuses, instances. It holds no secret; losing it loses dates, never data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from keyring_core.config import LEDGER_URL, SERVICE
from rotation.ledger.access import ATTEMPTS, LedgerAccess, LedgerError, NewerLedgerError, open_url, over_engine
from rotation.ledger.keys import Event, KeyPages
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
from rotation.ledger.work import Outcome, WorkPages

__all__ = [
    "CensusRecord",
    "Event",
    "InstanceRecord",
    "KeyRecord",
    "Ledger",
    "LedgerError",
    "NewerLedgerError",
    "Outcome",
    "RunRecord",
    "ledger_url",
    "service_name",
    "utc_now",
]

DEFAULT_FILE = "rotation-ledger.db"


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def ledger_url(environ: Mapping[str, str], config: Path | None) -> str:
    """Where the ledger is: `ROTATION_LEDGER_URL`, or an SQLite file beside the rotation.toml at *config*."""
    if given := environ.get(LEDGER_URL, "").strip():
        return given
    folder = config.parent if config else Path()
    return f"sqlite:///{(folder / DEFAULT_FILE).absolute()}"


def service_name(environ: Mapping[str, str]) -> str:
    """What the ledger calls this service or environment: `ROTATION_SERVICE`, or `default`."""
    return environ.get(SERVICE, "").strip()[:100] or "default"


class Ledger(KeyPages, WorkPages):
    """One ledger, opened. Every method raises LedgerError where its database fails; writers may be many."""

    def __init__(self, access: LedgerAccess, now: Callable[[], datetime] = utc_now) -> None:
        """Makes or migrates the tables. Raises LedgerError, NewerLedgerError."""
        self._access, self._now = access, now
        self.made = access.migrate()
        """Whether its tables were made, or brought to our version, just now."""

    @property
    def name(self) -> str:
        """Which ledger it is, fit for a message."""
        return self._access.name

    @classmethod
    def open(cls, url: str, *, now: Callable[[], datetime] = utc_now, patient: bool = True) -> Ledger:
        """The ledger at an SQLAlchemy *url*. Raises UsageError for a url that cannot work, and LedgerError.

        Unless *patient* nothing is tried again: for who has no time.
        """
        access = open_url(url, ATTEMPTS if patient else 1)
        try:
            return cls(access, now)
        except BaseException:
            access.close()
            raise

    @classmethod
    def over(cls, engine: sa.Engine, *, now: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger in the database of *engine*, which stays its owner's to close. Nothing is tried again."""
        return cls(over_engine(engine, 1), now)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()
