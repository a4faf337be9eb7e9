"""The write latency of services, alone and during a rotation, on each database.

python -m benchmarks.latency [--rows 100000] [--seconds 8] [--turns 3] [sqlite sqlite-wal postgresql mariadb]

Four services each update a random row in a transaction of its own, 25 times a second, and wait for locks as long as
their driver does. The rotation is the real command with its defaults, and starts again with its keys swapped whenever
it is done, so that there is always something to rotate. A row of the table is the median of the turns, but for the
worst single wait, which is that of all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import sqlalchemy as sa

from benchmarks.command import ROOT
from benchmarks.goals import Goal, show
from keyring_core import Keyring
from tests.databases import Database, open_database
from tests.keys import key_text

SERVICES, RATE = 4, 25
COLUMNS = ("database", "p50 alone", "p50 beside", "p99 alone", "p99 beside", "p99 ratio", "worst wait", "rotated/s")
MOST = {"sqlite": 1.5, "sqlite-wal": 2.0, "postgresql": 1.5, "mariadb": 1.5}


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["sqlite", "sqlite-wal", "postgresql", "mariadb"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args(argv)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    goals = []
    for kind in given.kinds:
        turns = [turn(kind, given.rows, given.seconds) for _ in range(given.turns)]
        cells, ratio = row(kind, turns)
        print(f"| {' | '.join(cells)} |", flush=True)
        goals.append(Goal(f"p99 of {SERVICES} services beside a run, against alone ({kind})", ratio, MOST[kind]))
    print()
    show(goals)


class Turn(NamedTuple):
    """What services waited for their writes, in milliseconds, and what was rotated meanwhile."""

    alone: list[float]
    beside: list[float]
    rotated_a_second: float


def turn(kind: str, rows: int, seconds: float) -> Turn:
    with tempfile.TemporaryDirectory() as folder, open_database(kind.removesuffix("-wal"), Path(folder)) as database:
        if kind == "sqlite-wal":
            with database.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        fill(database, rows)
        alone = writes(database, rows, seconds)
        over, rotated = Event(), [0]
        rotation = Thread(target=rotate_until, args=(over, database, rotated))
        rotation.start()
        beside = writes(database, rows, seconds)
        over.set()
        rotation.join()
    return Turn(alone, beside, rotated[0] / seconds)


def fill(database: Database, rows: int) -> None:
    database.make_creds([], kind="VARCHAR(200)")
    tokens = Keyring(key_text("old")).encrypt_many(f"sk-live-{number:032x}" for number in range(rows))
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(tokens)])


def writes(database: Database, rows: int, seconds: float) -> list[float]:
    """How long each write of all services took, in milliseconds."""
    with ThreadPoolExecutor(SERVICES) as services:
        took = services.map(lambda seed: _writes_of_one(database, rows, seconds, seed), range(SERVICES))
        return [each for of_one in took for each in of_one]


def _writes_of_one(database: Database, rows: int, seconds: float, seed: int) -> list[float]:
    keyring, dice, took = Keyring(key_text("new")), random.Random(seed), []
    update = sa.text("UPDATE creds SET token = :token WHERE id = :row")
    time.sleep(seed / RATE / SERVICES)
    start = time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        values = {"row": dice.randrange(rows), "token": keyring.encrypt("sk-live-new")}
        with database.engine.begin() as connection:
            connection.execute(update, values)
        took.append((time.monotonic() - now) * 1000)
        time.sleep(max(0.0, 1 / RATE - took[-1] / 1000))
    return took


def rotate_until(over: Event, database: Database, rotated: list[int]) -> None:
    """Rotates to one key and back, again and again. The last run is asked to stop."""
    command = [sys.executable, str(ROOT / "scripts/rotate.py"), "run", "--json"]
    target = ["--url", database.url, "--table", "creds", "--column", "token"]
    for primary, previous in cycle([("new", "old"), ("old", "new")]):
        keys = {"ENCRYPTION_KEY": key_text(primary), "ENCRYPTION_PREVIOUS_KEYS": key_text(previous)}
        run = subprocess.Popen([*command, *target], env=os.environ | keys, stdout=-1, stderr=subprocess.DEVNULL)
        while run.poll() is None:
            if over.wait(0.05):
                run.terminate()
                run.wait()
        assert run.stdout is not None
        document = json.loads(run.stdout.read() or "{}")
        rotated[0] += sum(part["rotated"] for part in document.get("targets", []))
        if over.is_set():
            return


def row(kind: str, turns: list[Turn]) -> tuple[tuple[str, ...], float]:
    """The cells of a row of the table, and the ratio of the p99."""
    both = [(*quantiles(each.alone), *quantiles(each.beside)) for each in turns]
    p50, p99, busy50, busy99 = (statistics.median(values) for values in zip(*both, strict=True))
    ratio = statistics.median(busy / calm for _, calm, _, busy in both)
    worst = max(max(each.beside) for each in turns)
    rate = statistics.median(each.rotated_a_second for each in turns)
    times = tuple(f"{value:.1f} ms" for value in (p50, busy50, p99, busy99))
    return (kind, *times, f"{ratio:.1f}", f"{worst:.0f} ms", f"{rate:,.0f}"), ratio


def quantiles(took: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(took, n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main(sys.argv[1:])
