"""What the tests cost: the processor time of each folder, and its budget, which hangs on no machine's speed.

Times are counted in rounds of a reference loop that is timed again and again in the same run. A run prints them at its
end. The budgets of `tests/budget.toml` are for `.ci/run`, with `--long` and coverage, where a run that goes beyond them
fails; `--write-budget` writes them. What a plain run takes, too, has a budget of its own: people wait for it.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
import tomllib
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

FILE = Path(__file__).with_name("budget.toml")
HEAD = """\
# The processor time of the tests of each folder in `.ci/run`, in rounds of the loop of tests/budget.py: `plain` of the
# cases that a plain run takes, too, `long` of what --long adds. `PYTEST_ADDOPTS=--write-budget .ci/run` writes them.

# Each took half a second or nearly before a test had to say why. None joins; what got cheaper leaves.
"""
KINDS = ("plain", "long")
OF_FOLDER, OF_ALL = 1.5, 1.2
"""By how much a folder, and all of them, may go beyond the budget."""
SMALL = 1000
"""Rounds within which no folder is judged: one program that starts late is no trend."""
MOST = 200
"""Rounds that a test may take without a reason: half a second where one takes 2.5 ms."""
NEAR = 2
"""How many times longer it takes before a run fails: no verdict hangs on a near miss."""
UNCOUNTED = ("uncounted", "long", "hypothesis")
"""Markers of tests whose lines are not counted for coverage; Hypothesis sets its own."""
EVERY = 50
"""Tests between two rounds of the reference loop."""
TICKS = os.sysconf("SC_CLK_TCK")


def used() -> float:
    """Processor seconds of this process, of programs that have ended under it, and of the forks of its warm process."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) + _used_by_warm_process()


def _used_by_warm_process() -> float:
    client = sys.modules.get("tests.warm.client")
    if client is None or (pid := client.running()) is None:
        return 0
    # The second field, a name, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


@contextmanager
def untraced() -> Iterator[None]:
    """Without the tracer of coverage, which doubles a test's time.

    pytest-cov's own marker does nothing in a worker of pytest-xdist, which has two tracers: one takes over.
    """
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(of_threads)
        sys.settrace(tracer)


def round_of_reference() -> float:
    """The processor seconds of a round of the loop: text, numbers and a dictionary, as in most of the tested code."""
    with untraced():
        return _round()


def _round() -> float:
    start = time.process_time()
    words: dict[str, int] = {}
    for number in range(20_000):
        word = f"word {number % 997}"
        words[word] = words.get(word, 0) + len(word)
    return time.process_time() - start


@dataclass(eq=False)
class Costs:
    """A plugin of each process of a run. The one that was started first gets what the others counted, and judges."""

    config: pytest.Config
    long_cases: Collection[str] = ()
    """The ids of the cases that a plain run leaves out."""
    file: Path = FILE
    seconds: dict[str, dict[str, float]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    """Of `plain` and of `long` cases, by folder."""
    tests: dict[str, dict[str, int]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    dear: dict[str, float] = field(default_factory=dict)
    """The tests of a plain run that take long and do not say why, with the seconds of the dearest case."""
    rounds: list[float] = field(default_factory=list)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Counts what a case and its fixtures use; one that seems dear runs once more.

        A first run may have paid for imports, for tables of Hypothesis and for programs that an earlier test had left.
        """
        if sum(sum(each.values()) for each in self.tests.values()) % EVERY == 0:
            self.rounds.append(round_of_reference())
        before = used()
        with nullcontext() if self.counts_lines(item) else untraced():
            result = yield
        seconds = used() - before
        kind = "long" if item.nodeid in self.long_cases else "plain"
        self._add(kind, _folder(item), seconds, 1)
        if self._is_judged() and kind == "plain" and self._is_dear(seconds) and self._needs_reason(item):
            before = used()
            with untraced():
                reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if all(report.passed for report in reports):
                seconds = min(seconds, used() - before)
            if self._is_dear(seconds):
                test = _test(item)
                self.dear[test] = max(seconds, self.dear.get(test, 0))
        return result

    def _is_dear(self, seconds: float) -> bool:
        return self._in_rounds(seconds) > NEAR * MOST

    def _needs_reason(self, item: pytest.Item) -> bool:
        return not item.get_closest_marker("costly") and _test(item) not in self.budgets()["costly"]

    def counts_lines(self, item: pytest.Item) -> bool:
        """Whether coverage counts the lines that *item* runs: not of cases that run the same lines again."""
        is_marked = any(item.get_closest_marker(name) for name in UNCOUNTED)
        return item.nodeid not in self.long_cases and not is_marked

    def _add(self, kind: str, folder: str, seconds: float, tests: int) -> None:
        self.seconds[kind][folder] = self.seconds[kind].get(folder, 0) + seconds
        self.tests[kind][folder] = self.tests[kind].get(folder, 0) + tests

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hands over what was counted, or judges it."""
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["costs"] = [self.seconds, self.tests, self.dear, self.rounds]
        elif self._is_judged() and list(self.faults()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Takes over what a worker has counted."""
        seconds, tests, dear, rounds = getattr(node, "workeroutput", {}).get("costs", ({}, {}, {}, []))
        for kind, of_folders in seconds.items():
            for folder, taken in of_folders.items():
                self._add(kind, folder, taken, tests[kind][folder])
        self.dear |= {test: max(taken, self.dear.get(test, 0)) for test, taken in dear.items()}
        self.rounds += rounds

    def _is_judged(self) -> bool:
        """Budgets are for all tests, long ones included: a part of them comes to less."""
        is_all = self.config.args == self.config.getini("testpaths") and self.config.getoption("long")
        return bool(is_all) and os.environ.get("CI") == "true"

    def budgets(self) -> dict[str, Any]:
        """What the file holds."""
        return tomllib.loads(self.file.read_text()) if self.file.exists() else {}

    def faults(self) -> Iterator[str]:
        """A sentence for each budget that is gone beyond."""
        budgets = self.budgets()
        for kind, seconds in self.seconds.items():
            of = budgets[kind]
            judged = [(f"tests/{name}", taken, of.get(name, 0), OF_FOLDER) for name, taken in seconds.items()]
            judged.append(("all tests", sum(seconds.values()), sum(of.values()), OF_ALL))
            for name, taken, budget, limit in judged:
                rounds, most = self._in_rounds(taken), max(SMALL, limit * budget)
                if rounds > most:
                    yield f"{name}, {kind} cases: {rounds:,.0f} rounds, and {most:,.0f} are allowed"
        for test, taken in sorted(self.dear.items()):
            yield f"{test}: {taken:.1f} s; make it cheaper or `long`, or say why: @pytest.mark.costly(reason)"

    def _in_rounds(self, seconds: float) -> float:
        return seconds / median(self.rounds)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The table; and, where a run is judged, what is wrong with it."""
        if not self.rounds:
            return
        if self.config.getoption("write_budget") and self._is_judged():
            self.write()
        write, budgets = terminalreporter.write_line, self.budgets()
        terminalreporter.section(f"processor time, in rounds of {1000 * median(self.rounds):.1f} ms")
        kinds = [kind for kind in KINDS if self.tests[kind]]
        write(f"{'folder':20}" + "".join(f"{kind:>9}{'seconds':>9}{'rounds':>9}{'budget':>9}" for kind in kinds))
        for folder in [*sorted(_folders(self.seconds)), "all"]:
            row = f"{folder:20}"
            for kind in kinds:
                tests, seconds, budget = (
                    sum(each.values()) if folder == "all" else each.get(folder, 0)
                    for each in (self.tests[kind], self.seconds[kind], budgets.get(kind, {}))
                )
                row += f"{tests:9,}{seconds:9.1f}{self._in_rounds(seconds):9,.0f}{budget:9,}"
            write(row)
        for fault in self.faults() if self._is_judged() else ():
            write(fault, red=True)

    def write(self) -> None:
        """Writes the budgets; the tests that need no reason stay as they are."""
        lines = ["costly = [", *(f'    "{test}",' for test in self.budgets().get("costly", ())), "]"]
        for kind, seconds in self.seconds.items():
            lines += ["", f"[{kind}]"]
            lines += [f"{folder} = {self._in_rounds(each):.0f}" for folder, each in sorted(seconds.items())]
        self.file.write_text(HEAD + "\n".join([*lines, ""]))


def _test(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _folder(item: pytest.Item) -> str:
    """`stores`, or `beside` for what stands beside the folders."""
    parts = item.path.relative_to(item.config.rootpath).parts
    return parts[1] if len(parts) > 2 else "beside"


def _folders(seconds: dict[str, dict[str, float]]) -> set[str]:
    return {folder for each in seconds.values() for folder in each}
