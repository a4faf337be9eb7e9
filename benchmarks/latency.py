"""A service's write latency, alone and during a rotation, on each database.

python -m benchmarks.latency [--rows 100000] [--seconds 15] [sqlite sqlite-wal postgresql mariadb]

The service updates a random row in a transaction of its own, a hundred times a second, and waits for locks as long as
its driver does. The rotation is the real command with its defaults, and starts again with its keys swapped whenever
it is done, so that there is always something to rotate.
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
from itertools import cycle
from pathlib import Path
from threading import Event, Thread

import sqlalchemy as sa

from benchmarks.command import ROOT
from keyring_core import Keyring
from tests.databases import Database, open_database
from tests.keys import key_text

RATE = 100
COLUMNS = ("database", "p50 alone", "p50 beside", "p99 alone", "p99 beside", "p99 ratio", "rotated/s")


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["sqlite", "sqlite-wal", "postgresql", "mariadb"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args(argv)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for kind in given.kinds:
        with (
            tempfile.TemporaryDirectory() as folder,
            open_database(kind.removesuffix("-wal"), Path(folder)) as database,
        ):
            if kind == "sqlite-wal":
                with database.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            fill(database, given.rows)
            alone = writes(database, given.rows, given.seconds)
            over, rotated = Event(), [0]
            rotation = Thread(target=rotate_until, args=(over, database, rotated))
            rotation.start()
            beside = writes(database, given.rows, given.seconds)
            over.set()
            rotation.join()
        print(row(kind, alone, beside, rotated[0] / given.seconds), flush=True)


def fill(database: Database, rows: int) -> None:
    database.make_creds([], kind="VARCHAR(200)")
    tokens = Keyring(key_text("old")).encrypt_many(f"sk-live-{number:032x}" for number in range(rows))
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(tokens)])


def writes(database: Database, rows: int, seconds: float) -> list[float]:
    """How long each write took, in milliseconds."""
    keyring, dice, took = Keyring(key_text("new")), random.Random(1), []
    update = sa.text("UPDATE creds SET token = :token WHERE id = :row")
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


def row(kind: str, alone: list[float], beside: list[float], rate: float) -> str:
    (p50, p99), (busy50, busy99) = quantiles(alone), quantiles(beside)
    cells = (kind, f"{p50:.1f} ms", f"{busy50:.1f} ms", f"{p99:.1f} ms", f"{busy99:.1f} ms", f"{busy99 / p99:.1f}")
    return f"| {' | '.join(cells)} | {rate:,.0f} |"


def quantiles(took: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(took, n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main(sys.argv[1:])
