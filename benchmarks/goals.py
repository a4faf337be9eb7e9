"""Each aim and what was reached, one line each, below all other tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    """One line. What is measured is a ratio, or a number of *unit*."""

    work: str
    measured: float
    bound: float
    at_least: bool = False
    unit: str = "times"

    @property
    def met(self) -> bool:
        """Whether the aim was reached."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def measure(
    words: str | None, compare: Callable[[int, Sequence[str]], Iterable[Goal]], rows: int, kinds: Sequence[str]
) -> None:
    """The command line of a benchmark on several kinds of databases: runs *compare*, and prints its goals."""
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--only", choices=kinds)
    options = parser.parse_args()
    show(compare(options.rows, [options.only] if options.only else kinds))


def show(goals: Iterable[Goal]) -> None:
    """Prints the closing table."""
    print(f"{'what must be reached':88}{'':10}{'bound':>8}{'measured':>10}")
    for goal in goals:
        limit = "at least" if goal.at_least else "at most"
        verdict = "" if goal.met else "  NOT MET"
        print(f"{goal.work:88}{limit:10}{goal.bound:>8g}{goal.measured:>10.2f} {goal.unit}{verdict}")
