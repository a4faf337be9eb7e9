"""`python -m benchmarks.growth`: how time and memory of `run --full-speed` grow with rows, workers, tokens, keys.

Writes what it measured to docs/explanation/performance/growth.json, from which benchmarks.plots draws.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.command import ROOT, Ran, rotate
from benchmarks.creds import fill, make_base, wrong_rows
from benchmarks.goals import Goal, show
from tests.databases import KINDS, Database, open_database

RESULTS = ROOT / "docs" / "explanation" / "performance" / "growth.json"
MOST_ROWS = 10_000_000
WORKERS = (1, 2, 3, 4)
SECRETS = (20, 40, 100, 400, 1000, 4000, 10_000)
KEYS = (2, 3, 5, 10, 20, 50)

Points = list[dict[str, Any]]


def measure(most_rows: int = MOST_ROWS) -> dict[str, Points]:
    """All four curves, as lists of points."""
    return {
        "rows": list(_by_rows(most_rows)),
        "workers": list(_by_workers(most_rows // 20)),
        "secret": list(_by_secret(most_rows // 50)),
        "keys": list(_by_keys(most_rows // 50)),
    }


def _by_rows(most: int) -> Iterator[dict[str, Any]]:
    for kind in ("sqlite", "postgresql"):
        with _database(kind) as database:
            make_base(database, most, 40)
            for rows in (most // 1000, most // 100, most // 10, most):
                fill(database, rows)
                yield _point(kind, "rows", rows, rows, _sound(database, rotate(database, "--full-speed")))


def _by_workers(rows: int) -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        with _database(kind) as database:
            make_base(database, rows, 40)
            for workers in WORKERS:
                fill(database, rows)
                ran = _sound(database, rotate(database, "--full-speed", "--workers", str(workers)))
                yield _point(kind, "workers", workers, rows, ran)


def _by_secret(most: int) -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        with _database(kind) as database:
            for secret in SECRETS:
                rows = min(most, most * 400 // secret)
                make_base(database, rows, secret)
                fill(database, rows)
                ran = _sound(database, rotate(database, "--full-speed", "--workers", "1"), secret)
                yield _point(kind, "secret", secret, rows, ran)


def _by_keys(rows: int) -> Iterator[dict[str, Any]]:
    with _database("sqlite") as database:
        make_base(database, rows, 40)
        for keys in KEYS:
            fill(database, rows)
            previous = [*(f"unused {number}" for number in range(keys - 2)), "old"]
            ran = _sound(database, rotate(database, "--full-speed", "--workers", "1", previous=previous))
            yield _point("sqlite", "keys", keys, rows, ran)


@contextmanager
def _database(kind: str) -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
        yield database


def _sound(database: Database, ran: Ran, secret: int = 40) -> Ran:
    assert wrong_rows(database, secret) == 0
    return ran


def _point(kind: str, name: str, value: int, rows: int, ran: Ran) -> dict[str, Any]:
    micros = ran.seconds / rows * 1e6
    print(f"{kind:12}{name:>10}{value:>12,}{rows:>14,}{ran.seconds:>10.2f}{micros:>12.2f}{ran.peak:>10.1f}", flush=True)
    return {"database": kind, name: value, "of": rows, "seconds": round(ran.seconds, 3), "peak": round(ran.peak, 1)}


def goals_of(curve: Points) -> list[Goal]:
    """The aims for memory and time as rows grow."""
    goals = []
    for kind in dict.fromkeys(point["database"] for point in curve):
        some, most = [point for point in curve if point["database"] == kind][-2:]
        size = f"{most['rows']:,} rows, {kind}"
        goals += [
            # A smaller table does not fill a batch of every thread.
            Goal(f"memory, {size}, against {some['rows']:,}", most["peak"] / some["peak"], 1.1),
            Goal(f"memory, {size}, the largest process", most["peak"], 150, unit="MB"),
            Goal(f"time, {size}, against {some['rows']:,}", most["seconds"] / some["seconds"], 10.5),
        ]
    return goals


def compare(most_rows: int = MOST_ROWS) -> list[Goal]:
    """Prints and saves every point; returns the goals."""
    print(f"{'database':12}{'grows':>10}{'to':>12}{'rows':>14}{'seconds':>10}{'us a row':>12}{'peak MB':>10}")
    curves = measure(most_rows)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(curves, indent=1) + "\n")
    print()
    return goals_of(curves["rows"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most-rows", type=int, default=MOST_ROWS)
    show(compare(parser.parse_args().most_rows))


if __name__ == "__main__":
    main()
