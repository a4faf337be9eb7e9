"""Any executor works, and the report is correct whatever happens to the executor and its workers."""

from __future__ import annotations

import gc
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyring_core import Keyring
from rotation.job import passes, worker
from rotation.job.executors import is_lost
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.job.ranges import Bounds
from rotation.job.worker import check_worker, do_range, make_order, make_task
from rotation.job.workers import Workers
from rotation.model.failures import WorkerError
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.output.documents.run import RunJson
from rotation.stores.store import Store
from rotation.world.process import Stopping
from tests.databases import Database, open_database
from tests.fakes import Silence, token
from tests.processes import die
from tests.selection import DATABASES

pytestmark = pytest.mark.database

OLD = token("old")
ODD = [OLD[:64], None, token("unknown")]
CELLS = [OLD] * 5000 + ODD


@pytest.fixture(autouse=True)
def keys(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the keys in the environment of workers."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    """An SQLite database, for tests that need only one kind."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds(CELLS)
        yield database


def _threads() -> Executor:
    return ThreadPoolExecutor(2)


def _processes() -> Executor:
    return ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("database", "make"),
    [
        *((kind, _threads) for kind in DATABASES),
        ("postgresql", _processes),
        *(pytest.param(kind, _processes, marks=pytest.mark.long) for kind in ("sqlite", "mariadb")),
    ],
    indirect=["database"],
)
def test_an_executor_reports_what_one_process_reports(
    database: Database, keyring: Keyring, make: Callable[[], Executor]
) -> None:
    """Threads and plain processes report the same as one process, except for times."""
    database.make_creds(CELLS)
    with make() as executor:
        together = _run(database, keyring, executor)
    cells = [cell for _, cell in sorted(database.column().items())]
    database.execute("DROP TABLE creds")
    database.make_creds(CELLS)

    assert _without_times(together) == _without_times(_run(database, keyring, None))
    assert cells[5000:] == ODD
    assert {keyring.key_for(cell) for cell in cells[:5000]} == {keyring.primary}


def test_a_worker_disconnects_when_its_thread_ends(database: Database, keyring: Keyring) -> None:
    """No open connection is left for the garbage collector."""
    database.make_creds(CELLS)
    gc.collect()  # what other tests left
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with _threads() as executor:
            _run(database, keyring, executor)
        gc.collect()

    assert [str(each.message) for each in caught if each.category is ResourceWarning] == []


def test_a_broken_pool_ends_the_run_and_loses_nothing(app: Database, keyring: Keyring) -> None:
    """A plain pool accepts no work after a worker was killed: the report says so, and the next run does the rest."""
    with _processes() as executor:
        before = _run(app, keyring, _Fatal(executor))
    after = _run(app, keyring, None)

    assert before.exit_code == 3
    assert "workers died" in str(before.targets[0].stopped)
    assert after.targets[0].counts.current + after.targets[0].counts.rotated == 5000


def test_a_cluster_that_is_gone_before_the_first_range_is_an_interruption(app: Database, keyring: Keyring) -> None:
    """Dask cancels its futures; that is exit code 3 without a traceback."""
    report = _run(app, keyring, _Refusing(CancelledError()))

    assert (report.exit_code, app.column()[1]) == (3, OLD)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        pytest.param(None, True, id="cancelled"),
        pytest.param(BrokenExecutor(), True, id="a broken pool"),
        # Dask's own class is not imported: that takes a second.
        pytest.param(type("KilledWorker", (Exception,), {})(), True, id="killed several times"),
        pytest.param(type("NoWorkerError", (Exception,), {})(), True, id="no worker left"),
        pytest.param(WorkerError("other keys"), False, id="refused"),
    ],
)
def test_a_call_is_lost_with_its_worker(error: Exception | None, *, lost: bool) -> None:
    """Then the run is interrupted, and goes on later; an error of the call itself is a fault to report."""
    call: Future[None] = Future()
    if error is None:
        call.cancel()
    else:
        call.set_exception(error)

    assert is_lost(call) is lost


def test_a_worker_without_the_packages_is_refused(app: Database, keyring: Keyring) -> None:
    """The error says what to do, and nothing is written."""
    with pytest.raises(WorkerError, match=r"cannot start \(ModuleNotFoundError\). Install the same packages"):
        _run(app, keyring, _Refusing(ModuleNotFoundError("No module named 'rotation'")))

    assert app.column()[1] == OLD


def test_a_worker_that_refuses_late_hides_no_result_of_others(
    app: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with other keys was busy during the check: the report still counts what the others have written."""
    monkeypatch.setattr(passes, "FIRST_RANGE", 1000)
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
    """It is a WorkerError, since other workers may have written already."""
    target = Target(app.url, "creds", "token", "creds", written="$DATABASE_URL")
    task = make_task(make_order(keyring, RunOptions()), target, "", Bounds())
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(WorkerError, match=r"^worker \d+ on .*Give every worker the same variables, then run again"):
        do_range(task)


def test_a_worker_that_opens_another_table_refuses(
    app: Database, keyring: Keyring, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name may lead there for a moment only, and the worker would keep to it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    target = Target(app.url, "creds", "token", "creds")
    task = make_task(make_order(keyring, RunOptions()), target, "another one's", Bounds())

    with pytest.raises(WorkerError, match="is another table here than where the run was started"):
        do_range(task)


def test_a_worker_that_is_asked_to_stop_does_no_further_batch(
    app: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hands its range back as it is, and that is no fault: the process of the run says why it ends."""
    monkeypatch.setattr(worker, "stop_request", Stopping())
    target = Target(app.url, "creds", "token", "creds")
    with closing(Store(target, read_only=True, sleep=time.sleep)) as store:
        task = make_task(make_order(keyring, RunOptions()), target, store.number(), Bounds())

    worker.ask_to_stop()
    done = do_range(task)

    assert (done.rows, done.whole, done.fault) == (0, False, None)
    assert app.column()[1] == OLD


class _Around(Executor):
    """Wraps another executor."""

    def __init__(self, inner: Executor | None = None) -> None:
        self._inner = inner
        self._ranges = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Passes each range through `submit_range`, which subclasses replace."""
        assert self._inner
        if fn is check_worker:
            return self._inner.submit(fn, *args, **kwargs)
        self._ranges += 1
        return self.submit_range(self._inner, fn, *args)

    def submit_range(self, inner: Executor, fn: Callable[..., Any], task: object) -> Future[Any]:
        return inner.submit(fn, task)


class _Fatal(_Around):
    """The second range kills its worker."""

    def submit_range(self, inner: Executor, fn: Callable[..., Any], task: object) -> Future[Any]:
        return inner.submit(die) if self._ranges == 2 else inner.submit(fn, task)


class _Late(_Around):
    """The first range meets a worker that refuses, after another worker has done the second range."""

    def submit_range(self, inner: Executor, fn: Callable[..., Any], task: object) -> Future[Any]:
        if self._ranges > 1:
            done = inner.submit(fn, task)
            wait([done])
            return done
        refused: Future[Any] = Future()
        refused.set_exception(WorkerError("other keys"))
        return refused


class _Refusing(_Around):
    """Every call fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        refused: Future[Any] = Future()
        refused.set_exception(self._error)
        return refused


def _run(database: Database, keyring: Keyring, executor: Executor | None) -> Report:
    target = Target(database.url, "creds", "token", "creds")

    def open_store(target: Target) -> Store:
        return Store(target, read_only=False, sleep=time.sleep)

    workers = Workers(executor, 2) if executor else 1
    return rotate([target], keyring, open_store, RunOptions(full_speed=True), Silence(), workers=workers)


def _without_times(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(RunJson.of(report))
    [target] = document["targets"]
    # Somebody who writes on the same server may cost a further look, or another pass.
    by_others = {"passes": 0, "proof": None}
    return document | {"targets": [target | by_others | {"seconds": 0, "read_from": None, "read_to": None}]}
