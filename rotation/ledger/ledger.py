"""Opens the ledger. It holds no secret; losing it loses dates, never data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType

import sqlalchemy as sa

from keyring_core.environment import LEDGER_URL, SERVICE
from keyring_core.names import printable
from rotation.ledger import schema as tables
from rotation.ledger.database import LedgerAccess, LedgerPlace, open_url, over_engine
from rotation.ledger.key_tables import KeyTables
from rotation.ledger.run_history import RunTables
from rotation.stores.access import ATTEMPTS

HURRIED_SECONDS = 3.0
"""How long a service waits for each address of the ledger's server."""


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


UNNAMED = "default"
"""What the ledger calls a service without a name."""


def service_name(environ: Mapping[str, str]) -> str:
    """The name of this service or environment in the ledger: `ROTATION_SERVICE`, or `default`."""
    return printable(environ.get(SERVICE, "").strip())[:100] or UNNAMED


class Ledger(KeyTables, RunTables):
    """An open ledger. Every method raises LedgerError if the database fails; many processes may write at once."""

    def __init__(self, access: LedgerAccess, now: Callable[[], datetime] = utc_now) -> None:
        """Makes or migrates the tables. Raises LedgerError, NewerLedgerError."""
        self._access, self._now = access, now
        self.made = access.migrate()
        """Whether its tables were just made, or migrated to this program's version."""

    @property
    def name(self) -> str:
        """The ledger in words, for a message."""
        return self._access.name

    @classmethod
    def open(
        cls,
        url: str,
        *,
        now: Callable[[], datetime] = utc_now,
        patient: bool = True,
        wait: Callable[[float], None] = time.sleep,
        place: LedgerPlace | None = None,
    ) -> Ledger:
        """The ledger at an SQLAlchemy *url*. Raises UsageError for a url that cannot work, and LedgerError.

        A service passes *patient* as False: then nothing is retried, and a silent server is given up sooner.
        *wait* sleeps, and raises StoppedError if a stop was requested. *place*: what names that url, for messages.
        """
        place = place or LedgerPlace(url, LEDGER_URL)
        access = open_url(place, ATTEMPTS if patient else 1, wait=wait, seconds=None if patient else HURRIED_SECONDS)
        try:
            return cls(access, now)
        except BaseException:
            access.close()
            raise

    @classmethod
    def over(cls, engine: sa.Engine, *, now: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger in the database of *engine*, which the caller closes. Nothing is retried."""
        return cls(over_engine(engine, 1), now)

    def latest(self) -> datetime | None:
        """The latest time in it, of keys, runs and censuses. Services' clocks do not count."""
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
        """Closes the connections."""
        self._access.close()
