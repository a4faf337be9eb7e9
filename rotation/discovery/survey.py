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

from rotation.discovery.catalogs import Column, Layout, Listed, Outside
from rotation.discovery.cells import CellReader
from rotation.discovery.layouts import layout_of
from rotation.discovery.reads import OneTransaction, Reader, Rows, ShortReads
from rotation.discovery.table_readers import WINDOWS, Walk
from rotation.model.failures import UsageError
from rotation.model.targets import Target
from rotation.stores.access import Access, Refusal
from rotation.stores.columns import table_clause
from rotation.stores.connection import SharedConnections
from rotation.stores.target_schema import base_type, find_place, find_unique, quietly

SAMPLE_SECONDS = 5.0
"""A sample of one table ends here, whatever it has seen by then."""
MOST = {True: 64 * 1024 * 1024, False: 1024 * 1024}
"""The largest cell that is looked at, in bytes: in a look at every row, and in a sample."""

T = TypeVar("T")


@dataclass(frozen=True)
class Held:
    """A table, and its columns that may hold a token."""

    listed: Listed
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
        return self.listed.name


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

    def __init__(self, url: str, *, sleep: Callable[[float], None], links: SharedConnections | None = None) -> None:
        """Raises UsageError for a url that cannot work. With *links* it shares their connection."""
        self._access = Access(url, "every table", read_only=True, sleep=sleep, links=links)
        self.name = self._access.name
        """The database, fit for a message."""
        self._layout: Layout = layout_of(self._access.dialect)
        self._url, self._sleep, self._links = url, sleep, links
        try:
            identity: tuple[object, ...] | None = self._access.read(self._layout.identity)
            self.identity = identity or (self.name,)
            """The same for two urls that show the same tables."""
            self._listed = {(one.schema, one.table): one for one in self._access.read(self._layout.tables)}
            self._marks = self._access.read(self._layout.marks)
            self._largest = self._access.read(self._layout.largest)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()

    def find(self, target: Target) -> tuple[str | None, str, str]:
        """Schema, table and column of a target, as `Listed` has them. Raises UsageError where it does not fit."""
        spot = self._access.read(
            lambda connection: find_place(target, connection, self._access.dialect, self.name)
        ).spot
        found = (
            (listed.schema, listed.table)
            for listed in self._listed.values()
            if listed.table == spot.table and (listed.plain if spot.schema is None else listed.schema == spot.schema)
        )
        return *next(found, (spot.schema, spot.table)), spot.column

    def schemas(self, wanted: Callable[[Listed], bool]) -> set[str | None]:
        """The schemas of the tables that *wanted* wants."""
        return {listed.schema for listed in self._listed.values() if wanted(listed)}

    def tables(self, wanted: Callable[[Listed], bool]) -> Iterator[Held]:
        """The tables that *wanted* wants, each row once: what is read with a parent is not read again."""
        for listed in self._listed.values():
            if not wanted(listed):
                continue
            parents = list(self._read_with(listed, wanted))
            if not (parents and listed.is_partition) and (held := self._hold(listed, parents)):
                yield held

    def outside(self) -> list[Outside]:
        """What no table shows to this user."""
        return self._access.read(self._layout.outside)

    def neighbours(self) -> tuple[list[str], list[str]]:
        """The server's other databases that need a connection of their own: those to enter, and those that refuse."""
        return self._access.read(self._layout.databases)

    def enter(self, database: str) -> Survey:
        """Another database of the server, by the same user."""
        url = sa.make_url(self._url).set(database=database)
        return Survey(url.render_as_string(hide_password=False), sleep=self._sleep, links=self._links)

    def read(self, held: Held, count: Callable[[Reading], T], *, full: bool) -> tuple[T | None, str | None]:
        """What *count* makes of a table's rows, or what the database says against it; neither if it has vanished.

        The rows are a sample from all over it, or with *full* all of them and of its history.

        Where the database can hold a snapshot, all is read in one transaction that sees one moment, so that no row that
        moves is missed; *count* is called anew where the connection is lost on the way.
        """
        key = self._key(held.listed) if self._layout.follows_keys else ()
        if not self._layout.has_snapshots:
            fault = self._fault(held)
            if fault is None:
                return count(self._reading(held, key, ShortReads(self._access), full=full)), None
            return None, fault if self._exists(held.listed) else None

        def act(connection: sa.Connection) -> T:
            self._layout.hold_snapshot(connection)
            with closing(OneTransaction(connection)) as reader:
                return count(self._reading(held, key, reader, full=full))

        tried = self._access.attempt(act, past_locks=True)
        if not isinstance(tried, Refusal):
            return tried, None
        return None, tried.words if self._exists(held.listed) else None

    def fit(self, held: Held, column: str) -> tuple[tuple[str, ...], str | None]:
        """The key columns that a target for *column* has to name, and what speaks against such a target."""
        reason = self._refusal(Target(self._url, held.name, column, held.name))
        key = self._key(held.listed) if reason else ()
        if key and self._refusal(Target(self._url, held.name, column, held.name, key)) is None:
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

    def _reading(self, held: Held, key: tuple[str, ...], reader: Reader, *, full: bool) -> Reading:
        most = min(MOST[full], self._largest or MOST[full])
        asked = CellReader(self._layout, held.columns, self._marks, most)
        given = (self._access, reader, held.listed, key, asked.cells)
        walks = [self._layout.whole(*given)] if full else self._layout.parts(*given)
        looks = [None if full else walk.looks(max(1, WINDOWS // len(walks))) for walk in walks]
        scattered = [(walk, look) for walk, some in zip(walks, looks, strict=True) for look in some or ()]
        # Should time end a sample, it has been everywhere all the same.
        random.Random(0).shuffle(scattered)  # noqa: S311 - no secret
        batches = chain(
            ((walk, look()) for walk, look in scattered),
            ((walk, rows) for walk, some in zip(walks, looks, strict=True) if some is None for rows in walk.whole()),
        )
        table = self._layout.source(held.listed)
        filled = self._filled(batches, lambda walk, row: asked.fill(reader, table, walk, row), len(held.columns))
        return Reading(filled, sampled=bool(scattered), seconds=None if full else SAMPLE_SECONDS, most=most)

    def _filled(
        self,
        batches: Iterator[tuple[Walk, Rows]],
        fill: Callable[[Walk, Sequence[Any]], Sequence[Any]],
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

    def _read_with(self, listed: Listed, wanted: Callable[[Listed], bool]) -> Iterator[Listed]:
        """Those of a table's parents, and of theirs, that its rows are read with."""
        for name in listed.parents:
            if parent := self._listed.get(name):
                if parent.readable and wanted(parent):
                    yield parent
                yield from self._read_with(parent, wanted)

    def _hold(self, listed: Listed, parents: Sequence[Listed]) -> Held | None:
        columns = self._columns(listed)
        if isinstance(columns, Refusal):
            return Held(listed, (), fault=columns.words)
        inherited = set().union(*(self._names(parent) for parent in parents))
        own = [column for column in columns if column.name not in inherited]
        searched = tuple(column for column in own if column.searched and column.readable)
        denied = self._denied(listed, own)
        unsearched = tuple(f"{column.name} ({column.unsearched})" for column in own if column.unsearched)
        if not searched:
            return Held(listed, (), fault=denied, unsearched=unsearched) if denied or unsearched else None
        caution = self._access.read(lambda connection: self._layout.caution(connection, listed))
        return Held(listed, searched, caution, None, denied, unsearched)

    def _denied(self, listed: Listed, columns: Sequence[Column]) -> str | None:
        names = [column.name for column in columns if column.searched and not column.readable]
        if not listed.readable or (names and len(names) == sum(column.searched for column in columns)):
            return "the privilege for it is missing: grant SELECT on it"
        if names:
            return f"this user may not read {', '.join(names)}: grant SELECT on the table"
        if self._layout.hides_columns(self._access, listed):
            return "this user may read some of its columns only, and does not see the others: grant SELECT on the table"
        return None

    def _key(self, listed: Listed) -> tuple[str, ...]:
        """The columns of a unique key that can be followed."""

        def read(connection: sa.Connection) -> tuple[str, ...]:
            with suppress(sa.exc.NoSuchTableError), quietly():
                key = find_unique(connection, self._access.dialect, listed.schema, listed.table)
                columns = sa.inspect(connection).get_columns(listed.table, listed.schema)
                kinds = {column["name"]: base_type(column) for column in columns}
                unfit = self._access.dialect.unfit_key
                return () if any(name not in kinds or unfit(kinds[name]) for name in key) else key
            return ()

        found = self._access.attempt(read, past_locks=True)
        return () if isinstance(found, Refusal) else found

    def _fault(self, held: Held) -> str | None:
        """What the database says against reading these columns, where short reads do not tell a table's fault."""
        asked = CellReader(self._layout, held.columns, self._marks, MOST[False]).cells.columns
        query = sa.select(*asked).select_from(table_clause(held.listed.schema, held.listed.table)).limit(1)
        tried = self._access.attempt(lambda connection: connection.execute(query).all(), past_locks=True)
        return tried.words if isinstance(tried, Refusal) else None

    def _columns(self, listed: Listed) -> list[Column] | Refusal:
        """None of a table that has vanished."""
        return self._access.attempt(lambda connection: self._layout.columns(connection, listed), past_locks=True)

    def _names(self, listed: Listed) -> set[str]:
        columns = self._columns(listed)
        return set() if isinstance(columns, Refusal) else {column.name for column in columns}

    def _exists(self, listed: Listed) -> bool:
        columns = self._columns(listed)
        return isinstance(columns, Refusal) or bool(columns)
