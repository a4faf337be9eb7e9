"""Writes and reads the chain of events, and finds what a key's next event is.

An event and the change that it is of are written in one transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

import sqlalchemy as sa

from keyring_core.keys import KeyState
from rotation.ledger import schema as tables
from rotation.ledger.chain import (
    BEGAN,
    CERTIFIED,
    SIGNATURE,
    Chain,
    EventRecord,
    Head,
    KeptCertificate,
    as_json,
    certified_document,
    first_document,
    linked,
)
from rotation.ledger.database import LedgerPlace, open_url
from rotation.ledger.records import KeyRecord
from rotation.stores.access import ATTEMPTS

T = TypeVar("T")
Dates: TypeAlias = "dict[str, datetime | None]"

PROMOTION = ("promoted", "promoted_after", "promoted_before")
"""The columns that hold a promotion: one date, or the two bounds of a span."""

Event = Literal["staged", "promoted", "retired", "restored", "suspended", "resumed"]
"""A step of an operator."""
FOUND, NEWEST = "found", "newest"
"""The events of a key that is found in a new state, and of one that counts as the newest from now on."""
Sign = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Makes the signature of a certificate, which has all its other fields."""


class EventWriter:
    """Writes changes with their events, in the transaction of *connection*.

    It reads the head before anything else is read. Another writer that appends after that takes the number that this
    one is about to take, so one of the two fails, and is run again on what the other has left.
    """

    def __init__(self, connection: sa.Connection, now: datetime, by: str | None = None) -> None:
        """Begins the chain if there is none: a ledger that `ledger init --sql` made has no event yet."""
        self.connection, self.now, self._by = connection, now, by
        self._head = _head(connection)
        if self._head is None:
            # Also of a ledger that an older version of this program made.
            found = first_document(os.urandom(16).hex(), *_explained(connection))
            self._head = self._insert(linked(None, now, BEGAN, found))

    def put_key(self, key_id: str, service: str, event: str, values: Mapping[str, Any]) -> None:
        """Sets columns of a key to *values*; adds the key if it is new."""
        key, columns = {"id": key_id, "service": service}, tables.keys.c
        query = sa.select(columns.first_seen).where(columns.id == key_id, columns.service == service)
        is_new = self.connection.scalar(query) is None
        values = {**({"first_seen": self.now, "forced": False} if is_new else {}), **values}
        sets = {name: as_json(value) for name, value in values.items()}
        number = self._append(event, service, key_id, {"sets": sets})
        tables.upsert(self.connection, tables.keys, key, {**values, "event": number})

    def put_step(self, key_id: str, service: str, event: Event, *, forced: bool) -> None:
        """Sets the dates of a key that a step changes."""
        dates: dict[str, Any] = {event: self.now}
        if event == "promoted":
            dates = dict.fromkeys(PROMOTION) | dates
        elif event == "retired":
            dates["forced"] = forced
        elif event in {"restored", "resumed"}:
            dates = {"suspended": None}
        self.put_key(key_id, service, event, dates)

    def put_certificate(self, document: Mapping[str, Any], sign: Sign | None) -> dict[str, Any]:
        """Keeps a certificate. Returns it with its place in the chain, which the signature covers, too."""
        assert self._head is not None  # noqa: S101 - for the type checker
        first = self.connection.scalar(sa.select(tables.events.c.digest).where(tables.events.c.number == 1))
        placed = {**document, "ledger": first, "event": self._head.number + 1, "head": self._head.digest}
        if sign:
            placed[SIGNATURE] = sign(placed)
        facts = certified_document(placed)
        number = self._append(CERTIFIED, document.get("service"), document["key"], facts)
        row = {"key_id": document["key"], "written": self.now, "document": placed}
        row |= {"digest": facts["certificate"], "event": number}
        self.connection.execute(tables.certificates.insert().values(row))
        return placed

    def _append(self, event: str, service: str | None, key_id: str, document: dict[str, Any]) -> int:
        who = {"service": service, "key_id": key_id, "by": self._by}
        self._head = self._insert(linked(self._head, self.now, event, document, **who))
        return self._head.number

    def _insert(self, made: EventRecord) -> Head:
        self.connection.execute(tables.events.insert().values(vars(made)))
        return Head(made.number, made.digest)


def chain_at(place: LedgerPlace, wait: Callable[[float], None]) -> tuple[str, Chain]:
    """The name in words, and the chain, of the ledger at *place*. Makes and migrates nothing.

    *wait* sleeps, and raises StoppedError if a stop was requested. Raises UsageError for a url that cannot work, and
    LedgerError.
    """
    access = open_url(place, ATTEMPTS, wait=wait, read_only=True)
    try:
        access.check_version()
        return access.name, access.read(read_chain)
    finally:
        access.close()


def read_chain(connection: sa.Connection) -> Chain:
    """The events, the keys and the certificates as they were at one time."""
    for _ in range(ATTEMPTS):
        before = _head(connection)
        found = Chain(_all(connection, EventRecord, tables.events), *_explained(connection))
        # Another process may have written between the queries, which see what is committed meanwhile.
        if found.head == before == _head(connection):
            break
    return found


def _head(connection: sa.Connection) -> Head | None:
    columns = tables.events.c
    query = sa.select(columns.number, columns.digest).order_by(columns.number.desc()).limit(1)
    last = connection.execute(query).one_or_none()
    return Head(*last) if last else None


def _explained(connection: sa.Connection) -> tuple[list[KeyRecord], list[KeptCertificate]]:
    """The rows that events explain."""
    return _all(connection, KeyRecord, tables.keys), _all(connection, KeptCertificate, tables.certificates)


def _all(connection: sa.Connection, kind: type[T], table: sa.Table) -> list[T]:
    """The rows in the order of their keys, also those that somebody has edited."""
    query = tables.records_of(table).order_by(*table.primary_key)
    return [kind(**row._asdict()) for row in connection.execute(query)]


class FoundKeys:
    """Compares the keys of a service with what the ledger has of them, in one transaction."""

    def __init__(self, connection: sa.Connection, service: str, now: datetime) -> None:
        """Reads the keys of *service*."""
        self._connection, self._service, self._now = connection, service, now
        query = tables.records_of(tables.keys).where(tables.keys.c.service == service)
        self._known = {key.id: key for key in tables.records_in(connection, KeyRecord, query)}

    def dates(self, states: Mapping[str, KeyState]) -> dict[str, Dates]:
        """The dates to record, by id, of keys in these *states* that are new or in a state that is not recorded."""
        dates = {key_id: self._dates(key_id, state) for key_id, state in states.items()}
        return {key_id: found for key_id, found in dates.items() if found or key_id not in self._known}

    def _dates(self, key_id: str, state: KeyState) -> Dates:
        key = self._known.get(key_id)
        # Somebody who stores keys by hand may suspend one by hand, too.
        is_suspended, was_suspended = state is KeyState.SUSPENDED, bool(key and key.suspended)
        found: Dates = {"suspended": self._now if is_suspended else None} if is_suspended != was_suspended else {}
        if state is KeyState.STAGED and not (key and key.staged):
            return found | {"staged": self._now}
        # A key first seen as a previous one was promoted long ago: no date of now would be true.
        if state is KeyState.PRIMARY and (key is None or (key.staged and not key.promotion)):
            return found | self.promotion(key_id)
        return found

    def promotion(self, key_id: str) -> Dates:
        """The bounds of the time at which a key became primary that is primary now."""
        then = [other.promotion.latest for other in self._known.values() if other.id != key_id and other.promotion]
        if key := self._known.get(key_id):
            then.append(key.staged or key.first_seen)
        runs = tables.runs.c
        with_another = runs.service == self._service, runs.primary.not_in([key_id, ""])
        if last := self._connection.scalar(sa.select(sa.func.max(runs.started)).where(*with_another)):
            then.append(last)
        # A later time was written by a clock that is ahead, and bounds nothing.
        after = max((when for when in then if when < self._now), default=None)
        return {"promoted_after": after, "promoted_before": self._now}
