"""A server of a test's own does not outlive the test."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, is_alive, until

pytestmark = pytest.mark.skipif(not shutil.which("setpriv"), reason="only setpriv ties a server to its parent")

PROGRAM = """
import sys, threading, time
from tests.chaos import server

with getattr(server, sys.argv[1])() as own:
    restart = threading.Thread(target=own.restart, args=["immediate"])
    restart.start()
    restart.join()
    assert own.processes()
    print(*own.processes(), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder for what the killed process cannot remove. Other accounts may enter it, unlike pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        Path(folder).chmod(0o755)
        yield folder


@pytest.mark.long
@pytest.mark.parametrize("own_server", ["own_postgres", "own_mariadb"])
def test_a_server_ends_when_its_test_is_killed(own_server: str, folder: str) -> None:
    """A worker of pytest that is killed leaves no server behind; a thread that restarts the server may end before."""
    command = [sys.executable, "-c", PROGRAM, own_server]
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/bin", "TMPDIR": folder}
    with subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as test:
        assert test.stdout
        assert test.stderr
        words = test.stdout.readline().split()
        test.kill()
        refusal = test.stderr.read().decode()
    if "Skipped" in refusal:
        pytest.skip(refusal.strip().splitlines()[-1])

    assert test.returncode == -signal.SIGKILL
    assert words
    until(lambda: not any(is_alive(int(pid)) for pid in words), "the end of the server")
