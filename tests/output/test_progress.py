"""The progress of a run, in a log and on a terminal."""

from __future__ import annotations

import io

import pytest
import structlog
from rich.console import Console
from structlog.testing import capture_logs

from keyring_core import Keyring
from rotation.job import passes
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.model.report import TargetReport
from rotation.model.watcher import Advanced, AtWork, Began, Note, SoFar
from rotation.output import progress
from rotation.output.progress import BarWatcher, LogWatcher
from rotation.stores.databases import identify
from tests.fakes import TARGET, MemoryStore, token

REPORT = TargetReport(TARGET, identify(TARGET), ("id",))


def test_a_run_that_goes_on_counts_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of an earlier run count as done, but not for the speed of this one."""
    now = iter([0.0, 0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "log", structlog.get_logger())

    with capture_logs() as logged:
        watcher = LogWatcher()
        watcher(Began(REPORT, 1000, 1, done=700))
        watcher(Advanced(100, 90))

    assert [(line["done"], line["rows_per_second"], line["seconds_left"]) for line in logged] == [(800, 10, 20)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_rotates_nothing(monkeypatch: pytest.MonkeyPatch, keyring: Keyring, dry_run: bool) -> None:
    """Its log calls the tokens under older keys `to_rotate`, in the lines of its progress and of its end."""
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    monkeypatch.setattr(progress, "log", structlog.get_logger())
    monkeypatch.setattr(passes, "log", structlog.get_logger())
    name, other = ("to_rotate", "rotated") if dry_run else ("rotated", "to_rotate")
    store = MemoryStore({1: token("old"), 2: token("new"), 3: token("older")})

    with capture_logs() as logged, progress.watch(io.StringIO(), {}, dry_run=dry_run) as watcher:
        rotate([TARGET], keyring, lambda _: store, RunOptions(dry_run=dry_run), watcher)

    lines = [line for line in logged if line["event"] in {"rotation.progress", "rotation.pass"}][:2]
    assert [line["event"] for line in lines] == ["rotation.progress", "rotation.pass"]
    assert [line[name] for line in lines] == [2, 2]
    assert not any(other in line for line in lines)


def test_a_log_line_comes_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one per batch. It has the pass, the rows that are done, the speed and the time that is left."""
    now = iter([0.0, 0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "log", structlog.get_logger())

    with capture_logs() as logged:
        watcher = LogWatcher()
        watcher(Began(REPORT, 1000, 2))
        for _ in range(3):
            watcher(Advanced(200, 90))

    assert [(line["event"], line["number"], line["done"], line["rows"]) for line in logged] == [
        ("rotation.progress", 2, 400, 1000)
    ]
    assert (logged[0]["rotated"], logged[0]["rows_per_second"], logged[0]["seconds_left"]) == (180, 67, 9)


def test_a_search_is_logged_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the database, and the rows that were read in it."""
    now = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "log", structlog.get_logger())

    with capture_logs() as logged:
        watcher = LogWatcher()
        for words in ("searching a: 1 of 2", "searching a: 1 of 2", "searching b: 2 of 2", "searching b: 2 of 2"):
            watcher(AtWork(words, 100))

    assert [(line["event"], line["doing"], line["done"]) for line in logged] == [
        ("rotation.progress", "searching a: 1 of 2", 200),
        ("rotation.progress", "searching b: 2 of 2", 200),
    ]


def test_a_search_logs_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As numbers; what nobody knows yet is left out. What begins is logged at once."""
    now = iter([0.0, 6.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "log", structlog.get_logger())

    with capture_logs() as logged:
        watcher = LogWatcher()
        watcher(Note("Searching every row of 2 databases (2.0 GB)"))
        watcher(AtWork("searching a", 100, SoFar(1, 2, 3, 4)))
        watcher(AtWork("searching a", 100, SoFar(1, 2, 3, 4, 43, 2_000_000_000, 90)))

    numbers = {"database": 1, "databases": 2, "table": 3, "tables": 4}
    of_search = {"event": "rotation.progress", "doing": "searching a", "log_level": "info"}
    assert logged == [
        {"event": "rotation.note", "words": "Searching every row of 2 databases (2.0 GB)", "log_level": "info"},
        of_search | numbers | {"done": 100},
        of_search | numbers | {"done": 200, "percent": 43, "bytes": 2_000_000_000, "seconds_left": 90},
    ]


def test_a_bar_shows_what_is_done_and_the_rows() -> None:
    """An estimate that was too low is raised."""
    out = io.StringIO()
    with BarWatcher(Console(file=out, force_terminal=True, width=120), verb="rotating") as bar:
        bar(Advanced(1, 0))  # before any pass: nothing to move
        bar(Began(REPORT, 10, 1))
        bar(Advanced(12, 0))

    assert "rotating creds.token" in out.getvalue()
    assert "12/12" in out.getvalue()


def test_a_search_has_one_line_while_it_lasts() -> None:
    """It names the database, counts its rows from zero, and is cut off where the terminal ends; it goes at the end."""
    out, shown = io.StringIO(), []
    with BarWatcher(Console(file=out, force_terminal=True, width=60), verb="reading") as bar:
        bar(Began(REPORT, 10, 1))
        for words, rows, so_far in (
            ("searching a", 1700, None),
            ("searching a", 7, SoFar(1, 2, 3, 4)),
            ("searching b", 1, SoFar(2, 2, 1, 4, 43, 2_000, 170)),
        ):
            bar(AtWork(words, rows, so_far))
            bar._progress.refresh()
            shown.append(bar._progress.line)

    assert shown == [
        "1,700 rows: searching a",
        "database 1 of 2, table 3 of 4, 1,707 rows: searching a",
        "43 %, about 3 minutes left, database 2 of 2, table 1 of 4, 1 row: searching b",
    ]
    assert "43 %, about 3 minutes left, database 2 of 2" in out.getvalue()
    assert "searching b" not in out.getvalue()
    assert "database" not in out.getvalue().rpartition("reading creds.token")[2]


def test_what_is_announced_stays_above_the_bars() -> None:
    """It is printed once, in a line of its own, also if it is longer than the terminal is wide."""
    out, words = io.StringIO(), "Searching every row of 3 databases (214 tables, 12.4 GB)"
    with BarWatcher(Console(file=out, force_terminal=True, width=40), verb="reading") as bar:
        bar(AtWork("searching a", 1))
        bar(Note(words))
        bar._progress.refresh()

    assert out.getvalue().count(f"{words}\n") == 1


def test_each_target_has_one_bar() -> None:
    """The first pass rotates; the next one checks, in the same bar from its beginning. Another target gets its own."""
    with BarWatcher(Console(file=io.StringIO(), force_terminal=True), verb="rotating") as bar:
        bar(Began(REPORT, 10, 1))
        bar(Advanced(10, 10))
        bar(Began(REPORT, 10, 2))
        bar(Advanced(3, 0))
        bar(Began(REPORT, 20, 1))

    assert [(task.description, task.completed, task.total) for task in bar._progress.tasks] == [
        ("checking (pass 2) creds.token", 3, 10),
        ("rotating creds.token", 0, 20),
    ]


def test_the_bar_of_a_run_that_goes_on_begins_where_it_was() -> None:
    """The rows of an earlier run count as done."""
    with BarWatcher(Console(file=io.StringIO(), force_terminal=True), verb="rotating") as bar:
        bar(Began(REPORT, 1000, 1, done=700))
        bar(Advanced(100, 90))

    [task] = bar._progress.tasks
    assert (task.completed, task.total) == (800, 1000)
