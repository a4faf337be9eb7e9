"""The ledger: keys' dates, runs, censuses, instances. It holds no secret; losing it loses dates, never data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from keyring_core.environment import LEDGER_URL, SERVICE
from rotation.ledger import schema as tables
from rotation.ledger.database import ATTEMPTS, LedgerAccess, LedgerError, NewerLedgerError, open_url, over_engine
from rotation.ledger.key_tables import Event, KeyPages
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
from rotation.ledger.run_tables import Outcome, WorkPages

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

HURRIED_SECONDS = 3.0
"""How long a service waits for each address of the ledger's server."""
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
    def open(
        cls,
        url: str,
        *,
        now: Callable[[], datetime] = utc_now,
        patient: bool = True,
        wait: Callable[[float], None] = time.sleep,
    ) -> Ledger:
        """The ledger at an SQLAlchemy *url*. Raises UsageError for a url that cannot work, and LedgerError.

        Unless *patient* nothing is tried again, and a server is given up sooner: for a service. *wait* sleeps, and
        raises StoppedError where somebody asked to stop; then the ledger waits for little more.
        """
        access = open_url(url, ATTEMPTS if patient else 1, wait=wait, seconds=None if patient else HURRIED_SECONDS)
        try:
            return cls(access, now)
        except BaseException:
            access.close()
            raise

    @classmethod
    def over(cls, engine: sa.Engine, *, now: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger in the database of *engine*, which stays its owner's to close. Nothing is tried again."""
        return cls(over_engine(engine, 1), now)

    def latest(self) -> datetime | None:
        """The latest time in it, of keys, runs and censuses; services have clocks of their own."""
        keys, runs = tables.keys.c, tables.runs.c
        dates = (keys.first_seen, keys.staged, keys.promoted, keys.promoted_before, keys.retired)
        columns = (*dates, runs.started, runs.finished, tables.censuses.c.taken)

        def act(connection: sa.Connection) -> list[datetime | None]:
            return [connection.scalar(sa.select(sa.func.max(column))) for column in columns]

        return max((date for date in self._access.read(act) if date), default=None)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()
