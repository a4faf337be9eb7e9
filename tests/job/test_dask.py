"""The same work through a Dask cluster: two workers, each with its own keys, on PostgreSQL."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from distributed import Client, LocalCluster

from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text
from tests.processes import start, until

pytestmark = pytest.mark.database

ROWS = 20_000
OLD = token("old")
ODD = {7: token("unknown"), 9000: OLD[:64], 15_000: None, 19_999: "hunter2"}
CELLS = [ODD.get(row, OLD) for row in range(1, ROWS + 1)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    with open_database("postgresql", tmp_path) as database:
        database.make_creds(CELLS)
        yield database


@pytest.fixture
def cluster(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two workers in separate processes, with the keys in their environment."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


def test_a_cluster_reports_what_one_process_reports(
    app: Database, cluster: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    """Two workers of a cluster give the same counts, problems and exit code as one process."""
    with start(app, environ, tmp_path, "--dask", cluster.scheduler_address, "--full-speed") as command:
        code, document = command.end(120)

    assert (code, _without_times(document)) == _inline(app, environ, tmp_path)
    assert document["targets"][0]["rotated"] == ROWS - len(ODD)


@pytest.mark.long
def test_plaintext_is_adopted_through_a_cluster(
    app: Database, cluster: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    """Each worker decides by itself what becomes a token: the same as one process alone."""
    options = ("--yes", "--dask", cluster.scheduler_address, "--full-speed")
    with start(app, environ, tmp_path, *options, command="adopt") as command:
        code, document = command.end(120)

    [target] = document["targets"]
    assert (code, target["rotated"], target["taken_over"]) == (1, ROWS - len(ODD) + 1, 1)
    assert Fernet(key_text("new")).decrypt(app.column()[19_999]) == b"hunter2"


def test_a_dead_worker_of_a_cluster_loses_nothing(
    app: Database, cluster: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    """One of two workers is killed: the other worker and a new one do the rest, and the report is the same.

    Only the rows that the dead worker wrote and did not report count as current.
    """
    with start(app, environ, tmp_path, "--dask", cluster.scheduler_address, "--batch-size", "100") as command:
        until(lambda: _moved(app) > 500)
        with Client(cluster.scheduler_address) as client:
            victim = next(iter(client.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)
        code, document = command.end(120)
    moved = _moved(app)
    [target] = document["targets"]
    rotated, current = target["rotated"], target["current"]
    target |= {"rotated": rotated + current, "current": 0}

    assert (code, _without_times(document)) == _inline(app, environ, tmp_path)
    assert (moved, rotated > 0) == (ROWS - len(ODD), True)


def test_a_cluster_without_workers_is_waited_for(
    app: Database, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cluster may add workers on demand: the run logs that it waits, and starts with the first worker."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster,
        start(app, environ, tmp_path, "--dask", cluster.scheduler_address, "--full-speed") as command,
    ):
        until(lambda: "rotation.waiting_for_workers" in command.log)
        cluster.scale(1)
        code, document = command.end(120)

    assert (code, document["targets"][0]["rotated"]) == (1, ROWS - len(ODD))


def _inline(app: Database, environ: dict[str, str], folder: Path) -> tuple[int, dict[str, Any]]:
    """The exit code and report of one process with the same cells."""
    app.execute("DROP TABLE creds")
    app.make_creds(CELLS)
    with start(app, environ, folder, "--full-speed", "--workers", "1") as command:
        code, document = command.end()
    return code, _without_times(document)


def _without_times(document: dict[str, Any]) -> dict[str, Any]:
    [target] = document["targets"]
    return document | {"targets": [target | {"seconds": 0, "retries": 0}]}


def _moved(database: Database) -> int:
    return sum(cell not in {OLD, *ODD.values()} for cell in database.column().values())
