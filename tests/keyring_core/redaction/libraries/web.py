"""URLs with secrets, and a server on this machine that answers each connection with the same bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.leaks.shapes import fill
from tests.keyring_core.redaction.libraries.ways import Way, finish

SECONDS = 60


@contextmanager
def answering(answer: bytes, *, at_once: bool = False) -> Iterator[int]:
    """The port of a server that reads a request's head, sends *answer* and hangs up.

    *at_once*, it sends without having read, and hears all that the client still has to say.
    """
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, answer, held if at_once else None), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Ends the accept of the thread, which closing alone does not.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)
            for connection in held:
                connection.close()


def _serve(listener: socket.socket, answer: bytes, held: list[socket.socket] | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(SECONDS)
            with suppress(OSError):
                head = b""
                while held is None and b"\r\n\r\n" not in head and (more := connection.recv(65536)):
                    head += more
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
            if held is None:
                connection.close()
            else:
                held.append(connection)


def http(headers: str = "", body: str = "", status: str = "200 OK") -> bytes:
    """An HTTP answer with these *headers*, of one line each."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers.splitlines()]
    return "\r\n".join([*lines, "", body]).encode()


# Port 1 refuses.
CLOSED = "127.0.0.1:1"
URLS: dict[str, Callable[[World], str]] = {
    "query": lambda w: f"http://{CLOSED}/a?access_token={w.unknown}&x=1",
    "query_encoded": lambda w: f"http://{CLOSED}/a?next=%2Flogin%3Fpassword%3D{w.unknown}",
    "path": lambda w: f"http://{CLOSED}/users/{w.plaintext}/cell",
    "path_key": lambda w: f"http://{CLOSED}/keys/{w.key}",
    "vendor_token": lambda w: f"http://{CLOSED}/repos?q=ghp_{fill(w, 36)}",
    "gitlab_token": lambda w: f"http://{CLOSED}/runners/glrt-{fill(w, 20)}",
    "vault_token": lambda w: f"http://{CLOSED}/leases/hvb.{fill(w, 90)}",
    "signature_first": lambda w: f"http://{CLOSED}/blob?sig={fill(w, 43)}%3D&se=1",
    "signature": lambda w: f"http://{CLOSED}/blob?se=1&sig={fill(w, 43)}%3D",
    "fernet_token": lambda w: f"http://{CLOSED}/x?cell={w.token}",
}
"""URLs that hold a secret, of a server that is not there."""


def of_urls(get: Callable[[str], Any], names: str = "") -> dict[str, Way]:
    """A way to ask for each of `URLS`, or for those *names*."""
    return {f"url_{name}": lambda w, url=URLS[name]: get(url(w)) for name in names.split() or URLS}


def asked(get: Callable[[World, str], Any], answer: Callable[[World], bytes] = lambda _: http()) -> Way:
    """A way to ask a server that answers with *answer*, by its URL."""

    def way(world: World) -> Any:
        with answering(answer(world)) as port:
            return finish(get(world, f"http://127.0.0.1:{port}"))

    return way


Raw = Callable[[World], bytes]


def line(target: str, *headers: str, method: str = "GET") -> bytes:
    """A request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: h", "Connection: close", *headers, "", ""]).encode()


# What each server's access log shows of a request.
REQUESTS: dict[str, Raw] = {
    "query": lambda w: line(f"/a?access_token={w.unknown}&x=1"),
    "query_encoded": lambda w: line(f"/a?next=%2Flogin%3Fpassword%3D{w.unknown}"),
    "path_key": lambda w: line(f"/keys/{w.key}"),
    "path_token": lambda w: line(f"/cells/{w.token}"),
}
# What the combined format shows besides.
COMBINED: dict[str, Raw] = {
    "referer": lambda w: line("/", f"Referer: http://h/cb?token={w.unknown}"),
    "referer_login": lambda w: line("/", f"Referer: http://bob:{w.unknown}@h/"),
    "agent": lambda w: line("/", f"User-Agent: curl {w.plaintext}"),
}
# Requests that a server refuses.
REFUSED: dict[str, Raw] = {
    "refused_line": lambda w: f"{w.plaintext}\r\n\r\n".encode(),
    "refused_method": lambda w: f"G[{w.plaintext} / HTTP/1.1\r\n\r\n".encode(),
    "refused_version": lambda w: f"GET / HTTP/{w.plaintext}\r\n\r\n".encode(),
    "refused_header": lambda w: line("/", f"{w.plaintext} oops"),
    "refused_header_name": lambda w: line("/", f"X[{w.plaintext}: x"),
}


def some(table: dict[str, Raw], names: str) -> dict[str, Raw]:
    return {name: table[name] for name in names.split()}


def each(requests: dict[str, Raw], served: Callable[[Raw], Way]) -> dict[str, Way]:
    return {name: served(raw) for name, raw in requests.items()}


def refuse(world: World, *_: Any) -> None:
    """An application that fails."""
    raise ValueError(f"password={world.unknown}")
