"""The ledger: opens it, and keeps the dates of keys, runs, the last census of each target, and checkpoints.

It holds no secret; losing it loses dates, never data.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from types import TracebackType
from typing import Any, Literal

import sqlalchemy as sa

from keyring_core.environment import LEDGER_URL, SERVICE
from keyring_core.names import printable
from rotation.ledger import schema as tables
from rotation.ledger.database import LedgerAccess, LedgerPlace, open_url, over_engine, put
from rotation.ledger.key_tables import KeyTables
from rotation.ledger.records import CensusRecord, RunRecord
from rotation.stores.access import ATTEMPTS

HURRIED_SECONDS = 3.0
"""Seconds that a service waits for each address of the ledger's server."""


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


UNNAMED = "default"
"""The name in the ledger of a service without a name."""


def service_name(environ: Mapping[str, str]) -> str:
    """The name of this service or environment in the ledger: `ROTATION_SERVICE`, or `default`."""
    return printable(environ.get(SERVICE, "").strip())[:100] or UNNAMED


Outcome = Literal["complete", "left", "interrupted", "failed"]

TO_THEIR_END: tuple[Outcome, ...] = ("complete", "left")
"""The outcomes of runs that finished, including those that left rows behind."""


class Ledger(KeyTables):
    """An open ledger. Every method raises LedgerError if the database fails; many processes may write at once."""

    def __init__(self, access: LedgerAccess, now: Callable[[], datetime] = utc_now) -> None:
        """Makes or migrates the tables. Raises LedgerError, NewerLedgerError."""
        self._access, self._now = access, now
        self.made = access.migrate()
        """True if its tables were just made, or migrated to this program's version."""

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

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._access.close()

    def latest(self) -> datetime | None:
        """The latest time in it, of keys, runs and censuses. Services' clocks do not count."""
        keys, runs = tables.keys.c, tables.runs.c
        dates = (keys.first_seen, keys.staged, keys.promoted, keys.promoted_before, keys.retired)
        columns = (*dates, runs.started, runs.finished, tables.censuses.c.taken)

        def act(connection: sa.Connection) -> list[datetime | None]:
            return [connection.scalar(sa.select(sa.func.max(column))) for column in columns]

        return max((date for date in self._access.read(act) if date), default=None)

    def begin_run(self, command: str, service: str, primary: str) -> int:
        """Records that a run begins, and returns its number."""
        row = {"command": command, "service": service, "started": self._now(), "primary": primary, "counts": {}}

        def act(connection: sa.Connection) -> int:
            [number] = connection.execute(tables.runs.insert().values(row)).inserted_primary_key or (0,)
            return int(number)

        return self._access.write(act)

    def end_run(self, number: int, outcome: Outcome, counts: Mapping[str, Any] | None = None) -> None:
        """Records how a run ended, and what it counted."""
        values = {"finished": self._now(), "outcome": outcome, "counts": counts or {}}
        statement = tables.runs.update().where(tables.runs.c.id == number).values(values)
        self._access.write(lambda connection: connection.execute(statement))

    def runs(self, limit: int = 20, command: str | None = None, service: str | None = None) -> list[RunRecord]:
        """The last runs, of one *command* and *service* or of all, the newest first."""
        query = tables.records_of(tables.runs).order_by(tables.runs.c.id.desc()).limit(limit)
        if command is not None:
            query = query.where(tables.runs.c.command == command)
        if service is not None:
            query = query.where(tables.runs.c.service == service)
        return self._runs(query)

    def _runs(self, query: sa.Select[Any]) -> list[RunRecord]:
        return self._access.read(lambda connection: [RunRecord(**row._asdict()) for row in connection.execute(query)])

    def last_runs(self, limit: int, service: str, command: str | None = None) -> list[RunRecord]:
        """The last runs, the newest first, with the last ended and the last finished run of each command.

        So a hundred runs that died do not hide the last one that finished.
        """
        runs = tables.runs.c
        ended = (runs.outcome.is_not(None), runs.outcome.in_(TO_THEIR_END))
        of_service = sa.and_(runs.service == service, *([runs.command == command] if command else []))

        def act(connection: sa.Connection) -> list[int]:
            last = [sa.select(sa.func.max(runs.id)).where(of_service, kind).group_by(runs.command) for kind in ended]
            return [number for query in last for number in connection.scalars(query)]

        recent = self.runs(limit, command, service)
        missing = {*self._access.read(act)} - {run.id for run in recent}
        return recent + self._runs(tables.records_of(tables.runs).where(runs.id.in_(missing)).order_by(runs.id.desc()))

    def begun_since_an_end(self, service: str, command: str) -> int:
        """The number of runs of *command* that began since the last one that finished."""
        runs = tables.runs.c
        own = sa.and_(runs.service == service, runs.command == command)
        last = sa.select(sa.func.max(runs.id)).where(own, runs.outcome.in_(TO_THEIR_END)).scalar_subquery()
        query = sa.select(sa.func.count()).where(own, runs.id > sa.func.coalesce(last, 0))
        return self._access.read(lambda connection: connection.scalar(query) or 0)

    def keep_censuses(self, censuses: Iterable[CensusRecord]) -> None:
        """Replaces the last census of each of these targets, all of them or none. Those of checks are kept apart."""
        rows = {
            _digest(json.dumps([*census.place, *(["check"] if census.checked else [])])): {
                "taken": census.taken,
                "document": census.document(),
            }
            for census in censuses
        }
        if not rows:
            return

        def act(connection: sa.Connection) -> None:
            for place, values in rows.items():
                put(connection, tables.censuses, {"place": place}, values)

        self._access.write(act)

    def censuses(self, *, checked: bool = False) -> list[CensusRecord]:
        """The last census of each target, or the last that a check took, in the order of their names."""
        query = sa.select(tables.censuses.c.taken, tables.censuses.c.document)
        rows = self._access.read(lambda connection: [tuple(row) for row in connection.execute(query)])
        found = self._access.parsed(rows, lambda row: CensusRecord.of_document(*row), "a census")
        taken = sorted(found, key=lambda census: census.taken)
        last = {census.place: census for census in taken if census.checked or not checked}
        return sorted(last.values(), key=lambda census: (census.service, census.name, census.label))

    def reach(self, plan: str, upto: str) -> None:
        """Records that *plan* is done up to the key *upto*.

        A plan is any text that names target, primary key and shard; *upto* is text that only the run reads.
        """
        values = {"upto_key": upto, "reached": self._now()}
        self._access.write(lambda connection: put(connection, tables.progress, {"plan": _digest(plan)}, values))

    def reached(self, plan: str) -> str | None:
        """The key up to which *plan* is done; None if nothing is recorded."""
        query = sa.select(tables.progress.c.upto_key).where(tables.progress.c.plan == _digest(plan))
        return self._access.read(lambda connection: connection.scalar(query))

    def forget(self, plan: str) -> None:
        """Deletes the progress of *plan*."""
        statement = tables.progress.delete().where(tables.progress.c.plan == _digest(plan))
        self._access.write(lambda connection: connection.execute(statement))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
