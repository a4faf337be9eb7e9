"""Stands on a page's PATH as `python` and as `keyring-rotate`, and has the warm process run them with its own streams.

Imports only what is compiled into the interpreter: so it starts in a hundredth of a second.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import posix
import sys

FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)


def run(folder: str, python: str, programs: dict[str, str], argv: list[str]) -> None:
    """Runs *argv* with the warm process, whose socket is in *folder*.

    *programs* are the files of those that are no interpreter.
    """
    environ = {_text(name): _text(value) for name, value in posix.environ.items()}
    script = programs.get(argv[0].rpartition("/")[2])
    if script is None and (len(argv) == 1 or (argv[1][0] == "-" and argv[1] not in {"-c", "-m"})):
        posix.execv(python, [python, *argv[1:]])
    umask = posix.umask(0)
    posix.umask(umask)
    ignored = [number for number in FORWARDED if _signal.getsignal(number) == _signal.SIG_IGN]
    request = {
        "argv": argv if script else [argv[0].rpartition("/")[2], *argv[1:]],
        "script": script,
        "environ": environ,
        "cwd": posix.getcwd(),
        "umask": umask,
        "session": False,
        "terminal": False,
        "ignored": ignored,
    }
    text = marshal.dumps(request)
    client = _socket.socket(_socket.AF_UNIX)
    client.connect(f"{folder}/socket")
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    client.sendmsg([len(text).to_bytes(4)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    client.sendall(text)
    pid = int(_line(client))
    for number in (number for number in FORWARDED if number not in ignored):
        _signal.signal(number, lambda number, _: posix.kill(pid, number))
    code = int(_line(client))
    if code < 0:
        if -code != _signal.SIGKILL:
            _signal.signal(-code, _signal.SIG_DFL)
        posix.kill(posix.getpid(), -code)
    posix._exit(code)


def _line(client: _socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        if not (found := client.recv(1)):
            posix._exit(70)
        line += found
    return line


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
