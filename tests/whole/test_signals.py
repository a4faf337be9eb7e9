"""What the system does to a real process: signals at bad moments, and streams that take nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.databases import Database, open_database
from tests.fakes import token
from tests.processes import AT_ONCE, PROGRAM, ROOT, end_of, run, start, until
from tests.warm.client import Program

pytestmark = pytest.mark.database

ROWS = 2000
OLD = token("old")
COLUMN = ("--table", "creds", "--column", "token")
PATIENT = (
    "from rotation.job import passes; from rotation.stores import access; passes.MAX_PASSES = access.ATTEMPTS = 999"
)
"""A run that would try for minutes: only a signal ends it."""
HOURS = (
    "from rotation.job import pace as throttle; from rotation.world import process as stopping;"
    "throttle.PAUSE_SECONDS = stopping.CHECK_SECONDS = 9999"
)
"""A pause lasts for hours, and looks only then whether a stop was requested."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([OLD] * ROWS)
        yield database


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_its_batch(
    app: Database, environ: dict[str, str], number: int, tmp_path: Path
) -> None:
    """R11: the report is whole, says interrupted, and is true; exit code 3; what is done stays."""
    with start(app, environ, tmp_path, "--max-rate", "400", limits=AT_ONCE) as command:
        command.until(lambda: _moved(app), "the first row")
        command.process.send_signal(number)
        code, document = command.end()

    [target] = document["targets"]
    assert code == 3
    assert "stopped on request" in target["stopped"]
    assert 0 < target["rotated"] == _moved(app) < ROWS
    assert target["scanned"] == target["rotated"]


def test_a_paused_run_holds_still_and_hears_a_signal(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """R11: while the pause file is there nothing is written, the log says why, and a signal still ends the run."""
    pause = tmp_path / "pause"
    pause.touch()
    with start(app, environ, tmp_path, "--pause-file", str(pause)) as command:
        command.logs("rotation.paused")
        still = _moved(app)
        command.process.send_signal(signal.SIGTERM)
        code, _ = command.end()

    assert (code, still, _moved(app)) == (3, 0, 0)


def test_a_paused_run_goes_on(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """With the file gone, the run goes on to its end."""
    pause = tmp_path / "pause"
    pause.touch()
    with start(app, environ, tmp_path, "--pause-file", str(pause)) as command:
        command.logs("rotation.paused")
        pause.unlink()
        code, _ = command.end()

    assert (code, _moved(app)) == (0, ROWS)
    assert "rotation.resumed" in command.log


def test_a_run_that_waits_for_a_lock_hears_a_signal(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    """R11, R21, R23: waiting for a lock, or between two tries, a run ends, and leaves the row alone."""
    database.make_creds([OLD])
    with database.engine.connect() as holder:
        if database.kind == "sqlite":
            holder.exec_driver_sql("BEGIN IMMEDIATE")
        holder.execute(sa.text("UPDATE creds SET note = 'held'"))
        with start(database, environ, tmp_path, limits=PATIENT) as command:
            command.until(lambda: database.is_waited_in() or "rotation.retry" in command.log, "the wait for the lock")
            command.process.send_signal(signal.SIGTERM)
            code, _ = command.end()
        holder.rollback()

    assert code == 3
    assert _moved(database) == 0


def test_a_second_signal_ends_at_once(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """A pause of hours is under way, and the second signal does not wait for it. What is done stays."""
    pause = tmp_path / "pause"
    options = ["--max-rate", "400", "--batch-size", "20", "--pause-file", str(pause)]
    with start(app, environ, tmp_path, *options, limits=f"{AT_ONCE}; {HOURS}") as command:
        command.until(lambda: _moved(app), "the first row")
        pause.touch()
        command.logs("rotation.paused")
        command.process.send_signal(signal.SIGINT)
        command.logs("at once")
        command.process.send_signal(signal.SIGINT)
        code, _ = command.end()

    assert code == 3
    assert 0 < _moved(app) < ROWS


def test_a_full_pipe_holds_up_no_signal(app: Database, environ: dict[str, str]) -> None:
    """R11: if nobody reads stderr, the first signal is not said, and the run ends all the same."""
    code = f"{AT_ONCE}; {PROGRAM}"
    argv = [sys.executable, "-c", code, *_run_on(app)[2:], "--quiet", "--max-rate", "400"]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    environ = {**os.environ, **environ}
    with open(reader, "rb"), open(writer, "wb") as full, Program(argv, env=environ, stderr=full) as process:
        until(lambda: _moved(app), "the first row", process)
        process.send_signal(signal.SIGTERM)
        ended = end_of(process, "the run")

    assert ended == 3
    assert 0 < _moved(app) < ROWS


def test_a_thread_of_the_application_keeps_no_command_alive() -> None:
    """A command ends with its exit code, though a thread that an application's code started goes on."""
    thread = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()"
    limit = "from rotation.cli import main; main.END_SECONDS = 0.1"
    ran = run([sys.executable, "-c", f"{thread}; {limit}; {PROGRAM}", "run", "--batch-size", "0"])

    assert (ran.returncode, ran.stderr.count("Error:")) == (2, 1)


@pytest.mark.parametrize(
    ("number", "program"),
    [
        pytest.param(signal.SIGINT, [f"{ROOT}/scripts/rotate.py"], id="SIGINT-script"),
        pytest.param(signal.SIGINT, ["-m", "rotation"], id="SIGINT-module"),
        pytest.param(signal.SIGTERM, ["-m", "rotation"], id="SIGTERM-module", marks=pytest.mark.long),
    ],
)
def test_a_signal_during_the_imports_ends_it(number: int, program: list[str], tmp_path: Path) -> None:
    """It ends as by that signal, without a traceback."""
    slow, reached = tmp_path / "click.py", tmp_path / "reached"
    slow.write_text(f"import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(600)\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen([sys.executable, *program, "status"], env=environ, cwd=ROOT, stderr=words)
        with process:
            until(reached.exists, "the import of click", process)
            process.send_signal(number)
            code = end_of(process, "the command line")
        words.seek(0)

        assert (code, words.read()) == (-number, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    ("stdout", "stderr", "code"),
    [
        pytest.param("/dev/full", None, 3, id="report on a full disk"),
        pytest.param(None, "/dev/full", 0, id="log on a full disk"),
    ],
)
def test_a_full_disk_harms_no_row(  # noqa: PLR0913, PLR0917 - fixtures
    app: Database, environ: dict[str, str], tmp_path: Path, stdout: str | None, stderr: str | None, code: int
) -> None:
    """R26: the rows are rotated; a report that could not be written makes the exit code 3, and stderr says why."""
    words = tmp_path / "words"
    with open(stdout or words, "ab") as out, open(stderr or words, "ab") as err:
        ended = end_of(Program(_run_on(app), env={**os.environ, **environ}, stdout=out, stderr=err), "the run")

    assert ended == code
    assert _moved(app) == ROWS
    assert "Traceback" not in words.read_text()
    assert ("the report could not be written" in words.read_text()) is (code == 3)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "redirection",
    [
        pytest.param(">&-", id="no stdout"),
        pytest.param("2>&-", id="no stderr", marks=pytest.mark.long),
        pytest.param("<&- >&- 2>&-", id="no streams"),
    ],
)
def test_a_stream_that_is_closed_harms_no_row(app: Database, environ: dict[str, str], redirection: str) -> None:
    """R26: if nobody hears the report, the run is as good as any."""
    command = " ".join([*_run_on(app), redirection])
    ran = subprocess.run(command, shell=True, env={**os.environ, **environ}, capture_output=True, check=False)

    assert (ran.returncode, _moved(app)) == (0, ROWS)
    assert b"Traceback" not in ran.stdout + ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param("status --config nowhere.toml", 2, id="a refusal"),
        pytest.param("keys list", 3, id="report and log"),
    ],
)
def test_words_that_cannot_be_said_leave_the_exit_code(environ: dict[str, str], words: str, code: int) -> None:
    """R26: if a full disk takes not even the error, the exit code is not 1, which says that a run finished."""
    argv = [sys.executable, f"{ROOT}/scripts/rotate.py", *words.split()]
    with open("/dev/full", "ab") as full:
        ended = end_of(Program(argv, env={**os.environ, **environ}, stdout=full, stderr=full), "the command")

    assert ended == code


def _run_on(database: Database) -> list[str]:
    return [sys.executable, f"{ROOT}/scripts/rotate.py", "run", "--url", database.url, *COLUMN]


def _moved(database: Database) -> int:
    """How many cells are no longer what they were."""
    return sum(cell != OLD for cell in database.column().values())
