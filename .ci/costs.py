"""Counts the calls and lines that fixed work takes: a guard of cost that does not hang on the clock or the machine.

`python .ci/costs.py` prints both beside the numbers of .ci/costs.toml. Exit code 1: one of them is more than a tenth
above the file's. `--write` puts the new numbers into the file: commit that with a message that says why. A number that
went down by a tenth is named, too, so that the file follows; otherwise a later rise back would go unseen.

A call is one of a function of this project, a line one that it executes; what libraries and databases do is not seen,
so measure these with `python -m benchmarks.pair REV`. Each thing is traced as a journey of .ci/hops.py, in a process of
its own; `--help` from the first import on, so it counts what is executed to import.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NamedTuple

from forked import FOLDERS, ROOT, in_a_process, is_function, start_again_with_fixed_hashes

FILE = ROOT / ".ci" / "costs.toml"
HEAD = "# What fixed work takes; `python .ci/costs.py --write` makes this file.\n"
TOLERATED = 0.1
WRITE = "`python .ci/costs.py --write`"
HELP = "`--help`, imports included"


class Cost(NamedTuple):
    """What a thing takes."""

    calls: int
    lines: int


class Tracer:
    """A trace function that counts; not with `sys.monitoring`, which Python 3.11 lacks."""

    def __init__(self) -> None:
        self._calls = self._lines = 0

    def __call__(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        """Counts a call, and has the lines counted if it is one of this project."""
        code = frame.f_code
        if not code.co_filename.startswith(FOLDERS):
            return None
        self._calls += is_function(code)
        return self._line

    def _line(self, _frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
        self._lines += event == "line"
        return self._line

    def count(self, act: Callable[[], object]) -> Cost:
        """The cost of *act*, and of all that it calls in this thread."""
        sys.settrace(self)
        try:
            act()
        finally:
            sys.settrace(None)
        return Cost(self._calls, self._lines)


def _help() -> Cost:
    def start() -> None:
        from rotation.__main__ import start  # noqa: PLC0415 - to be counted

        with suppress(SystemExit):
            start()

    sys.path.insert(0, str(ROOT))
    sys.argv = ["rotate.py", "--help"]
    return Tracer().count(start)


def measure() -> dict[str, Cost]:
    """The cost of each thing."""
    costs = {HELP: Cost(*in_a_process(_help))}
    # Now, and not before: it imports what the first one imports.
    import hops  # noqa: PLC0415

    hops.load()
    for name, journey in hops.COSTLY.items():
        costs[name] = Cost(*hops.in_a_folder(journey, lambda act=journey.act: Tracer().count(act)))  # type: ignore[misc]
    return costs


def verdict(costs: dict[str, Cost], accepted: dict[str, Cost]) -> tuple[list[str], list[str]]:
    """A sentence for each number that is too high; and for each that the file may follow."""
    high, low = [], []
    for name, cost in costs.items():
        if name not in accepted:
            high.append(f"{name} is not in {FILE.name}. {WRITE} adds it.")
            continue
        for what, now, before in zip(Cost._fields, cost, accepted[name], strict=True):
            words = f"{name}: {what} went from {before:,} to {now:,}"
            if now > before * (1 + TOLERATED):
                high.append(
                    f"{words}, more than a tenth up. Take it back; or accept it by {WRITE}, in a commit that says why."
                )
            elif now < before * (1 - TOLERATED):
                low.append(f"{words}. Lower the file by {WRITE}.")
    return high, low


def main(argv: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the numbers into .ci/costs.toml")
    parser.add_argument("--hops", action="store_true", help="then count the hops, too, as .ci/hops.py does")
    options = parser.parse_args(argv)
    costs = measure()
    if options.write:
        tables = (f'\n["{name}"]\ncalls = {cost.calls}\nlines = {cost.lines}\n' for name, cost in costs.items())
        FILE.write_text(HEAD + "".join(tables))
    accepted = {name: Cost(**numbers) for name, numbers in tomllib.loads(FILE.read_text()).items()}
    print(f"{'':44}{'calls':>9}{'accepted':>10}{'lines':>10}{'accepted':>10}")
    for name, cost in costs.items():
        was = accepted.get(name, Cost(0, 0))
        print(f"{name:44}{cost.calls:>9,}{was.calls:>10,}{cost.lines:>10,}{was.lines:>10,}")
    high, low = verdict(costs, accepted)
    print(*low, sep="\n", end="\n" if low else "")
    print(*high, sep="\n", end="\n" if high else "", file=sys.stderr)
    if options.hops:
        import hops  # noqa: PLC0415 - as above

        return hops.main([]) or int(bool(high))
    return int(bool(high))


if __name__ == "__main__":
    start_again_with_fixed_hashes()
    sys.exit(main(sys.argv[1:]))
