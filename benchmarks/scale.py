"""`python -m benchmarks.scale`: what each part of a rotation costs a row on PostgreSQL, to multiply with your own rows.

The server has to be on this machine. Times are processor time in microseconds; WAL and growth are in bytes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.creds import fill, make_base
from benchmarks.parts import own_seconds, server_seconds
from benchmarks.run import ROWS, floor
from keyring_core import Keyring
from rotation.model.batch import Batch
from rotation.model.target import Target
from rotation.planning.planner import Planner
from rotation.stores.row_keys import Shard
from rotation.stores.store import Store
from tests.databases import Database, open_database
from tests.keys import key_text

BATCH, RANGE, SHARDS = 5000, 200_000, 64


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, open_database("postgresql", Path(folder)) as database:
        make_base(database, ROWS, 40)
        fill(database, ROWS)
        target = Target(name="creds", url=database.url, table="creds", column="token")
        store = Store(target, read_only=False, sleep=time.sleep)
        shard = Store(target, read_only=True, sleep=time.sleep, shard=Shard(0, SHARDS))
        print(f"{ROWS:,} rows, a row{'client':>52}{'server':>10}")
        _show("reading", lambda: sum(batch.rows for batch in _read(store)))
        _show("cutting ranges", lambda: _cut(store))
        _show(f"one shard of {SHARDS}: finding its rows", lambda: _cut(shard))
        log, size = _log(database), _size(database)
        _show("the swap, the cipher not counted", _swapping(store))
        _tell("WAL", (_log(database) - log) / ROWS)
        _tell("growth of the table and its indexes, until a vacuum", (_size(database) - size) / ROWS)
        watch = store.watch()
        assert watch.name is not None
        _show("the proof", watch.changed)
        fill(database, ROWS)
        _show("an UPDATE that rewrites the same bytes", lambda: floor(database))
        for each in (store, shard):
            each.close()


def _show(part: str, work: Callable[[], object]) -> None:
    before = own_seconds(), server_seconds()
    work()
    client, server = own_seconds() - before[0], server_seconds() - before[1]
    print(f"{part:54}{client / ROWS * 1e6:>10.2f}{server / ROWS * 1e6:>10.2f}", flush=True)


def _tell(part: str, size: float) -> None:
    print(f"{part:54}{'':>10}{size:>10.0f}", flush=True)


def _read(store: Store) -> Iterator[Batch]:
    after = None
    while (batch := store.read(after, None, BATCH)).last:
        yield batch
        after = batch.last


def _cut(store: Store) -> None:
    after = None
    while (after := store.key_after(after, RANGE)) is not None:
        pass


def _swapping(store: Store) -> Callable[[], None]:
    """Writes all rows; it has read and rotated them before."""
    keyring = Keyring(key_text("new"), previous=[key_text("old")])
    plans = [Planner(keyring).plan(batch) for batch in _read(store)]

    def swap() -> None:
        for plan in plans:
            store.write(plan.swaps, plan.blocks)

    return swap


def _log(database: Database) -> int:
    return int(database.rows("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")[0][0])


def _size(database: Database) -> int:
    return int(database.rows("SELECT pg_total_relation_size('creds')")[0][0])


if __name__ == "__main__":
    main()
