"""Any executor will do, and what becomes of it and of its workers is told truly."""

from __future__ import annotations

import gc
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from keyring_core import Keyring
from rotation.job.process_pool import ProcessWorkers
from rotation.job.ranges import Bounds, Options
from rotation.job.rotation import rotate
from rotation.job.throttle import Brake
from rotation.job.worker import check_worker, do_range, make_setup, make_task
from rotation.model.failures import WorkerError
from rotation.model.report import Report
from rotation.model.targets import Target
from rotation.stores.sql import SqlStore
from tests.databases import Database, open_database
from tests.fakes import Silence, token
from tests.processes import die

pytestmark = pytest.mark.database

OLD = token("old")
ODD = [OLD[:64], None, token("unknown")]
CELLS = [OLD] * 5000 + ODD


@pytest.fixture(autouse=True)
def keys(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment of whoever works."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    """Where the database does not matter."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds(CELLS)
        yield database


def _threads() -> Executor:
    return ThreadPoolExecutor(2)


def _processes() -> Executor:
    return ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("make", [_threads, _processes])
def test_an_executor_reports_what_one_process_reports(
    database: Database, keyring: Keyring, make: Callable[[], Executor]
) -> None:
    """Threads and plain processes do the same work; time apart."""
    database.make_creds(CELLS)
    with make() as executor:
        together = _run(database, keyring, executor)
    cells = [cell for _, cell in sorted(database.column().items())]
    database.execute("DROP TABLE creds")
    database.make_creds(CELLS)

    assert _telling(together) == _telling(_run(database, keyring, None))
    assert cells[5000:] == ODD
    assert {keyring.key_for(cell) for cell in cells[:5000]} == {keyring.primary}


def test_a_worker_hangs_up_when_its_thread_ends(database: Database, keyring: Keyring) -> None:
    """No connection is left to be found by the garbage collector."""
    database.make_creds(CELLS)
    gc.collect()  # what other tests left
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        with _threads() as executor:
            _run(database, keyring, executor)
        gc.collect()

    assert [str(each.message) for each in told if each.category is ResourceWarning] == []


def test_a_broken_pool_ends_the_run_and_loses_nothing(app: Database, keyring: Keyring) -> None:
    """A plain pool whose worker was killed takes no more work: the report says so, and the next run does the rest."""
    with _processes() as executor:
        before = _run(app, keyring, _Fatal(executor))
    after = _run(app, keyring, None)

    assert before.exit_code == 3
    assert "the executor takes no more work" in str(before.targets[0].stopped)
    assert after.targets[0].counts.current + after.targets[0].counts.rotated == 5000


@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_a_worker_that_dies_as_it_is_given_work_is_replaced(app: Database, keyring: Keyring, call: int) -> None:
    """R10: whether it was to tell its keys or to do a range."""
    with _Mortal(call) as executor:
        report = _run(app, keyring, executor)

    [target] = report.targets
    assert executor.calls > call + 1
    # What the dead one had written and not told was found current.
    assert (target.stopped, target.counts.rotated + target.counts.current) == (None, 5000)


def test_a_cluster_that_is_gone_before_the_first_range_is_an_interruption(app: Database, keyring: Keyring) -> None:
    """Dask cancels what it was given; that is exit code 3, and no traceback."""
    report = _run(app, keyring, _Refusing(CancelledError()))

    assert (report.exit_code, app.column()[1]) == (3, OLD)


def test_a_worker_without_our_packages_is_refused(app: Database, keyring: Keyring) -> None:
    """It says what to do, and nothing is written."""
    with pytest.raises(WorkerError, match=r"cannot start \(ModuleNotFoundError\). Install the same packages"):
        _run(app, keyring, _Refusing(ModuleNotFoundError("No module named 'rotation'")))

    assert app.column()[1] == OLD


def test_a_worker_that_refuses_late_hides_nothing_that_others_did(app: Database, keyring: Keyring) -> None:
    """It has other keys and was busy when all were asked: the report tells what the others have written."""
    with _threads() as executor:
        report = _run(app, keyring, _Late(executor))

    [target] = report.targets
    moved = sum(cell not in CELLS for cell in app.column().values())
    assert (report.exit_code, target.stopped) == (3, "other keys")
    assert 0 < target.counts.rotated == moved < 5000


@pytest.mark.parametrize("url", ["", "sqlite:////nowhere/app.db"], ids=["not set", "of no database"])
def test_a_worker_without_the_target_fails_as_a_worker(
    app: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Others may have written already, so that this is no mistake found before anything was touched."""
    target = Target(app.url, "creds", "token", "creds", written="$DATABASE_URL")
    task = make_task(make_setup(keyring, Options(), 1), target, Bounds())
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(WorkerError, match=r"^worker \d+ on .*Give every worker the same variables, then run again"):
        do_range(task)


class _Around(Executor):
    """Another executor, or none."""

    def __init__(self, inner: Executor | None = None) -> None:
        self._inner = inner
        self._ranges = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Lets the subclass do something about each range."""
        assert self._inner
        if fn is check_worker:
            return self._inner.submit(fn, *args, **kwargs)
        self._ranges += 1
        return self.submit_range(self._inner, fn, *args)

    def submit_range(self, inner: Executor, fn: Callable[..., Any], task: object) -> Future[Any]:
        return inner.submit(fn, task)


class _Mortal(ProcessWorkers):
    """Two of our own processes; one of them dies of a certain call."""

    def __init__(self, fatal: int) -> None:
        super().__init__(2, log_level="WARNING")
        self._fatal = fatal
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Counts."""
        self.calls += 1
        return super().submit(die) if self.calls - 1 == self._fatal else super().submit(fn, *args, **kwargs)


class _Fatal(_Around):
    """The second range kills its worker."""

    def submit_range(self, inner: Executor, fn: Callable[..., Any], task: object) -> Future[Any]:
        return inner.submit(die) if self._ranges == 2 else inner.submit(fn, task)


class _Late(_Around):
    """The first range finds a worker that refuses, when another one has done the second."""

    def submit_range(self, inner: Executor, fn: Callable[..., Any], task: object) -> Future[Any]:
        if self._ranges > 1:
            done = inner.submit(fn, task)
            wait([done])
            return done
        refused: Future[Any] = Future()
        refused.set_exception(WorkerError("other keys"))
        return refused


class _Refusing(_Around):
    """Nobody begins."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        refused: Future[Any] = Future()
        refused.set_exception(self._error)
        return refused


def _run(database: Database, keyring: Keyring, executor: Executor | None) -> Report:
    target = Target(database.url, "creds", "token", "creds")

    def open_store(target: Target) -> SqlStore:
        return SqlStore(target, read_only=False, sleep=time.sleep)

    options = Options(brake=Brake(idle_share=0), workers=2)
    return rotate([target], keyring, open_store, options, Silence(), executor=executor)


def _telling(report: Report) -> dict[str, Any]:
    document = report.document()
    [target] = document["targets"]
    return document | {"targets": [target | {"seconds": 0}]}
