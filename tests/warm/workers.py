"""Worker processes of multiprocessing as forks, made when a program begins: before it has threads and connections.

Each waits until the program starts a worker, and then gets what that would run, and its descriptors. When all
are used, workers start as ever.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import signal
import socket
from collections.abc import Sequence
from multiprocessing import util
from pathlib import Path

NAME = "a-spare-worker"
"""What /proc calls a fork that is in use."""


class Spares:
    """The forks of one program."""

    def __init__(self) -> None:
        self._idle: list[tuple[int, socket.socket]] = []
        self._start = util.spawnv_passfds

    def make(self, count: int) -> str | None:
        """Makes so many; returns None in the program, and in a fork, when it is its turn, the code that it runs."""
        for _ in range(count):
            ours, theirs = socket.socketpair()
            if (pid := os.fork()) == 0:
                for _, other in [*self._idle, (0, ours)]:
                    other.close()
                return _told(theirs)
            theirs.close()
            self._idle.append((pid, ours))
        util.spawnv_passfds = self.start  # type: ignore[assignment]
        return None

    def start(self, path: str, args: Sequence[str], descriptors: Sequence[int]) -> int:
        """The id of a process that runs *args*, as `multiprocessing.util.spawnv_passfds` returns it."""
        if "--multiprocessing-fork" not in args or not self._idle:
            return self._start(path, args, descriptors)  # type: ignore[arg-type]
        pid, spare = self._idle.pop()
        numbers = sorted({int(number) for number in descriptors})
        words = (args[args.index("-c") + 1], numbers, dict(os.environ), os.getcwd())
        with spare:
            socket.send_fds(spare, [marshal.dumps(words)], numbers)
        return pid


def _told(program: socket.socket) -> str:
    """Waits until *program* needs this process. Ends with it."""
    # A worker starts with these blocked, whatever it is sent meanwhile.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    text, received, _, _ = socket.recv_fds(program, 1 << 20, 64)
    program.close()
    if not text:
        os._exit(0)
    code, numbers, environ, folder = marshal.loads(text)
    far = [fcntl.fcntl(number, fcntl.F_DUPFD, max(numbers) + 64) for number in received]
    for number in received:
        os.close(number)
    for source, number in zip(far, numbers, strict=True):
        os.dup2(source, number)
        os.close(source)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    Path("/proc/self/comm").write_text(NAME)
    return str(code)
