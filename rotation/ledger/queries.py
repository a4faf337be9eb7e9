"""The statements that read keys, services and runs from the ledger's tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from rotation.ledger import schema as tables
from rotation.ledger.records import LIVE, InstanceRecord, KeyRecord, RunRecord
from rotation.model.key_use import ReadRecord

TO_THEIR_END = ("complete", "left")
"""The outcomes of runs that finished, including the ones that left rows behind."""


def all_keys() -> sa.Select[Any]:
    """All keys, the oldest record first, each with the number of the event of its last promotion.

    The events are in the order in which they happened, whatever the clocks said meanwhile.
    """
    keys, events = tables.keys.c, tables.events.c
    # The text of a document: an event of a key that was found has a promotion, or another state.
    sets = sa.type_coerce(events.document, sa.Text)
    has_promotion = sa.or_(*(sets.like(f'%"{column}": "%') for column in ("promoted", "promoted_before")))
    number = sa.func.max(events.number).label("promoted_in")
    last = sa.select(events.service, events.key_id, number).where(has_promotion)
    found = last.group_by(events.service, events.key_id).subquery()
    own = sa.and_(found.c.service == keys.service, found.c.key_id == keys.id)
    query = tables.records_of(tables.keys).add_columns(found.c.promoted_in).outerjoin(found, own)
    return query.order_by(keys.first_seen, keys.id)


def instances(since: datetime) -> sa.Select[Any]:
    """The instances that announced themselves since then, or at a later time if their clock is ahead."""
    query = tables.records_of(tables.instances).where(tables.instances.c.seen >= since)
    return query.order_by(*tables.instances.primary_key)


def reads(since: datetime | None = None) -> sa.Select[Any]:
    """The reads of all instances, or only what was announced since then."""
    query = tables.records_of(tables.reads).order_by(*tables.reads.primary_key)
    return query if since is None else query.where(tables.reads.c.seen >= since)


def runs(limit: int, command: str | None = None, service: str | None = None) -> sa.Select[Any]:
    """The last runs, of one *command* and *service* or of all, the newest first."""
    query = tables.records_of(tables.runs).order_by(tables.runs.c.id.desc()).limit(limit)
    if command is not None:
        query = query.where(tables.runs.c.command == command)
    return query if service is None else query.where(tables.runs.c.service == service)


class Uses(NamedTuple):
    """What the ledger knows of the use of keys."""

    now: datetime
    """Its time."""
    run: RunRecord | None
    """The last complete run of one service under one primary key."""
    instances: Sequence[InstanceRecord]
    """The running ones."""
    reads: Sequence[ReadRecord]
    keys: Sequence[KeyRecord]


def uses(connection: sa.Connection, service: str, primary: str, now: datetime) -> Uses:
    """What is known of the use of keys; the complete run is one of *service* under the key *primary*."""
    columns = tables.runs.c
    # Of all targets, and it left every token under that key.
    complete = columns.outcome == "complete", columns.whole == sa.true(), columns.primary == primary
    run = tables.records_in(connection, RunRecord, runs(1, "run", service).where(*complete))
    return Uses(
        now,
        run[0] if run else None,
        tables.records_in(connection, InstanceRecord, instances(now - LIVE)),
        tables.records_in(connection, ReadRecord, reads()),
        tables.records_in(connection, KeyRecord, all_keys()),
    )


def last_runs(connection: sa.Connection, limit: int, service: str, command: str | None) -> list[RunRecord]:
    """The last runs, the newest first, with the last ended and the last finished run of each command."""
    columns = tables.runs.c
    of_service = sa.and_(columns.service == service, *([columns.command == command] if command else []))
    recent = tables.records_in(connection, RunRecord, runs(limit, command, service))
    last: set[int] = set()
    for ended in columns.outcome.is_not(None), columns.outcome.in_(TO_THEIR_END):
        query = sa.select(sa.func.max(columns.id)).where(of_service, ended).group_by(columns.command)
        last |= {*connection.scalars(query)}
    missing = columns.id.in_(last - {run.id for run in recent})
    older = tables.records_of(tables.runs).where(missing).order_by(columns.id.desc())
    return recent + tables.records_in(connection, RunRecord, older)
