"""Several processes share one table: nothing is lost if one dies, and none outlives the process that started them."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pytest
from cryptography.fernet import Fernet

from keyring_core import Key, Keyring
from keyring_core.blind_index import BlindIndex
from rotation.job import loop
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.job.pace import Throttle
from rotation.job.worker import pickled
from rotation.job.workers import Workers, open_workers
from rotation.model.failures import WorkerError
from rotation.model.key_history import History, Promotion
from rotation.model.target import Index, Target
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database
from tests.fakes import ISSUED_AT, Sending, Silence, token
from tests.keys import key_text, make_key
from tests.processes import AT_ONCE, is_alive, run, start, until

pytestmark = [pytest.mark.database, pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")]

ROWS = 4000
SECONDS = 60
"""Far longer than a worker takes."""
LONG = pytest.mark.long
SHARED = f"{AT_ONCE}; passes.FIRST_RANGE = 500"
"""Limits of a run with short ranges, so that each worker has one."""

OLD = token("old")
TOKENS: list[Any] = [token("old", f"secret {number}") for number in range(50)]
ODD = {7: token("unknown"), 1500: OLD[:64], 2500: None, 3999: "hunter2"}
STARTING = {OLD, *TOKENS, *ODD.values()}


@pytest.fixture
def table(database: Database) -> Database:
    """Many tokens under the old key, and four other cells."""
    cells = TOKENS * (ROWS // len(TOKENS))
    for row, cell in ODD.items():
        cells[row - 1] = cell
    database.make_creds(cells)
    return database


@pytest.mark.parametrize(
    ("log_format", "line"),
    [
        pytest.param("json", r"^\{.*\"seen password=\[REDACTED:password\]\"", id="json"),
        pytest.param("console", r"^\S+ \[warning +\] seen password=\[REDACTED:password\]", marks=LONG, id="console"),
    ],
)
def test_a_worker_logs_as_this_process_does(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, log_format: str, line: str
) -> None:
    """In the format that the command line asks for, without secrets. What Dask writes is not in a folder of all."""
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        open_workers(2, None, full_speed=True, log_format=log_format) as opened,
    ):
        assert isinstance(opened, Workers)
        opened.executor.submit(logging.warning, "seen password=hunter2hunter2").result(SECONDS)
        assert list(tmp_path.iterdir()) == []

    assert re.search(line, capfd.readouterr().err, re.MULTILINE)


@LONG
@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_workers_report_what_one_process_reports(table: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """Everything is rotated, and the report of processes equals that of one thread, except for times."""
    before = table.column()
    with start(table, environ, tmp_path, "--workers", "3", "--full-speed", limits=SHARED) as together:
        code, document = together.end()

    assert (code, _without_times(document)) == _alone(table, before, environ, tmp_path)
    assert document["targets"][0]["rotated"] == ROWS - 4
    _check(table, before)


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_threads_report_what_one_thread_reports(table: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """Three threads of one process, too."""
    before = table.column()
    limits = f"{SHARED}; from rotation.job import loop; loop.THREAD_ROWS = 1000"
    with start(table, environ, tmp_path, "--full-speed", limits=limits) as together:
        code, document = together.end()

    assert (code, _without_times(document)) == _alone(table, before, environ, tmp_path)
    _check(table, before)


@pytest.mark.long
@pytest.mark.parametrize(
    "database",
    ["postgresql", pytest.param("sqlite", marks=LONG), pytest.param("mariadb", marks=LONG)],
    indirect=True,
)
def test_a_worker_that_is_killed_loses_nothing(table: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """R10: another worker repeats its range, or the run ends with 3 and the next one does the rest."""
    before = table.column()
    with start(table, environ, tmp_path, "--workers", "2", "--max-rate", "2000", limits=SHARED) as command:
        command.until(lambda: _moved(table) > 100 and len(command.workers()) == 2, "some rows and two workers")
        os.kill(command.workers()[0], signal.SIGKILL)
        code, document = command.end()
    [target] = document["targets"]
    with start(table, environ, tmp_path, "--full-speed") as again:
        code_then, then = again.end()

    assert code in {1, 3}
    if code == 1:
        assert (target["scanned"], target["unreadable"], target["plaintext"]) == (ROWS - 1, 2, 1)
        # Rows that the dead worker had written but not reported count as current.
        assert target["rotated"] + target["current"] == ROWS - 4
    assert code_then == 1
    assert [problem["key"]["id"] for problem in then["targets"][0]["problems"]] == [7, 1500, 3999]
    _check(table, before)


@LONG
def test_workers_that_die_again_and_again_end_the_run(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """If the machine is out of memory, the run gives up with exit code 3."""
    with start(app, environ, tmp_path, "--workers", "3", "--batch-size", "10") as command:
        command.until(lambda: _moved(app), "the first row")
        while command.process.poll() is None:
            for worker in command.workers():
                # It may have ended meanwhile.
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            time.sleep(0.1)
        code, document = command.end()

    assert (code, document["complete"]) == (3, False)
    assert "workers died" in document["targets"][0]["stopped"]


@pytest.mark.long
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=LONG), signal.SIGTERM])
def test_a_signal_ends_all_workers_after_their_batch(
    app: Database, environ: dict[str, str], tmp_path: Path, number: int
) -> None:
    """R11: with exit code 3, and a correct report of the rows that were done. Nobody else could give them work."""
    with start(app, environ, tmp_path, "--workers", "2", "--max-rate", "400", limits=SHARED) as command:
        command.until(lambda: _moved(app), "the first row")
        workers = command.workers()
        listening = _listening([command.process.pid, *workers])
        command.process.send_signal(number)
        code, document = command.end()

    [target] = document["targets"]
    assert (code, len(workers)) == (3, 2)
    assert "stopped on request" in target["stopped"]
    assert 0 < target["rotated"] == _moved(app) < ROWS
    assert not any(map(is_alive, workers))
    assert {address for address, _ in listening} == {"127.0.0.1"}
    assert [line for line in command.log.splitlines() if not line.startswith(("{", "Stopping after"))] == []


@LONG
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_process_group_counts_once(
    app: Database, environ: dict[str, str], tmp_path: Path, number: int
) -> None:
    """R11: Ctrl-C and systemd signal the workers too, which leave it to the command; the report is complete."""
    with start(app, environ, tmp_path, "--workers", "3", "--max-rate", "400", limits=SHARED) as command:
        command.until(lambda: _moved(app), "the first row")
        for process in (*command.workers(), command.process.pid):
            os.kill(process, number)
        code, document = command.end()

    assert code == 3
    assert 0 < document["targets"][0]["rotated"] == _moved(app) < ROWS


@LONG
def test_a_second_signal_ends_workers_at_once(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """No worker is left running."""
    with start(app, environ, tmp_path, "--workers", "3", "--max-rate", "400", limits=SHARED) as command:
        command.until(lambda: _moved(app), "the first row")
        workers = command.workers()
        command.process.send_signal(signal.SIGINT)
        command.logs("at once")
        command.process.send_signal(signal.SIGINT)
        code, _ = command.end()
        until(lambda: not any(map(is_alive, workers)), "the end of the workers")

    assert code == 3


@LONG
def test_a_frozen_worker_holds_up_no_stop(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """R11: the others are asked to stop, too, and none is left running."""
    with start(app, environ, tmp_path, "--workers", "2", "--max-rate", "400", limits=SHARED) as command:
        command.until(lambda: _moved(app) and len(command.workers()) == 2, "the first row and two workers")
        workers = command.workers()
        os.kill(workers[0], signal.SIGSTOP)
        command.process.send_signal(signal.SIGINT)
        code, document = command.end()
        until(lambda: not any(map(is_alive, workers)), "the end of the workers")

    assert (code, "stopped on request" in document["targets"][0]["stopped"]) == (3, True)


@LONG
def test_workers_end_when_their_coordinator_is_killed(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """R10: after SIGKILL no worker goes on writing."""
    with start(app, environ, tmp_path, "--workers", "3", "--max-rate", "400", limits=SHARED) as command:
        command.until(lambda: _moved(app), "the first row")
        workers = command.workers()
        command.process.kill()
        until(lambda: not any(map(is_alive, workers)), "the end of the workers")
        moved = _moved(app)

    assert len(workers) == 3
    assert 0 < moved < ROWS


@pytest.mark.parametrize("option", ["--workers=2", "--dask=tcp://127.0.0.1:1"])
def test_without_dask_the_extra_is_named(app: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """Exit code 2, and nothing is written; the message has the command that installs it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    ran = cli("run", "--url", app.url, "--table", "creds", "--column", "token", option)

    assert ran.code == 2
    assert f"{option.partition('=')[0]} needs another package; " in ran.err
    assert "pip install '.[rotate,dask]'" in ran.err
    assert app.column()[1] == OLD


def test_one_worker_is_this_process(app: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no Dask."""
    monkeypatch.setitem(sys.modules, "distributed", None)

    assert cli("run", "--url", app.url, "--table", "creds", "--column", "token", "--workers", "1").code == 0


@pytest.mark.parametrize(("count", "full_speed", "expected"), [(None, True, 4), (1, True, 1), (None, False, 1)])
def test_a_run_has_several_threads_only_at_full_speed(
    monkeypatch: pytest.MonkeyPatch, count: int | None, expected: int, *, full_speed: bool
) -> None:
    """With `--workers 1` it has one thread, and without `--full-speed`, too."""
    monkeypatch.setattr("rotation.job.workers.most_threads", lambda: 4)

    with open_workers(count, None, full_speed=full_speed) as workers:
        assert workers == expected


def test_processes_that_do_not_start_are_one_line(app: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without any folder for temporary files: exit code 2, and nothing is written."""

    def refuse(**_: object) -> None:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    ran = cli("run", "--url", app.url, "--table", "creds", "--column", "token", "--workers", "2")

    assert (ran.code, app.column()[1]) == (2, OLD)
    assert "--workers 2: the processes do not start (FileNotFoundError)" in ran.err


@LONG
def test_a_process_that_hangs_as_it_starts_is_given_up(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """Exit code 2, in one line; nothing is written, and no process is left."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys, time\n"
        "if any('multiprocessing.spawn' in word for word in sys.orig_argv):\n"
        "    pathlib.Path(__file__).with_name(f'started-{os.getpid()}').touch()\n"
        "    time.sleep(600)\n"
    )
    limits = "from rotation.job import workers; workers.START_SECONDS = 1"
    environ = {**environ, "PYTHONPATH": str(tmp_path)}
    with start(app, environ, tmp_path, "--workers", "2", limits=limits) as command:
        code, document = command.end()

    started = [int(file.name.partition("-")[2]) for file in tmp_path.glob("started-*")]
    assert (code, "--workers 2: the processes do not start" in document["error"]) == (2, True)
    assert (len(started), any(map(is_alive, started))) == (2, False)
    assert (app.column()[1], len(command.log.splitlines())) == (OLD, 1), command.log


@pytest.mark.long
@pytest.mark.parametrize("planted", ["folders", pytest.param("files", marks=LONG)])
def test_what_others_leave_in_the_folder_for_temporary_files_changes_nothing(
    app: Database, environ: dict[str, str], tmp_path: Path, planted: str
) -> None:
    """Each user can make the folders that Dask has there by default: no file behind their links is emptied.

    Nothing is left there, nor in the user's own configuration of Dask.
    """
    shared, home, keys = tmp_path / "shared", tmp_path / "home", tmp_path / "keys.env"
    shared.mkdir()
    home.mkdir()
    keys.write_text("".join(f"{name}={value}\n" for name, value in environ.items()))
    before = keys.read_text()
    for scratch in (shared / "dask-scratch-space", shared / f"dask-scratch-space-{os.getuid()}"):
        if planted == "files":
            scratch.touch()
        else:
            scratch.mkdir()
            for lock in ("global", "purge"):
                (scratch / f"{lock}.lock").symlink_to(keys)
    found = sorted(shared.rglob("*"))
    places = {"TMPDIR": str(shared), "HOME": str(home), "DASK_TEMPORARY_DIRECTORY": str(shared)}

    with start(app, places, tmp_path, "--workers", "2", "--full-speed", "--env-file", str(keys)) as command:
        code, document = command.end()

    assert keys.read_text() == before
    assert (code, document["targets"][0]["rotated"]) == (0, ROWS)
    assert (sorted(shared.rglob("*")), list(home.iterdir())) == (found, [])


def test_threads_share_the_rate(app: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """R22: each of two has half of --max-rate, for all of its rows."""
    rested: list[tuple[float | None, int]] = []

    def seconds_for(throttle: Throttle, rows: int) -> float:
        if threading.current_thread() is not threading.main_thread():
            rested.append((throttle.max_rate, rows))
        return 0.0

    monkeypatch.setattr(Throttle, "seconds_for", seconds_for)
    monkeypatch.setattr(loop, "THREAD_ROWS", 1000)
    monkeypatch.setattr("rotation.job.workers.most_threads", lambda: 2)
    options = ("--url", app.url, "--table", "creds", "--column", "token")
    ran = cli("run", *options, "--full-speed", "--max-rate", "2000")

    assert ran.code == 0
    assert {rate for rate, _ in rested} == {1000.0}
    assert sum(rows for _, rows in rested) >= ROWS


@LONG
def test_a_pause_file_holds_all_workers(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """R11, R22: nothing is written while the file exists; without it, the run goes on."""
    pause = tmp_path / "pause"
    options = ("--workers", "3", "--max-rate", "2000", "--pause-file", str(pause))
    looks: list[int] = []

    def holds_still() -> bool:
        looks.append(_moved(app))
        return len(looks) > 10 and len(set(looks[-10:])) == 1

    with start(app, environ, tmp_path, *options, limits=SHARED) as command:
        command.until(lambda: _moved(app), "the first row")
        pause.touch()
        command.logs("rotation.paused")
        command.until(holds_still, "the end of the last batches")
        pause.unlink()
        command.until(lambda: _moved(app) > looks[-1], "more rows")

    assert 0 < looks[-1] < ROWS


def test_a_worker_with_other_keys_is_refused(app: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are never sent. If a worker's own keys differ, nothing is written, and the error names both by id."""
    monkeypatch.setenv("ENCRYPTION_KEY", key_text("new"))
    monkeypatch.setenv("ENCRYPTION_PREVIOUS_KEYS", key_text("old"))
    before = app.column()

    with pytest.raises(WorkerError) as refused:
        _rotate(app, keyring)

    assert "has other keys than the run was started with" in str(refused.value)
    assert all(key.id in str(refused.value) for key in keyring.states)
    assert key_text("old") not in str(refused.value)
    assert app.column() == before


def test_a_worker_without_keys_is_refused(app: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the missing variable and the worker."""
    monkeypatch.delenv("ENCRYPTION_KEY", raising=False)

    with pytest.raises(WorkerError, match=r"worker \d+ on .*ENCRYPTION_KEY"):
        _rotate(app, keyring)


def test_a_worker_whose_url_leads_elsewhere_is_refused(
    app: Database, keyring: Keyring, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A url in a variable is not sent either; a worker whose variable has another url would rotate another database."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("APP_URL", f"sqlite:///{tmp_path}/other.db")
    target = Target(app.url, "creds", "token", "creds", written="$APP_URL")

    with pytest.raises(WorkerError, match=r"\$APP_URL leads to another database"):
        _rotate(app, keyring, target)


@LONG
def test_keys_from_an_env_file_reach_the_workers(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """Workers read the file of --env-file too: its path is sent, not its content."""
    file = tmp_path / "keys.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in environ.items()))
    with start(app, {}, tmp_path, "--workers", "3", "--env-file", str(file), "--full-speed") as command:
        code, document = command.end()

    assert (code, document["targets"][0]["rotated"]) == (0, ROWS)


def test_workers_move_nothing_back_either(
    app: Database, keyring: Keyring, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, old: Key
) -> None:
    """R08: workers do not read the ledger; the key history is sent with the work."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    promoted = datetime(2026, 5, 2, tzinfo=UTC)
    before, history = app.column(), History(newer={old.id: Promotion(promoted, promoted)})

    [target] = _rotate(app, keyring, options=RunOptions(history=history)).targets

    assert app.column() == before
    assert (target.counts.rotated, target.counts.categories["newer-key"]) == (0, ROWS)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    """An SQLite database, for tests that need only one kind."""
    from tests.databases import open_database

    with open_database("sqlite", tmp_path) as database:
        database.make_creds([OLD] * ROWS)
        yield database


def _rotate(app: Database, keyring: Keyring, target: Target | None = None, options: RunOptions | None = None) -> Any:
    """A run through threads that read their keys from this process's environment, as a worker does."""
    target = target or Target(app.url, "creds", "token", "creds")

    def open_store(target: Target) -> Store:
        return Store(target, read_only=False, sleep=time.sleep)

    with Sending(2) as executor:
        workers = Workers(executor, 2)
        return rotate([target], keyring, open_store, options or RunOptions(), Silence(), workers=workers)


def _moved(database: Database) -> int:
    """How many cells have changed since the start."""
    return sum(cell not in STARTING for cell in database.column().values())


def _without_times(document: dict[str, Any]) -> dict[str, Any]:
    [target] = document["targets"]
    # A transaction anywhere on the server may keep the second pass from its proof, and there is a third.
    differing = {"seconds": 0, "read_from": None, "read_to": None, "passes": 0, "proof": None}
    return document | {"targets": [target | differing]}


def _alone(
    table: Database, before: dict[Any, Any], environ: dict[str, str], folder: Path
) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of one thread, with the same cells."""
    _restore(table, before)
    with start(table, environ, folder, "--full-speed", "--workers", "1") as alone:
        code, document = alone.end()
    return code, _without_times(document)


def _listening(pids: list[int]) -> set[tuple[str, int]]:
    """The addresses and ports at which these processes listen."""
    sockets = {os.readlink(file) for pid in pids for file in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines():
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            address, _, port = words[1].partition(":")
            found.add((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    return found


def _restore(database: Database, cells: dict[Any, Any]) -> None:
    database.execute("DELETE FROM creds")
    database.insert("creds", [{"id": row, "token": cell} for row, cell in cells.items()])


def _check(database: Database, before: dict[Any, Any]) -> None:
    """Each token has its old content under the new key alone; every other cell is unchanged, byte for byte."""
    new, old = Fernet(key_text("new")), Fernet(key_text("old"))
    stored = database.column()
    assert stored.keys() == before.keys()
    for row, cell in stored.items():
        if row in ODD:
            assert cell == before[row]
        else:
            assert new.decrypt(cell) == old.decrypt(before[row])
            assert new.extract_timestamp(cell) == ISSUED_AT


FORMS = """
import multiprocessing
import pathlib

IN_WORKER = multiprocessing.parent_process() is not None
print("hello")
assert not (IN_WORKER and {fails}), "no settings"

def form(text):
    with pathlib.Path(__file__).with_name("callers").open("a") as callers:
        callers.write(f"{{IN_WORKER}} ")
    return text.casefold()
"""


@pytest.mark.long
@pytest.mark.parametrize("fails", [False, pytest.param(True, marks=LONG)])
def test_workers_import_the_function_of_an_index(
    app: Database, environ: dict[str, str], tmp_path: Path, *, fails: bool
) -> None:
    """If they can; otherwise the command itself does the target. What the module prints is not in the output."""
    (tmp_path / "forms_of_workers.py").write_text(FORMS.format(fails=fails))
    app.execute("DELETE FROM creds WHERE id > 1000", "ALTER TABLE creds ADD token_index VARCHAR(52)")
    app.execute("UPDATE creds SET token = :token", token=token("old", "A@B"))
    index = 'index = { column = "token_index", context = "creds.token", normalize = "forms_of_workers:form" }'
    config = tmp_path / "rotation.toml"
    config.write_text(f'[[target]]\nurl = "{app.url}"\ntable = "creds"\ncolumns = ["token"]\n{index}\n')
    command = [
        sys.executable,
        "-c",
        f"{SHARED}; passes.FIRST_RANGE = 100\nfrom rotation.__main__ import start; start()",
    ]

    ran = run([*command, "run", "--config", str(config), "--workers", "2", "--json"], {**os.environ, **environ})

    [target] = json.loads(ran.stdout)["targets"]
    assert (ran.returncode, target["rotated"]) == (0, 1000), ran.stderr
    wanted = BlindIndex("creds.token").of(Keyring(make_key("new")), "a@b")
    assert set(app.column("creds", "token_index").values()) == {wanted}
    assert set((tmp_path / "callers").read_text().split()) == {str(not fails)}
    assert "Traceback" not in ran.stderr


class Form:
    """A normal form as an object, a method and a method of the class."""

    def __init__(self, pepper: str) -> None:
        self.pepper = pepper

    def __call__(self, text: str) -> str:
        return text + self.pepper

    @classmethod
    def plain(cls, text: str) -> str:
        return text.casefold()


def test_a_worker_gets_the_name_of_a_function_and_no_secret_of_it() -> None:
    """What an object, or a `partial`, holds stays here; a function or a method of a class is found by its name."""
    form = Form("pepper")
    for holder in (form, form.__call__, partial(Form.__call__, form), partial(str.replace, "pepper")):
        assert pickled(holder) == b""
    for named in (str.casefold, Form.plain, run, None):
        assert pickle.loads(pickled(named)) == named


def test_a_function_without_a_name_is_sent_to_no_worker(app: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lambda of a model: this process does the target."""
    app.execute("ALTER TABLE creds ADD token_index VARCHAR(52)")
    index = Index("token_index", "creds.token", lambda text: text.casefold())
    target = Target(app.url, "creds", "token", "creds", index=index)
    monkeypatch.delenv("ENCRYPTION_KEY", raising=False)

    [done] = _rotate(app, Keyring(make_key("new"), previous=[make_key("old")]), target).targets

    assert (done.complete, done.counts.rotated) == (True, ROWS)
