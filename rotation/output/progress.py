"""Progress of a run or a search: bars on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

import rich.progress
import structlog
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from keyring_core.errors import printable
from rotation.model.text import many
from rotation.model.watcher import Advanced, AtWork, Began, Estimate, Note, Progress, Watcher
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
        self._number = self._done = self._outdated = 0
        self._estimate = Estimate(time.monotonic())
        self._next = self._estimate.started + LOG_SECONDS

    def __call__(self, progress: Progress) -> None:
        """Logs what is done if the last line is LOG_SECONDS old, and a note at once."""
        match progress:
            case Began(report, rows, number, done):
                self._label, self._number, self._done, self._outdated = report.target.label, number, done, 0
                self._estimate = Estimate(time.monotonic(), rows, done)
                self._next = self._estimate.started + LOG_SECONDS
            case Advanced(rows, outdated, pace):
                self._done += rows
                self._outdated += outdated
                if now := self._is_due():
                    log.info(
                        "rotation.progress",
                        target=self._label,
                        number=self._number,
                        done=self._done,
                        rows=self._estimate.total,
                        **{self._outdated_name: self._outdated},
                        rows_per_second=round(self._estimate.rate(self._done, now)),
                        pace=pace,
                        seconds_left=self._estimate.seconds_left(self._done, now),
                    )
            case AtWork(words, rows, so_far):
                self._done = rows + (self._done if words == self._label else 0)
                self._label = words
                if self._is_due():
                    known = so_far._asdict() if so_far else {}
                    known = {name: value for name, value in known.items() if value is not None}
                    log.info("rotation.progress", doing=words, done=self._done, **known)
            case Note(words):
                log.info("rotation.note", words=words)

    def _is_due(self) -> float | None:
        """The time, if a line is due."""
        if (now := time.monotonic()) < self._next:
            return None
        self._next = now + LOG_SECONDS
        return now


class _Bars(rich.progress.Progress):
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

    def __call__(self, progress: Progress) -> None:
        """Shows it."""
        match progress:
            case Began(report, rows, number, done):
                if self._task is None or number == 1:
                    # The bar begins after the rows that an earlier run has done; a second pass reuses it.
                    rotating = f"{self._verb} {report.target.label}"
                    self._task = self._progress.add_task(rotating, total=max(rows, done), completed=done, rate="")
                else:
                    checking = f"checking (pass {number}) {report.target.label}"
                    self._progress.reset(self._task, total=rows, description=checking, rate="")
                self._done, self._estimate = done, Estimate(time.monotonic(), rows, done)
            case Advanced(rows, _, pace) if self._task is not None:
                self._done += rows
                rate = self._estimate.rate(self._done, time.monotonic())
                # An estimate that was too low is raised.
                total = max(self._progress.tasks[-1].total or 0, self._done)
                self._progress.update(self._task, completed=self._done, total=total, rate=f"{rate:,.0f}/s {pace}")
            case AtWork(words, rows, so_far):
                # One line, what matters most at its beginning.
                self._rows = rows + (self._rows if words == self._words else 0)
                self._words = words
                parts = [so_far.words] if so_far else []
                parts += [many(self._rows, "row")] if self._rows else []
                self._progress.line = printable(": ".join(filter(None, (", ".join(parts), words))))
            case Note(words):
                # Above the bars, where it stays.
                self._progress.console.print(Text(printable(words)), soft_wrap=True)
