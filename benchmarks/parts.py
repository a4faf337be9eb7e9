"""`python -m benchmarks.parts`: processor time of a run on PostgreSQL, of client and server, beside its minimum.

The server has to be on this machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.creds import fill, make_base
from benchmarks.run import ROWS, floor, look, ours
from tests.databases import Database, open_database

FEW = 1000


def main() -> None:
    print(f"{'seconds':40}{'wall time':>10}{'client':>10}{'server':>10}")
    with tempfile.TemporaryDirectory() as folder, open_database("postgresql", Path(folder)) as database:
        make_base(database, ROWS, 40)
        fill(database, FEW)
        _show(f"run, {FEW:,} rows: its start", ours, database)
        fill(database, ROWS)
        _show(f"run, {ROWS:,} rows", ours, database)
        _show("a second run", ours, database)
        _show("a bare SELECT and the MACs", look, database)
        fill(database, ROWS)
        _show("the floor", floor, database)


def _show(name: str, work: Callable[[Database], None], database: Database) -> None:
    before = time.perf_counter(), own_seconds(), server_seconds()
    work(database)
    after = time.perf_counter(), own_seconds(), server_seconds()
    print(f"{name:40}" + "".join(f"{end - start:>10.2f}" for start, end in zip(before, after, strict=True)), flush=True)


def own_seconds() -> float:
    """Processor time of this process and of the commands that it has started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def server_seconds(program: str = "postgres") -> float:
    """Processor time of every process of that *program* on this machine, and of those that have ended."""
    total = 0
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and program in (folder / "comm").read_text():
                total += sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
