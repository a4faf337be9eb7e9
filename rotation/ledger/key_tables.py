"""The ledger's tables of keys: their dates, the instances that hold them, and certificates of retirement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from keyring_core.keys import KeyState
from rotation.ledger import schema as tables
from rotation.ledger.database import LedgerAccess, put
from rotation.ledger.records import InstanceRecord, KeyRecord

FORGET_INSTANCES = timedelta(days=30)
"""An instance that has not announced itself for so long is deleted."""

Event = Literal["staged", "promoted", "retired"]

_PROMOTION = ("promoted", "promoted_after", "promoted_before")
"""The columns that hold a promotion: one date, or the two bounds of a span."""


class KeyTables:
    """The part of a ledger that is about keys. Every method raises LedgerError."""

    _access: LedgerAccess
    _now: Callable[[], datetime]

    def see_keys(self, states: Mapping[str, KeyState], service: str) -> None:
        """Records the keys of an environment, by id, if they are new or in a state that was not recorded yet.

        A key that is found primary became so earlier: the ledger records the bounds of that time, as far as it knows.
        A date that is recorded stays. A key that becomes primary a second time keeps its first promotion, so that a run
        recognizes that its tokens would move backwards; only `mark` records the second one.
        """
        now = self._now()
        known = {key.id: key for key in self.keys() if key.service == service}
        dates = {
            key_id: found
            for key_id, state in states.items()
            if (found := self._found(key_id, state, known, service, now)) or key_id not in known
        }
        if not dates:
            return

        def act(connection: sa.Connection) -> None:
            for key_id, found in dates.items():
                key = {"id": key_id, "service": service}
                # Another process may have inserted a new key meanwhile: then its dates stay.
                put(connection, tables.keys, key, found if key_id in known else key, **_new(now), **found)

        self._access.write(act)

    def mark(self, key_id: str, event: Event, service: str, *, forced: bool = False) -> None:
        """Records that a key was staged, promoted or retired just now."""
        now = self._now()
        values: dict[str, Any] = {event: now}
        if event == "retired":
            values["forced"] = forced
        if event == "promoted":
            values = dict.fromkeys(_PROMOTION) | values
        self._put(key_id, service, values, now)

    def mark_newest(self, key_id: str, service: str) -> None:
        """Records that a key that was found primary counts as promoted after all others, as an operator decided."""
        now = self._now()
        known = {key.id: key for key in self.keys() if key.service == service}
        found = self._found_primary(key_id, known, service, now)
        self._put(key_id, service, dict.fromkeys(_PROMOTION) | found, now)

    def _put(self, key_id: str, service: str, values: Mapping[str, Any], now: datetime) -> None:
        key = {"id": key_id, "service": service}
        self._access.write(lambda connection: put(connection, tables.keys, key, values, **_new(now)))

    def keys(self) -> list[KeyRecord]:
        """All keys that were ever recorded, the oldest record first."""
        query = sa.select(tables.keys).order_by(tables.keys.c.first_seen, tables.keys.c.id)
        return self._access.read(lambda connection: [KeyRecord(**row._asdict()) for row in connection.execute(query)])

    def keep_certificate(self, document: Mapping[str, Any]) -> None:
        """Keeps the certificate of a retirement; its `key` is the key's id."""
        row = {"key_id": document["key"], "written": self._now(), "document": document}
        self._access.write(lambda connection: connection.execute(tables.certificates.insert().values(row)))

    def certificates(self) -> list[dict[str, Any]]:
        """All certificates, the oldest first."""
        query = sa.select(tables.certificates.c.document).order_by(tables.certificates.c.id)
        documents = self._access.read(lambda connection: list(connection.scalars(query)))
        return self._access.parsed(documents, lambda document: {**document}, "a certificate")

    def announce(self, record: InstanceRecord) -> None:
        """Records which keys an instance holds, and deletes instances that are long gone."""
        values = asdict(record)
        key = {name: values.pop(name) for name in ("service", "instance")}
        gone = tables.instances.delete().where(tables.instances.c.seen < self._now() - FORGET_INSTANCES)

        def act(connection: sa.Connection) -> None:
            put(connection, tables.instances, key, values)
            connection.execute(gone)

        self._access.write(act)

    def withdraw(self, record: InstanceRecord) -> None:
        """Deletes *record* of an instance that ends, unless another process has announced itself by that name since.

        It starts no thread, since Python starts none while it ends.
        """
        columns = tables.instances.c
        own = [getattr(columns, name) == getattr(record, name) for name in ("service", "instance", "seen")]
        gone = tables.instances.delete().where(*own)
        self._access.unwatched().write(lambda connection: connection.execute(gone))

    def instances(self, within: timedelta) -> list[InstanceRecord]:
        """The instances that announced themselves within that time, or at a later one if their clock is ahead."""
        seen = tables.instances.c.seen >= self._now() - within
        query = tables.records_of(tables.instances).where(seen).order_by(*tables.instances.primary_key)

        def act(connection: sa.Connection) -> list[InstanceRecord]:
            rows = [row._asdict() for row in connection.execute(query)]
            return [InstanceRecord(**row | {"previous": tuple(row["previous"])}) for row in rows]

        return self._access.read(act)

    def _found(
        self, key_id: str, state: KeyState, known: Mapping[str, KeyRecord], service: str, now: datetime
    ) -> dict[str, datetime | None]:
        """The dates to record for a key that is found in *state*."""
        key = known.get(key_id)
        if state is KeyState.STAGED and not (key and key.staged):
            return {"staged": now}
        # A key first seen as a previous one was promoted long ago: no date of now would be true.
        if state is KeyState.PRIMARY and (key is None or (key.staged and not key.promotion)):
            return self._found_primary(key_id, known, service, now)
        return {}

    def _found_primary(
        self, key_id: str, known: Mapping[str, KeyRecord], service: str, now: datetime
    ) -> dict[str, datetime | None]:
        """The bounds of the time at which a key became primary that is primary *now*."""
        then = [other.promotion.latest for other in known.values() if other.id != key_id and other.promotion]
        if key := known.get(key_id):
            then.append(key.staged or key.first_seen)
        if last := self._last_run_with_another(key_id, service):
            then.append(last)
        # A later time was written by a clock that is ahead, and bounds nothing.
        after = max((when for when in then if when < now), default=None)
        return {"promoted_after": after, "promoted_before": now}

    def _last_run_with_another(self, key_id: str, service: str) -> datetime | None:
        """When the last run of *service* with another primary key began."""
        runs = tables.runs.c
        query = sa.select(sa.func.max(runs.started)).where(runs.service == service, runs.primary.not_in([key_id, ""]))

        def act(connection: sa.Connection) -> datetime | None:
            last: datetime | None = connection.scalar(query)
            return last

        return self._access.read(act)


def _new(now: datetime) -> dict[str, Any]:
    return {"first_seen": now, "forced": False}
