"""`python -m benchmarks.check`: what the scheduled check costs beside a status of the same table on PostgreSQL.

Processor time and wall time of whole commands in turn; the least of some turns each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.command import ROOT
from benchmarks.creds import fill, make_base
from benchmarks.goals import Goal, show
from tests.databases import open_database
from tests.keys import key_text

ROWS, TURNS, MOST = 1_000_000, 4, 1.3
COMMANDS = ("status", "check")


def seconds_of(command: str, config: Path) -> tuple[float, float]:
    """Processor time of the command, and wall time."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "ENCRYPTION_KEY": key_text("new")}
    started = time.monotonic()
    argv = [sys.executable, "-m", "rotation", command, "--config", str(config)]
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, time.monotonic() - started


def compare(rows: int = ROWS) -> list[Goal]:
    """Prints the table; returns the goals."""
    with tempfile.TemporaryDirectory() as folder, open_database("postgresql", Path(folder)) as database:
        make_base(database, rows, 40, key="new")
        fill(database, rows)
        # A token column that no target covers would be a finding.
        database.execute("DROP TABLE base")
        config = Path(folder) / "rotation.toml"
        config.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n')
        turns = [[seconds_of(command, config) for command in COMMANDS] for _ in range(TURNS)]
    goals = []
    print(f"{rows:,} rows on PostgreSQL, seconds, the least of {TURNS} turns\n")
    print(f"{'':24}{COMMANDS[0]:>10}{COMMANDS[1]:>10}{'ratio':>10}")
    for kind, name in enumerate(("processor", "clock")):
        status, check = (min(turn[place][kind] for turn in turns) for place in range(len(COMMANDS)))
        print(f"{name:24}{status:>10.2f}{check:>10.2f}{check / status:>10.2f}")
        goals.append(Goal(f"check, {rows:,} rows, against status, {name} time", check / status, MOST))
    print()
    return goals


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    show(compare(parser.parse_args().rows))
