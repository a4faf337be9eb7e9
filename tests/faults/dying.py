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
from rotation.stores import store
from tests.faults.injector import KILLED, calls_to_fail, failing

LOADED = (runs, session, run_text, store, workers, progress)
"""What the command imports when it runs: here once, and not in each fork."""


def die_at_calls(url: str, near: int, far: int, *, opening: bool) -> None:
    """Until a run gets through; at the calls that `calls_to_fail` names."""
    for nth in calls_to_fail(near, far):
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)  # its log is not for the one who reads us
            with failing(nth, KILLED, opening=opening):
                target = ["--url", url, "--table", "creds", "--column", "token"]
                os._exit(main(["run", *target, "--batch-size", "3"], os.environ, io.StringIO(), io.StringIO()))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, flush=True)  # noqa: T201
        sys.stdin.readline()
        if code != 9:
            return


if __name__ == "__main__":
    die_at_calls(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), opening="opening" in sys.argv)
