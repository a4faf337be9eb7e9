"""A whole database, looked through for tokens table by table. Reads only."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa

from rotation.discovery.catalogs import Catalog, Column, TableEntry, Unsearchable
from rotation.discovery.cells import CellReader
from rotation.discovery.mysql_tables import MySQLCatalog
from rotation.discovery.postgresql_tables import PostgreSQLCatalog
from rotation.discovery.reads import OneTransaction, Reads, Rows, ShortReads
from rotation.discovery.sqlite_tables import SQLiteCatalog
from rotation.discovery.table_readers import WINDOWS, TableReader
from rotation.model.failures import UsageError
from rotation.model.targets import Target
from rotation.stores.access import Access, Refusal
from rotation.stores.columns import table_clause
from rotation.stores.connection import Links
from rotation.stores.dialect import Dialect
from rotation.stores.mysql import MySQL
from rotation.stores.postgresql import PostgreSQL
from rotation.stores.sqlite import SQLite
from rotation.stores.target_schema import base_type, find_place, find_unique, quietly

SAMPLE_SECONDS = 5.0
"""A sample of one table ends here, whatever it has seen by then."""
MOST = {True: 64 * 1024 * 1024, False: 1024 * 1024}
"""The largest cell that is looked at, in bytes: in a look at every row, and in a sample."""

CATALOGS: dict[type[Dialect], type[Catalog]] = {SQLite: SQLiteCatalog, PostgreSQL: PostgreSQLCatalog, MySQL: MySQLCatalog}

T = TypeVar("T")


@dataclass(frozen=True)
class SearchableTable:
    """A table, and its columns that may hold a token."""

    entry: TableEntry
    columns: tuple[Column, ...]
    caution: str | None = None
    """Why rows of it may be hidden."""
    fault: str | None = None
    """Why it cannot be looked at."""
    denied: str | None = None
    """Which columns this user may not read, and what to do."""
    unsearched: tuple[str, ...] = ()
    """Columns of a type that can hold a token and is not searched, with the type."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.entry.name


class Reading:
    """What is read of a table, batch by batch: of each row and column a cell that holds a mark, or None."""

    def __init__(self, batches: Iterator[Rows], *, sampled: bool, seconds: float | None, most: int) -> None:
        self.sampled = sampled
        """Whether some rows were left out; sure once it is read."""
        self.most = most
        """The size of the largest cell that is looked at."""
        self._batches, self._seconds = batches, seconds

    def __iter__(self) -> Iterator[Rows]:
        started = time.monotonic()
        for rows in self._batches:
            yield rows
            if self._seconds is not None and time.monotonic() - started > self._seconds:
                self.sampled = True
                return


class Survey:
    """One database. Every method raises StoreError where it fails."""

    def __init__(self, url: str, *, sleep: Callable[[float], None], links: Links | None = None) -> None:
        """Raises UsageError for a url that cannot work. With *links* it shares their connection."""
        self._access = Access(url, "every table", read_only=True, sleep=sleep, links=links)
        self.name = self._access.name
        """The database, fit for a message."""
        self._catalog = CATALOGS[type(self._access.dialect)]()
        self._url, self._sleep, self._links = url, sleep, links
        try:
            identity: tuple[object, ...] | None = self._access.read(self._catalog.identity)
            self.identity = identity or (self.name,)
            """The same for two urls that show the same tables."""
            self._entries = {(one.schema, one.table): one for one in self._access.read(self._catalog.tables)}
            self._marks = self._access.read(self._catalog.marks)
            self._largest = self._access.read(self._catalog.largest)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()

    def find(self, target: Target) -> tuple[str | None, str, str]:
        """Schema, table and column of a target, as `TableEntry` has them. Raises UsageError where it does not fit."""
        spot = self._access.read(
            lambda connection: find_place(target, connection, self._access.dialect, self.name)
        ).spot
        found = (
            (entry.schema, entry.table)
            for entry in self._entries.values()
            if entry.table == spot.table and (entry.plain if spot.schema is None else entry.schema == spot.schema)
        )
        return *next(found, (spot.schema, spot.table)), spot.column

    def schemas(self, wanted: Callable[[TableEntry], bool]) -> set[str | None]:
        """The schemas of the tables that *wanted* wants."""
        return {entry.schema for entry in self._entries.values() if wanted(entry)}

    def tables(self, wanted: Callable[[TableEntry], bool]) -> Iterator[SearchableTable]:
        """The tables that *wanted* wants, each row once: what is read with a parent is not read again."""
        for entry in self._entries.values():
            if not wanted(entry):
                continue
            parents = list(self._read_with(entry, wanted))
            if not (parents and entry.is_partition) and (table := self._hold(entry, parents)):
                yield table

    def outside(self) -> list[Unsearchable]:
        """What no table shows to this user."""
        return self._access.read(self._catalog.outside)

    def neighbours(self) -> tuple[list[str], list[str]]:
        """The server's other databases that need a connection of their own: those to enter, and those that refuse."""
        return self._access.read(self._catalog.databases)

    def enter(self, database: str) -> Survey:
        """Another database of the server, by the same user."""
        url = sa.make_url(self._url).set(database=database)
        return Survey(url.render_as_string(hide_password=False), sleep=self._sleep, links=self._links)

    def read(self, table: SearchableTable, count: Callable[[Reading], T], *, full: bool) -> tuple[T | None, str | None]:
        """What *count* makes of a table's rows, or what the database says against it; neither if it has vanished.

        The rows are a sample from all over it, or with *full* all of them and of its history.

        Where the database can hold a snapshot, all is read in one transaction that sees one moment, so that no row that
        moves is missed; *count* is called anew where the connection is lost on the way.
        """
        key = self._key(table.entry) if self._catalog.follows_keys else ()
        if not self._catalog.has_snapshots:
            fault = self._fault(table)
            if fault is None:
                return count(self._reading(table, key, ShortReads(self._access), full=full)), None
            return None, fault if self._exists(table.entry) else None

        def act(connection: sa.Connection) -> T:
            self._catalog.hold_snapshot(connection)
            with closing(OneTransaction(connection)) as reader:
                return count(self._reading(table, key, reader, full=full))

        tried = self._access.attempt(act, past_locks=True)
        if not isinstance(tried, Refusal):
            return tried, None
        return None, tried.words if self._exists(table.entry) else None

    def fit(self, table: SearchableTable, column: str) -> tuple[tuple[str, ...], str | None]:
        """The key columns that a target for *column* has to name, and what speaks against such a target."""
        reason = self._refusal(Target(self._url, table.name, column, table.name))
        key = self._key(table.entry) if reason else ()
        if key and self._refusal(Target(self._url, table.name, column, table.name, key)) is None:
            return key, None
        return (), reason

    def _refusal(self, target: Target) -> str | None:
        def find(connection: sa.Connection) -> str | None:
            try:
                find_place(target, connection, self._access.dialect, self.name)
            except UsageError as error:
                return str(error)
            return None

        tried = self._access.attempt(find, past_locks=True)
        return tried.words if isinstance(tried, Refusal) else tried

    def _reading(self, table: SearchableTable, key: tuple[str, ...], reader: Reads, *, full: bool) -> Reading:
        most = min(MOST[full], self._largest or MOST[full])
        asked = CellReader(self._catalog, table.columns, self._marks, most)
        given = (self._access, reader, table.entry, key, asked.cells)
        walks = [self._catalog.whole(*given)] if full else self._catalog.parts(*given)
        looks = [None if full else walk.looks(max(1, WINDOWS // len(walks))) for walk in walks]
        scattered = [(walk, look) for walk, some in zip(walks, looks, strict=True) for look in some or ()]
        # Should time end a sample, it has been everywhere all the same.
        random.Random(0).shuffle(scattered)  # noqa: S311 - no secret
        batches = chain(
            ((walk, look()) for walk, look in scattered),
            ((walk, rows) for walk, some in zip(walks, looks, strict=True) if some is None for rows in walk.whole()),
        )
        source = self._catalog.source(table.entry)
        filled = self._filled(batches, lambda walk, row: asked.fill(reader, source, walk, row), len(table.columns))
        return Reading(filled, sampled=bool(scattered), seconds=None if full else SAMPLE_SECONDS, most=most)

    def _filled(
        self,
        batches: Iterator[tuple[TableReader, Rows]],
        fill: Callable[[TableReader, Sequence[Any]], Sequence[Any]],
        width: int,
    ) -> Iterator[Rows]:
        """The rows of *batches*, with the large cells read in."""
        for walk, rows in batches:
            self._access.breathe()
            small = []
            for row in rows:
                if "" in row[:width] or b"" in row[:width]:
                    # One by one: each may be large.
                    yield [fill(walk, row)]
                else:
                    small.append(row[:width])
            yield small

    def _read_with(self, entry: TableEntry, wanted: Callable[[TableEntry], bool]) -> Iterator[TableEntry]:
        """Those of a table's parents, and of theirs, that its rows are read with."""
        for name in entry.parents:
            if parent := self._entries.get(name):
                if parent.readable and wanted(parent):
                    yield parent
                yield from self._read_with(parent, wanted)

    def _hold(self, entry: TableEntry, parents: Sequence[TableEntry]) -> SearchableTable | None:
        columns = self._columns(entry)
        if isinstance(columns, Refusal):
            return SearchableTable(entry, (), fault=columns.words)
        inherited = set().union(*(self._names(parent) for parent in parents))
        own = [column for column in columns if column.name not in inherited]
        searched = tuple(column for column in own if column.searched and column.readable)
        denied = self._denied(entry, own)
        unsearched = tuple(f"{column.name} ({column.unsearched})" for column in own if column.unsearched)
        if not searched:
            return SearchableTable(entry, (), fault=denied, unsearched=unsearched) if denied or unsearched else None
        caution = self._access.read(lambda connection: self._catalog.caution(connection, entry))
        return SearchableTable(entry, searched, caution, None, denied, unsearched)

    def _denied(self, entry: TableEntry, columns: Sequence[Column]) -> str | None:
        names = [column.name for column in columns if column.searched and not column.readable]
        if not entry.readable or (names and len(names) == sum(column.searched for column in columns)):
            return "the privilege for it is missing: grant SELECT on it"
        if names:
            return f"this user may not read {', '.join(names)}: grant SELECT on the table"
        if self._catalog.hides_columns(self._access, entry):
            return "this user may read some of its columns only, and does not see the others: grant SELECT on the table"
        return None

    def _key(self, entry: TableEntry) -> tuple[str, ...]:
        """The columns of a unique key that can be followed."""

        def read(connection: sa.Connection) -> tuple[str, ...]:
            with suppress(sa.exc.NoSuchTableError), quietly():
                key = find_unique(connection, self._access.dialect, entry.schema, entry.table)
                columns = sa.inspect(connection).get_columns(entry.table, entry.schema)
                kinds = {column["name"]: base_type(column) for column in columns}
                unfit = self._access.dialect.unfit_key
                return () if any(name not in kinds or unfit(kinds[name]) for name in key) else key
            return ()

        found = self._access.attempt(read, past_locks=True)
        return () if isinstance(found, Refusal) else found

    def _fault(self, table: SearchableTable) -> str | None:
        """What the database says against reading these columns, where short reads do not tell a table's fault."""
        asked = CellReader(self._catalog, table.columns, self._marks, MOST[False]).cells.columns
        query = sa.select(*asked).select_from(table_clause(table.entry.schema, table.entry.table)).limit(1)
        tried = self._access.attempt(lambda connection: connection.execute(query).all(), past_locks=True)
        return tried.words if isinstance(tried, Refusal) else None

    def _columns(self, entry: TableEntry) -> list[Column] | Refusal:
        """None of a table that has vanished."""
        return self._access.attempt(lambda connection: self._catalog.columns(connection, entry), past_locks=True)

    def _names(self, entry: TableEntry) -> set[str]:
        columns = self._columns(entry)
        return set() if isinstance(columns, Refusal) else {column.name for column in columns}

    def _exists(self, entry: TableEntry) -> bool:
        columns = self._columns(entry)
        return isinstance(columns, Refusal) or bool(columns)
