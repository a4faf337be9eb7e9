"""Reads a whole database table by table, to search it for tokens. Writes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, TypeVar

import sqlalchemy as sa

from keyring_core.blind_index import LENGTH
from rotation.discovery.table_readers import TableRows, by_key, by_number, rows_of
from rotation.discovery.table_source import (
    CellConditions,
    CellFetcher,
    Courtesy,
    OneTransaction,
    Reads,
    Rows,
    SearchableTable,
    ShortReads,
    TableIdentity,
    TableSource,
)
from rotation.discovery.token_column import TokenColumn
from rotation.model.failures import KeylessError, UsageError
from rotation.model.target import Target
from rotation.planning.inner_tokens import SPELLED, Spelled
from rotation.stores.access import Access, RefusedStatement, UnreadableError
from rotation.stores.catalog import SearchedColumn, TableEntry
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import read_url, write_url
from rotation.stores.dialect import Mode
from rotation.stores.origins import Edge, Origin, Place, TableKey, origin_of
from rotation.stores.target_schema import UnreflectedError, base_type, columns_of, find_target, find_unique

SCHEMAS = 4
"""Schemas whose columns are kept: a server may have one for each of thousands of customers."""
TOGETHER = 100
"""Tables of which one statement asks whether this user may read all columns."""
MOST = {True: 64 * 1024 * 1024, False: 1024 * 1024}
"""The largest cell that is searched, in bytes: by *full*."""
WITNESSED = timedelta(seconds=1)
"""A table that is read sooner has no witness: to prove that it is unchanged would take as long."""

SOME_COLUMNS = "this user may read some of its columns only, and does not see the others: grant SELECT on the table"

T = TypeVar("T")


class Survey:
    """One database. Every method raises StoreError if it fails."""

    def __init__(
        self,
        url: str,
        *,
        sleep: Callable[[float], None],
        links: SharedConnections | None = None,
        is_neighbour: bool = False,
    ) -> None:
        """Raises UsageError for a url that cannot work. With *links*, it shares their connection.

        *is_neighbour*: it is searched once, and left at once.
        """
        self._is_neighbour = is_neighbour
        self._access = Access(url, None, read_only=True, sleep=sleep, links=links)
        self._catalog = self._access.dialect.catalog
        self.name = self._access.name
        """The database as messages name it: without a password."""
        self.url, self.sleep, self._links = url, sleep, links
        self.has_snapshots = self._catalog.has_snapshots
        """True if each table is read in a transaction of its own, so that several may be read at once."""
        try:
            self._access.read(self._look_around)
            self._of_schemas: dict[str | None, Mapping[str, list[SearchedColumn]] | None] = {}
            """The columns of the last schemas' tables; None: one table is at fault, so that each is asked by itself."""
            self._faulty: Mapping[TableEntry, str] = {}
            """Of the tables at work, those of which the catalog may not show all columns, and why."""
            self._edges: dict[TableKey, Sequence[Edge]] = {}
            """Of the last table that was asked for."""
            self._of_indexes: Sequence[Spelled] = ()
            self._conditions = cache(self._conditions_of)
        except BaseException:
            self.close()
            raise

    def _look_around(self, connection: sa.Connection) -> None:
        catalog = self._catalog
        self.identity = catalog.identity(connection) or (self.name,)
        """The same for two urls that show the same tables."""
        self._entries = {(one.schema, one.table): one for one in catalog.entries(connection)}
        self.unsearchable = catalog.unsearchable(connection)
        """The parts of the database that no table shows to this user, each with the reason."""
        self._forms, self._largest = catalog.forms(connection, SPELLED), catalog.largest(connection)

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()
        if self._is_neighbour:
            self._access.link.disconnect()

    def in_a_row(self) -> AbstractContextManager[None]:
        """Goes around what is asked of it at once, as `Connection.in_a_row`."""
        return self._access.link.in_a_row()

    def end_last(self) -> None:
        """Ends the last of its transactions in a row."""
        self._access.link.end_last()

    def twin(self, links: SharedConnections) -> Survey:
        """The same database through another connection, of *links*, for a thread."""
        other = copy.copy(self)
        other._access = self._access.twin(links)
        return other

    def written(self) -> int | None:
        """A number that grows with each write of others; None if a search need not know."""
        found = self._access.attempt(self._access.dialect.change_tracker.written)
        return None if isinstance(found, RefusedStatement) else found

    def seek_indexes(self, key_ids: Iterable[str]) -> None:
        """Has blind indexes under these keys read, too."""
        marks = [f"{key_id}:".encode() for key_id in key_ids]
        wanted = [Spelled((mark,), LENGTH, mark) for mark in marks]
        self._of_indexes = self._access.read(lambda connection: self._catalog.forms(connection, wanted))
        self._conditions.cache_clear()

    def find(self, target: Target) -> tuple[str | None, str, str]:
        """Schema, table and column of a target, as `TableEntry` has them. Raises UsageError if it does not fit.

        A table at which the database, or SQLAlchemy, fails is found by its name: it is remarked on when it is read.
        """
        cells = None
        with suppress(UnreflectedError):
            found, _ = self._attempt(
                lambda connection: find_target(target, connection, self._access.dialect, self.name)
            )
            cells = found and found[0]
        if cells is None:
            named = ((entry.schema, entry.table) for entry in self._entries.values() if target.table in entry.names)
            return *next(named, (None, target.table)), target.column
        qualified = cells.qualified
        entries = (
            (entry.schema, entry.table)
            for entry in self._entries.values()
            if entry.table == qualified.table
            and (entry.plain if qualified.schema is None else entry.schema == qualified.schema)
        )
        return *next(entries, (qualified.schema, qualified.table)), qualified.column

    def is_own(self, entry: TableEntry) -> bool:
        """True if a table is in the database that the url names."""
        return entry.plain or not self._catalog.schemas_are_databases

    def schemas(self, wanted: Callable[[TableEntry], bool]) -> set[str | None]:
        """The schemas of the tables that *wanted* wants."""
        return {entry.schema for entry in self._entries.values() if wanted(entry)}

    def entries(self, wanted: Callable[[TableEntry], bool]) -> Iterator[TableEntry]:
        """The tables that *wanted* wants, each row once: what is read with a parent is not read again."""
        for entry in self._entries.values():
            if wanted(entry) and not (entry.is_partition and any(self._read_with(entry, wanted))):
                yield entry

    def tables(
        self, wanted: Callable[[TableEntry], bool], leave_out: Callable[[TableIdentity], None] = lambda _: None
    ) -> Iterator[SearchableTable]:
        """The `entries` that can be searched, or are to be remarked on; the others go to *leave_out*."""
        entries = list(self.entries(wanted))
        for start in range(0, len(entries), TOGETHER):
            some = entries[start : start + TOGETHER]
            self._faulty = dict(self._not_readable([entry for entry in some if entry.readable]))
            for entry in some:
                if table := self._hold(entry, list(self._read_with(entry, wanted))):
                    yield table
                else:
                    leave_out((self.identity, entry.schema, entry.table))

    def database(self, entry: TableEntry) -> str | None:
        """The database of a table, if one connection shows several; None: the one that the url names."""
        return None if self.is_own(entry) else entry.schema

    def neighbours(self) -> tuple[list[str], dict[str, str]]:
        """The server's other databases that need a connection of their own: those to enter, and the rest, with why."""
        return self._access.read(self._catalog.databases) if self._catalog.has_neighbours else ([], {})

    def neighbour_sizes(self) -> dict[str, int]:
        """The bytes of the databases that this user may enter, as far as the server says them: of all their files."""
        return (self._catalog.has_neighbours and self._attempt(self._catalog.database_sizes)[0]) or {}

    def name_of(self, database: str) -> str:
        """The name of another database of the server, as its own Survey has it."""
        return self._access.dialect.describe(read_url(self.url).set(database=database))

    def enter(self, database: str) -> Survey:
        """Another database of the server, by the same user."""
        url = read_url(self.url).set(database=database)
        return Survey(write_url(url), sleep=self.sleep, links=self._links, is_neighbour=True)

    def read(
        self, table: SearchableTable, count: Callable[[TableRows], T], courtesy: Courtesy, *, full: bool
    ) -> tuple[T | None, str | None]:
        """The result of *count* for a table's rows, or why they cannot be read; neither if the table has vanished.

        The rows are a sample from all over the table, or with *full* all rows and its history.

        If the database can hold a snapshot, all is read in one transaction that sees one moment, so no row that moves
        is missed; if the connection is lost on the way, *count* is called again.
        """
        if self.has_snapshots:

            def act(connection: sa.Connection) -> T:
                with closing(OneTransaction(connection)) as reads:
                    reading = self._reading(table, reads, courtesy, full=full)
                    found = count(reading)
                    # A witness is taken in the same snapshot, at the end, when it is known that the reading took long.
                    if full and datetime.now(UTC) - reading.began >= WITNESSED:
                        # All rows are read by now: if this fails, they have no witness.
                        with suppress(sa.exc.DBAPIError):
                            witness, entry = self._access.dialect.change_tracker.witness, table.entry
                            reading.witness = witness(connection, entry.schema, entry.table)
                    return found

            found, fault = self._attempt(act, Mode.SNAPSHOT)
        else:
            found, fault = None, None
            try:
                found = count(self._reading(table, ShortReads(self._access), courtesy, full=full))
            except UnreadableError as error:
                fault = str(error)
        if fault is None:
            return found, None
        return None, fault if any(self._columns(table.entry, afresh=True)) else None

    def is_unchanged(self, table: SearchableTable, witness: Any) -> bool:
        """True if each row that *table* has now was read with that *witness*, just as it is."""
        is_unchanged, entry = self._access.dialect.change_tracker.is_unchanged, table.entry
        return bool(self._attempt(lambda connection: is_unchanged(connection, entry.schema, entry.table, witness))[0])

    def fit(self, table: SearchableTable, column: TokenColumn) -> None:
        """Notes the key that a target for *column* needs, or why it would be refused."""
        target = Target(self.url, table.name, column.column, table.name, format=column.format)
        column.hint, column.add_key = self._refusal(target)
        if column.hint:
            key, _ = self._attempt(lambda connection: self._key_of(connection, table.entry))
            if key and self._refusal(replace(target, key_columns=key))[0] is None:
                column.key_columns, column.hint, column.add_key = key, None, None

    def origin(self, entry: TableEntry, column: str) -> Origin | None:
        """The columns that the database makes *column* of; None if it makes it of none, or does not say."""
        if (key := (entry.schema, entry.table)) not in self._edges:
            edges, _ = self._attempt(lambda connection: self._catalog.origins(connection, *key))
            self._edges = {key: edges or ()}
        found = origin_of(self._edges[key], Place(key, column))
        of: list[Place] = []
        for place in found.of if found else ():
            every = self._entries.get(place.table) if place.column is None else None
            of += [Place(place.table, each.name) for each in self._columns(every)[0]] if every else [place]
        return found and found._replace(of=tuple(of))

    def name_in(self, table: TableKey) -> str:
        """The name of a table, or view, as a target has it."""
        schema, name = table
        return entry.name if (entry := self._entries.get(table)) else f"{schema}.{name}" if schema else name

    def read_with(self, table: TableKey) -> list[TableKey]:
        """A table, its parents, and their parents, with which its rows are read."""
        entry = self._entries.get(table)
        return [table, *(each for parent in (entry.parents if entry else ()) for each in self.read_with(parent))]

    def _attempt(self, act: Callable[[sa.Connection], T], mode: Mode = Mode.READ) -> tuple[T | None, str | None]:
        """The result of *act*, or the database's refusal in words."""
        tried = self._access.attempt(act, mode, past_locks=True)
        return (None, tried.words) if isinstance(tried, RefusedStatement) else (tried, None)

    def _try(self, query: sa.Executable, *, past_locks: bool = False) -> Rows | RefusedStatement:
        return self._access.attempt(lambda connection: connection.execute(query).all(), past_locks=past_locks)

    def _refusal(self, target: Target) -> tuple[str | None, str | None]:
        """Why *target* would be refused, and the statement that adds the key that its table lacks."""

        def find(connection: sa.Connection) -> tuple[str | None, str | None]:
            try:
                find_target(target, connection, self._access.dialect, self.name)
            except KeylessError as error:
                return error.fault, error.remedy
            except UsageError as error:
                return str(error).removeprefix(f"{target.label}: "), None
            return None, None

        found, fault = self._attempt(find)
        return found or (fault, None)

    def _reading(self, table: SearchableTable, reads: Reads, courtesy: Courtesy, *, full: bool) -> TableRows:
        conditions = self._conditions(full)
        source = TableSource(
            reads,
            table.entry,
            CellFetcher(conditions, table.columns),
            table.all_columns,
            lambda: reads.ask(lambda connection: self._key_of(connection, table.entry)),
            self._access.dialect.chance(),
            self._access.dialect.sendable,
            lambda query: not isinstance(self._try(query), RefusedStatement),
            courtesy,
        )
        if not self._catalog.follows_keys:
            from rotation.discovery.file_reader import by_place  # noqa: PLC0415 - brings SQLAlchemy's PostgreSQL

            readers = by_place(source, full=full)
        elif self._catalog.row_numbers:
            readers = by_number(source)
        else:
            readers = by_key(source, full=full)
        written = None if self.has_snapshots else self.written
        return rows_of(readers, courtesy, full=full, most=conditions.most, written=written)

    def _conditions_of(self, full: bool) -> CellConditions:  # noqa: FBT001 - hashed by functools
        most = min(MOST[full], self._largest or MOST[full])
        return CellConditions(self._catalog, self._forms, most, self._of_indexes)

    def _read_with(self, entry: TableEntry, wanted: Callable[[TableEntry], bool]) -> Iterator[TableEntry]:
        """The parents of a table, and their parents, that its rows are read with."""
        for name in entry.parents:
            if parent := self._entries.get(name):
                if parent.readable and wanted(parent):
                    yield parent
                yield from self._read_with(parent, wanted)

    def _hold(self, entry: TableEntry, parents: Sequence[TableEntry]) -> SearchableTable | None:
        identity = self.identity, entry.schema, entry.table
        made = partial(SearchableTable, entry, database=self.name, identity=identity, is_neighbour=self._is_neighbour)
        columns, fault = self._columns(entry)
        if fault:
            return made((), fault=fault)
        names = tuple(column.name for column in columns)
        inherited = {column.name for parent in parents for column in self._columns(parent)[0]}
        own = [column for column in columns if column.name not in inherited]
        searched = tuple(column for column in own if column.searched and column.readable)
        unread = [column.name for column in own if column.searched and not column.readable]
        denied = self._faulty.get(entry)
        if not entry.readable or (unread and not searched):
            denied = "the privilege for it is missing: grant SELECT on it"
        elif unread:
            denied = f"this user may not read {', '.join(unread)}: grant SELECT on the table"
        unsearched = tuple(f"{column.name} ({column.unsearched})" for column in own if column.unsearched)
        if not searched:
            table = made((), fault=denied, unsearched=unsearched, all_columns=names)
            return table if denied or unsearched else None
        return made(searched, entry.hidden, None, denied, unsearched, names)

    def _not_readable(self, entries: Sequence[TableEntry]) -> Iterator[tuple[TableEntry, str]]:
        """Those of *entries* of which not all columns can be read; all are asked at once, then parts of them."""
        every = self._catalog.every_column(entries) if entries else None
        if every is None:
            return
        if len(entries) == 1:
            tried = self._try(every, past_locks=True)
            if not isinstance(tried, RefusedStatement) or tried.is_locked:
                return
            if tried.is_denied:
                yield entries[0], SOME_COLUMNS
            else:
                # Of a table whose storage engine is not loaded, the catalog shows no column at all.
                schema, table = entries[0].schema, entries[0].table
                if self._attempt(lambda connection: self._catalog.has_table(connection, schema, table))[0]:
                    yield entries[0], tried.words
        elif self._access.try_reading(every) is not None:
            middle = len(entries) // 2
            for half in (entries[:middle], entries[middle:]):
                yield from self._not_readable(half)

    def _key_of(self, connection: sa.Connection, entry: TableEntry) -> tuple[str, ...]:
        """The columns of a unique key that can be followed."""
        # Without a key to follow, all of a table is read at once.
        with suppress(sa.exc.NoSuchTableError, UnreflectedError):
            key = find_unique(connection, self._access.dialect, entry.schema, entry.table)
            columns = columns_of(connection, entry.schema, entry.table)
            kinds = {name: base_type(column) for name, column in columns.items()}
            unfit = self._access.dialect.unfit_key
            return () if any(name not in kinds or unfit(kinds[name], connection) for name in key) else key
        return ()

    def _columns(self, entry: TableEntry, *, afresh: bool = False) -> tuple[list[SearchedColumn], str | None]:
        """The columns of a table, none if it has vanished; and why they cannot be read. *afresh*: as they are now."""
        schema = entry.schema
        if not afresh and schema not in self._of_schemas:
            found = self._access.attempt(lambda connection: self._catalog.columns(connection, schema))
            while len(self._of_schemas) >= SCHEMAS:
                del self._of_schemas[next(iter(self._of_schemas))]
            self._of_schemas[schema] = None if isinstance(found, RefusedStatement) else found
        if not afresh and (of_schema := self._of_schemas[schema]) is not None:
            return of_schema.get(entry.table, []), None
        columns, fault = self._attempt(lambda connection: self._catalog.columns(connection, entry.schema, entry.table))
        return (columns or {}).get(entry.table, []), fault
