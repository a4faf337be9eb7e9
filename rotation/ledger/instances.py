"""What running services announce: their keys, and their reads with each. Each function works in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import sqlalchemy as sa

from rotation.ledger import schema as tables
from rotation.ledger.database import put
from rotation.ledger.records import InstanceRecord, ReadRecord

FORGET_INSTANCES = timedelta(days=30)
"""An instance that has not announced itself for so long is deleted."""
FORGET_READS = timedelta(days=400)
"""A row of reads that was not announced again for so long is deleted."""


def write_instance(
    connection: sa.Connection, record: InstanceRecord, reads: Sequence[ReadRecord], now: datetime
) -> None:
    """Records an instance and its *reads* that are not zero; deletes what is long over."""
    values = asdict(record)
    key = {name: values.pop(name) for name in ("service", "instance")}
    put(connection, tables.instances, key, values)
    _put_reads(connection, reads)
    for table, time in (tables.instances, FORGET_INSTANCES), (tables.reads, FORGET_READS):
        over = table.c.seen < now - time
        # On MariaDB a delete that finds nothing locks every row all the same, and two services wait for each other.
        if connection.scalar(sa.select(sa.literal(1)).select_from(table).where(over).limit(1)):
            connection.execute(table.delete().where(over))


def _put_reads(connection: sa.Connection, reads: Sequence[ReadRecord]) -> None:
    for each in reads:
        if each.opened or each.refused:
            _put(connection, each)


def _put(connection: sa.Connection, record: ReadRecord) -> None:
    """Records *record*; of each time the later one stays, since a process of the same name may have begun again."""
    values = asdict(record)
    key = {name: values.pop(name) for name in ("service", "instance", "key_id")}
    columns = tables.reads.c
    last = sa.select(columns.last_opened, columns.last_refused)
    known = connection.execute(last.where(*(columns[name] == value for name, value in key.items()))).one_or_none()
    for name, when in known._asdict().items() if known else ():
        values[name] = max((each for each in (when, values[name]) if each), default=None)
    put(connection, tables.reads, key, values)


def delete_instance(connection: sa.Connection, record: InstanceRecord, reads: Sequence[ReadRecord]) -> None:
    """Deletes *record* and its reads with the primary key, unless another process has its name since.

    Records its last *reads* with the other keys.
    """
    columns, of_keys = tables.instances.c, tables.reads.c
    own = [getattr(columns, name) == getattr(record, name) for name in ("service", "instance", "seen")]
    if connection.execute(tables.instances.delete().where(*own)).rowcount:
        place = of_keys.service == record.service, of_keys.instance == record.instance
        connection.execute(tables.reads.delete().where(*place, of_keys.key_id == record.primary))
        _put_reads(connection, [each for each in reads if each.key_id != record.primary])
