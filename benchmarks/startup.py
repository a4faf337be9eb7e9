"""What a start costs, beside that of its libraries: `python -m benchmarks.startup` prints milliseconds.

Needs the server of the tests, for a command from its start to its end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.command import ROOT, keys_of_run
from benchmarks.creds import fill, make_base
from benchmarks.goals import Goal, show
from tests.databases import open_database

TURNS = 21
PAIRS = [
    ("import keyring_core", "import cryptography.fernet, structlog", 1.3, ["-c", "import keyring_core"]),
    ("rotate.py --help", "import click, structlog", 2.5, ["scripts/rotate.py", "--help"]),
]
ROWS, SECRET = 1000, 40
LIBRARIES, MOST = "import sqlalchemy, click, structlog, cryptography", 1.6
"""What a run is compared with."""


class Took(NamedTuple):
    """Milliseconds of one Python process."""

    wall: float
    processor: float
    """Other load on the machine counts little."""


def started(arguments: list[str], compiled: str, **variables: str) -> Took:
    """A Python process, from its start to its end."""
    environ = {**os.environ, **variables, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": compiled}
    # An installed package is compiled.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Took(wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3)


def compare() -> list[Goal]:
    """Prints the tables; returns the goals."""
    print(f"{TURNS - 1} starts of each in turn; milliseconds, median and least\n")
    print(f"{'':54}{'this':>14}{'libraries':>14}  {'':52}{'ratio':>7}")
    goals = []
    with tempfile.TemporaryDirectory() as compiled:
        for name, base, most, argv in PAIRS:
            turns = [(started(argv, compiled), started(["-c", base], compiled)) for _ in range(TURNS)]
            goals.append(_goal(name, "processor", base, most, turns))
        for kind in ("postgresql", "sqlite"):
            turns = _runs(kind, compiled)
            name = f"rotate.py run, {ROWS:,} rows, {kind}"
            goals += [_goal(name, which, LIBRARIES, MOST, turns) for which in Took._fields]
    print()
    return goals


def _runs(kind: str, compiled: str) -> list[tuple[Took, Took]]:
    turns = []
    with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
        make_base(database, ROWS, SECRET)
        run = ["scripts/rotate.py", "run", "--full-speed", "--json"]
        run += ["--url", database.url, "--table", "creds", "--column", "token"]
        for _ in range(TURNS):
            fill(database, ROWS)
            ran = started(run, compiled, **keys_of_run())
            turns.append((ran, started(["-c", LIBRARIES], compiled)))
    return turns


def _goal(name: str, which: str, base: str, most: float, turns: list[tuple[Took, Took]]) -> Goal:
    """Prints a row for the time of that kind."""
    # The first turn compiles.
    this, libraries = zip(*((getattr(mine, which), getattr(other, which)) for mine, other in turns[1:]), strict=True)
    ratio = median(mine / other for mine, other in zip(this, libraries, strict=True))
    name = f"{name}, {which} time"
    print(f"{name:54}{_shown(this)}{_shown(libraries)}  {base:52}{ratio:7.2f}")
    return Goal(f"{name}, against {base!r}", ratio, most)


def _shown(times: tuple[float, ...]) -> str:
    return f"{median(times):8.0f}{min(times):6.0f}"


if __name__ == "__main__":
    show(compare())
