"""Two ways to read rows: in short reads, or in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

import sqlalchemy as sa

from rotation.stores.access import Access

Rows = Sequence[Sequence[Any]]


class Reads(Protocol):
    """What reads rows."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """The rows of *query*, *rows* at a time."""


class ShortReads:
    """Each read by itself, tried again if that may help: no writer waits, and rows may move between two reads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.stream = access.stream
        """Is not tried again."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""
        return self._access.read(lambda connection: connection.execute(query).all())


class OneTransaction:
    """All reads in the transaction of *connection*. Raises DBAPIError."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._results: list[sa.CursorResult[Any]] = []

    def close(self) -> None:
        """Ends the transaction, and what was not read to its end."""
        # Over a lost connection each of these fails, and would hide the error that has to be reported.
        for result in self._results:
            with suppress(Exception):
                result.close()
        with suppress(sa.exc.SQLAlchemyError):
            self._connection.exec_driver_sql("ROLLBACK")

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""
        return self._connection.execute(query).all()

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """Through a cursor on the server."""
        result = self._connection.execute(query, execution_options={"yield_per": rows})
        self._results.append(result)
        yield from result.partitions()
