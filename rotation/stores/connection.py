"""One connection to a database, shared by all that a command does there; never connections to two databases at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from keyring_core import KeyringError
from rotation.model.background_call import BackgroundCall
from rotation.model.failures import CHECK_SECONDS, StoppedError
from rotation.stores import silent_servers, watchdog
from rotation.stores.dialect import Dialect, Mode
from rotation.stores.long_statements import LongStatements
from rotation.stores.open_file import OpenFile
from rotation.stores.silent_servers import NoAnswerError, known_silent
from rotation.stores.watchdog import Watchdog

POOL = "rotation"
"""The name of its pools in the log."""
# A connection that is lost as it is given back is replaced when it is needed again: no error, and no traceback.
logging.getLogger(f"sqlalchemy.pool.impl.QueuePool.{POOL}").setLevel(logging.CRITICAL)


class Connection:
    """A connection to one database; made when it is first needed, and again after it was lost."""

    def __init__(
        self,
        dialect: Dialect,
        url: URL,
        *,
        wait: Callable[[float], None] = time.sleep,
        seconds: float | None = None,
        before_use: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Does not connect yet. Raises ImportError if the driver is missing.

        *wait* sleeps, and raises StoppedError if a stop was requested. *seconds* is the time limit to connect to each
        address.
        """
        self.dialect, self._url, self._wait, self._before_use = dialect, url, wait, before_use
        self._seconds = seconds or silent_servers.CONNECT_SECONDS
        path = dialect.file(url)
        self._file = OpenFile(path) if path else None
        self._base = sa.create_engine(url, hide_parameters=True, pool_size=1, max_overflow=0, pool_logging_name=POOL)
        self._watchdog = Watchdog(is_stopping=self._is_stopping, probe=self._probe, hang_up=dialect.hang_up)
        self._statements = LongStatements(self._is_stopping)
        if dialect.has_server:
            sa.event.listen(
                self._base, "do_connect", lambda _dialect, _record, args, options: self._open(args, options)
            )
        sa.event.listen(self._base, "connect", lambda connection, _record: self._set_up(connection), insert=True)
        # Each statement of a long transaction shows that the server is alive.
        sa.event.listen(self._base, "after_cursor_execute", lambda *_: self._watchdog.answered())
        self._engines = {mode: self._engine(mode) for mode in Mode}

    def arguments(self) -> tuple[Any, Any]:
        """What the driver connects with."""
        return self._base.dialect.create_connect_args(self._url)

    def unwatched_engine(self) -> sa.Engine:
        """An engine for the same database, without threads and time limits; it keeps no connection open."""
        return sa.create_engine(self._url, hide_parameters=True, poolclass=sa.NullPool)

    @contextmanager
    def transaction(self, mode: Mode) -> Iterator[sa.Connection]:
        """A transaction; at its end, a reading one is rolled back and a writing one is committed.

        Raises what the driver raises, and NoAnswerError; on SQLite FileMovedError, and KeyboardInterrupt for a second
        signal.
        """
        self._before_use(self)
        if not self.dialect.has_server:
            with self._of_one_file(), self._statements.call(), self._transaction(mode) as connection:
                yield connection
            return
        call = self._watchdog.begin()
        try:
            with self._transaction(mode) as connection:
                yield connection
            return
        except Exception as error:
            if call.ended is None or isinstance(error, KeyringError):
                raise
        finally:
            self._watchdog.end()
        self.disconnect()
        if call.ended == "stopped":
            raise NoAnswerError(stopped=True)
        raise self._silent(watchdog.QUIET_SECONDS + self._watchdog.patience)

    def disconnect(self) -> None:
        """Closes the connection until it is needed again."""
        self._watchdog.close()
        self._base.dispose()

    @contextmanager
    def _of_one_file(self) -> Iterator[None]:
        """Looks on both sides of each transaction, also of the first one after a connection was made again."""
        if self._file:
            self._file.check()
        yield
        if self._file:
            self._file.check()

    @contextmanager
    def _transaction(self, mode: Mode) -> Iterator[sa.Connection]:
        with self._engines[mode].connect() as connection:
            if mode in {Mode.READ, Mode.BARE}:
                yield connection
                return
            with connection.begin():
                yield connection

    def _engine(self, mode: Mode) -> sa.Engine:
        """An engine with the same connection, and with transactions of that mode."""
        engine = self._base.execution_options()
        sa.event.listen(engine, "begin", lambda connection: self.dialect.begin(connection, mode))
        return engine

    def _set_up(self, connection: Any) -> None:
        self._watchdog.connected(connection)
        self.dialect.set_up(connection)
        if not self.dialect.has_server:
            self._statements.watch(connection)

    def _open(self, arguments: Any, options: Any) -> Any:
        """A new connection of the driver. Made in another thread: a name lookup, for one, cannot be interrupted."""
        limit = known_silent.seconds_for(self._server, self._limit())
        if not limit:
            raise NoAnswerError
        self._watchdog.connecting()
        began = time.monotonic()
        call = BackgroundCall(lambda: self._connect(arguments, options, self._seconds))
        stop_requested: float | None = None
        while not call.done(CHECK_SECONDS):
            now = time.monotonic()
            if stop_requested is None and self._is_stopping():
                stop_requested = now
            stopped = stop_requested is not None and now - stop_requested > silent_servers.CONNECT_GRACE_SECONDS
            if stopped or now - began > limit:
                call.abandon(lambda late: late.close())
                raise NoAnswerError(stopped=True) if stopped else self._silent(now - began)
        try:
            made = call.result()
            self._watchdog.connect_seconds = time.monotonic() - began
            return made
        except Exception as error:
            if not self.dialect.is_late(error):
                raise
        raise self._silent(time.monotonic() - began)

    def _silent(self, waited: float) -> NoAnswerError:
        """Records that the server did not answer for *waited* seconds."""
        known_silent.record(self._server, waited)
        return NoAnswerError()

    def _connect(self, arguments: Any, options: Any, seconds: float) -> Any:
        return self._base.dialect.connect(*arguments, **{**options, **self.dialect.in_time(self._url, seconds)})

    def _probe(self, seconds: float) -> bool:
        """Whether the server answers a new connection; a refusal is an answer. May return late if it does not."""
        try:
            # Sends no statement: a pooler would keep it waiting if this command uses its only connection.
            self._connect(*self.arguments(), seconds).close()
        except Exception as error:
            return not self.dialect.is_late(error)
        return True

    def _limit(self) -> float:
        """How long all addresses together may take."""
        seconds, query = self._seconds, self._url.query
        with suppress(TypeError, ValueError):
            seconds = float(query.get("connect_timeout")) or seconds  # type: ignore[arg-type]
        hosts = str(query.get("host") or self._url.host or "").count(",") + 1
        return seconds * max(hosts, silent_servers.ADDRESSES) + 1

    @property
    def _server(self) -> tuple[object, ...]:
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
        self._in_use: Connection | None = None
        self._wait = wait

    def __enter__(self) -> SharedConnections:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def to(self, dialect: Dialect, url: URL) -> Connection:
        """The connection to *url*. Raises ImportError if the driver is missing, and the driver's errors for options."""
        text = url.render_as_string(hide_password=False)
        if text not in self._connections:
            made = Connection(dialect, url, wait=self._wait, before_use=self._disconnect_others)
            dialect.try_options(*made.arguments())
            self._connections[text] = made
        return self._connections[text]

    def close(self) -> None:
        """Closes all connections."""
        for connection in self._connections.values():
            connection.disconnect()

    def _disconnect_others(self, connection: Connection) -> None:
        # Several urls may lead to one server, such as one for each schema.
        if self._in_use is not connection:
            if self._in_use:
                self._in_use.disconnect()
            self._in_use = connection
