"""Counts the hops of a cell, a check, a key and a log event through the code, by tracing real ones.

`python .ci/hops.py` prints the table of docs/explanation/architecture.md; `--write` puts it there, and a test compares.
`--files JOURNEY` prints the files that a journey enters, with the calls into each, and `--classes` the value classes
that a cell makes between its read and its write. Exit code 1: a journey takes more hops than its limit.

A hop is a function of this project that is called; comprehensions are left out, since only some versions of Python
call them. Each journey is traced in a process of its own, whose caches are empty and whose modules are loaded.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib
import io
import itertools
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from forked import FOLDERS, ROOT, in_a_process, is_function, start_again_with_fixed_hashes

if __name__ == "__main__":
    # Before the imports that take long.
    start_again_with_fixed_hashes()


class Clock:
    """Goes on by a thousandth of a second at each look, and by what is slept."""

    def __init__(self) -> None:
        self._now = 0.0

    def look(self) -> float:
        """The time; and a little of it passes."""
        self._now += 0.001
        return self._now

    def sleep(self, seconds: float) -> None:
        """Returns at once."""
        self._now += seconds


# Otherwise a pace, and with it the hops, depends on the machine; and a rest would be slept by the machine's clock.
_clock = Clock()
time.monotonic, time.sleep = _clock.look, _clock.sleep

import msgspec
import structlog
from freezegun import freeze_time

sys.path.insert(0, str(ROOT))

from benchmarks.fixed import CALLS, PASSWORD, Call, key_text, prepare
from keyring_core import configure_logging
from rotation.cli.main import main as command_line
from rotation.context import Context
from rotation.job import RunSettings, run
from rotation.lifecycle import promote, retire, stage

PAGE = ROOT / "docs" / "explanation" / "architecture.md"
MARKS = "<!-- hops begin -->\n", "<!-- hops end -->\n"
CELL, BLOCK, CHECK = "one cell, row by row", "100 cells as a block", "`check` of one target with three rows"
RETIRE = "`keys retire`"

MOST = {
    CELL: {"files": 20, "functions": 125, "classes": 8},
    BLOCK: {"classes": 10},
    CHECK: {"files": 85},
    RETIRE: {"files": 90, "turns": 2000},
}
"""The most of each that a journey may take; classes are the value classes that it makes between read and write."""

DO, PASS = re.compile(r"rotation/job/.* do$"), re.compile(r"rotation/job/.* _?\w*pass$")
"""File and name: a cell's journey begins when the first is called, and ends with the call of the second around it."""
READ, WRITE = re.compile(r"rotation/stores/.* read$"), re.compile(r"rotation/stores/.* write$")
"""A cell is read by the first, and written when a folder above comes back from the second."""

GONE = "no function is called {} any more: write its new name into .ci/hops.py"

NOT_LOADED = re.compile(r"integrations|declared|__main__|__init__|management")
"""What imports a library that the journeys do not need, or changes the events of SQLAlchemy for all."""
ENVIRON = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", os.sep)}


Name = re.Pattern[str]


class Count(NamedTuple):
    """The hops of one journey."""

    files: dict[str, int]
    """The calls into each."""
    functions: int
    turns: int
    """The calls that enter another file than the call before."""
    frames: int
    """All calls; a generator counts each time that it goes on."""
    classes: dict[str, int]
    """The value classes that are made between read and write, each with its objects."""


class Trace:
    """A profile function that notes each call of this project, from the call of *first* to the end of *last*."""

    def __init__(self, first: Name | None = None, last: Name | None = None) -> None:
        self._first, self._last = first, last
        self._on = first is None
        self._end: FrameType | None = None
        self._calls: list[CodeType] = []
        self._between = False
        self._made: Counter[str] = Counter()
        self._until_write: Counter[str] = Counter()

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        """Takes note of a call or a return."""
        code = frame.f_code
        if not code.co_filename.startswith(FOLDERS):
            if self._between and event == "call" and code.co_filename.startswith("<"):
                self._note_class(frame)
        elif is_function(code):
            self._note(frame, event)

    def _note(self, frame: FrameType, event: str) -> None:
        name = _name(frame)
        if event == "call":
            if self._first and self._last and self._end is None and self._first.search(name):
                self._on, self._end = True, _around(frame, self._last)
            if self._on:
                self._calls.append(frame.f_code)
                self._between = self._between or bool(READ.search(name))
        elif event == "return" and self._on:
            if self._between:
                # The __init__ of a Struct is not Python: it is seen where it is held.
                held = {type(value) for value in frame.f_locals.values() if isinstance(value, msgspec.Struct)}
                self._made.update(map(_class_name, held))
            if WRITE.search(name) and frame.f_back and not _name(frame.f_back).startswith("rotation/stores/"):
                self._until_write = Counter(self._made)
            self._on = frame is not self._end

    def _note_class(self, frame: FrameType) -> None:
        """The `__init__` of a dataclass and the `__new__` of a NamedTuple are made of text."""
        values = frame.f_locals
        made = values.get("_cls") or type(values.get("self"))
        is_value = dataclasses.is_dataclass(made) or hasattr(made, "_fields")
        if is_value and made.__module__.partition(".")[0] in ("keyring_core", "rotation"):
            self._made[_class_name(made)] += 1

    def count(self) -> Count:
        """The hops so far. Exits if the function to begin with was never called, as after it got another name."""
        if not self._calls:
            sys.exit(GONE.format(self._first and self._first.pattern))
        if self._first and not self._until_write:
            sys.exit(GONE.format(f"{READ.pattern} or {WRITE.pattern}"))
        files = [code.co_filename for code in self._calls]
        turns = sum(one != other for one, other in itertools.pairwise(files))
        named = Counter(str(Path(file).relative_to(ROOT)) for file in files)
        return Count(
            dict(named), len(set(self._calls)), turns, len(files), dict(self._until_write) if self._first else {}
        )


def _class_name(made: type) -> str:
    return f"{made.__module__}.{made.__qualname__}"


def _name(frame: FrameType) -> str:
    """`rotation/job/ranges.py do`."""
    return f"{frame.f_code.co_filename[len(str(ROOT)) + 1 :]} {frame.f_code.co_name}"


def _around(frame: FrameType, name: Name) -> FrameType:
    """The nearest call of *name* around *frame*."""
    outer = frame.f_back
    while outer and not name.search(_name(outer)):
        outer = outer.f_back
    return outer or sys.exit(GONE.format(name.pattern))


def _context() -> Context:
    return Context(ENVIRON, config=Path("rotation.toml"))


def _run() -> None:
    """As a program calls it that keeps no ledger."""
    with _context() as configured:
        targets, keys = configured.targets(), dict(configured.inputs.environ)
    with Context(keys, uses_config=False) as context:
        assert run(context, targets).complete  # noqa: S101 - a journey that fails counts nothing


def _run_at_full_speed() -> None:
    """In this thread, which is traced."""
    with _context() as context:
        assert run(context, context.targets(), RunSettings(full_speed=True, workers=1)).complete  # noqa: S101


def _run_with_ledger() -> None:
    with _context() as context:
        run(context, context.targets())


def _stage() -> None:
    with _context() as context:
        stage(context)


def _promote() -> None:
    with _context() as context:
        promote(context, key_id=None, force=None)


def _retire() -> None:
    with _context() as context:
        previous = next(key.id for key, state in context.keyring().states.items() if state == "previous")
        done = retire(context, previous, context.targets(), archive=Path("retired.keys"))
        assert not done.refused, done.refused  # noqa: S101


def _check() -> None:
    command_line(["check"], ENVIRON, io.StringIO(), io.StringIO())


def _log(**facts: str) -> Callable[[], None]:
    def log() -> None:
        structlog.get_logger("app").info("order.paid", order=17, **facts)

    return log


def _log_to_nowhere() -> None:
    # The digits of a timestamp decide what is searched.
    freeze_time("2026-01-01").start()
    configure_logging(stream=io.StringIO(), renderer="json")
    with _context() as context:
        context.keyring()
    _log(first="one")()


class Journey(NamedTuple):
    """What is traced, after steps that are not."""

    act: Callable[[], object]
    before: tuple[Callable[[], None], ...] = ()
    """Each in a process of its own."""
    rows: int = 1
    keys: str = "INTEGER"
    """The type of the table's key."""
    bounds: tuple[Name, Name] | tuple[()] = ()
    warm: Callable[[], None] | None = None
    """Done in the process of the journey itself."""


JOURNEYS = {
    CELL: Journey(_run, bounds=(DO, PASS)),
    BLOCK: Journey(_run, rows=100, bounds=(DO, PASS)),
    "a run around one row, as a library call": Journey(_run),
    CHECK: Journey(_check, (_run_with_ledger,), rows=3),
    "`keys stage`": Journey(_stage),
    "`keys promote`": Journey(_promote, (_stage,)),
    RETIRE: Journey(_retire, (_run_with_ledger,)),
    "a log event without a secret": Journey(_log(customer="Ada"), warm=_log_to_nowhere),
    "a log event with a password and a key": Journey(
        _log(password=PASSWORD, text=f"read {key_text('new')}"), warm=_log_to_nowhere
    ),
}


def _called(name: str) -> Journey:
    """One call of fixed work. The call before it fills the caches, as a service that runs has them."""
    made: list[Call] = []

    def warm() -> None:
        # The digits of a timestamp decide what is searched.
        freeze_time("2026-01-01").start()
        made.append(CALLS[name]())
        made[0]()

    def call() -> None:
        made[0]()

    return Journey(call, warm=warm)


COSTLY = {
    "a run, 300 rows row by row": Journey(_run_at_full_speed, rows=300, keys="TEXT"),
    "a run, 10,000 rows in blocks": Journey(_run_at_full_speed, rows=10_000),
    CHECK: JOURNEYS[CHECK],
    **{name: _called(name) for name in CALLS},
}
"""What .ci/costs.py counts."""


def load() -> None:
    """Loads every module, so that no journey pays for imports."""
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not NOT_LOADED.search(name):
                with suppress(ImportError):
                    importlib.import_module(name)


def measure(journey: Journey) -> Count:
    """The hops of *journey*."""

    def traced() -> Count:
        trace = Trace(*journey.bounds)
        sys.setprofile(trace)
        try:
            journey.act()
        finally:
            sys.setprofile(None)
        return trace.count()

    return Count(*in_a_folder(journey, traced))


def in_a_folder(journey: Journey, act: Callable[[], Any]) -> Any:
    """What *act* returns, called in a folder and a process that are ready for *journey*."""

    def ready() -> Any:
        if journey.warm:
            journey.warm()
        # An object that is collected may call back at any moment.
        gc.disable()
        return act()

    was = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            prepare(Path(), journey.rows, journey.keys)
            for step in journey.before:
                in_a_process(step)
            return in_a_process(ready)
        finally:
            os.chdir(was)


def table(counts: dict[str, Count]) -> str:
    """The table of the page."""
    rows = ["| journey | files | functions | turns | frames | value classes |", "|---|---|---|---|---|---|"]
    for name, count in counts.items():
        numbers = [len(count.files), count.functions, count.turns, count.frames, len(count.classes) or ""]
        rows.append(f"| {name} | {' | '.join(f'{number:,}' if number else '' for number in numbers)} |")
    return "\n".join([*rows, ""]).replace(" |  |", " | |")


def beyond_limits(counts: dict[str, Count]) -> list[str]:
    """One line for each limit that a journey breaks."""
    found = []
    for name, limits in MOST.items():
        for what, most in limits.items():
            counted = getattr(counts[name], what)
            if (number := counted if isinstance(counted, int) else len(counted)) > most:
                found.append(f"{name}: {number:,} {what}, and at most {most:,} are allowed")
    return found


def main(argv: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    parser.add_argument("--files", metavar="JOURNEY", help="print the files of the journeys whose names contain this")
    parser.add_argument("--classes", action="store_true", help="print the value classes of a cell")
    options = parser.parse_args(argv)
    load()
    if options.files:
        for name in (name for name in JOURNEYS if options.files in name):
            files = measure(JOURNEYS[name]).files
            print(f"{name}: {len(files)} files", *(f"{files[file]:6,}  {file}" for file in sorted(files)), sep="\n")
        return 0
    if options.classes:
        for name in (CELL, BLOCK):
            classes = measure(JOURNEYS[name]).classes
            print(f"{name}: {len(classes)} value classes", *sorted(classes), sep="\n  ")
        return 0
    counts = {name: measure(journey) for name, journey in JOURNEYS.items()}
    print(table(counts), end="")
    if options.write:
        begin, end = MARKS
        before, _, rest = PAGE.read_text().partition(begin)
        PAGE.write_text(before + begin + table(counts) + end + rest.partition(end)[2])
    broken = beyond_limits(counts)
    print(*broken, sep="\n", end="\n" if broken else "", file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
