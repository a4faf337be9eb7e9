"""The command line as a process, the processes that it starts, and the one way to wait for them."""

from __future__ import annotations

import json
import os
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, TypeVar

from tests.databases import Database
from tests.warm.client import Program

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
LOOKS = 3000
"""How often `until` looks before it gives up: ten times as often as on a busy machine.

A look is a tenth of a second; where others have the processor it is longer, so that such a time counts less.
"""
STILL = 900
"""After so many looks at which a process has got no further, it has hung."""


class Process(Protocol):
    """A process that somebody waits for: a warm Program, or a Popen."""

    pid: int
    returncode: Any

    def poll(self) -> int | None: ...


def until(
    ready: Callable[[], T], what: str, process: Process | None = None, log: Path | None = None, *, still: int = STILL
) -> T:
    """Waits until *ready* returns something true, and returns it: this is how every test waits for an event.

    Gives up where *process* has ended, or has hung: neither it nor its children ran or wanted to, and the *log* did not
    grow, at so many looks as *still* says. The error says *what* never came, and shows the log.
    """
    looks = same = 0
    before: object = None
    while not (found := ready()):
        looks += 1
        now = _progress(process, log)
        same, before = (same + 1 if now == before else 0), now
        if process and process.poll() is not None:
            # It may have come between the look and the end.
            if found := ready():
                break
            raise AssertionError(f"a process ended with {process.returncode} before {what}{_shown(log)}")
        if process and same > still:
            raise AssertionError(f"a process hung before {what}; it got no further in {same} looks{_shown(log)}")
        assert looks < LOOKS, f"waited in vain for {what}, {looks} looks long{_shown(log)}"
        # A look may read a whole table, and whoever is waited for needs the processor, too.
        time.sleep(min(0.1, 0.002 * looks))
    return found


def end_of(process: Process, what: str, log: Path | None = None, *, still: int = STILL) -> int:
    """The exit code of *process*, once it has ended; *what* names it in the error if it hangs."""
    until(lambda: process.poll() is not None, f"the end of {what}", process, log, still=still)
    return int(process.returncode)


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Runs a program to its end."""
    with NamedTemporaryFile() as out, NamedTemporaryFile() as err:
        with Program(argv, env=env, cwd=ROOT, stdout=out, stderr=err) as program:
            code = end_of(program, "the program", Path(err.name))
        return CompletedProcess(program.args, code, Path(out.name).read_text(), Path(err.name).read_text())


def dialogue(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[str]:
    """Each line that a program prints; it gets a line before it prints the next."""
    (given, give), (printed, show) = os.pipe(), os.pipe()
    with (
        Program(argv, env=env, cwd=ROOT, stdin=given, stdout=show, stderr=2) as program,
        open(give, "w", buffering=1) as stdin,
        open(printed) as stdout,
    ):
        os.close(given)
        os.close(show)
        while line := stdout.readline():
            yield line
            stdin.write("next\n")
        end_of(program, "the program")


@dataclass
class Command:
    """A command that runs, with its output and its log in files."""

    process: Program
    out_file: Path
    log_file: Path

    @property
    def log(self) -> str:
        """Its log so far."""
        return self.log_file.read_text()

    def until(self, ready: Callable[[], object], what: str) -> None:
        """Waits for what this command does."""
        until(ready, what, self.process, self.log_file)

    def logs(self, words: str) -> None:
        """Waits for *words* in its log."""
        self.until(lambda: words in self.log, f"{words} in the log")

    def end(self) -> tuple[int, dict[str, Any]]:
        """Its exit code and document, once it has ended; no secret is in its output."""
        code = end_of(self.process, "the command", self.log_file)
        out = self.out_file.read_text()
        assert "gAAAAA" not in out + self.log
        assert "Traceback" not in self.log, self.log
        return code, json.loads(out) if out else {}

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        return [child for child in children(self.process.pid) if b"multiprocessing.spawn" in _read(child, "cmdline")]


def in_a_fork(act: Callable[[], object]) -> bool:
    """Whether what *act* returns in a forked child is true; False where it raises. Fails where it hangs."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if act() else 2
        finally:
            os._exit(code)
    try:
        until(lambda: os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT), "the end of a fork")
    finally:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) == 0


def without_installation(folder: Path) -> dict[str, str]:
    """Variables for `python -S`, with which it finds all packages but this project, as beside a bare checkout."""
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(("keyring_core", "_keyring_core")):
            (folder / package.name).symlink_to(package)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}


@contextmanager
def start(
    database: Database,
    environ: Mapping[str, str],
    folder: Path,
    *options: str,
    command: str = "run",
    limits: str = "",
) -> Iterator[Command]:
    """A command on the table `creds`, which logs each step; killed at the end, where it still runs.

    *limits*: statements that run first, and make a limit of the program another one.
    """
    target = ["--url", database.url, "--table", "creds", "--column", "token", "--json"]
    log_options = ["--verbose", "--log-format", "json"]
    program = [f"{ROOT}/scripts/rotate.py"] if not limits else ["-c", f"{limits}\n{PROGRAM}"]
    words = [sys.executable, *program, *log_options, command, *target, *options]
    name = f"log-{time.monotonic_ns()}"
    log, out = folder / name, folder / f"{name}.json"
    with log.open("w") as stderr, out.open("w") as stdout:
        # Dask sets that one in this process, for the processes that it starts.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
        process = Program(words, env={**environment, **environ}, stdout=stdout, stderr=stderr)
    with process:
        yield Command(process, out, log)


PROGRAM = "from rotation.__main__ import start; start()"
"""The command line, behind other statements of `python -c`."""
AT_ONCE = "from rotation.job import passes; passes.PROBE_TOKENS = 1"
"""Limits of a run that writes at once: at a low rate, its look for a missing key takes seconds."""


def die() -> None:
    """Ends this process as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether that process still runs; one that has ended and is not yet buried does not."""
    return (_stat(pid) or "Z")[0] != "Z"


def children(pid: int) -> list[int]:
    """The ids of the processes that this one has started."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def _progress(process: Process | None, log: Path | None) -> object:
    """What changes while a process gets further: its own time and that of its children, and its log.

    Never the same while one of them waits for the processor.
    """
    if process is None:
        return None
    family = [process.pid]
    for pid in family:
        family += children(pid)
    stats = [_stat(pid) for pid in family]
    if any(stat and stat[0] == "R" for stat in stats):
        return object()
    return [stat and stat[11:15] for stat in stats], log and log.exists() and log.stat().st_size


def _stat(pid: int) -> list[str]:
    """The state of a process, and what is behind it in /proc; nothing where there is none."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def _shown(log: Path | None) -> str:
    return f"; its log:\n{log.read_text(errors='replace')[-5000:]}" if log and log.exists() else ""
