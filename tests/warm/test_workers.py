"""A worker process that is a fork is as one that starts from scratch."""

from __future__ import annotations

import sys

import pytest

from tests.processes import run
from tests.warm.workers import NAME

pytestmark = pytest.mark.database

PROGRAM = """
import multiprocessing, os, signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["SAID"] = "so"
for _ in range(5):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        name = pool.submit(Path.read_text, Path("/proc/self/comm")).result().strip()
        print(name, pool.submit(os.getenv, "SAID").result(), pool.submit(os.getppid).result() == os.getpid())
"""


def test_a_worker_is_a_fork_while_there_is_one() -> None:
    """It is a child of the program and has its environment; behind one fork more than workers, they start for real."""
    ran = run([sys.executable, "-c", PROGRAM, "--workers", "3"])

    assert (ran.returncode, ran.stderr) == (0, "")
    *forks, real = ran.stdout.splitlines()
    assert forks == [f"{NAME} so True"] * 4
    assert real.startswith("python")
    assert real.endswith(" so True")
