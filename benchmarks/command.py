"""The real command line, timed from its start to its end, with the memory of its processes."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.databases import Database, drop_databases
from tests.keys import key_text

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1_000_000
_LOOK_SECONDS = 0.25
# A process keeps its databases for its next measurement, and nothing else drops them.
atexit.register(drop_databases)


class Ran(NamedTuple):
    """What a command cost, and printed."""

    seconds: float
    peak: float
    """Megabytes of memory that its largest process held at most."""
    code: int
    out: str


def command(*argv: str, **keys: str) -> Ran:
    """`rotate.py`, with these arguments and variables."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "rotate.py"), *argv],
        env=os.environ | keys,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # So that its workers are found.
        start_new_session=True,
    )
    peak = _Peak(process.pid)
    peak.start()
    out, _ = process.communicate()
    seconds = time.perf_counter() - started
    return Ran(seconds, peak.bytes() / MEGABYTE, process.returncode, out)


def rotate(database: Database, *options: str, previous: Sequence[str] = ("old",)) -> Ran:
    """`rotate.py run` on the table `creds`, under the key `new`. Ends the benchmark unless it says complete."""
    return run("--url", database.url, "--table", "creds", "--column", "token", *options, previous=previous)


def run(*options: str, previous: Sequence[str] = ("old",)) -> Ran:
    """`rotate.py run` with these options, under the key `new`. Ends the benchmark unless it says complete."""
    ran = command("run", "--json", *options, **keys_of_run(previous))
    document = json.loads(ran.out or "{}")
    if not document.get("complete"):
        sys.exit(f"not complete, exit code {ran.code}: {document.get('error')}")
    return ran


def keys_of_run(previous: Sequence[str] = ("old",)) -> dict[str, str]:
    """The variables with the key `new` and the *previous* ones."""
    return {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": ",".join(map(key_text, previous))}


class _Peak(threading.Thread):
    """Reads the memory of a session's processes until it is asked. Linux keeps high-water marks, so late is fine."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._most = pid, 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._most = max(self._most, *(_high_water(pid) for pid in _family(self._pid)), 0)

    def bytes(self) -> int:
        self._over.set()
        self.join()
        return self._most


def _family(session: int) -> Iterator[int]:
    """The processes of that session."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                if os.getsid(int(name)) == session:
                    yield int(name)


def _high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0
