"""Starts Python programs as forks of one process, which has imported the command line and the drivers already.

A start of the interpreter and these imports take half a second of processor time; a fork takes hundredths. It gets the
streams, environment, folder and session of its client, and runs the program as `python` would. The process ends, with
every fork, when its stdin does. Run by its path, so that it imports nothing of the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import locale
import marshal
import multiprocessing.process
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import sys
import termios
import threading
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LENGTH = struct.Struct("!I")
NOT_IMPORTED = ("rotation.__main__", "keyring_core.integrations")
"""The program itself, and what needs a framework that is configured first."""
DRIVERS = (
    *("psycopg", "psycopg_binary", "pymysql", "pymysql.cursors", "sqlite3", "dotenv", "jinja2.ext", "nagiosplugin"),
    *("prometheus_client", "rich.console", "rich.progress", "rich.table", "rich.markup", "rich.rule", "rich.traceback"),
    *("sqlalchemy.dialects.sqlite.pysqlite", "sqlalchemy.dialects.postgresql.psycopg", "multiprocessing.spawn"),
    *("sqlalchemy.dialects.mysql.pymysql", "msgspec.toml", "concurrent.futures.process", "multiprocessing.util"),
)


def import_all() -> None:
    """Imports what programs import, the commands' late imports too; leaves the path of a program without a file."""
    sys.path[0] = str(ROOT)
    for name in ("keyring_core", "rotation"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.startswith(NOT_IMPORTED):
                importlib.import_module(module.name)
    for name in DRIVERS:
        importlib.import_module(name)
    del sys.path[0]
    gc.collect()
    # A fork that collects garbage would copy every page that an object is on.
    gc.freeze()


class Server:
    """Takes requests at a socket, forks, and reports to each client how its fork ended."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._selector = selectors.DefaultSelector()
        self._wakeup, theirs = socket.socketpair()
        for end in (self._wakeup, theirs):
            end.setblocking(False)
        self._theirs = theirs
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._running: dict[socket.socket, int] = {}
        self._ended: dict[socket.socket, int] = {}
        for source in (self._listener, self._wakeup, sys.stdin):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any]:
        """Forks for each request; returns only in a fork, with its request."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    for pid in self._running.values():
                        os.kill(pid, signal.SIGKILL)
                    os._exit(0)
                elif key.fileobj is self._wakeup:
                    self._wakeup.recv(4096)
                    self._tell()
                elif key.fileobj is self._listener:
                    client, _ = self._listener.accept()
                    if (request := self._fork(client)) is not None:
                        return request
                else:
                    self._let_go(key.fileobj)  # type: ignore[arg-type]

    def _fork(self, client: socket.socket) -> dict[str, Any] | None:
        first, streams, _, _ = socket.recv_fds(client, LENGTH.size, 3)
        left, parts = LENGTH.unpack(first)[0], []
        while left:
            parts.append(client.recv(left))
            left -= len(parts[-1])
        request: dict[str, Any] = marshal.loads(b"".join(parts))
        if (pid := os.fork()) == 0:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            self._selector.close()
            os.closerange(3, max(streams) + 1024)
            return request
        for stream in streams:
            os.close(stream)
        self._running[client] = pid
        self._selector.register(client, selectors.EVENT_READ)
        client.sendall(b"%d\n" % pid)
        return None

    def _tell(self) -> None:
        """Tells clients of programs that have ended."""
        for client, pid in list(self._running.items()):
            # Not buried yet: until the client lets go, nobody else gets that pid.
            if ended := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._ended[client] = self._running.pop(client)
                code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                with contextlib.suppress(OSError):
                    client.sendall(b"%d\n" % code)

    def _let_go(self, client: socket.socket) -> None:
        """A client is gone: so is its program."""
        self._selector.unregister(client)
        client.close()
        if pid := self._running.pop(client, None):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid or self._ended.pop(client), 0)


def become(request: dict[str, Any]) -> None:
    """Makes this fork the process that was asked for, up to the program that it runs."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    if request["session"]:
        os.setsid()
    if request["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    # Where worker processes look for the program; kept when multiprocessing is imported.
    multiprocessing.process.ORIGINAL_DIR = request["cwd"]  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    _take_locale()
    sys.stdin = sys.__stdin__ = _stream(0, "<stdin>", "r")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "<stdout>", "w")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "<stderr>", "w")  # type: ignore[misc]
    sys.orig_argv = request["argv"]


def _take_locale() -> None:
    """As Python does: in place of C it takes C.UTF-8, for programs that it starts, too (PEP 538)."""
    locale.setlocale(locale.LC_CTYPE, "C")
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    if locale.setlocale(locale.LC_CTYPE) == "C" and not os.environ.get("LC_ALL"):
        os.environ["LC_CTYPE"] = "C.UTF-8"
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")


def _stream(number: int, name: str, mode: str) -> io.TextIOWrapper:
    """As Python opens the stream of that *number*."""
    buffered = not os.environ.get("PYTHONUNBUFFERED")
    binary: Any = open(number, f"{mode}b", buffering=-1 if buffered or mode == "r" else 0, closefd=False)  # noqa: SIM115
    getattr(binary, "raw", binary).name = name
    neutral = locale.setlocale(locale.LC_CTYPE) in {"C", "POSIX", "C.UTF-8", "C.utf8", "UTF-8"}
    errors = "backslashreplace" if name == "<stderr>" else "surrogateescape" if neutral else "strict"
    lines = buffered and (name == "<stderr>" or binary.isatty())
    stream = io.TextIOWrapper(binary, "utf-8", errors, "\n", line_buffering=lines, write_through=not buffered)
    stream.mode = mode  # type: ignore[misc]
    return stream


def run(argv: list[str], script: str | None = None) -> None:
    """Runs what *argv* names, as Python does: `python -c TEXT`, `python -m MODULE`, `python FILE`, or a script.

    *script*: the file of the script, if *argv* is one of no interpreter.
    """
    words = argv if script else argv[1:]
    file = script or os.path.join(os.getcwd(), words[0])
    first = {"-c": "", "-m": os.getcwd()}.get(words[0], str(Path(file).resolve().parent))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [first, *(os.path.abspath(each) for each in given if each)]
    importlib.invalidate_caches()
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if words[0] == "-c":
        file, text, sys.argv = "<string>", words[1], ["-c", *words[2:]]
    else:
        main.__file__, text, sys.argv = file, Path(file).read_text(), words
    exec(compile(text, file, "exec"), main.__dict__)


def end(code: object) -> None:
    """What Python does when a program ends, without taking all its modules apart."""
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)  # noqa: T201
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    server = Server(sys.argv[1])
    import_all()
    print(flush=True)  # noqa: T201
    request = server.serve()
    become(request)
    ended: object = None
    try:
        run(request["argv"], request["script"])
    except SystemExit as error:
        ended = error.code
    end(ended)
