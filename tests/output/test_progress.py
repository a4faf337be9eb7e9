"""The progress of a run, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
import structlog
from rich.console import Console
from structlog.testing import capture_logs

from rotation.model.report import TargetReport
from rotation.output import progress
from rotation.output.progress import BarWatcher, LogWatcher
from rotation.stores.open import identify
from tests.fakes import TARGET

REPORT = TargetReport(TARGET, identify(TARGET), ("id",))


def test_a_bar_shows_what_is_done_and_the_rows() -> None:
    """An estimate that was too low is raised."""
    out = io.StringIO()
    with BarWatcher(Console(file=out, force_terminal=True, width=120), verb="rotating") as bar:
        bar.advance(1, 0)  # before any pass: nothing to move
        bar.begin(REPORT, 10, 1)
        bar.advance(12, 0)

    assert "rotating creds.token" in out.getvalue()
    assert "12/12" in out.getvalue()


def test_each_target_has_one_bar() -> None:
    """The first pass rotates; the next one checks, in the same bar from its beginning. Another target gets its own."""
    with BarWatcher(Console(file=io.StringIO(), force_terminal=True), verb="rotating") as bar:
        bar.begin(REPORT, 10, 1)
        bar.advance(10, 10)
        bar.begin(REPORT, 10, 2)
        bar.advance(3, 0)
        bar.begin(REPORT, 20, 1)

    assert [(task.description, task.completed, task.total) for task in bar._progress.tasks] == [
        ("checking (pass 2) creds.token", 3, 10),
        ("rotating creds.token", 0, 20),
    ]


def test_a_run_that_goes_on_counts_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of an earlier run count as done, but not for the speed of this one."""
    now = iter([0.0, 0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "log", structlog.get_logger())
    with capture_logs() as logged:
        watcher = LogWatcher()
        watcher.begin(REPORT, 1000, 1, done=700)
        watcher.advance(100, 90)
    monkeypatch.undo()
    with BarWatcher(Console(file=io.StringIO(), force_terminal=True), verb="rotating") as bar:
        bar.begin(REPORT, 1000, 1, done=700)
        bar.advance(100, 90)
    [task] = bar._progress.tasks

    assert [(line["done"], line["rows_per_second"], line["seconds_left"]) for line in logged] == [(800, 10, 20)]
    assert (task.completed, task.total) == (800, 1000)


def test_a_log_line_comes_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one per batch. It has the pass, the rows that are done, the speed and the time that is left."""
    now = iter([0.0, 0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "log", structlog.get_logger())

    with capture_logs() as logged:
        watcher = LogWatcher()
        watcher.begin(REPORT, 1000, 2)
        for _ in range(3):
            watcher.advance(200, 90)

    assert [(line["event"], line["number"], line["done"], line["rows"]) for line in logged] == [
        ("rotation.progress", 2, 400, 1000)
    ]
    assert (logged[0]["rotated"], logged[0]["rows_per_second"], logged[0]["seconds_left"]) == (180, 67, 9)
