"""The ledger: the dates of keys and their certificates, instances, reads, runs, censuses, searches, checkpoints.

It holds no secret; losing it loses dates, never data.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, TypeVar

import sqlalchemy as sa

from keyring_core.environment import LEDGER_URL, SERVICE
from keyring_core.errors import printable
from keyring_core.keys import KeyState
from rotation.ledger import instances, queries
from rotation.ledger import schema as tables
from rotation.ledger.chain import CERTIFIED, Chain, EventRecord, last_events
from rotation.ledger.clock import Clocks, LedgerClock, utc_now
from rotation.ledger.database import LedgerAccess, LedgerPlace, open_url
from rotation.ledger.events import FOUND, NEWEST, PROMOTION, Event, EventWriter, FoundKeys, Sign, read_chain
from rotation.ledger.records import SKEW, CensusRecord, InstanceRecord, KeyRecord, RunRecord
from rotation.model.key_use import UNNAMED, ReadRecord
from rotation.model.searched_table import REMEMBERED, SearchedTable
from rotation.model.text import to_second
from rotation.stores.access import ATTEMPTS
from rotation.stores.patience import Patience
from rotation.stores.servers import Replication

T = TypeVar("T")

Outcome = Literal["complete", "left", "interrupted", "failed"]

MIGRATED = (
    "Warning: the {} was brought to version {}; a service with an older version of this package can no longer "
    "announce its keys there, and counts as gone after ten minutes: give each service this version before you retire "
    "a key"
)


def service_name(environ: Mapping[str, str], key_set: str | None = None) -> str:
    """The name of this service or environment in the ledger: `ROTATION_SERVICE`, or `default`; and of its key set."""
    name = printable(environ.get(SERVICE, "").strip())[:100] or UNNAMED
    # A cut name must not become the name of another set.
    return name if key_set is None else f"{name[: 99 - len(key_set)]}/{key_set}"


class Ledger:
    """An open ledger. Every method raises LedgerError if the database fails; many processes may write at once."""

    def __init__(self, access: LedgerAccess, now: Callable[[], datetime] = utc_now, skew: timedelta = SKEW) -> None:
        """Makes or migrates the tables, and begins the chain. Raises LedgerError, NewerLedgerError.

        *now* is this machine's clock, and *skew* the most by which two clocks may differ.
        """
        self._access, self._clock, self.skew = access, LedgerClock(access, now, skew), skew
        self.before = access.migrate(lambda connection: EventWriter(connection, self._clock.time(connection)))
        """The version of its tables when it was opened; 0 if there were none."""

    @property
    def made(self) -> bool:
        """True if its tables were just made, or migrated to this program's version."""
        return self.before != tables.VERSION

    @property
    def migrated(self) -> str | None:
        """The consequence of its migration, if it was just migrated, in words."""
        return MIGRATED.format(self.name, tables.VERSION) if 0 < self.before < tables.VERSION else None

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
        wait: Callable[[float], None] = time.sleep,
        place: LedgerPlace | None = None,
        skew: timedelta = SKEW,
    ) -> Ledger:
        """The ledger at an SQLAlchemy *url*. Raises UsageError for a url that cannot work, and LedgerError.

        *wait* sleeps, and raises StoppedError if a stop was requested. *place*: what names that url, for messages.
        *now* and *skew* as for a Ledger.
        """
        place = place or LedgerPlace(url, LEDGER_URL)
        access = open_url(place, ATTEMPTS, wait=wait)
        try:
            return cls(access, now, skew)
        except BaseException:
            access.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._access.close()

    def wait_for_server(self, patience: Patience, wait: Callable[[float], None]) -> None:
        """From now on waits with *patience* for a server that goes away; *wait* raises StoppedError."""
        self._access.wait_for_server(patience, wait)

    def replication(self) -> tuple[str, Replication] | None:
        """Its name, and what its server repeats of another one; None if it repeats nothing."""
        found = self._access.replication()
        return (self.name, found) if found else None

    def clocks(self) -> Clocks:
        """Its time, the latest one in it, and how far this machine's clock is from its server's."""
        return self._clock.compare()

    def date(self) -> datetime:
        """The date of what happens now: the time, or the latest one in it if that is a moment later."""
        return self._clock.date()

    def see_keys(self, states: Mapping[str, KeyState], service: str) -> None:
        """Records the keys of an environment, by id, if they are new or in a state that was not recorded yet.

        A key that is found primary became so earlier: the ledger records the bounds of that time, as far as it knows.
        A date that is recorded stays. A key that becomes primary a second time keeps its first promotion, so that a run
        recognizes that its tokens would move backwards; only `mark` records the second one.
        """

        def act(writer: EventWriter) -> None:
            for key_id, new in FoundKeys(writer.connection, service, writer.now).dates(states).items():
                writer.put_key(key_id, service, FOUND, new)

        if self._access.read(lambda connection: FoundKeys(connection, service, self._clock.local()).dates(states)):
            self._record(act)

    def mark(self, key_id: str, event: Event, service: str, *, forced: bool = False, by: str | None = None) -> None:
        """Records a step on a key just now: its date, or the end of its suspension, and who made it.

        A key that was restored keeps the date of its retirement, as the last one that it had.
        """
        self._record(lambda writer: writer.put_step(key_id, service, event, forced=forced), by)

    def mark_newest(self, key_id: str, service: str) -> None:
        """Records that a key that was found primary counts as promoted after all others, as an operator decided."""

        def act(writer: EventWriter) -> None:
            bounds = FoundKeys(writer.connection, service, writer.now).promotion(key_id)
            writer.put_key(key_id, service, NEWEST, {**dict.fromkeys(PROMOTION), **bounds})

        self._record(act)

    def _record(self, act: Callable[[EventWriter], T], by: str | None = None) -> T:
        """The result of *act*, which writes changes with their events in one transaction, of today's date."""
        return self._access.write(lambda connection: act(EventWriter(connection, self._clock.date(connection), by)))

    def keys(self) -> list[KeyRecord]:
        """All keys that were ever recorded, the oldest record first."""
        return self._records(KeyRecord, queries.all_keys())

    def keep_certificate(self, document: Mapping[str, Any], sign: Sign | None = None) -> dict[str, Any]:
        """Keeps the certificate of a retirement, as an event; its `key` is the key's id, and `by` who retired it.

        Returns it with its place in the chain, which names this ledger, and with the signature that *sign* makes of it.
        """
        return self._record(lambda writer: writer.put_certificate(document, sign), document.get("by"))

    def certificates(self) -> list[dict[str, Any]]:
        """All certificates, the oldest first."""
        query = sa.select(tables.certificates.c.document).order_by(tables.certificates.c.id)
        return self._access.parsed(query, lambda document: {**document}, "a certificate")

    def last_events(self, service: str) -> dict[str, EventRecord]:
        """The last event of each key of *service*, by the key's id."""
        columns = tables.events.c
        query = tables.records_of(tables.events).where(columns.service == service, columns.key_id.is_not(None))
        found = last_events(self._records(EventRecord, query.order_by(columns.number)))
        return {key_id: event for (_, key_id), event in found.items() if key_id is not None}

    def cut_short(self, service: str, states: Mapping[str, KeyState]) -> dict[str, dict[str, Any]]:
        """The certificates of keys that are gone, and whose retirement no event records: the command died before that.

        By the id of the key; *states* are the keys of *service* that are there.
        """
        last = self.last_events(service).items()
        found = {event.number: key_id for key_id, event in last if event.event == CERTIFIED and key_id not in states}
        if not found:
            return {}
        columns = tables.certificates.c
        query = sa.select(columns.event, columns.document).where(columns.event.in_(found))
        return dict(self._access.parsed(query, lambda event, each: (found[event], {**each}), "a certificate"))

    def chain(self) -> Chain:
        """The events, with the keys and the certificates that they explain."""
        return self._access.read(read_chain)

    def announce(
        self, record: InstanceRecord, reads: Sequence[ReadRecord] = (), *, clock: datetime | None = None
    ) -> InstanceRecord:
        """Records which keys an instance holds, and its *reads* with them; a new one deletes what is long over.

        Reads that are zero are not written. The times of the last ones stay if a later process of the same name has
        none yet, since its numbers begin at zero.

        *clock*: the time by the clock that gave all these times; if that of the ledger's server is another one, they
        are put right. Returns the record as it was written.
        """

        def act(connection: sa.Connection) -> InstanceRecord:
            server = self._access.clock(connection) if clock and self._access.has_clock else None
            ahead = round((clock - server).total_seconds()) or None if clock and server else None
            return instances.write_instance(connection, record, reads, ahead, server or self._clock.local())

        return self._access.write_if_current(act)

    def withdraw(self, record: InstanceRecord, reads: Sequence[ReadRecord] = ()) -> None:
        """Deletes *record* of an instance that ends, unless another process has announced itself by that name since.

        Its reads, and the last *reads*, stay: an instance that ended has still read with those keys. Those with its
        primary key are put together with the ones of other instances that ended.
        It starts no thread, since Python starts none while it ends.
        """
        access, reads = self._access.at_the_end(), [instances.put_right(each, record.ahead) for each in reads]
        if not access.write(lambda connection: instances.delete_instance(connection, record, reads)):
            return
        # Apart: of many that end at once some may fail here, and then leave their reads as they are.
        if found := access.read(lambda connection: instances.reads_with_primary(connection, record)):
            access.write(lambda connection: instances.put_together(connection, found))

    def time(self) -> datetime:
        """The time: by the clock of the ledger's server, or by this machine's if it has none."""
        return self._clock.time()

    def settle(self, skew: timedelta) -> list[str]:
        """Sets to now the times of services that are later than the server's by more than *skew*; returns whose.

        Without a server it does nothing.
        """
        if not self._access.has_clock:
            return []
        now = self._clock.time()
        if found := self._access.read(lambda connection: instances.later_than(connection, now + skew)):
            self._access.write(lambda connection: instances.settle(connection, now, now + skew))
        return [printable(f"{service} on {instance}: {to_second(when)}") for service, instance, when in found]

    def instances(self, within: timedelta) -> list[InstanceRecord]:
        """The instances that announced themselves within that time, or at a later one if their clock is ahead."""
        return self._records(InstanceRecord, queries.instances(self.time() - within))

    def reads(self, within: timedelta | None = None) -> list[ReadRecord]:
        """The reads of all instances, also of those that ended; with *within* only what was announced in that time."""
        return self._records(ReadRecord, queries.reads(None if within is None else self.time() - within))

    def uses(self, service: str, primary: str) -> queries.Uses:
        """What is known of the use of all keys, read at one time; *primary* is the key of the complete run."""
        now = self.time()
        return self._access.read(lambda connection: queries.uses(connection, service, primary, now))

    def begin_run(self, command: str, service: str, primary: str, *, whole: bool = False) -> int:
        """Records that a run begins, and returns its number. *whole*: of every row of all targets of *service*."""
        row = {"command": command, "service": service, "primary": primary, "counts": {}, "whole": whole}

        def act(connection: sa.Connection) -> int:
            row["started"] = self._clock.date(connection)
            [number] = connection.execute(tables.runs.insert().values(row)).inserted_primary_key or (0,)
            return int(number)

        return self._access.write(act)

    def end_run(self, number: int, outcome: Outcome, counts: Mapping[str, Any] | None = None) -> None:
        """Records how a run ended, and what it counted."""
        statement = tables.runs.update().where(tables.runs.c.id == number)

        def act(connection: sa.Connection) -> None:
            values = {"finished": self._clock.date(connection), "outcome": outcome, "counts": counts or {}}
            connection.execute(statement.values(values))

        self._access.write(act)

    def runs(self, limit: int = 20, command: str | None = None, service: str | None = None) -> list[RunRecord]:
        """The last runs, of one *command* and *service* or of all, the newest first."""
        return self._records(RunRecord, queries.runs(limit, command, service))

    def last_runs(self, limit: int, service: str, command: str | None = None) -> list[RunRecord]:
        """The last runs, the newest first, with the last ended and the last finished run of each command.

        So a hundred runs that died do not hide the last one that finished.
        """
        return self._access.read(lambda connection: queries.last_runs(connection, limit, service, command))

    def begun_since_an_end(self, service: str, command: str) -> int:
        """The number of runs of *command* that began since the last one that finished."""
        columns = tables.runs.c
        own = sa.and_(columns.service == service, columns.command == command)
        finished = sa.select(sa.func.max(columns.id)).where(own, columns.outcome.in_(queries.TO_THEIR_END))
        last = sa.func.coalesce(finished.scalar_subquery(), 0)
        query = sa.select(sa.func.count()).where(own, columns.id > last)
        return self._access.read(lambda connection: connection.scalar(query) or 0)

    def keep_censuses(self, censuses: Iterable[CensusRecord]) -> None:
        """Replaces the last census of each of these targets, all of them or none. Those of checks are kept apart."""
        rows = {
            _digest(json.dumps([*census.place, *(["check"] if census.checked else [])])): census for census in censuses
        }
        if not rows:
            return

        def act(connection: sa.Connection) -> None:
            number = connection.scalar(sa.select(sa.func.max(tables.runs.c.id))) or 0
            for place, census in rows.items():
                # One that is known keeps its number: it was counted before.
                numbered = census if census.number is not None else replace(census, number=number)
                values = {"taken": census.taken, "document": numbered.document()}
                tables.upsert(connection, tables.censuses, {"place": place}, values)

        self._access.write(act)

    def censuses(self, *, checked: bool = False, whole: bool = False) -> list[CensusRecord]:
        """The last census of each target, the last that a check took, or the last of every row; by their names."""
        query = sa.select(tables.censuses.c.taken, tables.censuses.c.document)
        found = self._access.parsed(query, CensusRecord.of_document, "a census")
        taken = sorted(found, key=lambda census: census.order)
        kept = [one for one in taken if (one.checked or not checked) and not (one.sampled and whole)]
        last = {census.place: census for census in kept}
        return sorted(last.values(), key=lambda census: (census.service, census.name, census.label))

    def keep_search(self, place: str, searched: SearchedTable) -> None:
        """Remembers a table under the digest *place*, and deletes the ones whose time is over."""
        values = {"taken": searched.read, "document": searched.document()}
        over = tables.searches.delete().where(sa.not_(self._is_remembered()))

        def act(connection: sa.Connection) -> None:
            tables.upsert(connection, tables.searches, {"place": place}, values)
            connection.execute(over)

        self._access.write(act)

    def searches(self) -> dict[str, SearchedTable]:
        """The tables that are still remembered, by their digests."""
        query = tables.records_of(tables.searches).where(self._is_remembered())
        parse = SearchedTable.of_document
        return dict(self._access.parsed(query, lambda place, *kept: (place, parse(*kept)), "a search"))

    def _is_remembered(self) -> sa.ColumnElement[bool]:
        """Not if it is of the future either, since a clock that is ahead would make it last."""
        now = self._clock.local()
        return tables.searches.c.taken.between(now - REMEMBERED, now)

    def reach(self, plan: str, upto: str) -> None:
        """Records that *plan* is done up to the key *upto*.

        A plan is any text that names target, primary key and shard, or a retirement; *upto* is text that only its
        command reads.
        """
        values = {"upto_key": upto, "reached": self._clock.local()}
        self._access.write(
            lambda connection: tables.upsert(connection, tables.progress, {"plan": _digest(plan)}, values)
        )

    def reached(self, plan: str) -> str | None:
        """The key up to which *plan* is done; None if nothing is recorded."""
        query = sa.select(tables.progress.c.upto_key).where(tables.progress.c.plan == _digest(plan))
        return self._access.read(lambda connection: connection.scalar(query))

    def forget(self, plan: str) -> None:
        """Deletes the progress of *plan*."""
        statement = tables.progress.delete().where(tables.progress.c.plan == _digest(plan))
        self._access.write(lambda connection: connection.execute(statement))

    def _records(self, kind: type[T], query: sa.Select[Any]) -> list[T]:
        return self._access.read(lambda connection: tables.records_in(connection, kind, query))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
