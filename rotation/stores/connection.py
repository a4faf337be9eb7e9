"""One connection to a database, shared by all that a command does there; never connections to two databases at once."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from keyring_core import KeyringError
from rotation.model.failures import StoppedError
from rotation.stores import watchdog
from rotation.stores.databases import write_url
from rotation.stores.dialect import READING, Dialect, Mode
from rotation.stores.servers import LEAST_SECONDS, REPLICA, SERVER, Fact, known_silent, seen_replicas
from rotation.stores.watchdog import SILENT, BackgroundCall, NoAnswerError, Session, Sign, Watchdog
from rotation.world.process import CHECK_SECONDS

CONNECT_SECONDS = 7.0
"""Seconds to wait for one address of a server to accept a connection; a url's `connect_timeout` replaces it."""
CONNECT_GRACE_SECONDS = 1.0
"""Seconds that connecting may still take after a stop was requested: the ledger may need a connection."""
ADDRESSES = 2
"""Addresses of a name to allow time for, one after the other."""

UNKNOWN = float("inf")
UNREADABLE = "a file that the url names cannot be read"

T = TypeVar("T")

POOL = "rotation"
"""The name of its pools in the log."""
# A connection that is lost as it is given back is replaced when it is needed again: no error, and no traceback.
logging.getLogger(f"sqlalchemy.pool.impl.QueuePool.{POOL}").setLevel(logging.CRITICAL)


class Line:
    """The round trips over the connections of one engine, which has one at a time. Without a server there are none.

    They are the part of each wait for an answer that keeps nobody else waiting. Over a socket of the same machine one
    takes a tenth of a millisecond, to another region fifty to a hundred.
    """

    def __init__(self, engine: sa.Engine | None = None, is_open: Callable[[Any], bool] = bool) -> None:
        """Counts each wait over *engine*: for a statement, and for the end of a transaction that *is_open*."""
        self.travelled = 0.0
        """Seconds that all round trips so far took together, and all waits for a server that was away."""
        self.trip = 0.0
        """Seconds of one: the shortest wait so far, since the server does something for each answer; 0: none yet."""
        self._shortest = UNKNOWN
        if engine is None:
            return
        began = 0.0

        def send(*_: Any) -> None:
            nonlocal began
            began = time.perf_counter()

        sa.event.listen(engine, "connect", lambda _, record: self._begin(record.info))
        sa.event.listen(engine, "before_cursor_execute", send)
        sa.event.listen(engine, "after_cursor_execute", lambda *_: self.waited(time.perf_counter() - began))
        # A refusal is an answer, too. What fails before it is sent says nothing of the way.
        sa.event.listen(engine, "handle_error", lambda context: None if context.is_disconnect else self.waited())

        def end(connection: sa.Connection) -> None:
            if not connection.invalidated and is_open(connection.connection.driver_connection):
                self.waited()

        sa.event.listen(engine, "commit", end)
        sa.event.listen(engine, "rollback", end)

    def waited(self, seconds: float = UNKNOWN) -> None:
        """An answer came, after so many *seconds* if that was measured."""
        self._shortest = min(self._shortest, seconds)
        self.trip = self._shortest if self._shortest < UNKNOWN else 0.0
        self.travelled += self.trip

    def _begin(self, notes: dict[Any, Any]) -> None:
        # A new connection may take another way.
        self._shortest, self.trip, notes[watchdog.LINE] = UNKNOWN, 0.0, self


class Connection:
    """A connection to one database; made when it is first needed, and again after it was lost."""

    def __init__(
        self,
        dialect: Dialect,
        url: URL,
        *,
        wait: Callable[[float], None] = time.sleep,
        shared: SharedConnections | None = None,
    ) -> None:
        """Does not connect yet. Raises as `Dialect.create_engine`.

        *wait* sleeps, and raises StoppedError if a stop was requested. *shared*: the others of the same command.
        """
        self.dialect, self._url, self._wait, self._shared = dialect, url, wait, shared
        self._base = dialect.create_engine(url, pool_size=1, max_overflow=0, pool_logging_name=POOL)
        self._is_in_a_row = False
        self._kept: sa.Connection | None = None
        """In a row of transactions the last one, which is still open."""
        self._guard = dialect.guard(url, self._is_stopping)
        """In place of the watchdog, if there is no server."""
        if self._guard is None:
            self._watchdog = Watchdog(is_stopping=self._is_stopping, probe=self._probe, hang_up=dialect.hang_up)
            # SQLAlchemy keeps the last dialects in caches of its own, and a dialect keeps this listener.
            alive = weakref.WeakMethod(self._open)
            sa.event.listen(self._base, "do_connect", lambda _dialect, _record, *given: (o := alive()) and o(*given))
            # Each statement of a long transaction shows that the server is alive.
            sa.event.listen(self._base, "after_cursor_execute", lambda *_: self._watchdog.answered())
        sa.event.listen(self._base, "connect", self._set_up, insert=True)
        if self._guard:
            sa.event.listen(self._base, "checkout", self._guard.uses)
        self.line = Line(self._base if self._guard is None else None, dialect.is_open)
        # With the same connection, and with transactions of that mode.
        self._servers: set[Fact] = set()
        """The facts of the servers that it led to since somebody asked."""
        self.is_on_replica = False
        """True if the last transaction found a standby, or a replica that takes no writes."""
        self._engines = {mode: self._base.execution_options() for mode in Mode}
        for mode, engine in self._engines.items():
            sa.event.listen(engine, "begin", partial(dialect.begin, mode=mode))

    def transact(self, mode: Mode, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act* in a transaction. Raises as `transaction`."""
        with self.transaction(mode) as connection:
            return act(connection)

    @contextmanager
    def transaction(self, mode: Mode) -> Iterator[sa.Connection]:
        """A transaction; at its end, a reading one is rolled back and a writing one is committed.

        Raises what the driver raises, and NoAnswerError; on SQLite KeyboardInterrupt for a second signal.
        """
        if self._shared and self._shared.in_use is not self:
            self._shared.use(self)
        connection, kept, self._kept = None, self._kept, None
        reason: str | None = None
        with self._guard.transaction() if self._guard else self._watched(), ExitStack() as ending:
            try:
                if kept and mode in READING:
                    connection = ending.enter_context(kept)
                    self.dialect.begin(connection, mode)
                else:
                    if kept:
                        kept.close()
                    connection = ending.enter_context(self._engines[mode].connect())
                if mode not in READING and mode is not Mode.BARE:
                    ending.enter_context(connection.begin())
            except Exception as error:
                if isinstance(error, DBAPIError | NoAnswerError | KeyringError | MemoryError):
                    raise
                connection, reason = None, error.strerror if isinstance(error, OSError) else None
            if connection is None:
                # The driver accepted the url's options, so any fault in connecting is the server's: a driver that
                # cannot parse an answer raises errors of any class. Only a file of the url may be gone meanwhile.
                raise NoAnswerError(f"{UNREADABLE} ({reason})" if reason else self.dialect.foreign)
            try:
                yield connection
                if self._guard is None:
                    self._note(connection.info.get(SERVER) or ())
            except MemoryError:
                # The driver may have stopped in the middle of an answer.
                connection.invalidate()
                raise
            if self._is_in_a_row and mode in READING and not connection.invalidated:
                self._kept = connection
                ending.pop_all()

    @contextmanager
    def in_a_row(self) -> Iterator[None]:
        """Goes around reading transactions that follow each other at once: each one ends as the next one begins.

        So that costs no round trip of its own. Before somebody else is waited for, `end_last` is called. Without a
        server it changes nothing.
        """
        self._is_in_a_row = self._guard is None
        try:
            yield
        finally:
            self._is_in_a_row = False
            self.end_last()

    def end_last(self) -> None:
        """Ends the last transaction of a row, if it is still open."""
        if kept := self._kept:
            self._kept = None
            # What uses the connection next finds out that it is lost.
            with suppress(sa.exc.SQLAlchemyError, NoAnswerError), self._watched():
                kept.close()

    def disconnect(self) -> None:
        """Closes the connection until it is needed again."""
        if kept := self._kept:
            self._kept = None
            kept.invalidate()
            kept.close()
        (self._guard or self._watchdog).close()
        self._base.dispose()

    def renew(self) -> None:
        """Has the next transaction connect again, wherever the name leads by then, though the server was silent."""
        self.disconnect()
        known_silent.forget(self.server)

    def servers(self) -> set[Fact]:
        """The facts of the servers that transactions had since the last call."""
        found, self._servers = self._servers, set()
        return found

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Goes around a transaction on a server. Raises NoAnswerError if the watchdog has ended it."""
        call = self._watchdog.begin()
        try:
            yield
            return
        except Exception as error:
            if call.ended is None or isinstance(error, KeyringError):
                raise
            if call.ended == "lost":
                # As any connection that is lost: what was begun is tried again.
                self.disconnect()
                raise
        finally:
            self._watchdog.end()
        self.disconnect()
        if call.ended == "stopped":
            raise NoAnswerError(stopped=True)
        silence = self._silent(watchdog.QUIET_SECONDS + self._watchdog.patience)
        raise NoAnswerError(watchdog.UNANSWERED) if call.ended == "unanswered" else silence

    def _set_up(self, connection: Any, record: ConnectionPoolEntry) -> None:
        if self._guard is None:
            self._watchdog.connected(connection, record.info)
        peer = self.dialect.set_up(connection)
        record.info[watchdog.LASTING] = peer and peer.session
        if self._guard is None and peer:
            self._watchdog.lasting = peer.session
            self._note(peer.facts)
            if peer.session:
                record.info[SERVER] = peer.facts

    def _note(self, facts: Iterable[Fact]) -> None:
        facts = {*facts}
        self._servers |= facts
        self.is_on_replica = REPLICA in facts
        if self.is_on_replica:
            seen_replicas[self.dialect.describe(self._url)] = time.monotonic()

    def _open(self, arguments: Any, options: Any) -> Any:
        """A new connection of the driver. Made in another thread: a name lookup, for one, cannot be interrupted."""
        limit = known_silent.seconds_for(self.server, self._limit())
        if not limit:
            raise NoAnswerError(known_silent.words_for(self.server))
        self._watchdog.connecting()
        began = time.monotonic()
        call = BackgroundCall(lambda: self._connect(arguments, options, CONNECT_SECONDS))
        stop_requested: float | None = None
        while not call.done(CHECK_SECONDS):
            now = time.monotonic()
            if stop_requested is None and self._is_stopping():
                stop_requested = now
            stopped = stop_requested is not None and now - stop_requested > CONNECT_GRACE_SECONDS
            if stopped or now - began > limit:
                call.abandon(lambda late: late.close())
                raise NoAnswerError(stopped=True) if stopped else self._silent(now - began)
        try:
            made = call.result()
            self._watchdog.connect_seconds = time.monotonic() - began
            return made
        except Exception as error:
            waited, words = time.monotonic() - began, SILENT
            if not self.dialect.is_late(error):
                # A system that looks for a host for seconds does so again in each try: that is a silent server, too.
                words = self.dialect.unreachable(error) or ""
                if not words or waited < LEAST_SECONDS:
                    raise
        raise self._silent(waited, words)

    def _silent(self, waited: float, words: str = SILENT) -> NoAnswerError:
        """Records that the server did not answer for *waited* seconds."""
        known_silent.record(self.server, waited, words)
        return NoAnswerError(words)

    def _connect(self, arguments: Any, options: Any, seconds: float) -> Any:
        return self._base.dialect.connect(*arguments, **{**options, **self.dialect.in_time(self._url, seconds)})

    def _probe(self, seconds: float, session: Session | None, connected: threading.Event) -> Sign:
        """What a new connection finds of the transaction *session*, in some seconds; a refusal is a sign of life.

        Sets *connected* when it is made, or refused. May return late if it is neither.
        """
        try:
            other = self._connect(*self._base.dialect.create_connect_args(self._url), seconds)
        except Exception as error:
            return Sign.SILENCE if self.dialect.is_late(error) else Sign.LIFE
        finally:
            connected.set()

        def ask() -> Sign | None:
            try:
                return self.dialect.sign_of(other, session) if session else None
            finally:
                # Here, since nobody may close it while it is in use.
                with suppress(Exception):
                    other.close()

        asked = BackgroundCall(ask)
        with suppress(Exception):
            if asked.done(seconds):
                return asked.result() or Sign.LIFE
            # A pooler keeps it waiting if this command uses its only connection.
            self.dialect.hang_up(other)
        return Sign.LIFE

    def _limit(self) -> float:
        """The most seconds for all addresses together."""
        seconds, query = CONNECT_SECONDS, self._url.query
        with suppress(TypeError, ValueError):
            seconds = float(query.get("connect_timeout")) or seconds  # type: ignore[arg-type]
        hosts = str(query.get("host") or self._url.host or "").count(",") + 1
        return seconds * max(hosts, ADDRESSES) + 1

    @property
    def server(self) -> tuple[object, ...]:
        """The place of the server, as the url names it."""
        query = self._url.query
        return self._url.host, self._url.port, query.get("host"), query.get("port"), query.get("unix_socket")

    def _is_stopping(self) -> bool:
        try:
            self._wait(0)
        except StoppedError:
            return True
        return False


class SharedConnections:
    """The connections of one command, one per url. Only the one in use is connected."""

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Does not connect yet."""
        self._connections: dict[str, Connection] = {}
        self.in_use: Connection | None = None
        self._wait = wait

    def to(self, dialect: Dialect, url: URL) -> Connection:
        """The connection to *url*. Raises as `Dialect.create_engine`."""
        text = write_url(url)
        if text not in self._connections:
            # Several urls may lead to one server, such as one for each schema.
            self._connections[text] = Connection(dialect, url, wait=self._wait, shared=self)
        return self._connections[text]

    def close(self) -> None:
        """Closes all connections."""
        for connection in self._connections.values():
            connection.disconnect()

    def use(self, connection: Connection) -> None:
        """From now on *connection* is in use; the one before it is disconnected."""
        if self.in_use:
            self.in_use.disconnect()
        self.in_use = connection
