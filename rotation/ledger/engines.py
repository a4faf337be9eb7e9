"""Transactions on a ledger without a watchdog: in a database of an unknown kind, and in a service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from rotation.stores.blocks import drivers_errors
from rotation.stores.connection import UNREADABLE
from rotation.stores.dialect import Dialect, Mode
from rotation.stores.watchdog import BackgroundCall, NoAnswerError
from rotation.world.process import CHECK_SECONDS

UNKNOWN_SECONDS = 30.0
"""The most seconds of a transaction in a database that has no dialect in this package."""
SERVICE_SECONDS = 10.0
"""The most seconds of a service's transaction."""

T = TypeVar("T")


class Engine:
    """A database that has no dialect in this package: nothing is known of it, not even how to end a statement."""

    def __init__(self, engine: sa.Engine, *, wait: Callable[[float], object]) -> None:
        """*wait* raises StoppedError if a stop was requested."""
        self._engine, self._wait = engine, wait

    def transact(self, mode: Mode, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act* in a transaction, committed at its end. Raises NoAnswerError."""
        del mode

        def run() -> T:
            with self._engine.begin() as connection:
                return act(connection)

        call, end = BackgroundCall(run), time.monotonic() + UNKNOWN_SECONDS
        while not call.done(CHECK_SECONDS):
            self._wait(0)
            if time.monotonic() > end:
                raise NoAnswerError
        return call.result()

    def disconnect(self) -> None:
        """Closes the connections."""
        self._engine.dispose()


class ServiceEngine:
    """A service's ledger. Each transaction makes a connection and closes it: a forked process would share an open one.

    So the service's own pool is not asked: it may hold such connections, or none to spare. A transaction that takes
    too long loses its connection, since there may be one each minute.
    """

    def __init__(self, engine: sa.Engine, dialect: Dialect | None, *, is_own: bool, has_threads: bool = True) -> None:
        """*is_own*: the *engine* was made here; otherwise it is the service's, with its events and settings."""
        self._engine, self._dialect, self._is_own, self._has_threads = engine, dialect, is_own, has_threads
        self._late: BackgroundCall[Any] | None = None
        """A transaction that nobody waits for any more."""

    def without_threads(self) -> ServiceEngine:
        """The same for a process that ends, in which Python starts no thread: without a time limit."""
        return ServiceEngine(self._engine, self._dialect, is_own=self._is_own, has_threads=False)

    def transact(self, mode: Mode, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act* in a transaction, committed at its end. Raises NoAnswerError."""
        line = _Line(self._dialect)
        if not self._has_threads:
            return self._transact(mode, act, line)
        if self._late and not self._late.done():
            # It has no connection that could be cut.
            raise NoAnswerError
        call = BackgroundCall(lambda: self._transact(mode, act, line))
        if not call.done(SERVICE_SECONDS):
            line.cut()
            self._late = call
            raise NoAnswerError
        return call.result()

    def disconnect(self) -> None:
        """Nothing is left to close."""

    def _transact(self, mode: Mode, act: Callable[[sa.Connection], T], line: _Line) -> T:
        pool = self._engine.pool.recreate()
        try:
            with (
                sa.Connection(self._engine, connection=self._connect(pool)) as connection,
                line.in_use(connection),
                connection.begin(),
            ):
                if self._dialect and self._is_own:
                    self._dialect.begin(connection, mode)
                elif self._dialect:
                    self._dialect.refuse_old_engine(connection)
                    self._dialect.limit_waits(connection)
                return act(connection)
        finally:
            pool.dispose()

    def _connect(self, pool: sa.Pool) -> PoolProxiedConnection:
        """A connection of *pool*. Raises NoAnswerError, and DBAPIError as SQLAlchemy does for an engine's own pool."""
        try:
            with drivers_errors(self._engine):
                return pool.connect()
        except OSError as error:
            raise NoAnswerError(f"{UNREADABLE} ({error.strerror})") from None


class _Line:
    """The connection of a transaction, as it is known to the thread that waits for it."""

    def __init__(self, dialect: Dialect | None) -> None:
        self._dialect, self._is_cut = dialect, False
        self._driver: Any = None
        self._lock = threading.Lock()
        """Held to cut and to let go, so that what has its descriptor next is not cut."""

    @contextmanager
    def in_use(self, connection: sa.Connection) -> Iterator[None]:
        """Goes around the use of *connection*. Raises NoAnswerError if nobody waits for it any more."""
        with self._lock:
            if self._is_cut:
                raise NoAnswerError
            self._driver = connection.connection.driver_connection
        try:
            yield
        finally:
            with self._lock:
                self._driver = None

    def cut(self) -> None:
        """Ends the connection, or the attempt to make it."""
        with self._lock:
            self._is_cut = True
            if self._driver is not None and self._dialect and self._dialect.has_server:
                self._dialect.hang_up(self._driver)
