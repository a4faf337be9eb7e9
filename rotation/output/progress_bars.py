"""Progress of a run on a terminal: one bar per target."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rotation.model.report import TargetReport


class BarWatcher:
    """One bar per target, on a terminal. A context manager: the bars are drawn while it is open."""

    def __init__(self, console: Console, *, verb: str) -> None:
        self._verb = verb
        self._task: TaskID | None = None
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
