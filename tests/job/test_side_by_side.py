"""Small targets side by side: the same report as one after the other, and one thread for ledger and display."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyring_core import Keyring
from rotation.job.loop import MainThread, rotate
from rotation.job.options import RunOptions
from rotation.ledger.ledger import Ledger
from rotation.model.failures import StoppedError
from rotation.model.report import Report, TargetReport
from rotation.model.target import Target
from rotation.model.watcher import Watcher
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database
from tests.fakes import Silence, token
from tests.processes import until

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
TABLES = ("creds_1", "creds_2", "creds_3", "creds_4")
OLD = token("old")
CELLS = [OLD, token("new"), None, token("unknown"), *[OLD] * 30]
THREADS = 3


def fill(database: Database) -> None:
    """Tables of the same cells, each with two columns of them."""
    for table in TABLES:
        database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token TEXT, other TEXT)")
        database.insert(table, [{"id": n, "token": cell, "other": cell} for n, cell in enumerate(CELLS)])


def run(database: Database, keyring: Keyring, threads: int, watcher: Watcher | None = None) -> Report:
    """A run at full speed over all of it, in the order of the tables."""
    targets = [Target(database.url, table, column, table) for column in ("token", "other") for table in TABLES]

    def open_store(target: Target) -> Store:
        return Store(target, read_only=False, sleep=lambda _: None)

    return rotate(targets, keyring, open_store, RunOptions(full_speed=True), watcher or Silence(), workers=threads)


class Told(Silence):
    """Keeps the thread and the target of each call."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.rows: list[tuple[str, int]] = []

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        self.threads.add(threading.current_thread())
        self.rows.append((report.target.label, 0))

    def advance(self, rows: int, outdated: int, pace: str = "") -> None:
        self.threads.add(threading.current_thread())
        label, before = self.rows.pop()
        self.rows.append((label, before + rows))


@pytest.mark.database
@SERVERS
def test_the_report_is_the_one_of_one_thread(database: Database, keyring: Keyring) -> None:
    """Every target has the counts and problems that it has if it is done by itself, in the order of the targets."""
    fill(database)
    together = run(database, keyring, THREADS)
    for table in TABLES:
        database.execute(f"DROP TABLE {table}")
    fill(database)
    alone = run(database, keyring, 1)

    assert [part.counts for part in together.targets] == [part.counts for part in alone.targets]
    # By which proof depends on the transactions of other tests: PostgreSQL numbers those of the whole server.
    assert all(part.proof for part in (*together.targets, *alone.targets))
    assert [part.target.label for part in together.targets] == [part.target.label for part in alone.targets]
    assert [part.unreadable for part in together.targets] == [part.unreadable for part in alone.targets]
    assert all(part.counts.rotated == CELLS.count(OLD) for part in together.targets)


@pytest.mark.database
@SERVERS
def test_a_watcher_is_told_of_one_target_after_the_other(database: Database, keyring: Keyring) -> None:
    """In the thread that began the run, which owns the display: no row is counted for another target."""
    fill(database)
    told = Told()

    run(database, keyring, THREADS, told)

    assert told.threads == {threading.main_thread()}
    assert {label for label, _ in told.rows} == {
        f"{table}.{column}" for table in TABLES for column in ("token", "other")
    }
    assert {rows for _, rows in told.rows} == {len(CELLS)}


@contextmanager
def held(database: Database, table: str) -> Iterator[None]:
    """All rows of *table* locked by somebody else."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET token = token")
        yield


@pytest.mark.database
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_table_does_not_wait_for_another(database: Database, keyring: Keyring) -> None:
    """While one table is locked by a service, the others are done."""
    fill(database)

    def left() -> int:
        return sum(OLD in database.column(table, "other").values() for table in TABLES[1:])

    with ThreadPoolExecutor(1) as runner:
        with held(database, TABLES[0]):
            running = runner.submit(run, database, keyring, THREADS)
            until(lambda: left() == 0, "the end of the other tables")
            first = database.column(TABLES[0], "token")
        report = running.result()

    assert OLD in first.values()
    assert [part.counts.rotated for part in report.targets] == [CELLS.count(OLD)] * len(report.targets)


@pytest.mark.database
@SERVERS
def test_one_thread_uses_the_ledger(
    database: Database, cli: Cli, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is of one thread, which looks for the progress of each target there."""
    fill(database)
    config, asked, reached = tmp_path / "rotation.toml", list[threading.Thread](), Ledger.reached
    entry = '[[target]]\nurl = "{}"\ntable = "{}"\ncolumns = ["token", "other"]\n'
    config.write_text("".join(entry.format(database.url, table) for table in TABLES))

    def ask(ledger: Ledger, plan: str) -> str | None:
        asked.append(threading.current_thread())
        return reached(ledger, plan)

    monkeypatch.setattr(Ledger, "reached", ask)
    environ |= {"ROTATION_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db"}
    ran = cli("run", "--config", str(config), "--full-speed", environ=environ)

    assert ran.code == 1, ran.err
    assert asked == [threading.main_thread()] * 2 * len(TABLES)


@pytest.mark.database
@SERVERS
def test_the_file_of_problems_has_those_of_every_target(database: Database, cli: Cli, tmp_path: Path) -> None:
    """With --problems the targets are done one after the other, since the file is made so."""
    fill(database)
    config, problems = tmp_path / "rotation.toml", tmp_path / "problems.jsonl"
    entry = '[[target]]\nurl = "{}"\ntable = "{}"\ncolumns = ["token"]\n'
    config.write_text("".join(entry.format(database.url, table) for table in TABLES))

    ran = cli("run", "--config", str(config), "--full-speed", "--problems", str(problems))

    assert ran.code == 1, ran.err
    assert [line.count('"table"') for line in problems.read_text().splitlines()] == [1] * len(TABLES)


def test_a_call_is_done_by_the_thread_that_serves() -> None:
    """And its result, or its error, comes back to the thread that called."""
    with ThreadPoolExecutor(2) as threads:
        main = MainThread()
        named, failed = (threads.submit(main.call, act) for act in (threading.current_thread, lambda: 1 // 0))
        main.serve(named)
        main.serve(failed)

    assert named.result() is threading.current_thread()
    assert isinstance(failed.exception(), ZeroDivisionError)


def test_no_thread_waits_for_one_that_serves_no_more() -> None:
    """R11: after a second signal nobody serves; a call that waits, and each later one, ends."""
    main, waits = MainThread(), Future[None]()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(main.call, lambda: waits.set_result(None))
        until(lambda: bool(main._waiting), "the call")
        main.close()

    assert isinstance(waiting.exception(), StoppedError)
    assert not waits.done()
    with pytest.raises(StoppedError):
        main.call(lambda: None)


def test_a_second_signal_leaves_no_thread_that_waits() -> None:
    """R11: it may arrive while a call is served; the signal goes on, and the thread that called ends."""
    main = MainThread()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(main.call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            main.serve(waiting)
        main.close()
        until(waiting.done, "the end of the call")

    assert isinstance(waiting.exception(), KeyboardInterrupt)
