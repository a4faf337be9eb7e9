"""The rows of a table as a search counts them, and the two ways to read them: one transaction, or short reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from rotation.stores.access import Access, RefusedStatement, UnreadableError
from rotation.stores.cells import Rows

T = TypeVar("T")


class TableRows:
    """The rows of a table, batch by batch: of each column the cell if it holds a mark, otherwise None."""

    def __init__(
        self, parts: Iterator[tuple[int, Iterable[Rows]]], *, sampled: bool, seconds: float | None, most: int
    ) -> None:
        """*parts*: of each the number of its rows, and the ones that hold a mark."""
        self.sampled = sampled
        """True if some rows were left out; certain once all is read."""
        self.most = most
        """The size of the largest cell that is searched."""
        self.rows = 0
        """The number of rows that have been read."""
        self.began = datetime.now(UTC)
        self.witness: Any = None
        """The proof of `Survey.is_unchanged`, if every row was read and there is one."""
        self._parts, self._seconds = parts, seconds

    def __iter__(self) -> Iterator[Rows]:
        started = time.monotonic()
        for rows, found in self._parts:
            self.rows += rows
            yield from found
            if self._seconds is not None and time.monotonic() - started > self._seconds:
                self.sampled = True
                return


class ShortReads:
    """Each read by itself, tried again if that may help: no writer waits, and rows may move between two reads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.stream = access.stream
        """Is not tried again."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*. Raises UnreadableError if only the query is at fault, and StoreError."""
        return self.ask(lambda connection: connection.execute(query).all())

    def ask(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*. Raises as `read` does."""
        found = self._access.attempt(act)
        if isinstance(found, RefusedStatement):
            raise UnreadableError(found.words)
        return found


class OneTransaction:
    """All reads in the transaction of *connection*. Raises DBAPIError."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._results: list[tuple[sa.CursorResult[Any], Any]] = []
        """Each with the driver's cursor."""

    def close(self) -> None:
        """Ends what was not read to its end."""
        # Over a lost connection each of these fails, and would hide the error that has to be reported.
        for result, cursor in self._results:
            with suppress(Exception):
                result.close()
            # PyMySQL reads a result to its end before it forgets it, also over a lost connection, and prints the error.
            with suppress(AttributeError):
                cursor._result.unbuffered_active = False

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""
        return self._connection.execute(query).all()

    def ask(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*."""
        return act(self._connection)

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """Through a cursor on the server."""
        result = self._connection.execute(query, execution_options={"yield_per": rows})
        self._results.append((result, result.cursor))
        yield from result.partitions()
