"""What `keys retire` costs on a PostgreSQL server of its own: alone, and beside ten databases that it has to search."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from benchmarks import accounts
from benchmarks.command import command
from benchmarks.goals import Goal
from tests.chaos.server import own_postgres
from tests.databases import Database, as_admin
from tests.lifecycle.shop import OLDER, Shop, old_token

NEIGHBOURS, TOKENS, TURNS, MOST = 10, 4, 3, 5


def compare(rows: int) -> list[Goal]:
    """Prints the seconds, beside databases of *rows* rows each; returns the goal."""
    # Nobody pulls the plug of this server: nothing has to wait for its disk.
    with own_postgres("fsync=off") as server:
        own = server.database
        own.make_creds([old_token("old") for _ in range(TOKENS)])
        alone = median(_retire(own) for _ in range(TURNS))
        with _neighbours(own, rows) as neighbours:
            _scan(neighbours)
            turns = [(_retire(own), _scan(neighbours)) for _ in range(TURNS)]
    beside, scan = (median(each) for each in zip(*turns, strict=True))
    searched = NEIGHBOURS * rows
    print(f"keys retire, {TOKENS} tokens on a PostgreSQL server; seconds of whole commands, median of {TURNS} turns\n")
    print(f"{'no other database':44}{alone:>10.2f}")
    print(f"{f'{NEIGHBOURS} databases of {rows:,} rows':44}{beside:>10.2f}")
    print(f"{'a LIKE scan of these':44}{scan:>10.2f}")
    print(f"{'rows searched a second':44}{searched / (beside - alone):>10,.0f}\n", flush=True)
    work = f"keys retire, {searched:,} rows of others, against {MOST} LIKE scans and itself alone"
    return [Goal(work, beside, round(alone + MOST * scan, 2), unit="s")]


def _retire(database: Database) -> float:
    """Seconds until the key is retired. Ends the benchmark unless it is."""
    with tempfile.TemporaryDirectory() as folder:
        # A key file with both keys and a ledger that knows none, each time.
        shop = Shop(Path(folder), database)
        options = ["--config", str(shop.config), "--env-file", str(shop.env_file)]
        ran = command("keys", "retire", OLDER.id, "--no-archive", *options)
    if ran.code:
        sys.exit(f"not retired, exit code {ran.code}: {ran.out}")
    return ran.seconds


@contextmanager
def _neighbours(own: Database, rows: int) -> Iterator[list[Database]]:
    """Further databases on the server, each with a table of *rows* rows; they end with the server."""
    server = sa.make_url(own.url)
    first, *others = (f"neighbour_{number}" for number in range(NEIGHBOURS))
    with as_admin(server, [f"CREATE DATABASE {first}"], []):
        pass
    engines = [sa.create_engine(server.set(database=name)) for name in (first, *others)]
    neighbours = [Database(own.kind, str(engine.url), engine) for engine in engines]
    accounts.fill(neighbours[0], rows)
    # A database that somebody is connected to cannot be copied.
    engines[0].dispose()
    try:
        with as_admin(server, [f"CREATE DATABASE {name} TEMPLATE {first}" for name in others], []):
            yield neighbours
    finally:
        for engine in engines:
            engine.dispose()


def _scan(databases: Iterable[Database]) -> float:
    """Seconds for all of them, one after the other."""
    started = time.perf_counter()
    for database in databases:
        accounts.scan(database)
    return time.perf_counter() - started
