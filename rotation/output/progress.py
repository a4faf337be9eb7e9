"""Progress of a run or a search: bars on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

import structlog

from rotation.model.report import TargetReport
from rotation.model.watcher import Watcher

LOG_SECONDS = 5.0

log = structlog.get_logger(__name__)


def watch(stream: TextIO, environ: Mapping[str, str], *, dry_run: bool) -> AbstractContextManager[Watcher]:
    """Bars if *stream* is a terminal, otherwise log lines."""
    if not stream.isatty():
        return nullcontext(LogWatcher(dry_run=dry_run))
    from rotation.output.progress_bars import BarWatcher  # noqa: PLC0415 - a pipe needs no bars
    from rotation.output.terminal import console_on  # noqa: PLC0415

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

    def at_work(self, words: str, rows: int = 0) -> None:
        """Logs what is done if the last line is LOG_SECONDS old."""
        if words != self._label:
            self._label, self._done = words, 0
        self._done += rows
        if (now := time.monotonic()) >= self._next:
            self._next = now + LOG_SECONDS
            log.info("rotation.progress", doing=words, done=self._done)
