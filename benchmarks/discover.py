"""`python -m benchmarks.discover`: what a search costs, by sample and in full, beside a LIKE scan and a census.

Needs the servers of the tests, on this machine; `--only sqlite` needs none. A search that starts on an empty table is
measured in each turn, and "the search alone" is the command without that time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import accounts, retirement
from benchmarks.command import Ran, command
from benchmarks.creds import fill, make_base
from benchmarks.goals import Goal, measure
from benchmarks.parts import own_seconds, server_seconds
from tests.databases import KINDS, Database, open_database
from tests.keys import key_text

ROWS, SECRET = 1_000_000, 40
ROWS_A_TABLE, ROWS_A_NEIGHBOUR = 200, 10
"""So many rows of the first part for each empty table, and for each row of a neighbour of the retirement."""
TURNS = 3
AGAINST_LIKE, AGAINST_CENSUS, SECONDS_OF_TABLES = 5, 3, 10
SERVERS = {"postgresql": "postgres", "mariadb": "mariadbd"}
TABLES_AT_ONCE = 250
# Otherwise the databases of others on the server of the tests would be searched, too.
CONFIG = '[policy.unsearched_databases]\n"*" = "not of this benchmark"\n'


class Cost(NamedTuple):
    """Seconds of one piece of work."""

    wall: float
    processor: float
    """Of the client, and of the server if that is on this machine."""


def compare(rows: int = ROWS, kinds: Sequence[str] = KINDS) -> list[Goal]:
    """Prints the tables; returns the goals."""
    goals = []
    for part in (_without_tokens, _with_tokens, _empty_tables):
        goals += part(rows, kinds)
        print()
    if "postgresql" in kinds:
        goals += retirement.compare(rows // ROWS_A_NEIGHBOUR)
    return goals


def _without_tokens(rows: int, kinds: Sequence[str]) -> list[Goal]:
    """`discover --full` beside a LIKE scan; and a sample."""
    goals = []
    print(f"{rows:,} rows of {len(accounts.COLUMNS)} columns without a token; seconds, median of {TURNS} turns\n")
    heads = (
        "sample",
        "peak MB",
        "--full",
        "peak MB",
        "start",
        "LIKE",
        "search / LIKE",
        "search, CPU",
        "LIKE, CPU",
        "ratio, CPU",
    )
    print(f"{'database':12}" + "".join(f"{head:>14}" for head in heads), flush=True)
    for kind in kinds:
        with _two_databases(kind) as (database, empty):
            accounts.fill(database, rows)
            empty.execute(accounts.create("accounts"))
            sample, full = _discover(database), _discover(database, "--full")
            accounts.scan(database)
            works: list[Callable[[], object]] = [
                lambda: _discover(empty, "--full"),
                lambda: _discover(database, "--full"),
                lambda: accounts.scan(database),
            ]
            turns = [[_cost(kind, work) for work in works] for _ in range(TURNS)]
        wall, processor = ([[turn[at][which] for at in range(len(works))] for turn in turns] for which in (0, 1))
        ratio, of_processor = (
            median(_beyond(start, whole) / like for start, whole, like in of_turns) for of_turns in (wall, processor)
        )
        start, whole, like = (median(each) for each in zip(*wall, strict=True))
        search, scan = median(_beyond(*each[:2]) for each in processor), median(each[2] for each in processor)
        cells = [f"{sample.seconds:.2f}", f"{sample.peak:.0f}", f"{whole:.2f}", f"{full.peak:.0f}", f"{start:.2f}"]
        cells += [f"{like:.2f}", f"{ratio:.2f}", f"{search:.2f}", f"{scan:.2f}", f"{of_processor:.2f}"]
        print(f"{kind:12}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
        work = f"a search, {rows:,} rows without tokens, {kind}, against LIKE"
        goals += [Goal(work, ratio, AGAINST_LIKE), Goal(f"{work}, processor time", of_processor, AGAINST_LIKE)]
    return goals


def _with_tokens(rows: int, kinds: Sequence[str]) -> list[Goal]:
    """`discover --full` without a target beside `status` with one."""
    goals = []
    print(f"{rows:,} rows with a token of {SECRET} bytes; seconds, median of {TURNS} turns\n")
    heads = ("start", "--full", "start", "status", "search/census")
    print(f"{'database':12}" + "".join(f"{head:>14}" for head in heads), flush=True)
    for kind in kinds:
        with _two_databases(kind) as (database, empty):
            make_base(database, rows, SECRET, key="new")
            fill(database, rows)
            database.execute("DROP TABLE base")
            fill(empty, 0)
            works: list[Callable[[], Ran]] = [
                lambda: _discover(empty, "--full"),
                lambda: _find(database),
                lambda: _count(empty),
                lambda: _count(database),
            ]
            turns = [[work().seconds for work in works] for _ in range(TURNS)]
        ratio = median(_beyond(start, whole) / _beyond(its_start, census) for start, whole, its_start, census in turns)
        cells = [*(median(each) for each in zip(*turns, strict=True)), ratio]
        print(f"{kind:12}" + "".join(f"{cell:>14.2f}" for cell in cells), flush=True)
        goals.append(Goal(f"a search, {rows:,} rows of tokens, {kind}, against a census", ratio, AGAINST_CENSUS))
    return goals


def _empty_tables(rows: int, kinds: Sequence[str]) -> list[Goal]:
    """`discover --full` on many empty tables."""
    goals = []
    count = rows // ROWS_A_TABLE
    print(f"discover --full on {count:,} empty tables\n")
    print(f"{'database':12}{'seconds':>14}{'peak MB':>14}", flush=True)
    for kind in kinds:
        with _database(kind) as database:
            made = [accounts.create(f"accounts_{number}") for number in range(count)]
            # PostgreSQL holds only some thousand locks at once.
            for start in range(0, count, TABLES_AT_ONCE):
                database.execute(*made[start : start + TABLES_AT_ONCE])
            ran = _discover(database, "--full")
        print(f"{kind:12}{ran.seconds:>14.2f}{ran.peak:>14.0f}", flush=True)
        goals.append(Goal(f"discover --full, {count:,} empty tables, {kind}", ran.seconds, SECONDS_OF_TABLES, unit="s"))
    return goals


@contextmanager
def _two_databases(kind: str) -> Iterator[tuple[Database, Database]]:
    with _database(kind) as first, _database(kind) as second:
        yield first, second


@contextmanager
def _database(kind: str) -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
        yield database


def _cost(kind: str, work: Callable[[], object]) -> Cost:
    before = time.perf_counter(), _processor_seconds(kind)
    work()
    return Cost(time.perf_counter() - before[0], _processor_seconds(kind) - before[1])


def _processor_seconds(kind: str) -> float:
    """So far, of this process, its commands, and the server."""
    return own_seconds() + (server_seconds(SERVERS[kind]) if kind in SERVERS else 0)


def _beyond(start: float, whole: float) -> float:
    """*whole* without *start*, in seconds. Starts differ by more than the hundredth that is the least."""
    return max(whole - start, 0.01)


def _find(database: Database) -> Ran:
    """`discover --full` on the table of tokens. Ends the benchmark unless it finds the column."""
    ran = _discover(database, "--full", code=1)
    if '"token"' not in ran.out:
        sys.exit(f"not found: {ran.out}")
    return ran


def _discover(database: Database, *options: str, code: int = 0) -> Ran:
    """`discover`. Ends the benchmark unless it gives that exit code: 1 if it finds a column that no target covers."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(CONFIG)
        config.flush()
        return _ran(code, "discover", "--config", config.name, "--url", database.url, *options)


def _count(database: Database) -> Ran:
    """The census of the table of tokens."""
    return _ran(0, "status", "--url", database.url, "--table", "creds", "--column", "token")


def _ran(code: int, *argv: str) -> Ran:
    ran = command(*argv, ENCRYPTION_KEY=key_text("new"))
    if ran.code != code:
        sys.exit(f"{argv[0]}: exit code {ran.code}, not {code}: {ran.out}")
    return ran


def main() -> None:
    measure(__doc__, compare, ROWS, KINDS)


if __name__ == "__main__":
    main()
