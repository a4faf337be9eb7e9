"""The ledger's pages on keys: their dates, who holds them, and the proofs of their retirement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from keyring_core.keys import KeyState
from rotation.ledger import schema as tables
from rotation.ledger.access import LedgerAccess
from rotation.ledger.records import InstanceRecord, KeyRecord

FORGET_INSTANCES = timedelta(days=30)
"""An instance that was not heard of for so long is gone."""

Event = Literal["staged", "promoted", "retired"]


class KeyPages:
    """Part of the ledger. Every method raises LedgerError."""

    _access: LedgerAccess
    _now: Callable[[], datetime]

    def see_keys(self, states: Mapping[str, KeyState], service: str) -> None:
        """Takes down the keys of an environment, by id, where they are new or in a state that they were not seen in.

        A date that stands stays: a key that becomes primary a second time keeps its first promotion, so that a run
        can tell that its tokens would move backwards; `mark` takes down a second one. Writes only what is new.
        """
        now = self._now()
        known = {key.id: key for key in self.keys() if key.service == service}
        new = [
            {"id": key_id, "service": service, "first_seen": now, "forced": False} | _dates(state, now)
            for key_id, state in states.items()
            if key_id not in known
        ]
        moved = {
            key_id: dates
            for key_id, state in states.items()
            if key_id in known and (dates := _missing(known[key_id], _dates(state, now)))
        }
        if not new and not moved:
            return

        def act(connection: sa.Connection) -> None:
            for key_id, dates in moved.items():
                connection.execute(_update_key(key_id, service).values(dates))
            for row in new:
                # Another process may have been faster since we looked.
                if not connection.execute(_update_key(str(row["id"]), service).values(service=service)).rowcount:
                    connection.execute(tables.keys.insert().values(row))

        self._access.write(act)

    def mark(self, key_id: str, event: Event, service: str, *, forced: bool = False) -> None:
        """Takes down that a key was staged, promoted or retired just now."""
        now = self._now()
        values: dict[str, Any] = {event: now}
        if event == "retired":
            values["forced"] = forced

        def act(connection: sa.Connection) -> None:
            if not connection.execute(_update_key(key_id, service).values(values)).rowcount:
                row = {"id": key_id, "service": service, "first_seen": now, "forced": False, **values}
                connection.execute(tables.keys.insert().values(row))

        self._access.write(act)

    def keys(self) -> list[KeyRecord]:
        """All keys that were ever seen, the first seen first."""
        query = sa.select(tables.keys).order_by(tables.keys.c.first_seen, tables.keys.c.id)
        return self._access.read(lambda connection: [KeyRecord(**row._asdict()) for row in connection.execute(query)])

    def keep_certificate(self, document: Mapping[str, Any]) -> None:
        """Keeps the certificate of a retirement; its `key` is the key's id."""
        row = {"key_id": document["key"], "written": self._now(), "document": json.dumps(document)}
        self._access.write(lambda connection: connection.execute(tables.certificates.insert().values(row)))

    def certificates(self) -> list[dict[str, Any]]:
        """All certificates, the last one last."""
        query = sa.select(tables.certificates.c.document).order_by(tables.certificates.c.id)
        return self._access.read(lambda connection: [json.loads(text) for text in connection.scalars(query)])

    def announce(self, record: InstanceRecord) -> None:
        """Takes down which keys an instance holds. One that was not heard of for long is forgotten."""
        mine = (tables.instances.c.service == record.service) & (tables.instances.c.instance == record.instance)
        values = {
            "primary_id": record.primary,
            "staged_id": record.staged,
            "previous_ids": json.dumps(record.previous),
            "seen": record.seen,
        }

        def act(connection: sa.Connection) -> None:
            if not connection.execute(tables.instances.update().where(mine).values(values)).rowcount:
                row = {"service": record.service, "instance": record.instance, **values}
                connection.execute(tables.instances.insert().values(row))
                gone = tables.instances.c.seen < self._now() - FORGET_INSTANCES
                connection.execute(tables.instances.delete().where(gone))

        self._access.write(act)

    def instances(self, within: timedelta) -> list[InstanceRecord]:
        """The instances that were seen within that time; one whose clock is ahead counts, too."""
        query = (
            sa.select(tables.instances)
            .where(tables.instances.c.seen >= self._now() - within)
            .order_by(tables.instances.c.service, tables.instances.c.instance)
        )

        def act(connection: sa.Connection) -> list[InstanceRecord]:
            return [
                InstanceRecord(
                    row.instance,
                    row.service,
                    row.primary_id,
                    row.seen,
                    tuple(json.loads(row.previous_ids)),
                    row.staged_id,
                )
                for row in connection.execute(query)
            ]

        return self._access.read(act)


def _dates(state: KeyState, now: datetime) -> dict[str, datetime]:
    """What is known of a key's dates from seeing it in *state* for the first time."""
    return {KeyState.PRIMARY: {"promoted": now}, KeyState.STAGED: {"staged": now}}.get(state, {})


def _missing(key: KeyRecord, dates: Mapping[str, datetime]) -> dict[str, datetime]:
    """The *dates* that *key* has not. One first seen as a previous key was promoted long ago: no date is true of it."""
    known = key.staged or key.promoted
    return {name: when for name, when in dates.items() if getattr(key, name) is None and (known or name != "promoted")}


def _update_key(key_id: str, service: str) -> sa.Update:
    return tables.keys.update().where(tables.keys.c.id == key_id, tables.keys.c.service == service)
