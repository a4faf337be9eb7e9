"""The command line as a process, and the processes that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.databases import Database

ROOT = Path(__file__).parents[1]


@dataclass
class Command:
    """A command that runs, with its log in a file."""

    process: subprocess.Popen[str]
    log_file: Path

    @property
    def log(self) -> str:
        """Its output so far."""
        return self.log_file.read_text()

    def end(self, seconds: float = 60) -> tuple[int, dict[str, Any]]:
        """Its exit code and document, once it has ended; no secret is in its output."""
        out, _ = self.process.communicate(timeout=seconds)
        assert "gAAAAA" not in out + self.log
        assert "Traceback" not in self.log, self.log
        return self.process.returncode, json.loads(out) if out else {}

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        return [child for child, words in _children(self.process.pid) if "multiprocessing.spawn" in words]


def in_a_fork(act: Callable[[], object]) -> bool:
    """Whether what *act* returns in a forked child is true; False where it hangs or raises."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # The limit of a test has a handler of its own there.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            code = 0 if act() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def without_installation(folder: Path) -> dict[str, str]:
    """Variables for `python -S`, with which it finds all packages but this project, as beside a bare checkout."""
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(("keyring_core", "_keyring_core")):
            (folder / package.name).symlink_to(package)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}


@contextmanager
def start(
    database: Database, environ: Mapping[str, str], folder: Path, *options: str, command: str = "run"
) -> Iterator[Command]:
    """A command on the table `creds`, which logs each step; killed at the end, where it still runs."""
    target = ["--url", database.url, "--table", "creds", "--column", "token", "--json"]
    log_options = ["--verbose", "--log-format", "json"]
    words = [sys.executable, str(ROOT / "scripts/rotate.py"), *log_options, command, *target, *options]
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("w") as stderr:
        environment = {**os.environ, **environ}
        process = subprocess.Popen(words, env=environment, stdout=-1, stderr=stderr, text=True)
    try:
        yield Command(process, log)
    finally:
        process.kill()
        process.communicate()


def until(ready: Callable[[], object], seconds: float = 30) -> None:
    """Waits until it is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it never came so far"
        # A look may read a whole table, and whoever is waited for needs the processor, too.
        time.sleep(0.1)


def die() -> None:
    """Ends this process as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether that process still runs; one that has ended and is not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(parent: int) -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == parent:
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
