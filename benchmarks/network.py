"""A run over a line to its database, rows a second by the round trip; and the round trips of whole commands.

python -m benchmarks.network [--rows 20000] [--seconds 20] [--trips 0,5,20,50,100,150] [postgresql mariadb]

The line is the proxy of the tests, which delays what passes. The run is the real command, and is stopped after so many
seconds. The service beside it writes a random row 25 times a second, without the line, each in a transaction of its
own. How long rows are locked is the share of looks at the database's own view of its transactions in which one of the
run's had written, times the seconds, for each 100 rows: MariaDB renews its view ten times a second only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import sqlalchemy as sa

from benchmarks.command import ROOT, keys_of_run
from benchmarks.goals import Goal, show
from benchmarks.latency import RATE, fill, quantiles
from benchmarks.trips import table as trips_of_commands
from keyring_core import Keyring
from tests.databases import Database, open_database
from tests.keys import key_text
from tests.proxy import through_proxy

PACES = {
    "default, alone": ([], False),
    "default, beside a service": ([], True),
    "--gentle": (["--gentle"], False),
    "--full-speed": (["--full-speed"], False),
}
BESIDE = "default, beside a service"
OWN = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT connection_id()"}
LOCKED = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
    " AND datname = current_database() AND pid <> :service",
    "mariadb": "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist"
    " ON id = trx_mysql_thread_id WHERE trx_rows_locked > 0 AND db = database() AND id <> :service",
}
"""The transactions that have written, but for the service's."""
LOOK_SECONDS = {"postgresql": 0.002, "mariadb": 0.11}
SHARES = {"postgresql": 0.5, "mariadb": 0.4}
"""The least rate at 20 ms, as a share of that at 0 ms."""
FAR = {"postgresql": 400, "mariadb": 300}
"""The least rate at 100 ms, in rows a second."""


class Ran(NamedTuple):
    """What a run did until it was stopped, and what others saw meanwhile."""

    rate: float
    """Rows a second."""
    locked: float
    """Milliseconds for each 100 rows."""
    p99: float | None
    """Of the service's writes, in milliseconds."""


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["postgresql", "mariadb"])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--trips", default="0,5,20,50,100,150", help="milliseconds")
    given = parser.parse_args(argv)
    trips = [float(each) for each in given.trips.split(",")]
    goals = []
    for kind in given.kinds:
        print(f"{kind}, rows a second (milliseconds that 100 rows are locked; p99 of the service's writes)\n")
        print(f"| round trip | {' | '.join(PACES)} |\n|{'---|' * (len(PACES) + 1)}")
        rates = {}
        for trip in trips:
            found = {
                name: ran(kind, trip / 1000, given.rows, given.seconds, options, beside=beside)
                for name, (options, beside) in PACES.items()
            }
            print(f"| {trip:g} ms | {' | '.join(map(cell, found.values()))} |", flush=True)
            rates[trip] = found[BESIDE].rate
        print()
        if {0, 20} <= {*rates}:
            goals.append(
                Goal(f"{BESIDE}, 20 ms against 0 ms ({kind})", rates[20] / rates[0], SHARES[kind], at_least=True)
            )
        if 100 in rates:
            goals.append(
                Goal(f"{BESIDE}, rows a second at 100 ms ({kind})", rates[100], FAR[kind], at_least=True, unit="")
            )
    heads, *lines = (rows := trips_of_commands())[0]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    print("".join(f"| {' | '.join(line)} |\n" for line in lines))
    show([*goals, *rows[1]])


def cell(found: Ran) -> str:
    beside = "" if found.p99 is None else f"; {found.p99:.1f} ms"
    return f"{found.rate:,.0f} ({found.locked:.1f}{beside})"


def ran(  # noqa: PLR0913 - all that is varied
    kind: str, trip: float, rows: int, seconds: float, options: Sequence[str], *, beside: bool
) -> Ran:
    """A run of *options* over a line of that *trip*."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_database(kind, Path(folder)) as database,
        through_proxy(database.url, trip=trip) as proxy,
        ThreadPoolExecutor() as threads,
        database.engine.connect() as service,
    ):
        fill(database, rows)
        over, own = Event(), service.scalar(sa.text(OWN[kind])) or 0
        service.rollback()
        took = threads.submit(writes, service, rows, over) if beside else None
        looks = threads.submit(looks_at, database, own, over)
        try:
            part = stopped_after(proxy.url, seconds, options)
        finally:
            over.set()
        rotated, locked = part["rotated"] or 1, sum(looks.result()) / len(looks.result()) * part["seconds"]
        p99 = quantiles(took.result())[1] if took else None
    return Ran(rotated / part["seconds"], locked * 1000 / rotated * 100, p99)


def stopped_after(url: str, seconds: float, options: Sequence[str]) -> dict[str, Any]:
    """What the run reports on its target; it is stopped after so many *seconds* unless it ends before."""
    command = [sys.executable, str(ROOT / "scripts/rotate.py"), "run", "--json", "--url", url, *options]
    run = subprocess.Popen(
        [*command, "--table", "creds", "--column", "token"], env=os.environ | keys_of_run(), stdout=-1, stderr=-3
    )
    try:
        out, _ = run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        run.terminate()
        out, _ = run.communicate()
    [part] = json.loads(out)["targets"]
    found: dict[str, Any] = part
    return found


def writes(service: sa.Connection, rows: int, over: Event) -> list[float]:
    """How long each write of a service took, in milliseconds."""
    keyring, dice, took = Keyring(key_text("new")), random.Random(0), list[float]()
    update = sa.text("UPDATE creds SET token = :token WHERE id = :row")
    while not over.wait(max(0.0, 1 / RATE - (took[-1] / 1000 if took else 0))):
        values = {"row": dice.randrange(rows), "token": keyring.encrypt("sk-live-new")}
        began = time.monotonic()
        with service.begin():
            service.execute(update, values)
        took.append((time.monotonic() - began) * 1000)
    return took


def looks_at(database: Database, service: int, over: Event) -> list[int]:
    """How many transactions of others than the *service* had written, look after look."""
    found = list[int]()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not over.wait(LOOK_SECONDS[database.kind]):
            found.append(connection.scalar(sa.text(LOCKED[database.kind]), {"service": service}) or 0)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
