"""Progress of a run or a search on a terminal: one bar per target, one line for all else."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from keyring_core.names import printable
from rotation.model.report import TargetReport


class BarWatcher:
    """One bar per target, on a terminal. A context manager: the bars are drawn while it is open."""

    def __init__(self, console: Console, *, verb: str) -> None:
        self._verb = verb
        self._task: TaskID | None = None
        self._other: TaskID | None = None
        """The line for what is no pass over a target."""
        self._progress = Progress(
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
        if self._other is not None:
            # Done; the bars of targets stay.
            self._progress.remove_task(self._other)
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

    def at_work(self, words: str, rows: int = 0) -> None:
        """Shows what is done, with the rows that were read so far."""
        words = printable(words)
        if self._other is None:
            self._other = self._progress.add_task(words, total=None, rate="")
        elif self._progress.tasks[self._progress.task_ids.index(self._other)].description != words:
            self._progress.reset(self._other, total=None, description=words, rate="")
        self._progress.update(self._other, advance=rows)
