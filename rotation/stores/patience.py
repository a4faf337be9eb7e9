"""Waits for a server that went away in the middle of a run: a restart, a failover, an upgrade of a pooler.

Only for one that has answered the command before: a wrong host, port or password is a mistake, and ends it at once.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from rotation.model.text import span, to_second
from rotation.stores.connection import Connection
from rotation.stores.dialect import READING, Mode
from rotation.stores.error_codes import is_lost
from rotation.stores.watchdog import NoAnswerError

OPTION = "--wait-for-server"
FIRST_PAUSE, MOST_PAUSE = 0.5, 5.0
"""Seconds between two tries: a tenth of the time that the server is away, within bounds."""
RELAPSES = 5
"""A statement that fails so often though its server answers again may be what brings the server down."""
TOLD_SECONDS = 60.0
"""After a server is back, for which a lost connection is no news."""

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Patience:
    """The time that one command waits for a server, and what it knows of its servers. Its threads share it."""

    def __init__(self, longest: timedelta = timedelta(), *, is_known: bool = False) -> None:
        """Waits for *longest* at most. *is_known*: this is a worker of a run, whose first process has reached them."""
        self.longest, self._is_known = longest, is_known
        self._lock = threading.Lock()
        self._answered: set[tuple[Hashable, bool]] = set()
        """Servers that have answered; with True: that have taken a write."""
        self._vain: set[Hashable] = set()
        """Servers that were waited for in vain, and that have not answered since."""
        self._back: dict[Hashable, float] = {}
        """When it was said that a server is back; infinity if it was said that it went away."""

    def knows(self, server: Hashable, *, written: bool = False) -> bool:
        """True if *server* has answered; *written*: if it has taken a write."""
        return self._is_known or (server, written) in self._answered

    def answered(self, server: Hashable, *, written: bool) -> None:
        """A transaction has succeeded, one that may have *written*."""
        if (server, written) not in self._answered or self._vain:
            with self._lock:
                self._answered |= {(server, False), (server, written)}
                self._vain.discard(server)

    def give_up(self, server: Hashable) -> None:
        """It was waited for in vain: further targets there are not waited for."""
        with self._lock:
            self._vain.add(server)

    def gave_up(self, server: Hashable) -> bool:
        """True if *server* was waited for in vain."""
        return server in self._vain

    def tells(self, server: Hashable, *, briefly: bool) -> bool:
        """True for the first thread that finds out that *server* went away: it says so, and that it is back.

        *briefly*: until now a connection was lost, which may have been cut with that of another thread.
        """
        with self._lock:
            back = self._back.get(server, -math.inf)
            if back > time.monotonic() - (TOLD_SECONDS if briefly else 0):
                return False
            self._back[server] = math.inf
            return True

    def is_back(self, server: Hashable) -> None:
        """Nobody waits for *server* any more: if it goes away again, that is news."""
        with self._lock:
            self._back[server] = time.monotonic()


IMPATIENT = Patience()
"""Of a command that waits for no server."""


class Wait:
    """One transaction, which waits for its server if that goes away."""

    def __init__(self, patience: Patience, link: Connection, whose: str, name: str) -> None:
        """*whose*: the target or the ledger that is waited for, in the database of that *name*."""
        self._patience, self._link, self._facts = patience, link, {"target": whose, "database": name}
        self._since: float | None = None
        """When this one has said that it waits; None if it has not."""

    def is_due(self, error: BaseException | None) -> bool:
        """True if *error* says that a server which answered before went away, or takes no writes any more."""
        patience, server, dialect = self._patience, self._link.server, self._link.dialect
        if not patience.longest or patience.gave_up(server) or not dialect.has_server or not patience.knows(server):
            return False
        if isinstance(error, NoAnswerError):
            return error.is_silence
        if not isinstance(error, DBAPIError) or dialect.lacks_memory(error.orig or error):
            return False
        if self._is_read_only(error):
            return patience.knows(server, written=True)
        return is_lost(error, dialect) or dialect.is_gone(error.orig or error)

    def tell(self, fault: str, *, briefly: bool = False) -> None:
        """Says once that the server went away, by what *fault*, and how long it is waited for."""
        if self._patience.tells(self._link.server, briefly=briefly):
            self._since = time.monotonic()
            seconds = round(self._patience.longest.total_seconds())
            since, remedy = to_second(datetime.now(UTC)), f"{OPTION} changes the time"
            log.warning("rotation.server_gone", **self._facts, fault=fault, since=since, waits=seconds, option=remedy)

    def outlast(
        self,
        first: Callable[[], T],
        again: Callable[[], T],
        mode: Mode,
        sleep: Callable[[float], None],
        words: Callable[[Exception], str],
    ) -> T:
        """The result of *first*; if the server went away meanwhile, that of *again*, once it is back.

        *words*: those of an error. Raises the last error, and what *sleep* raises.
        """
        found, error = _tried(first)
        began, relapses, longest = time.monotonic() if error else 0.0, 0, self._patience.longest.total_seconds()
        while error and relapses <= RELAPSES and self.is_due(error):
            away = time.monotonic() - began
            if away >= longest:
                self._patience.give_up(self._link.server)
                break
            self.tell(words(error))
            pause = min(max(FIRST_PAUSE, away / 10), MOST_PAUSE) * random.uniform(0.7, 1.0)  # noqa: S311 - no secret
            sleep(min(pause, longest - away))
            # The name may lead to another server by now.
            self._link.renew()
            _, error = _tried(lambda: self._link.transact(Mode.READ, lambda _: None))
            if error is None:
                found, error = _tried(again)
                relapses += error is not None and not self._is_read_only(error)
        if self._since is not None:
            self._patience.is_back(self._link.server)
        if error:
            raise error
        self._patience.answered(self._link.server, written=mode not in READING)
        if self._since is not None:
            log.warning("rotation.server_back", **self._facts, seconds=round(time.monotonic() - self._since, 1))
        assert found is not None  # noqa: S101 - for the type checker
        return found[0]

    def _is_read_only(self, error: Exception) -> bool:
        return isinstance(error, DBAPIError) and self._link.dialect.is_read_only(error.orig or error)

    def in_vain(self) -> str:
        """The end of a message if the server was waited for; empty otherwise."""
        if not self._patience.gave_up(self._link.server):
            return ""
        return f"; it was waited for, for {span(self._patience.longest)} ({OPTION})"


def _tried(act: Callable[[], T]) -> tuple[tuple[T] | None, Exception | None]:
    """The result of *act* in a tuple, or its error: nothing is raised with that as its context."""
    try:
        return (act(),), None
    except (DBAPIError, NoAnswerError) as error:
        return None, error
