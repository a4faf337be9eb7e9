"""The progress of a run, on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from rotation.model.report import TargetReport
from rotation.output.progress_bars import BarWatcher
from rotation.stores.databases import identify
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


def test_a_search_has_one_line_while_it_lasts() -> None:
    """It names the database, and counts its rows from zero; it goes with the last of them."""
    with BarWatcher(Console(file=io.StringIO(), force_terminal=True), verb="reading") as bar:
        bar.begin(REPORT, 10, 1)
        for words, rows in (("searching a: 1 of 2", 700), ("searching a: 1 of 2", 7), ("searching b: 2 of 2", 5)):
            bar.at_work(words, rows)
            shown = [(task.description, task.completed, task.total) for task in bar._progress.tasks]

    assert shown == [("reading creds.token", 0, 10), ("searching b: 2 of 2", 5, None)]
    assert [task.description for task in bar._progress.tasks] == ["reading creds.token"]


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


def test_the_bar_of_a_run_that_goes_on_begins_where_it_was() -> None:
    """The rows of an earlier run count as done."""
    with BarWatcher(Console(file=io.StringIO(), force_terminal=True), verb="rotating") as bar:
        bar.begin(REPORT, 1000, 1, done=700)
        bar.advance(100, 90)

    [task] = bar._progress.tasks
    assert (task.completed, task.total) == (800, 1000)
