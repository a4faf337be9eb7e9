"""What running services announce: their keys, and their reads with each. Each function works in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa

from rotation.ledger import schema as tables
from rotation.ledger.records import InstanceRecord
from rotation.model.key_use import ReadRecord

T = TypeVar("T", InstanceRecord, ReadRecord)

FORGET_INSTANCES = timedelta(days=30)
"""An instance that has not announced itself for so long is deleted."""
FORGET_READS = timedelta(days=400)
"""A row of reads that was not announced again for so long is deleted."""
ENDED = "a process that ended"
"""In the place of the instance, for the reads with what was its primary key: every process has such reads, and their
rows would become very many. They have to stay, since that key may be a previous one everywhere else."""


def write_instance(
    connection: sa.Connection, record: InstanceRecord, reads: Sequence[ReadRecord], ahead: int | None, now: datetime
) -> InstanceRecord:
    """Records an instance and its *reads* that are not zero. A new instance deletes what is long over.

    Its clock is as many seconds *ahead* as is said. Returns the record as it was written, with times that are right.
    """
    written = replace(put_right(record, ahead), ahead=ahead)
    values = asdict(written)
    key = {name: values.pop(name) for name in ("service", "instance")}
    values["seen_before"] = written.seen_before or tables.instances.c.seen
    is_new = tables.upsert(connection, tables.instances, key, values, seen_before=written.seen_before)
    _put_reads(connection, [put_right(each, ahead) for each in reads])
    for table, time in ((tables.instances, FORGET_INSTANCES), (tables.reads, FORGET_READS)) if is_new else ():
        over = table.c.seen < now - time
        # On MariaDB a delete that finds nothing locks every row all the same, and two services wait for each other.
        if connection.scalar(sa.select(sa.literal(1)).select_from(table).where(over).limit(1)):
            connection.execute(table.delete().where(over))
    return written


def put_right(record: T, ahead: int | None) -> T:
    """*record* with the times of the server's clock, of one that is as many seconds *ahead*."""
    if ahead is None:
        return record
    wrong = {name: when for name in _TIMES if (when := getattr(record, name, None))}
    return replace(record, **{name: when - timedelta(seconds=ahead) for name, when in wrong.items()})


_TIMES = ("seen", "seen_before", "last_opened", "last_refused")
_TIMED = [(table, [table.c[name] for name in _TIMES if name in table.c]) for table in (tables.instances, tables.reads)]
"""Each table with the times of services, and these."""


def settle(connection: sa.Connection, now: datetime, latest: datetime) -> None:
    """Sets to *now* each time that is later than *latest*: a clock that was ahead wrote it, and it would count on."""
    for table, times in _TIMED:
        for column in times:
            connection.execute(table.update().where(column > latest).values({column.key: now}))


def later_than(connection: sa.Connection, latest: datetime) -> list[tuple[str, str, datetime]]:
    """Service, instance and time of what is later than *latest*."""
    found = []
    for table, times in _TIMED:
        query = sa.select(table.c.service, table.c.instance, *times).where(sa.or_(*(each > latest for each in times)))
        found += [(*row[:2], max(filter(None, row[2:]))) for row in connection.execute(query)]
    return found


def _put_reads(connection: sa.Connection, reads: Sequence[ReadRecord]) -> None:
    for each in reads:
        if each.opened or each.refused:
            _put(connection, each)


def _put(connection: sa.Connection, record: ReadRecord) -> None:
    """Records *record*; of each time the later one stays, since a process of the same name may have begun again.

    The database compares them: two processes may write the same row at once.
    """
    values, columns = asdict(record), tables.reads.c
    key = {name: values.pop(name) for name in ("service", "instance", "key_id")}
    times = {name: values[name] for name in ("last_opened", "last_refused")}
    latest = {name: _later(columns[name], when) for name, when in times.items()}
    tables.upsert(connection, tables.reads, key, values | latest, **times)


def _later(column: sa.Column[datetime], when: datetime | None) -> sa.ColumnElement[datetime]:
    return column if when is None else sa.case((column > when, column), else_=sa.literal(when, column.type))


def delete_instance(connection: sa.Connection, record: InstanceRecord, reads: Sequence[ReadRecord]) -> bool:
    """Records the last *reads* of an instance, and deletes *record*, unless another process has its name since.

    Returns whether it was deleted.
    """
    columns = tables.instances.c
    own = [getattr(columns, name) == getattr(record, name) for name in ("service", "instance", "seen")]
    _put_reads(connection, reads)
    return connection.execute(tables.instances.delete().where(*own)).rowcount > 0


def reads_with_primary(connection: sa.Connection, record: InstanceRecord) -> ReadRecord | None:
    """The reads of *record* with its primary key."""
    columns = tables.reads.c
    own = columns.service == record.service, columns.instance == record.instance, columns.key_id == record.primary
    return next(iter(tables.records_in(connection, ReadRecord, tables.records_of(tables.reads).where(*own))), None)


def put_together(connection: sa.Connection, record: ReadRecord) -> None:
    """Moves *record* to the row of ENDED."""
    columns = tables.reads.c
    _put(connection, replace(record, instance=ENDED))
    own = [columns[name] == getattr(record, name) for name in ("service", "instance", "key_id")]
    connection.execute(tables.reads.delete().where(*own))
