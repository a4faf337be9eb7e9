"""An open SQLite file: it may be moved or replaced meanwhile, and a statement in it may outlast a requested stop.

A statement runs in this process, so no connection can be closed. SQLite asks every few thousand steps of its virtual
machine whether to go on: https://www.sqlite.org/c3ref/progress_handler.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rotation.stores.watchdog import Call, NoAnswerError

MOVED = "the file was moved, replaced or deleted while it was open"
STEPS = 10_000
"""Steps of SQLite's virtual machine between two questions. They cost nothing that can be measured."""


class OpenFile:
    """Watches one connection, and notices if its path leads to another file than it did at first."""

    def __init__(self, path: Path | None, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Looks at nothing yet. *path*: None for a database in memory."""
        self._path, self._is_stopping = path and path.absolute(), is_stopping
        self._first: tuple[int, int] | None = None
        self._call = Call()

    def connected(self, connection: sqlite3.Connection) -> None:
        """From now on SQLite asks. A signal's handler runs meanwhile, too."""
        connection.set_progress_handler(self._must_end, STEPS)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Goes around a transaction, and checks the file before and after it, also if it was opened again.

        Raises NoAnswerError if the file was moved, or a statement was ended for a stop; KeyboardInterrupt for a second
        signal, which arrives while SQLite asks, so that SQLite ends the statement.
        """
        self.check()
        self._call = call = Call()
        try:
            yield
        except Exception as error:
            if getattr(getattr(error, "orig", error), "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            self.check()
            return
        if call.ended:
            raise NoAnswerError(stopped=True)
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raises NoAnswerError. Until the file is there, any will do: a ledger is made by the first connection."""
        found = self._number()
        if self._first is None:
            self._first = found
        elif found != self._first:
            raise NoAnswerError(MOVED)

    def _number(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return status and (status.st_dev, status.st_ino)

    def _must_end(self) -> bool:
        if self._call.outlasts_stop(self._is_stopping):
            self._call.ended = "stopped"
        return self._call.ended is not None
