"""Whether anybody else writes to a database, seen while this run writes to it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import sqlalchemy as sa

IDLE_SECONDS = 5.0
"""A thread that wrote nothing for so long has no transaction open."""


class Crowd(Protocol):
    """Watches for other writers, in one database's own way."""

    def of_thread(self) -> Crowd:
        """The one for another thread of the run: this one, if they can share it."""

    def look(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """How often others have written since the last look, asked in a transaction that writes; None if unknown."""

    def allow(self, writes: int) -> None:
        """So often this process itself writes through other connections, such as that of its ledger."""


class TransactionGaps:
    """For databases that number all transactions that write: the numbers that are missing between ours are others'."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_thread: dict[int, tuple[int, float]] = {}
        """The last number of each thread, and when. What is missing below all of them can be no thread's at work."""
        self._highest: int | None = None
        self._missing: set[int] = set()
        self._allowed = 0

    def look(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """By the number of the transaction in progress; one that wrote nothing has none."""
        del connection
        if transaction is None:
            return 0
        with self._lock:
            if self._highest is None:
                self._highest = transaction
            # Far more than can be of our own threads need not be remembered one by one.
            far = max(0, transaction - self._highest - 10_000)
            self._missing.update(range(self._highest + 1 + far, transaction))
            self._missing.discard(transaction)
            self._highest = max(self._highest, transaction)
            now = time.monotonic()
            self._of_thread[threading.get_ident()] = transaction, now
            certain = min(number for number, at in self._of_thread.values() if now - at < IDLE_SECONDS)
            others = {number for number in self._missing if number < certain}
            self._missing -= others
            found = max(0, len(others) + far - self._allowed)
            self._allowed = 0
            return found

    def of_thread(self) -> TransactionGaps:
        """Threads add up what is their own."""
        return self

    def allow(self, writes: int) -> None:
        """So many missing numbers are this process's own."""
        with self._lock:
            self._allowed = writes


class DataVersions:
    """For SQLite: the version that a connection sees changes when another one commits."""

    def __init__(self) -> None:
        self._last: tuple[object, int] | None = None

    def look(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """1 if others have written, however often."""
        del transaction
        now = connection.connection.driver_connection, connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        before, self._last = self._last, now
        return int(before is not None and before != now)

    def of_thread(self) -> DataVersions:
        """Threads share one connection."""
        return self

    def allow(self, writes: int) -> None:
        """The ledger is another file."""
        del writes
