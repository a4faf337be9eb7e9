"""Progress of a run or a search: bars on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

import structlog
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from keyring_core.errors import printable
from rotation.model.report import SoFar, TargetReport, Watcher
from rotation.model.text import many
from rotation.output.terminal import console_on

LOG_SECONDS = 5.0

log = structlog.get_logger(__name__)


def watch(stream: TextIO, environ: Mapping[str, str], *, dry_run: bool) -> AbstractContextManager[Watcher]:
    """Bars if *stream* is a terminal, otherwise log lines."""
    if not stream.isatty():
        return nullcontext(LogWatcher(dry_run=dry_run))
    return BarWatcher(console_on(stream, environ), verb="reading" if dry_run else "rotating")


class LogWatcher:
    """A log line at most every LOG_SECONDS."""

    def __init__(self, *, dry_run: bool = False) -> None:
        self._label, self._outdated_name = "", "to_rotate" if dry_run else "rotated"
        self._number = self._rows = self._before = self._done = self._outdated = 0
        self._started = time.monotonic()
        self._next = self._started + LOG_SECONDS

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        """Starts the clock for a pass; an earlier run has *done* that many of its rows."""
        self._label, self._rows, self._number = report.target.label, rows, pass_number
        self._before = self._done = done
        self._outdated = 0
        self._started = time.monotonic()
        self._next = self._started + LOG_SECONDS

    def advance(self, rows: int, outdated: int, pace: str = "") -> None:
        """Logs the progress if the last line is LOG_SECONDS old."""
        self._done += rows
        self._outdated += outdated
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOG_SECONDS
        rate = (self._done - self._before) / max(now - self._started, 1e-6)
        log.info(
            "rotation.progress",
            target=self._label,
            number=self._number,
            done=self._done,
            rows=self._rows,
            **{self._outdated_name: self._outdated},
            rows_per_second=round(rate),
            pace=pace,
            seconds_left=round(max(self._rows - self._done, 0) / max(rate, 1e-6)),
        )

    def at_work(self, words: str, rows: int = 0, so_far: SoFar | None = None) -> None:
        """Logs what is done if the last line is LOG_SECONDS old."""
        if words != self._label:
            self._label, self._done = words, 0
        self._done += rows
        if (now := time.monotonic()) >= self._next:
            self._next = now + LOG_SECONDS
            known = {name: value for name, value in (so_far._asdict() if so_far else {}).items() if value is not None}
            log.info("rotation.progress", doing=words, done=self._done, **known)

    def announce(self, words: str) -> None:
        """Logs it at once."""
        log.info("rotation.note", words=words)


class _Bars(Progress):
    """Bars, and below them one line on what is no pass over a target."""

    line = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What a narrow terminal has no room for is cut off at the end of the line."""
        yield from super().get_renderables()
        if self.line:
            yield Text(self.line, no_wrap=True, overflow="ellipsis")


class BarWatcher:
    """One bar per target, on a terminal. A context manager: the bars are drawn while it is open."""

    def __init__(self, console: Console, *, verb: str) -> None:
        self._verb = verb
        self._task: TaskID | None = None
        self._words, self._rows = "", 0
        self._progress = _Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
        )

    def __enter__(self) -> BarWatcher:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Done; the bars of targets stay.
        self._progress.line = ""
        self._progress.stop()

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        """Adds a bar that begins after the rows *done* by an earlier run. A second pass reuses it from the start."""
        if self._task is None or pass_number == 1:
            rotating = f"{self._verb} {report.target.label}"
            self._task = self._progress.add_task(rotating, total=max(rows, done), completed=done, rate="")
        else:
            checking = f"checking (pass {pass_number}) {report.target.label}"
            self._progress.reset(self._task, total=rows, description=checking, rate="")
        self._before = self._done = done
        self._started = time.monotonic()

    def advance(self, rows: int, outdated: int, pace: str = "") -> None:
        """Moves the bar. An estimate that was too low is raised."""
        del outdated
        if self._task is None:
            return
        self._done += rows
        rate = (self._done - self._before) / max(time.monotonic() - self._started, 1e-6)
        total = max(self._progress.tasks[-1].total or 0, self._done)
        self._progress.update(self._task, completed=self._done, total=total, rate=f"{rate:,.0f}/s {pace}")

    def at_work(self, words: str, rows: int = 0, so_far: SoFar | None = None) -> None:
        """Shows what is done, with the rows that were read so far: one line, what matters most at its beginning."""
        self._rows = rows + (self._rows if words == self._words else 0)
        self._words = words
        parts = [so_far.words] if so_far else []
        parts += [many(self._rows, "row")] if self._rows else []
        self._progress.line = printable(": ".join(filter(None, (", ".join(parts), words))))

    def announce(self, words: str) -> None:
        """Prints it above the bars, where it stays."""
        self._progress.console.print(Text(printable(words)), soft_wrap=True)
