"""A line to a database server that a test may narrow, lengthen, slow down or lose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import sqlalchemy as sa

CERTAIN = 0.1
"""Seconds of a trip in which a busy machine, too, sends all parts of a request: a part after an answer is a trip."""


@dataclass
class Line:
    """A connection through the proxy."""

    visitor: socket.socket
    onward: socket.socket | None = None
    lost: bool = False
    trips: int = 0
    """How often the visitor has waited for an answer before it sent something."""
    heard: bool = True
    """The visitor has got an answer to what it sent last."""
    deaf: bool = False
    """Whether the next answer of the server is lost."""


class Proxy:
    """Passes each connection on to the server of *url*."""

    def __init__(self, url: str, *, seconds: float = 0, trip: float = 0, folder: Path | None = None) -> None:
        """A new connection waits so many *seconds*, and what it asks is answered *trip* seconds later than otherwise.

        With *folder* it is narrow: a socket of PostgreSQL's there. Through TCP the system takes some megabytes from a
        process on this machine before anybody reads them.
        """
        self._place, self._seconds = sa.make_url(url), seconds
        self.trip = trip
        """It can be made longer; without any at first it stays so for the connections that are there."""
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.lines: list[Line] = []
        """All connections so far."""
        self._deaf: bytes | None = None
        """Words of a client whose next answer is lost."""
        self._listener = socket.socket(socket.AF_UNIX if folder else socket.AF_INET)
        if not folder:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(str(folder / ".s.PGSQL.1") if folder else ("127.0.0.1", 0))
        self._listener.listen(64)
        if folder:
            through = self._place.set(host=None, port=None).update_query_dict({"host": str(folder), "port": "1"})
        else:
            through = self._place.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.url = through.render_as_string(hide_password=False)
        self._serving = self._begin(self._serve)

    @property
    def trips(self) -> int:
        """The round trips of all connections so far, those of their logins included."""
        return sum(line.trips for line in self.lines)

    def lose(self) -> None:
        """Loses the server's side of each connection that is there, and the client does not hear of it.

        New connections are well.
        """
        for line in self.lines:
            line.lost = True
            _end(line.onward)

    def cut(self) -> None:
        """Ends each connection that is there, for both sides."""
        for line in self.lines:
            _end(line.visitor)
            _end(line.onward)

    def shut(self) -> None:
        """Refuses new connections until `open`, as a port at which nothing listens, and ends each that is there."""
        self._place_here = self._listener.getsockname()
        _end(self._listener)
        self._serving.join(300)
        self._listener.close()
        self.cut()

    def open(self) -> None:
        """Takes connections again, after `shut`."""
        self._listener = socket.socket(socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._place_here)
        self._listener.listen(64)
        self._serving = self._begin(self._serve)

    def lose_answer(self, words: bytes) -> None:
        """Passes the next request with those *words* on, and ends its connection when the answer comes."""
        self._deaf = words

    def close(self) -> None:
        """Ends every connection."""
        self._over.set()
        _end(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(300)
        self._listener.close()

    def _begin(self, act: Callable[..., None], *given: object) -> threading.Thread:
        thread = threading.Thread(target=act, args=given)
        self._threads.append(thread)
        thread.start()
        return thread

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                line = Line(self._listener.accept()[0])
                self.lines.append(line)
                self._begin(self._carry, line)

    def _carry(self, line: Line) -> None:
        # The server itself may be away.
        with suppress(ConnectionError), line.visitor as visitor:
            if self._over.wait(self._seconds):
                return
            with socket.create_connection((self._place.host or "127.0.0.1", self._place.port or 0)) as line.onward:
                for side in (visitor, line.onward):
                    # Otherwise each small part would wait for the receipt of the one before it.
                    with suppress(OSError):
                        side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = self._begin(self._pump, line, visitor, line.onward)
                self._pump(line, line.onward, visitor)
                back.join()

    def _pump(self, line: Line, source: socket.socket, sink: socket.socket) -> None:
        under_way = _UnderWay(lambda data: self._deliver(line, sink, data), lambda: self.trip / 2)
        late = self._begin(under_way.deliver) if self.trip else None
        with suppress(OSError):
            while data := source.recv(65536):
                if source is line.visitor and line.heard:
                    line.trips, line.heard = line.trips + 1, False
                if line.deaf and source is line.onward:
                    break
                if source is line.visitor and self._deaf and self._deaf in data:
                    self._deaf, line.deaf = None, True
                under_way.take(data)
        under_way.take(b"")
        if late:
            late.join()
        if not line.lost:
            _end(source)
            _end(sink)

    def _deliver(self, line: Line, sink: socket.socket, data: bytes) -> None:
        if sink is line.visitor:
            line.heard = True
        if not line.lost:
            sink.sendall(data)


@dataclass
class _UnderWay:
    """What travels in one direction: as much as there is, each part for as many `seconds` as there are then."""

    arrive: Callable[[bytes], None]
    seconds: Callable[[], float]
    parts: SimpleQueue[tuple[float, bytes]] = field(default_factory=SimpleQueue)

    def take(self, data: bytes) -> None:
        """Sends *data* on its way; none is the end."""
        if seconds := self.seconds():
            self.parts.put((time.monotonic() + seconds, data))
        elif data:
            self.arrive(data)

    def deliver(self) -> None:
        """Delivers each part when its time has come, until the end has."""
        with suppress(OSError):
            while True:
                due, data = self.parts.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    return
                self.arrive(data)


def _end(side: socket.socket | None) -> None:
    with suppress(OSError):
        if side:
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def through_proxy(url: str, *, seconds: float = 0, trip: float = 0, narrow: bool = False) -> Iterator[Proxy]:
    """A proxy in front of the server of *url*."""
    # A socket's path is bounded.
    with TemporaryDirectory() as folder:
        proxy = Proxy(url, seconds=seconds, trip=trip, folder=Path(folder) if narrow else None)
        try:
            yield proxy
        finally:
            proxy.close()
