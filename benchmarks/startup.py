"""What a start costs: `python -m benchmarks.startup` prints processor time in ms, beside that of its libraries."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from benchmarks.command import ROOT
from benchmarks.goals import Goal, show

TURNS = 21
PAIRS = [
    ("import keyring_core", "import cryptography.fernet, structlog", 1.3, ["-c", "import keyring_core"]),
    ("rotate.py --help", "import click, structlog", 2.5, ["scripts/rotate.py", "--help"]),
]


def milliseconds_of(arguments: list[str], compiled: str) -> float:
    """Processor time of one Python process, so that other load on the machine counts little."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": compiled}
    # An installed package is compiled.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1e3


def compare() -> list[Goal]:
    """Prints the table; returns the goals."""
    goals = []
    print(f"{TURNS - 1} starts of each in turn; milliseconds of processor time, median and least\n")
    print(f"{'':24}{'this':>14}{'libraries':>14}  {'':40}{'ratio':>10}")
    with tempfile.TemporaryDirectory() as compiled:
        for name, base, most, arguments in PAIRS:
            turns = [
                (milliseconds_of(arguments, compiled), milliseconds_of(["-c", base], compiled)) for _ in range(TURNS)
            ]
            # The first turn compiles.
            this, libraries = zip(*turns[1:], strict=True)
            ratio = statistics.median(mine / other for mine, other in turns[1:])
            print(f"{name:24}{_shown(this)}{_shown(libraries)}  {base:40}{ratio:10.2f}")
            goals.append(Goal(f"{name}, against {base!r}", ratio, most))
    print()
    return goals


def _shown(times: tuple[float, ...]) -> str:
    return f"{statistics.median(times):8.0f}{min(times):6.0f}"


if __name__ == "__main__":
    show(compare())
