"""A table as its readers have it: the cells to fetch of it, the ways to read, and the time that a statement may take.

Nothing is fetched of a cell without a mark, and a large cell is fetched by itself. The conditions are text: a search
asks thousands of tables the same, and an expression of SQLAlchemy would be compiled for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import LARGE_CELL
from rotation.planning.inner_tokens import SHORTEST, Spelled
from rotation.stores.access import Access, RefusedStatement, UnreadableError
from rotation.stores.catalog import INDEX_SIZES, LEAST, Catalog, SearchedColumn, TableEntry, any_of
from rotation.stores.columns import table_clause

LARGE = ""
"""Stands for a large cell that holds a mark. It and TOO_LARGE are shorter than any fetched cell."""
TOO_LARGE = "-"
"""Stands for a cell that was too large to be searched."""
ANY_NAME = "any column"
"""Stands for the name of a column in SQL that is made once for all columns of a kind."""

LOOK_SECONDS = 0.5
"""The time between two looks whether others write."""
QUIET_SECONDS = 2.0
"""Seconds without writes of others before a search stops resting."""
ALONE_SECONDS, BESIDE_SECONDS = 0.2, 0.02
"""The time that a statement of a search aims at: while nobody else writes, and beside services."""

Rows = Sequence[Sequence[Any]]
TableIdentity = tuple[tuple[object, ...], str | None, str]
"""A table, whichever url leads to it: the database's identity, schema and table."""
T = TypeVar("T")


class Reads(Protocol):
    """Reads rows: in short reads, or all of them in one transaction."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""
        return self.ask(lambda connection: connection.execute(query).all())

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """The rows of *query*, *rows* at a time."""

    def ask(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*, which asks the catalog."""


class ShortReads(Reads):
    """Each read by itself, tried again if that may help: no writer waits, and rows may move between two reads.

    Raises UnreadableError if only what is asked is at fault, and StoreError.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """Is not tried again."""
        return self._access.stream(query, rows)

    def ask(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*."""
        found = self._access.attempt(act)
        if isinstance(found, RefusedStatement):
            raise UnreadableError(found.words)
        return found


class OneTransaction(Reads):
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

    def ask(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*."""
        return act(self._connection)

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """Through a cursor on the server."""
        result = self._connection.execute(query, execution_options={"yield_per": rows})
        self._results.append((result, result.cursor))
        yield from result.partitions()


class CellSql(NamedTuple):
    """The SQL for the cells of one column."""

    is_wanted: str
    """True for a cell that holds a mark, or that is too large to be searched."""
    fetched: str
    """The cell if it holds a mark. A large one is LARGE, and has to be read by itself."""
    whole: str
    """As `fetched`, with a large cell as it is."""
    is_large: str


class CellConditions:
    """The SQL for cells of one search, made once for each kind of column: *most* bytes of a cell are searched."""

    def __init__(
        self, catalog: Catalog, forms: Sequence[Spelled], most: int, of_indexes: Sequence[Spelled] = ()
    ) -> None:
        """*of_indexes*: the forms of blind indexes, which are smaller than tokens; none: they are not looked for."""
        self.catalog, self.forms, self.most, self.of_indexes = catalog, forms, most, of_indexes
        self._of_kind, self._any_name = cache(self._made), catalog.quote(ANY_NAME)

    def of(self, kind: SearchedColumn) -> CellSql:
        """The SQL for a column."""
        quoted = self.catalog.quote(kind.name)
        made = self._of_kind(kind._replace(name=ANY_NAME))
        return CellSql._make([sql.replace(self._any_name, quoted) for sql in made])

    def _made(self, kind: SearchedColumn) -> CellSql:
        catalog, size = self.catalog, self.catalog.size(kind)
        marked, least = catalog.is_marked(kind, self.forms), SHORTEST
        if self.of_indexes:
            is_index = any_of(catalog.holds(kind, [form.piece for form in self.of_indexes]).values())
            marked = f"(({size} IN ({', '.join(map(str, INDEX_SIZES))}) AND ({is_index})) OR {marked})"
            least = LEAST
        large, too_large = (catalog.constant(kind, each.encode()) for each in (LARGE, TOO_LARGE))
        fetched, as_it_is = (
            f"CASE WHEN {size} > {self.most} THEN {too_large} WHEN NOT {marked} THEN NULL "
            f"WHEN {size} > {whole} THEN {large} ELSE {catalog.cell(kind)} END"
            for whole in (LARGE_CELL, self.most)
        )
        # Most cells are too small for anything, so that nothing else is asked of them.
        is_wanted = f"({size} >= {least} AND ({size} > {self.most} OR {marked}))"
        return CellSql(is_wanted, fetched, as_it_is, f"COALESCE({size}, 0) > {LARGE_CELL}")


class CellFetcher:
    """Fetches the columns *kinds* of one table."""

    def __init__(self, conditions: CellConditions, kinds: Sequence[SearchedColumn]) -> None:
        self.conditions, self.kinds, self.catalog = conditions, kinds, conditions.catalog

    @cached_property
    def sql(self) -> list[CellSql]:
        """Of each column; a table may be wide, and none of it be needed."""
        return [self.conditions.of(kind) for kind in self.kinds]

    def columns(self, *, whole: bool = False) -> list[ColumnElement[Any]]:
        """Each cell that holds a mark; a large one as LARGE, or as it is if it is wanted *whole*."""
        return [sa.literal_column(each.whole if whole else each.fetched) for each in self.sql]

    def is_wanted(self) -> ColumnElement[bool]:
        """True for a row with a cell that is wanted."""
        return condition(each.is_wanted for each in self.sql)

    def has_large(self) -> ColumnElement[bool]:
        """True for a row with a large cell."""
        return condition(each.is_large for each in self.sql)

    def fill(
        self, reads: Reads, table: sa.FromClause, found_by: Sequence[ColumnElement[bool]], cells: Sequence[Any]
    ) -> list[Any]:
        """*cells* of the row *found_by* these conditions, with the large ones; TOO_LARGE for one that has grown."""
        query = sa.select().select_from(table).where(*found_by)
        filled = list(cells)
        for place, kind in enumerate(self.kinds):
            if has_large([cells[place]]):
                pieces = list(self._pieces(reads, query, kind))
                # Without a piece the row is gone.
                whole = type(pieces[0])().join(pieces) if pieces else None
                filled[place] = TOO_LARGE if sum(map(len, pieces)) > self.conditions.most else whole
        return filled

    def _pieces(self, reads: Reads, query: sa.Select[Any], kind: SearchedColumn) -> Iterator[Any]:
        cell, size, read = self.catalog.cell(kind), self.catalog.piece, 0
        while True:
            piece = cell if size is None else f"substr({cell}, {read + 1}, {size})"
            found = reads.read(query.add_columns(sa.literal_column(piece)))
            if not found or found[0][0] is None:
                return
            text = found[0][0] if isinstance(found[0][0], str) else bytes(found[0][0])
            yield text
            read += len(text)
            if size is None or len(text) < size or read > self.conditions.most:
                return


def has_large(cells: Sequence[Any]) -> bool:
    """True if one of *cells* has to be read by itself."""
    return LARGE in cells or LARGE.encode() in cells


def condition(parts: Iterable[str]) -> ColumnElement[bool]:
    """The condition that one of *parts* is true."""
    # Of no type: a database without booleans would get `= 1` behind it, and SQLite then computes all of it as a value.
    return sa.literal_column(any_of(parts))


class Courtesy:
    """Lets services write to a file between the reads of a search. On a server readers keep nobody waiting."""

    def __init__(
        self, wait: Callable[[float], None], *, full_speed: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*wait* sleeps for some seconds; it raises StoppedError as soon as a stop is requested.

        *full_speed*: no rest, also if others write.
        """
        self._wait, self._full_speed, self._clock = wait, full_speed, clock
        self._written: int | None = None
        self._looked = self._saw_others = -float("inf")

    @property
    def seconds(self) -> float:
        """The time that the next statement aims at."""
        return BESIDE_SECONDS if self._is_beside else ALONE_SECONDS

    @property
    def _is_beside(self) -> bool:
        return not self._full_speed and self._clock() - self._saw_others < QUIET_SECONDS

    def look(self, written: Callable[[], int | None]) -> None:
        """Asks now and then for a number that grows when others write; None: it is not known."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        before, self._written = self._written, written()
        if None not in {before, self._written} and before != self._written:
            self._saw_others = self._clock()

    def rest(self, seconds: float) -> None:
        """After a statement that took *seconds*: beside services the file is free for as long."""
        self._wait(seconds if self._is_beside else 0)


@dataclass(frozen=True)
class SearchableTable:
    """A table, and its columns that may hold a token."""

    entry: TableEntry
    columns: tuple[SearchedColumn, ...]
    caution: str | None = None
    """The reason why rows of it may be hidden."""
    fault: str | None = None
    """The reason why it cannot be searched."""
    denied: str | None = None
    """The columns that this user may not read, and the remedy."""
    unsearched: tuple[str, ...] = ()
    """Columns of a type that can hold a token and is not searched, with the type."""
    all_columns: tuple[str, ...] = ()
    """The names of all its columns, searched or not."""
    database: str = ""
    """Its database, as messages name it."""
    identity: TableIdentity = ((), None, "")
    is_neighbour: bool = False
    """True if it is in a database that no url names."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.entry.name


@dataclass(frozen=True)
class TableSource:
    """One table, the cells to fetch of it, and the way to read them."""

    reads: Reads
    entry: TableEntry
    cells: CellFetcher
    names: Sequence[str]
    """All its columns, searched or not."""
    key: Callable[[], Sequence[str]]
    """The columns of a unique key that can be followed; none: there is no such key."""
    chance: ColumnElement[Any]
    """A random number from 0 up to 1, a new one for each row."""
    sendable: Callable[[object], object]
    """Makes of what was read a value or expression that goes back as it came."""
    takes: Callable[[sa.Executable], bool]
    """True if the database takes such a query."""
    courtesy: Courtesy
    """Says how long a statement may take."""

    @cached_property
    def table(self) -> sa.TableClause:
        """The rows of the table, and of those that are read with it."""
        return table_clause(self.entry.schema, self.entry.table)

    def first(self, query: sa.Executable) -> Any:
        """The first value of *query*; None without rows."""
        return next(iter(self.reads.read(query)), (None,))[0]
