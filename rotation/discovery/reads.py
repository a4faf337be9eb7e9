"""Whom a look through a database asks for rows: in short reads, or in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.access import Access

Rows = Sequence[Sequence[Any]]


class Cells(NamedTuple):
    """The cells of a row, as a statement asks for them."""

    columns: Sequence[ColumnElement[Any]]
    """Of each cell what holds a mark. A large one is LARGE, and has to be read by itself."""
    whole: Callable[[], Sequence[ColumnElement[Any]]]
    """The same, with a large one as it is. Made where they are needed, since a table may be wide."""
    has_large: Callable[[], ColumnElement[bool]]


class Reads(Protocol):
    """Whom to ask for rows."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """What *query* finds, *rows* at a time."""


class ShortReads:
    """Each read by itself, tried again where that may help: no writer waits, and rows may move between two reads."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""
        return self._access.read(lambda connection: connection.execute(query).all())

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """It is not tried again."""
        return self._access.stream(query, rows)


class OneTransaction:
    """All reads in the transaction of *connection*. Raises DBAPIError."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._results: list[sa.CursorResult[Any]] = []

    def close(self) -> None:
        """Ends the transaction, and what was not read to its end."""
        # Over a lost connection each of these fails, and hides the error that is to be told.
        for result in self._results:
            with suppress(Exception):
                result.close()
        with suppress(sa.exc.SQLAlchemyError):
            self._connection.exec_driver_sql("ROLLBACK")

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""
        return self._connection.execute(query).all()

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """Through a cursor of the server's."""
        result = self._connection.execute(query, execution_options={"yield_per": rows})
        self._results.append(result)
        yield from result.partitions()
