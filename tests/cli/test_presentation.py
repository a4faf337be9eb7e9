"""What stands beside the report: log lines, progress and next steps; and options that stand before the command."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import pytest

from keyring_core import Key
from rotation.cli.shared_options import CommandContext, Process
from rotation.output.progress import LogWatcher
from rotation.world.process import Streams
from tests.conftest import Cli
from tests.keys import key_text
from tests.warm import client as warm

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
LOG_LINE = re.compile(r"rotation\.pass\b")


@pytest.fixture
def target(tmp_path: Path, old: Key) -> tuple[str, ...]:
    """Options for an SQLite table with three tokens under the old key, one of which is cut."""
    path = tmp_path / "app.db"
    token = old.fernet.encrypt(b"secret").decode()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        connection.executemany("INSERT INTO creds VALUES (?, ?)", [(1, token), (2, token), (3, token[:40])])
    return ("--url", f"sqlite:///{path}", "--table", "creds", "--column", "token")


@pytest.fixture
def env_file(tmp_path: Path) -> str:
    """A dotenv file with the new key, and the old one as previous."""
    path = tmp_path / "keys.env"
    path.touch(0o600)
    path.write_text(f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n")
    return str(path)


Captured = Callable[..., str]


@pytest.fixture
def captured(environ: dict[str, str]) -> Captured:
    """What a process prints on stdout and stderr together, as a scheduler captures it."""

    def run(*argv: str) -> str:
        words = [sys.executable, str(ROOT / "scripts/rotate.py"), *argv]
        environment = environ | {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
        return warm.run(words, env=environment, stderr=subprocess.STDOUT).stdout

    return run


def test_a_pipe_of_both_streams_has_the_report_in_one_piece(captured: Captured, target: tuple[str, ...]) -> None:
    """No log line stands before the report, within it or behind it."""
    shown = captured("run", "--dry-run", *target)

    assert shown.startswith("target ")
    assert not re.search(r"rotation\.|\d\d:\d\d:\d\d", shown)


@pytest.mark.parametrize("options", [("-v",), ("-vv",)], ids=["-v", "-vv"])
def test_verbose_logs_each_step(captured: Captured, target: tuple[str, ...], options: tuple[str, ...]) -> None:
    """As text, all of it before the report."""
    lines = captured("run", "--dry-run", *target, *options).splitlines()

    logged = [number for number, line in enumerate(lines) if LOG_LINE.search(line)]
    assert logged
    assert not any(line.startswith("{") for line in lines)
    assert logged[-1] < next(number for number, line in enumerate(lines) if line.startswith("target "))


def test_the_log_can_be_json(captured: Captured, target: tuple[str, ...]) -> None:
    """With --log-format json each line of the log is a document."""
    shown = captured("-v", "--log-format", "json", "run", "--dry-run", *target)

    log = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert "rotation.pass" in {line["event"] for line in log}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_every_log_format_is_redacted(tmp_path: Path, environ: dict[str, str], log_format: str) -> None:
    """A key in a log line is masked after the options have set up the log again; and so is what is printed."""
    code = (
        "import sys, structlog\n"
        "from rotation import job\n"
        "def leak(context, targets):\n"
        "    key = context.keyring().primary.reveal()\n"
        "    structlog.get_logger('x').info('seen', note=f'the key is {key}')\n"
        "    print(f'printed {key}')\n"
        "    context.streams.warn(f'warned {key}')\n"
        "    sys.exit(0)\n"
        "job.status = leak\n"
        "from rotation.cli.main import entry\n"
        f"options = ['-v', '--log-format', '{log_format}', '--url', 'sqlite://', '--table', 't', '--column', 'c']\n"
        "entry(['status', *options])"
    )
    environment = environ | {"PATH": os.environ["PATH"]}

    ran = warm.run([sys.executable, "-c", code], env=environment, cwd=ROOT)

    shown = ran.stdout + ran.stderr
    assert all(word in shown for word in ("seen", "printed", "warned")), shown
    assert key_text("new") not in shown


def test_quiet_leaves_the_report_and_no_next_steps(cli: Cli, target: tuple[str, ...]) -> None:
    """The counts and the verdict stay; the exit code and the document are the same."""
    full, quiet = cli("run", "--dry-run", *target), cli("run", "--dry-run", "-q", *target)

    assert (quiet.code, quiet.err) == (full.code, "")
    assert "Next:" in full.out
    assert "Next:" not in quiet.out
    assert {*quiet.out.splitlines()} < {*full.out.splitlines()}
    assert "Not complete" in quiet.out


@pytest.mark.parametrize("command", ["stage", "list"])
def test_quiet_leaves_out_the_sentence_before_a_next_step(cli: Cli, env_file: str, command: str) -> None:
    """It would lead nowhere."""
    ran = cli("keys", command, "-q", "--env-file", env_file, environ={})

    assert ran.code == 0
    assert ran.out
    assert not re.search(r"Next:|:$", ran.out, re.MULTILINE)


def test_quiet_leaves_errors(cli: Cli) -> None:
    """An error is printed in any case."""
    ran = cli("status", "--quiet", "--env-file", "nowhere.env")

    assert (ran.code, "nowhere.env" in ran.err) == (2, True)


def test_quiet_and_verbose_exclude_each_other(cli: Cli, target: tuple[str, ...]) -> None:
    """Wherever they stand: exit code 2."""
    ran = cli("-q", "status", "-v", *target)

    assert (ran.code, "--quiet and --verbose exclude each other" in ran.err) == (2, True)


@pytest.mark.parametrize(("quiet", "verbose", "kind"), [(True, False, FunctionType), (False, True, LogWatcher)])
def test_bars_make_way_for_log_lines(tmp_path: Path, quiet: bool, verbose: bool, kind: type) -> None:
    """On a terminal too --verbose logs the progress, in place of bars; --quiet shows none."""
    with (tmp_path / "err").open("w") as stderr:
        stderr.isatty = lambda: True  # type: ignore[method-assign]
        command = CommandContext(Process({}, Streams(stderr=stderr)), quiet=quiet, verbose=verbose)
        with command, command.watch(dry_run=False) as watcher:
            assert type(watcher) is kind


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(("--env-file", "{env}", "--json", "status"), id="before"),
        pytest.param(("status", "--env-file", "{env}", "--json"), id="behind"),
        pytest.param(("--json", "status", "--env-file", "{env}"), id="both"),
        pytest.param(("--env-file", "nowhere.env", "--json", "status", "--env-file", "{env}"), id="the last counts"),
    ],
)
def test_options_stand_before_a_command_or_behind_it(
    cli: Cli, target: tuple[str, ...], env_file: str, argv: tuple[str, ...]
) -> None:
    """All the same; of two the last counts."""
    ran = cli(*(word.format(env=env_file) for word in argv), *target, environ={})

    assert ran.document["targets"][0]["to_rotate"] == 2


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(("--env-file", "{env}", "keys", "list"), id="before the group"),
        pytest.param(("keys", "--env-file", "{env}", "list"), id="behind the group"),
        pytest.param(("keys", "list", "--env-file", "{env}"), id="behind the command"),
    ],
)
def test_options_stand_at_a_group_too(cli: Cli, env_file: str, new: Key, argv: tuple[str, ...]) -> None:
    """`keys` hands on its own and those before it."""
    ran = cli(*(word.format(env=env_file) for word in argv), "-q", environ={})

    assert ran.out.splitlines()[0] == f"{new.id}  primary"


def test_an_error_is_a_document_if_json_stands_before_the_command(cli: Cli) -> None:
    """Also if the command does not exist."""
    assert cli("--json", "status", "--config", "nowhere.toml").document["complete"] is False
    assert cli("--json", "stauts").document["complete"] is False


@pytest.mark.parametrize(
    "argv",
    [
        ("--env-file", "nowhere.env", "check"),
        ("--nosuch", "check"),
        ("--format", "nagios", "check"),
        ("--log-format", "xml", "check"),
        ("-q", "check", "-v"),
        ("check", "--config"),
    ],
    ids=" ".join,
)
def test_a_check_is_unknown_wherever_the_fault_stands(cli: Cli, argv: tuple[str, ...]) -> None:
    """Exit code 3 and a plugin's line, or its document with --json before the command: 2 would be CRITICAL."""
    plain, as_json = cli(*argv), cli("--json", *argv)

    assert (plain.code, as_json.code) == (3, 3)
    assert plain.out.startswith("ROTATION UNKNOWN - ")
    assert as_json.document["status"] == "UNKNOWN"


@pytest.mark.parametrize("argv", [("--env-file", "check"), ("--nosuch", "run", "--where", "check")], ids=" ".join)
def test_a_value_is_no_command(cli: Cli, argv: tuple[str, ...]) -> None:
    """A file or a condition called check makes no check."""
    assert cli(*argv).code == 2


@pytest.mark.parametrize(("options", "shown"), [((), True), (("-q",), False)], ids=["default", "quiet"])
def test_a_pipe_has_the_progress(
    environ: dict[str, str], target: tuple[str, ...], options: tuple[str, ...], shown: bool
) -> None:
    """The lines that come every few seconds are logged without -v, too; with -q nothing is."""
    code = (
        "import sys\n"
        "from rotation.output import progress\n"
        "progress.LOG_SECONDS = 0\n"
        "from rotation.cli.main import entry\n"
        "entry(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, "run", "--dry-run", *target, *options]

    ran = warm.run(words, env=environ | {"PATH": os.environ["PATH"]}, cwd=ROOT)

    assert ("rotation.progress" in ran.stderr) is shown
    assert "rotation.pass" not in ran.stderr


@pytest.mark.parametrize(("options", "lines"), [((), 1), (("-q",), 0), (("-v",), 5)], ids=str)
def test_a_server_that_is_down_does_not_fill_a_mail(captured: Captured, options: tuple[str, ...], lines: int) -> None:
    """What is tried again is logged once before the error: each time with --verbose, and never with --quiet."""
    shown = captured(
        "status", *options, "--url", "mysql://root@127.0.0.1:1/app", "--table", "creds", "--column", "token"
    )

    assert shown.count("rotation.retry") == lines
    assert "nothing listens at this port" in shown
