"""A program in a fork of the warm process does what it does when it starts for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rotation.cli.main import cli as program
from tests.fakes import token
from tests.keys import key_text, make_key
from tests.processes import ROOT, is_alive, until
from tests.project.play_page import CHANGING
from tests.warm import client

pytestmark = pytest.mark.database

SCRIPT, INSTALLED = str(ROOT / "scripts" / "rotate.py"), str(Path(sys.executable).with_name("keyring-rotate"))
WAYS = ([sys.executable, SCRIPT], [sys.executable, "-m", "rotation"], [INSTALLED])
OLD = make_key("old").id
COMMANDS = {
    "init": "init --url sqlite:///app.db --config new.toml",
    "demo": "demo --keep .",
    "discover": "discover",
    "status": "status --json",
    "run": "run --verbose",
    "adopt": "adopt",
    "check": "check",
    "report": "report --html page.html",
    "ledger init": "ledger init",
    "ledger verify": "ledger verify",
    "ledger keygen": "ledger keygen .env",
    "help": "help keys retire",
    "keys generate": "keys generate",
    "keys derive": "keys derive sha256",
    "keys list": "keys list",
    "keys stage": "keys stage",
    "keys promote": f"keys promote {OLD}",
    "keys suspend": f"keys suspend {OLD}",
    "keys resume": f"keys resume {OLD}",
    "keys retire": f"keys retire {OLD} --archive old.keys",
    "keys restore": "keys restore nowhere.keys",
}
"""Each command, as it is typed in `world`; a line of it may be a refusal."""
Run = Callable[..., subprocess.CompletedProcess[str]]


def start(argv: list[str], *, stderr: int = subprocess.PIPE, **more: Any) -> subprocess.CompletedProcess[str]:
    """A real start."""
    more.setdefault("input", "")
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False, **more)


def world(folder: Path) -> None:
    """A dotenv file, a rotation.toml and a database with a current token, an old one and a broken one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / ".env").touch(0o600)
    (folder / ".env").write_text(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\nURL=sqlite:///app.db\n"
    )
    entry = 'env_file = ".env"\n[[target]]\nurl = "$URL"\ntable = "creds"\ncolumns = ["token"]\n'
    (folder / "rotation.toml").write_text(entry)
    with closing(sqlite3.connect(folder / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        rows = enumerate([token("new"), token("old"), token("old")[:50]])
        connection.executemany("INSERT INTO creds VALUES (?, ?)", rows)


def left(folder: Path, ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command came to, in any second and with any new key."""
    found: dict[str, Any] = {"code": ran.returncode, "out": _still(ran.stdout), "err": _still(ran.stderr or "")}
    for path in sorted(folder.iterdir()):
        text = "" if path.suffix == ".db" else _still(path.read_text())
        found[path.name] = (path.stat().st_mode, text)
    with closing(sqlite3.connect(folder / "app.db")) as connection:
        found["rows"] = [len(cell) for (cell,) in connection.execute("SELECT token FROM creds")]
    return found


def _still(text: str) -> str:
    numbers = dict.fromkeys(re.findall(r"\b[0-9a-f]{8}\b", text))
    for number, name in enumerate(numbers):
        text = text.replace(name, f"id {number}")
    text = re.sub(r"[\w-]{43}=", "KEY", text)
    return re.sub(r'"seconds": [\d.e-]+|\d+ of a second|\d{10,}', "", CHANGING.sub("", text))


@pytest.mark.some(2)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_a_fork_does_what_a_start_does(command: str, tmp_path: Path) -> None:
    """Its streams, exit code and files are the same, and so is the name that it calls itself."""
    words = [*WAYS[len(command) % len(WAYS)], *COMMANDS[command].split()]
    folder, environ = tmp_path / "app", {"PATH": os.environ["PATH"], "COLUMNS": "120"}
    ran = {}
    runs: dict[str, Run] = {"start": start, "fork": client.run}
    for name, run in runs.items():
        world(folder)
        ran[name] = left(folder, run(words, cwd=folder, env=environ, input="a secret of an application"))

    assert ran["fork"] == ran["start"]


def test_each_command_is_held_against_its_start() -> None:
    """A new one stands in the table above, too."""
    groups = {name: group.commands for name, group in program.commands.items() if hasattr(group, "commands")}
    leaves = [name for name in program.commands if name not in groups]

    assert sorted(COMMANDS) == sorted([*leaves, *(f"{name} {each}" for name in groups for each in groups[name])])


ABOUT = """
import gc, json, os, resource, signal, sys, time
umask = os.umask(0)
told = {
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path[:3], "name": __name__, "stdin": sys.stdin.read(),
    "cwd": os.getcwd(), "environ": dict(os.environ), "umask": umask, "leads": os.getpid() == os.getsid(0),
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "collects": gc.get_threshold(),
    "streams": [
        (each.name, each.mode, each.encoding, each.errors, each.line_buffering, each.write_through, each.isatty())
        for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "open": sorted(int(name) for name in os.listdir("/dev/fd") if int(name) < 3), "zone": time.tzname,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
}
print(json.dumps(told))
sys.stderr.write("told\\n")
"""
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
ENVIRONMENTS = st.fixed_dictionaries(
    {"PATH": st.just("/usr/bin:/bin")},
    optional={
        "LANG": st.sampled_from(["C", "C.UTF-8", "de_DE.UTF-8", "POSIX", ""]),
        "LC_ALL": st.sampled_from(["C", "C.UTF-8", ""]),
        "TZ": st.sampled_from(["UTC", "Asia/Tokyo", "EST5EDT"]),
        "PYTHONUNBUFFERED": st.sampled_from(["", "1"]),
        "PYTHONPATH": st.sampled_from(["/nowhere", "/nowhere:/elsewhere"]),
        "ENCRYPTION_KEY": TEXTS,
    },
)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="lists /dev/fd")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(TEXTS, max_size=3), environ=ENVIRONMENTS, umask=st.sampled_from([0o22, 0o77, 0]), text=TEXTS)
@example(words=["-x"], environ={"LANG": "C", "PYTHONUNBUFFERED": "1"}, umask=0o77, text="ü")
def test_a_fork_is_what_a_start_is(
    tmp_path: Path, words: list[str], environ: dict[str, str], umask: int, text: str
) -> None:
    """Arguments, environment, folder, umask, streams with their encodings, signal handlers, limits and time zone."""
    argv = [sys.executable, "-c", ABOUT, *words]
    ran = [run(argv, cwd=tmp_path, env=environ, umask=umask, input=text) for run in (start, client.run)]

    first, second = ({"code": each.returncode, "err": each.stderr, **json.loads(each.stdout)} for each in ran)
    assert second == first


ENDS = [
    "",
    "sys.exit(3)",
    "sys.exit(300)",
    "sys.exit(-1)",
    "sys.exit('words')",
    "sys.exit(None)",
    "os._exit(7)",
    "raise ValueError('x')",
    "raise KeyboardInterrupt",
    "os.kill(os.getpid(), signal.SIGTERM)",
    "os.kill(os.getpid(), signal.SIGKILL)",
    "os.abort()",
    "atexit.register(print, 'at the end'); print('before', end='')",
    "threading.Thread(target=lambda: (time.sleep(0.05), print('from a thread'))).start()",
    "atexit.register(os._exit, 9)",
    "print(undefined",
    "sys.stdout.close()",
    "print(multiprocessing.get_context('spawn').Pool(1).map(abs, [-1]))",
]


def test_a_fork_ends_as_a_start_does() -> None:
    """By any exit code, signal or exception; with threads and handlers of the exit, and with all output written."""
    head = "import atexit, multiprocessing, os, signal, sys, threading, time\n"

    def ended(run: Run, code: str) -> tuple[int, str, str]:
        ran = run([sys.executable, "-c", head + code], env={"PATH": os.environ["PATH"]})
        # The traceback of a fork begins a few frames higher.
        return ran.returncode, ran.stdout, ran.stderr[-12:]

    differ = {code: found for code in ENDS if len({*(found := [ended(run, code) for run in (start, client.run)])}) > 1}

    assert not differ


def test_signals_reach_a_fork(tmp_path: Path) -> None:
    """Stopped it makes no step, and goes on; a handler of its own answers; what has none ends it by that signal."""
    code = (
        "import signal, time, sys\nsignal.signal(signal.SIGUSR1, lambda *_: print('heard', flush=True))\n"
        "print('ready', flush=True)\nwhile True: time.sleep(0.01)"
    )
    said = tmp_path / "said"
    with said.open("w") as out, client.Program([sys.executable, "-c", code], stdout=out) as running:
        until(lambda: said.read_text() == "ready\n", "its first word", running)
        running.send_signal(signal.SIGSTOP)
        running.send_signal(signal.SIGUSR1)
        stopped = said.read_text()
        running.send_signal(signal.SIGCONT)
        until(lambda: said.read_text() == "ready\nheard\n", "the answer of its handler", running)
        running.send_signal(signal.SIGTERM)
        code_of_end = running.wait()

    assert (stopped, code_of_end) == ("ready\n", -signal.SIGTERM)


def test_who_lets_go_of_a_program_ends_it() -> None:
    """Leaving its `with` kills it; one that takes too long raises, as with `subprocess`."""
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    with client.Program(argv) as running:
        assert running.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.01)

    assert running.returncode == -signal.SIGKILL
    assert not is_alive(running.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        client.run(argv, timeout=0.01)


def test_the_warm_process_ends_with_its_starter(tmp_path: Path) -> None:
    """However that ends; no program outlives it."""
    pids = tmp_path / "pids"
    code = (
        "import os, sys, pathlib\nfrom tests.warm import client\n"
        "running = client.Program([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{client.server()._process.pid}} {{running.pid}}')\nos._exit(9)\n"
    )
    ended = start([sys.executable, "-c", code], cwd=ROOT)

    assert ended.returncode == 9, ended.stderr
    until(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()), "the end of all its processes")


def test_what_only_a_start_reads_is_refused() -> None:
    """A variable that Python reads before any program does would be passed over in silence."""
    with pytest.raises(AssertionError, match="PYTHONUTF8"):
        client.run([sys.executable, "-c", ""], env={"PYTHONUTF8": "0"})


@pytest.fixture
def bash(tmp_path: Path) -> Callable[[str, str], tuple[int, str]]:
    """Types a command into a bash that finds *folder* first."""

    def run(folder: str, command: str) -> tuple[int, str]:
        path = {"PATH": f"{folder}:/usr/bin:/bin", "LANG": "C.UTF-8"}
        ran = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=path, capture_output=True, text=True, check=False
        )
        return ran.returncode, ran.stdout + ran.stderr

    return run


TYPED = [
    "keyring-rotate --version",
    "keyring-rotate keys list",
    "keyring-rotate keys derive sha256 <<< 'a secret'",
    "python -V",
    "python -m rotation --version | cat",
    "echo 'print(1)' | python",
    "python -c 'import sys; print(sys.argv, sys.stdin.read())' a 'b c' <<< words",
    "echo 'import sys; print(__file__, sys.argv, sys.path[0])' > it.py; python it.py x; python ./it.py",
    "python -c 'import sys; sys.exit(3)'; echo $?",
    "python -c 'import os; os.kill(os.getpid(), 15)'; echo $?",
    "timeout -s TERM 0.2 python -c 'import time; time.sleep(600)'; echo $?",
    "env -i $(type -P keyring-rotate) status",
    'umask 027; python -c \'open("made", "w")\'; stat -c %a made; rm made',
    "python -c 'print(1)' > file 2>&1; cat file; rm file",
]


@pytest.mark.long
def test_a_shell_runs_both_alike(bash: Callable[[str, str], tuple[int, str]]) -> None:
    """What stands first on a page's PATH does what the environment's own programs do."""
    real, warm = str(Path(sys.executable).parent), client.programs()

    def shown(folder: str, command: str) -> tuple[int, str]:
        code, printed = bash(folder, command)
        # A program that is not found by its name calls itself by its path.
        return code, printed.replace(folder, "")

    differ = {line: found for line in TYPED if (found := [shown(each, line) for each in (real, warm)])[0] != found[1]}

    assert not differ
