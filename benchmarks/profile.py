"""`python -m benchmarks.profile [--checkout DIR] [OPTION...]`: by part, where py-spy sees a run's processor time.

On PostgreSQL. *DIR* is another checkout of this project, to compare with; the options are the run's own.
py-spy counts a process that waits, for the server for instance, as idle.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.command import ROOT
from benchmarks.creds import fill, make_base, wrong_rows
from tests.databases import open_database
from tests.keys import key_text

ROWS, SECRET = 300_000, 40
RATE = 250
"""Samples a second."""

IMPORTS = "starting Python, imports"
PARTS = {
    "tokens: cipher, MACs, parsing": ("keyring_core/", "cryptography/"),
    "SQLAlchemy": ("sqlalchemy/",),
    "the driver": ("psycopg/",),
    "stores: statements, rows, arrays": ("rotation/stores/",),
    "planning and counting rows": ("rotation/model/",),
}
REST = "everything else"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, default=ROOT)
    known, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder, open_database("postgresql", Path(folder)) as database:
        make_base(database, ROWS, SECRET)
        fill(database, ROWS)
        stacks = Path(folder) / "stacks"
        started = time.perf_counter()
        subprocess.run(
            [
                *(str(Path(sys.executable).with_name("py-spy")), "record"),
                *("--rate", str(RATE), "--format", "raw", "--output", str(stacks), "--"),
                *(sys.executable, str(known.checkout / "scripts" / "rotate.py"), "run", "--url", database.url),
                *("--table", "creds", "--column", "token", *options),
            ],
            cwd=known.checkout,
            env=os.environ | {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - started
        if wrong := wrong_rows(database, SECRET):
            sys.exit(f"{wrong} rows are wrong")
        taken = _by_part(stacks.read_text().splitlines())
    print(f"{ROWS:,} rows on PostgreSQL, {' '.join(options)}: {seconds:.1f} seconds of wall time; processor time:\n")
    for part in (IMPORTS, *PARTS, REST):
        print(f"{part:40}{taken[part] / RATE:>8.2f}")
    print(f"{'total':40}{taken.total() / RATE:>8.2f}")


def _by_part(lines: Iterable[str]) -> Counter[str]:
    """Samples by part. A line has the frames from the outermost on, and how often they were seen."""
    taken: Counter[str] = Counter()
    for line in lines:
        stack, _, times = line.rpartition(" ")
        taken[_part_of(stack.split(";"))] += int(times)
    return taken


def _part_of(frames: list[str]) -> str:
    if any("<frozen importlib" in frame for frame in frames):
        return IMPORTS
    for frame in reversed(frames):
        for part, places in PARTS.items():
            if any(f"({place}" in frame for place in places):
                return part
    return REST


if __name__ == "__main__":
    main()
