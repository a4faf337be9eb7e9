"""The round trips of whole commands to a server: 1,000 tokens, and many more tables without any, with a few rows each.

Each is counted by a proxy: how often a command has waited for an answer before it sent something.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.command import command
from benchmarks.goals import Goal, show
from keyring_core import Keyring
from tests.chaos.server import own_postgres
from tests.databases import Database, open_database
from tests.lifecycle.shop import ASKING, OLDER, Shop
from tests.proxy import Proxy, through_proxy

TOKENS, TABLES, TRIP = 1000, 100, 0.002
BESIDE = 60
"""Trips for all else than tables."""
A_TABLE = {
    "postgresql": {"discover": 2, "check": 2, "keys retire": 4},
    "mariadb": {"discover": 4, "check": 4, "keys retire": 8},
}
"""Trips for a table; none are set for a run, which reads those of its targets alone."""
HEADS = ("database", "command", "tables", "trips", "at most")


class Cost(NamedTuple):
    """The round trips of a command."""

    kind: str
    command: str
    trips: int

    @property
    def most(self) -> int | None:
        """The most that it may take; None: there is no aim."""
        a_table = A_TABLE[self.kind].get(self.command)
        return None if a_table is None else a_table * (TABLES + 1) + BESIDE

    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        return self.kind, self.command, str(TABLES + 1), str(self.trips), str(self.most or "")


def table() -> tuple[list[tuple[str, ...]], list[Goal]]:
    """The HEADS and a row for each command on each server; and the goals."""
    costs = [cost for kind in A_TABLE for cost in _costs(kind)]
    words = f"{TABLES} more tables"
    goals = [
        Goal(f"{cost.command}, {words}, {cost.kind}", cost.trips, cost.most, unit="round trips")
        for cost in costs
        if cost.most
    ]
    return [HEADS, *(cost.row() for cost in costs)], goals


def _costs(kind: str) -> Iterator[Cost]:
    with tempfile.TemporaryDirectory() as folder, _database(kind, Path(folder)) as database:
        for number in range(TABLES):
            database.execute(
                f"CREATE TABLE further{number} (id INTEGER PRIMARY KEY, note VARCHAR(200), body TEXT)",
                f"INSERT INTO further{number} VALUES (1, 'a note', 'a body'), (2, 'another', NULL)",
            )
        with through_proxy(database.url, trip=TRIP) as proxy:
            shop = Shop(Path(folder), replace(database, url=proxy.url))
            shop.fill(Keyring(OLDER).encrypt_many(f"secret {number}" for number in range(TOKENS)))
            for name, argv in ASKING.items():
                yield Cost(kind, name, _trips(proxy, shop, argv))


def _trips(proxy: Proxy, shop: Shop, argv: tuple[str, ...]) -> int:
    """The round trips of a command. Ends the benchmark if it fails."""
    before = proxy.trips
    ran = command(*argv, "--config", str(shop.config), "--env-file", str(shop.env_file))
    if ran.code not in {0, 1}:
        sys.exit(f"{' '.join(argv)}: exit code {ran.code}: {ran.out}")
    return proxy.trips - before


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[Database]:
    """One on a server; on PostgreSQL of its own: a retirement enters the other databases, and each takes trips."""
    if kind == "postgresql":
        with own_postgres("fsync=off") as server:
            yield server.database
    else:
        with open_database(kind, folder) as database:
            yield database


if __name__ == "__main__":
    found, aims = table()
    for line in found:
        print("".join(f"{cell:>14}" for cell in line))
    print()
    show(aims)
