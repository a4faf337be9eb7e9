"""Forks commands that die at a call to the system while they write files, each at a later one.

A process of its own, as `dying` is. One line of JSON each on stdout; it waits for a line before each next.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rotation.cli.main import main
from rotation.lifecycle import operations
from rotation.output import key_steps
from rotation.world import atomic_file

LOADED = (operations, key_steps)
"""What the command imports when it runs: here once, and not in each fork."""
CALLS = ("open", "write", "fsync", "close", "rename", "unlink", "fchmod", "fchown", "setxattr", "stat", "fstat")


class DyingSystem:
    """The module `os`, whose Nth call is the process's last: not done, or, where it writes, half done.

    Dead after a call is dead before the next one.
    """

    def __init__(self, nth: int) -> None:
        self._nth, self.calls = nth, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._dying(name, real) if name in CALLS else real

    def _dying(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls != self._nth:
                return real(*arguments, **options)
            if name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), 9)
            return None

        return call


def die_at_calls(each: int, argv: list[str]) -> None:
    """Until a command gets through; at so many calls further *each* time."""
    nth, code = 1 - each, -9
    while code == -9:
        nth += each
        child = os.fork()
        if child == 0:
            atomic_file.os = atomic_file.os = DyingSystem(nth)  # type: ignore[assignment]
            os._exit(main(argv, os.environ, io.StringIO(), io.StringIO()))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(code), flush=True)  # noqa: T201
        sys.stdin.readline()


if __name__ == "__main__":
    die_at_calls(int(sys.argv[1]), sys.argv[2:])
