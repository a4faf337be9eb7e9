"""`python -m benchmarks.pair REV`: the processor time of fixed things with this code and with that of REV, in turns.

REV is any revision of git; it is checked out into a temporary folder. Each measurement is a process of its own (user
and system time, children included), old and new in turns, so that other load on the machine meets both.
new/old is the median of the ratios of the turns. old/old says how much of that is chance: the same ratio of each old
turn to the old turn before it, the middle half of them. A difference within it is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.command import ROOT
from benchmarks.fixed import CALLS, prepare

ROWS, TURNS = 200_000, 9
TIMES = {"encrypt": 60_000, "decrypt": 60_000, "rotate_many": 1_000, "a log event": 12_000}
"""The calls of one measurement, by the beginning of the name: most of its time is not the start."""
RUN = ("run", "--full-speed")


class Thing(NamedTuple):
    """What is measured: arguments of rotate.py, or a call of benchmarks/fixed.py."""

    argv: tuple[str, ...] = ()
    keys: str = ""
    """The type of the table's key; empty: it reads no table."""
    label: str = "old"
    """The key that its tokens are under."""


THINGS = {
    "run, in blocks": Thing(RUN, "INTEGER"),
    "run, row by row": Thing(RUN, "TEXT"),
    "check": Thing(("check",), "INTEGER", label="new"),
    "the help": Thing(("--help",)),
} | {name: Thing() for name in CALLS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rev", metavar="REV", help="what to compare with, such as HEAD~20")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"processes of each, at least 3 ({TURNS})")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the table of a run and a check ({ROWS:,})")
    parser.add_argument("--only", action="append", choices=THINGS, metavar="THING", help=f"{'; '.join(THINGS)}")
    options = parser.parse_args()
    print(f"{max(3, options.turns)} turns, {options.rows:,} rows; seconds of processor time, medians\n")
    print(f"{'':40}{'old':>9}{'new':>9}{'new/old':>10}{'old/old':>17}", flush=True)
    with _tree(options.rev) as old, tempfile.TemporaryDirectory() as made:
        for name in options.only or THINGS:
            folder = Path(tempfile.mkdtemp(dir=made))
            if THINGS[name].keys:
                prepare(folder, options.rows, THINGS[name].keys, THINGS[name].label)
            turns = list(_turns(name, old, folder, max(3, options.turns)))
            print(f"{name:40}{_shown(turns, options.rev)}", flush=True)
            shutil.rmtree(folder)


@contextmanager
def _tree(rev: str) -> Iterator[Path]:
    """A checkout of *rev*; gone afterwards."""
    git = ("git", "-C", str(ROOT), "worktree")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "old"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), rev], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _turns(name: str, old: Path, folder: Path, turns: int) -> Iterator[tuple[float, float]]:
    """The seconds with the *old* code and with this, turn by turn; nothing if the old code has no such thing."""
    # The first of each compiles.
    if _seconds(name, ROOT, folder) is None:
        sys.exit(f"{name} fails with this code")
    # The old code may lack it.
    if _seconds(name, old, folder) is None:
        return
    for _ in range(turns):
        before, now = _seconds(name, old, folder), _seconds(name, ROOT, folder)
        if before is None or now is None:
            sys.exit(f"{name} fails now and then")
        yield before, now


def _shown(turns: Sequence[tuple[float, float]], rev: str) -> str:
    """The numbers of a row."""
    if not turns:
        return f"   not in {rev}"
    before, now = zip(*turns, strict=True)
    low, _, high = quantiles((later / earlier for earlier, later in pairwise(before)), n=4, method="inclusive")
    ratio = median(new / old for old, new in turns)
    return f"{median(before):>9.3f}{median(now):>9.3f}{ratio:>10.3f}{f'{low:.3f} to {high:.3f}':>17}"


def _seconds(name: str, tree: Path, folder: Path) -> float | None:
    """The processor time of one process that does it with the code in *tree*; None if it fails there."""
    thing = THINGS[name]
    times = next((times for start, times in TIMES.items() if name.startswith(start)), 1)
    called = ("-P", str(ROOT / "benchmarks" / "fixed.py"), name, str(times))
    argv = (str(tree / "scripts" / "rotate.py"), *thing.argv) if thing.argv else called
    # Compiled files in the trees, as of an installed package.
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, *argv], cwd=copy, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # A check that finds something has done its work, too.
    good = {0, 1} if name == "check" else {0}
    return usage.ru_utime + usage.ru_stime if process.returncode in good else None


if __name__ == "__main__":
    main()
