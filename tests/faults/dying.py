"""Forks runs that die at a call to the database, each at a later one; one line each on stdout.

A process of its own, since forking a test runner with threads is no good idea. It waits for a line before each next.
"""

from __future__ import annotations

import io
import os
import sys

from rotation.cli.main import main
from rotation.job import runs, workers
from rotation.ledger import session
from rotation.output import progress, run_text
from rotation.stores import sql
from tests.faults.injector import KILLED, failing

LOADED = (runs, session, run_text, sql, workers, progress)
"""What the command imports when it runs: here once, and not in each fork."""


def die_at_every_call(url: str, step: int, *, opening: bool) -> None:
    """Until a run gets through; at every call, or at each *step*-th."""
    nth, code = 1 - step, 9
    while code == 9:
        nth += step
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)  # its log is not for the one who reads us
            with failing(nth, KILLED, opening=opening):
                target = ["--url", url, "--table", "creds", "--column", "token"]
                os._exit(main(["run", *target, "--batch-size", "3"], os.environ, io.StringIO(), io.StringIO()))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, flush=True)  # noqa: T201
        sys.stdin.readline()


if __name__ == "__main__":
    die_at_every_call(sys.argv[1], int(sys.argv[2]), opening="opening" in sys.argv)
