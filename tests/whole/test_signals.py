"""What the system does to a real process: signals at bad moments, and streams that take nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.databases import Database, open_database
from tests.fakes import token
from tests.processes import ROOT, start, until

pytestmark = pytest.mark.database

ROWS = 2000
OLD = token("old")
SECONDS = 8.0
"""For a busy machine; alone it is less than two."""


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
    with start(app, environ, tmp_path, "--max-rate", "400") as command:
        until(lambda: _moved(app) > 0)
        command.process.send_signal(number)
        code, document = command.end(SECONDS)

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
        until(lambda: "rotation.paused" in command.log)
        still = _moved(app)
        command.process.send_signal(signal.SIGTERM)
        code, _ = command.end(SECONDS)

    assert (code, still, _moved(app)) == (3, 0, 0)


def test_a_paused_run_goes_on(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """With the file gone, the run goes on to its end."""
    pause = tmp_path / "pause"
    pause.touch()
    with start(app, environ, tmp_path, "--pause-file", str(pause)) as command:
        until(lambda: "rotation.paused" in command.log)
        pause.unlink()
        code, _ = command.end()

    assert (code, _moved(app)) == (0, ROWS)
    assert "rotation.resumed" in command.log


def test_a_run_that_waits_for_a_lock_hears_a_signal(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    """R11, R21, R23: waiting for a lock, or between two tries, a run ends within seconds, and leaves the row alone."""
    database.make_creds([OLD])
    with database.engine.connect() as holder:
        if database.kind == "sqlite":
            holder.exec_driver_sql("BEGIN IMMEDIATE")
        holder.execute(sa.text("UPDATE creds SET note = 'held'"))
        with start(database, environ, tmp_path) as command:
            until(lambda: "rotation.retry" in command.log or "rotation.pass" in command.log)
            command.process.send_signal(signal.SIGTERM)
            code, _ = command.end(SECONDS)
        holder.rollback()

    assert code in {1, 3}  # 1: all passes found it locked before the signal came
    assert _moved(database) == 0


def test_a_second_signal_ends_at_once(app: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """One long wait is under way; the second signal does not wait for it. What is done stays."""
    with start(app, environ, tmp_path, "--max-rate", "400") as command:
        until(lambda: _moved(app) > 0)
        command.process.send_signal(signal.SIGINT)
        until(lambda: "at once" in command.log)
        command.process.send_signal(signal.SIGINT)
        code, _ = command.end(SECONDS)

    assert code == 3
    assert 0 < _moved(app) < ROWS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [[f"{ROOT}/scripts/rotate.py"], ["-m", "rotation"]], ids=["script", "module"])
def test_a_signal_during_the_imports_ends_it(number: int, program: list[str], tmp_path: Path) -> None:
    """It ends as by that signal, without a traceback."""
    slow, reached = tmp_path / "click.py", tmp_path / "reached"
    slow.write_text(f"import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(60)\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([sys.executable, *program, "status"], env=environ, cwd=ROOT, stderr=-1) as process:
        until(reached.exists)
        process.send_signal(number)
        _, words = process.communicate(timeout=30)

    assert (process.returncode, words) == (-number, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        pytest.param(">/dev/full", 3, id="report on a full disk"),
        pytest.param("2>/dev/full", 0, id="log on a full disk"),
        pytest.param(">&-", 0, id="no stdout"),
        pytest.param("2>&-", 0, id="no stderr"),
        pytest.param("<&- >&- 2>&-", 0, id="no streams"),
    ],
)
def test_a_stream_that_takes_nothing_harms_no_row(
    app: Database, environ: dict[str, str], redirection: str, code: int
) -> None:
    """R26: the rows are rotated; a report that could not be written makes the exit code 3, and stderr says why."""
    command = f"{sys.executable} {ROOT}/scripts/rotate.py run --url {app.url} --table creds --column token"
    environment = {**os.environ, **environ}
    ran = subprocess.run(f"{command} {redirection}", shell=True, env=environment, capture_output=True, check=False)

    assert ran.returncode == code
    assert _moved(app) == ROWS
    assert b"Traceback" not in ran.stdout + ran.stderr
    assert (b"the report could not be written" in ran.stderr) is (code == 3)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("status --config nowhere.toml 2>/dev/full", 2, id="a refusal"),
        pytest.param("keys list >/dev/full 2>&1", 3, id="report and log"),
    ],
)
def test_words_that_cannot_be_said_leave_the_exit_code(environ: dict[str, str], command: str, code: int) -> None:
    """R26: if a full disk takes not even the error, the exit code is not 1, which says that a run finished."""
    ran = subprocess.run(
        f"{sys.executable} {ROOT}/scripts/rotate.py {command}", shell=True, env={**os.environ, **environ}, check=False
    )

    assert ran.returncode == code


def _moved(database: Database) -> int:
    """How many cells are no longer what they were."""
    return sum(cell != OLD for cell in database.column().values())
