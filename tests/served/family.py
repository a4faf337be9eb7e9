"""`python -m tests.served.family METHOD PORT`: two processes of multiprocessing, which answer on one socket.

At SIGTERM the parent asks them to end. With END_ON_SIGTERM it has no handler of its own, and terminates them; with the
method `alone` there are none, and it answers itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from multiprocessing.synchronize import Event

from tests.served.reader import keep, open_token

keep()


def answer(listener: socket.socket, over: Event) -> None:
    """Answers each request with the id of this process, which opened the token."""
    listener.settimeout(0.05)
    while not over.is_set():
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n%d" % open_token())


def main(method: str, port: int) -> None:
    """Serves until SIGTERM."""
    told = threading.Event()
    if method != "alone":
        multiprocessing.set_start_method(method)
    over = multiprocessing.Event()
    terminates = "END_ON_SIGTERM" in os.environ
    if not terminates:
        signal.signal(signal.SIGTERM, lambda *_: told.set())
    with socket.create_server(("127.0.0.1", port)) as listener:
        if method == "alone":
            answer(listener, over)
        children = [multiprocessing.Process(target=answer, args=(listener, over)) for _ in range(2)]
        for child in children:
            child.start()
        try:
            # Python loses a signal that comes just before a wait without an end.
            while not told.wait(0.05):
                pass
        finally:
            for child in children:
                child.terminate() if terminates else over.set()
            for child in children:
                child.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
