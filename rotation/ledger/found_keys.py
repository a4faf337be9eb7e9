"""Keys as they are found in an environment: the dates to record of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import sqlalchemy as sa

from keyring_core.keys import KeyState
from rotation.ledger import schema as tables
from rotation.ledger.records import KeyRecord, records

Dates: TypeAlias = "dict[str, datetime | None]"

PROMOTION = ("promoted", "promoted_after", "promoted_before")
"""The columns that hold a promotion: one date, or the two bounds of a span."""


def promotions() -> sa.Select[Any]:
    """Selects all keys, each with the number of the event of its last promotion.

    The events are in the order in which they happened, whatever the clocks said meanwhile.
    """
    events = tables.events.c
    # The text of a document: an event of a key that was found has a promotion, or another state.
    sets = sa.type_coerce(events.document, sa.Text)
    has_promotion = sa.or_(*(sets.like(f'%"{column}": "%') for column in ("promoted", "promoted_before")))
    number = sa.func.max(events.number).label("promoted_in")
    last = sa.select(events.service, events.key_id, number).where(has_promotion)
    found = last.group_by(events.service, events.key_id).subquery()
    own = sa.and_(found.c.service == tables.keys.c.service, found.c.key_id == tables.keys.c.id)
    return tables.records_of(tables.keys).add_columns(found.c.promoted_in).outerjoin(found, own)


class FoundKeys:
    """Compares the keys of a service with what the ledger has of them, in one transaction."""

    def __init__(self, connection: sa.Connection, service: str, now: datetime) -> None:
        """Reads the keys of *service*."""
        self._connection, self._service, self._now = connection, service, now
        query = tables.records_of(tables.keys).where(tables.keys.c.service == service)
        rows = (row._asdict() for row in connection.execute(query))
        self._known = {key.id: key for key in records(KeyRecord, rows)}

    def dates(self, states: Mapping[str, KeyState]) -> dict[str, Dates]:
        """The dates to record, by id, of keys in these *states* that are new or in a state that is not recorded."""
        dates = {key_id: self._dates(key_id, state) for key_id, state in states.items()}
        return {key_id: found for key_id, found in dates.items() if found or key_id not in self._known}

    def as_newest(self, key_id: str) -> Dates:
        """The dates of a primary key that counts as promoted after all others."""
        return {**dict.fromkeys(PROMOTION), **self._promotion(key_id)}

    def _dates(self, key_id: str, state: KeyState) -> Dates:
        key = self._known.get(key_id)
        # Somebody who stores keys by hand may suspend one by hand, too.
        is_suspended, was_suspended = state is KeyState.SUSPENDED, bool(key and key.suspended)
        found: Dates = {"suspended": self._now if is_suspended else None} if is_suspended != was_suspended else {}
        if state is KeyState.STAGED and not (key and key.staged):
            return found | {"staged": self._now}
        # A key first seen as a previous one was promoted long ago: no date of now would be true.
        if state is KeyState.PRIMARY and (key is None or (key.staged and not key.promotion)):
            return found | self._promotion(key_id)
        return found

    def _promotion(self, key_id: str) -> Dates:
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
