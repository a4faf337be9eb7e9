"""Starts programs of this project as forks of a warm process: the calls of `subprocess`, hundredths of a second each.

`tests/warm/test_warm.py` holds them against real starts. What is about the start itself (imports, closed streams, a
signal in the middle of an import, other interpreters) starts for real.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

from tests.warm.proxy import FORWARDED
from tests.warm.server import LENGTH

UNDERSTOOD = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"}
"""Of the variables that Python reads when it starts. Dask sets the seed, for a process that begins with another."""


FOLDER = "TESTS_WARM_PROCESS"
"""The variable with the warm process's folder: a program that it runs may start others there, too."""


class Server:
    """The warm process of this process. It ends with it."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="warm-")
        self.folder = Path(self._temporary.name)
        self._write_programs()
        environ = {name: value for name, value in os.environ.items() if not _is_for_programs(name)}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py")), str(self.folder / "socket")],
            env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout
        with self._process.stdout as ready:
            assert ready.read(1), "the warm process has not started"

    def _write_programs(self) -> None:
        installed = {"keyring-rotate": str(Path(sys.executable).with_name("keyring-rotate"))}
        (self.folder / "bin").mkdir()
        for name in ("python", "python3", *installed):
            file = self.folder / "bin" / name
            file.write_text(
                f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
                f"from proxy import run\nrun({str(self.folder)!r}, {sys.executable!r}, {installed!r}, sys.argv)\n"
            )
            file.chmod(0o755)

    def close(self) -> None:
        """Ends it, and every program that still runs."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._temporary.cleanup()


def _is_for_programs(name: str) -> bool:
    return name.startswith(("ENCRYPTION_", "ROTATION_", "PYTHON", "COVERAGE_", "COV_"))


_starting = threading.Lock()


def server() -> Server:
    """The warm process; started when it is needed first."""
    with _starting:
        return _server()


@cache
def _server() -> Server:
    return Server()


def close() -> None:
    """Ends the warm process, if there is one."""
    if _server.cache_info().currsize:
        server().close()
        _server.cache_clear()


def running() -> int | None:
    """The number of the warm process, if there is one."""
    return server()._process.pid if _server.cache_info().currsize else None


def folder() -> Path:
    """Where the socket of the warm process is."""
    return Path(os.environ.get(FOLDER) or server().folder)


def programs() -> str:
    """A folder for the front of PATH: its `python` and `keyring-rotate` are run by the warm process, too."""
    return str(folder() / "bin")


class Program:
    """A program that runs, as `subprocess.Popen` has it; leaving a `with` ends it."""

    def __init__(  # noqa: PLR0913 - what a process is made of
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.DEVNULL,
        stderr: int | IO[Any] = subprocess.DEVNULL,
        umask: int | None = None,
        start_new_session: bool = False,
        terminal: bool = False,
    ) -> None:
        """Starts it. *terminal*: its stdin becomes the terminal of its new session."""
        self.args = [str(word) for word in argv]
        environ = dict(os.environ if env is None else env)
        unknown = {name for name in environ if name.startswith("PYTHON")} - UNDERSTOOD
        assert not unknown, f"Python reads {unknown} when it starts: start it for real"
        request = {
            "argv": self.args,
            "script": None if self.args[0] == sys.executable else self.args[0],
            "environ": environ,
            "cwd": str(cwd or Path.cwd()),
            "umask": _umask() if umask is None else umask,
            "session": start_new_session or terminal,
            "terminal": terminal,
            # As what runs in the background of a script ignores Ctrl-C.
            "ignored": [number for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN],
        }
        text = marshal.dumps(request)
        self.returncode: int | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(folder() / "socket"))
        with ExitStack() as stack:
            null = stack.enter_context(open(os.devnull, "r+b"))
            out = _number(stdout, null)
            error = out if stderr == subprocess.STDOUT else _number(stderr, null)
            socket.send_fds(self._socket, [LENGTH.pack(len(text))], [_number(stdin, null), out, error])
            self._socket.sendall(text)
        # Without a buffer: `select` sees no answer that has been read into one, and a program may have ended already.
        self._answers = self._socket.makefile("rb", buffering=0)
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None and select.select([self._socket], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it ends. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._answers.readline())
            self._let_go()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self.wait()

    def _let_go(self) -> None:
        self._answers.close()
        self._socket.close()


def run(  # noqa: PLR0913 - those of subprocess.run
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    input: str | bytes = "",  # noqa: A002 - as subprocess has it
    stderr: int | None = None,
    umask: int | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; what it printed is text. *stderr* may be STDOUT, for both as they came."""
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(input if isinstance(input, bytes) else input.encode())
        given.seek(0)
        with Program(argv, env=env, cwd=cwd, stdin=given, stdout=out, stderr=stderr or err, umask=umask) as program:
            code = program.wait(timeout)
        return subprocess.CompletedProcess(program.args, code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _number(stream: int | IO[Any], null: IO[Any]) -> int:
    if not isinstance(stream, int):
        return stream.fileno()
    return null.fileno() if stream == subprocess.DEVNULL else stream


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask
