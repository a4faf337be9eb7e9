"""Ends a long statement of SQLite after a stop was requested: it runs in this process, and no connection can be closed.

SQLite asks every few thousand steps of its virtual machine whether to go on: https://www.sqlite.org/c3ref/progress_handler.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rotation.stores.silent_servers import NoAnswerError
from rotation.stores.watchdog import Call

STEPS = 10_000
"""Steps of SQLite's virtual machine between two questions. They cost nothing that can be measured."""


class LongStatements:
    """Watches the statements of one connection."""

    def __init__(self, is_stopping: Callable[[], bool]) -> None:
        self._is_stopping = is_stopping
        self._call = Call()

    def watch(self, connection: sqlite3.Connection) -> None:
        """From now on SQLite asks. A signal's handler runs meanwhile, too."""
        connection.set_progress_handler(self._must_end, STEPS)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Goes around a transaction. Raises NoAnswerError if a statement was ended for a stop.

        Raises KeyboardInterrupt for a second signal: that arrives while SQLite asks, and SQLite ends the statement.
        """
        self._call = call = Call()
        try:
            yield
            return
        except Exception as error:
            if getattr(getattr(error, "orig", error), "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
                raise
        if call.ended:
            raise NoAnswerError(stopped=True)
        raise KeyboardInterrupt

    def _must_end(self) -> bool:
        if self._call.outlasts_stop(self._is_stopping):
            self._call.ended = "stopped"
        return self._call.ended is not None
