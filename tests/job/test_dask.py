"""The same work through a Dask cluster: two workers, each with its own keys, on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from distributed import Client, LocalCluster

from keyring_core import Keyring
from keyring_core.blind_index import BlindIndex
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text, make_key
from tests.processes import AT_ONCE, run, start, until
from tests.warm.client import Program

pytestmark = pytest.mark.database

ROWS = 6000
OLD = token("old")
ODD = {7: token("unknown"), 3000: OLD[:64], 5000: None, 5999: "hunter2"}
CELLS = [ODD.get(row, OLD) for row in range(1, ROWS + 1)]


@pytest.fixture(autouse=True)
def _environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask sets a seed, for the processes that it starts."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")


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


@pytest.mark.long
def test_a_cluster_reports_what_one_process_reports(
    app: Database, cluster: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    """Two workers of a cluster give the same counts, problems and exit code as one process."""
    with start(app, environ, tmp_path, "--dask", cluster.scheduler_address, "--full-speed") as command:
        code, document = command.end()

    assert (code, _without_times(document)) == _inline(app, environ, tmp_path)
    assert document["targets"][0]["rotated"] == ROWS - len(ODD)


@pytest.mark.long
def test_plaintext_is_adopted_through_a_cluster(
    app: Database, cluster: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    """Each worker decides by itself what becomes a token: the same as one process alone."""
    options = ("--yes", "--dask", cluster.scheduler_address, "--full-speed")
    with start(app, environ, tmp_path, *options, command="adopt") as command:
        code, document = command.end()

    [target] = document["targets"]
    assert (code, target["rotated"], target["taken_over"]) == (1, ROWS - len(ODD) + 1, 1)
    assert Fernet(key_text("new")).decrypt(app.column()[5999]) == b"hunter2"


@pytest.mark.long
@pytest.mark.parametrize("normalize", ["casefold", "forms_of_no_worker:form"])
def test_the_normal_form_of_an_index_reaches_a_cluster(
    app: Database, cluster: Any, environ: dict[str, str], tmp_path: Path, normalize: str
) -> None:
    """By its name; a function that the workers cannot import is called by the command itself."""
    (tmp_path / "forms_of_no_worker.py").write_text("def form(text):\n    return text.casefold()\n")
    app.execute("ALTER TABLE creds ADD token_index VARCHAR(52)", "DELETE FROM creds WHERE id > 200 OR id = 7")
    app.execute("UPDATE creds SET token = :token", token=token("old", "A@B"))
    index = f'index = {{ column = "token_index", context = "creds.token", normalize = "{normalize}" }}'
    config = tmp_path / "rotation.toml"
    config.write_text(f'[[target]]\nurl = "{app.url}"\ntable = "creds"\ncolumns = ["token"]\n{index}\n')
    command = [sys.executable, "-m", "rotation", "run", "--config", str(config), "--dask", cluster.scheduler_address]

    ran = run([*command, "--json"], {**os.environ, **environ})

    assert ran.returncode == 0, ran.stdout + ran.stderr
    wanted = BlindIndex("creds.token").of(Keyring(make_key("new")), "a@b")
    assert set(app.column("creds", "token_index").values()) == {wanted}


@pytest.mark.long
def test_a_cluster_may_gain_and_lose_workers(
    app: Database, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run waits for the first one; if one of two is killed, the others do the rest, and the report is the same.

    Only the rows that the dead worker wrote and did not report count as current.
    """
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster:
        options = ("--dask", cluster.scheduler_address, "--batch-size", "100", "--max-rate", "4000")
        with start(app, environ, tmp_path, *options, limits=AT_ONCE) as command:
            command.logs("rotation.waiting_for_workers")
            cluster.scale(2)
            command.until(lambda: _moved(app) > 500, "some rows")
            with Client(cluster.scheduler_address) as client:
                victim = next(iter(client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)
            code, document = command.end()
    moved = _moved(app)
    [target] = document["targets"]
    rotated, current = target["rotated"], target["current"]
    target |= {"rotated": rotated + current, "current": 0}

    assert (code, _without_times(document)) == _inline(app, environ, tmp_path)
    assert (moved, rotated > 0) == (ROWS - len(ODD), True)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[Program, str]]:
    """A scheduler without workers, and its address."""
    file = tmp_path / "scheduler.json"
    argv = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with Program([sys.executable, *argv, "--scheduler-file", str(file)]) as process:
        until(lambda: file.exists() and file.read_text().endswith("}"), "the scheduler", process)
        yield process, json.loads(file.read_text())["address"]


@pytest.mark.long
@pytest.mark.parametrize("is_frozen", [True, False])
def test_a_cluster_that_does_nothing_ends_the_run(
    app: Database, scheduler: tuple[Program, str], environ: dict[str, str], tmp_path: Path, *, is_frozen: bool
) -> None:
    """Whether its scheduler does not answer, or has no worker: exit code 3, and the report says which."""
    process, address = scheduler
    limits = "from rotation.job import workers; workers.ASK_SECONDS = 0.1; workers.SILENT_SECONDS = 2"
    limits += "" if is_frozen else "; workers.WORKERLESS_SECONDS = 0.5"
    with start(app, environ, tmp_path, "--dask", address, limits=limits) as command:
        command.logs("rotation.waiting_for_workers")
        if is_frozen:
            process.send_signal(signal.SIGSTOP)
        code, document = command.end()
        process.send_signal(signal.SIGCONT)

    words = "the scheduler of the workers did not answer" if is_frozen else "the scheduler had no worker"
    assert (code, _moved(app)) == (3, 0)
    assert words in document["targets"][0]["stopped"]


@pytest.mark.long
def test_a_scheduler_that_is_frozen_at_the_start_ends_the_run(
    app: Database, scheduler: tuple[Program, str], environ: dict[str, str], tmp_path: Path
) -> None:
    """With exit code 2, as one that cannot be reached."""
    process, address = scheduler
    process.send_signal(signal.SIGSTOP)
    limits = "from rotation.job import workers; workers.SILENT_SECONDS = 2"
    with start(app, environ, tmp_path, "--dask", address, limits=limits) as command:
        code, document = command.end()
        process.send_signal(signal.SIGCONT)

    assert (code, "the scheduler cannot be reached" in document["error"]) == (2, True)


def _inline(app: Database, environ: dict[str, str], folder: Path) -> tuple[int, dict[str, Any]]:
    """The exit code and report of one process with the same cells."""
    app.execute("DROP TABLE creds")
    app.make_creds(CELLS)
    with start(app, environ, folder, "--full-speed", "--workers", "1") as command:
        code, document = command.end()
    return code, _without_times(document)


def _without_times(document: dict[str, Any]) -> dict[str, Any]:
    [target] = document["targets"]
    return document | {"targets": [target | {"seconds": 0, "retries": 0, "read_from": None, "read_to": None}]}


def _moved(database: Database) -> int:
    return sum(cell not in {OLD, *ODD.values()} for cell in database.column().values())
