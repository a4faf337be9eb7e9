"""A whole database, looked through for tokens table by table. Reads only, and each read is short."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.errors import UsageError
from rotation.stores.access import Access, Refusal
from rotation.stores.layout import Layout, Listed, layout_of
from rotation.stores.link import Links
from rotation.stores.place import free_column, table_clause
from rotation.stores.schema import base_type, find_place, find_unique, quietly
from rotation.stores.walk import WINDOWS, Rows
from rotation.targets import Target

SAMPLE_SECONDS = 5.0
"""A sample of one table ends here, whatever it has seen by then."""
HEAD = 1024 * 1024
"""Of a cell that is larger a sample sees the beginning only."""
CUT = 64 * 1024
"""So much of a cell is fetched, from its first mark on."""

Kind = sa.types.TypeEngine[Any]


@dataclass(frozen=True)
class Held:
    """A table, and its columns that may hold text."""

    listed: Listed
    parts: tuple[Listed, ...]
    """The tables that hold its rows: itself, its partitions, those that inherit from it."""
    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    key: tuple[str, ...]
    """Columns that lead through it; none where it has no key that can be followed."""
    caution: str | None = None
    """Why rows of it may be hidden."""
    fault: str | None = None
    """Why it cannot be looked at."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.listed.table if self.listed.plain else f"{self.listed.schema}.{self.listed.table}"


class Reading:
    """What is read of a table, batch by batch: of each row and column a piece that holds a mark, or None."""

    def __init__(self, batches: Iterator[Rows], *, sampled: bool, seconds: float | None) -> None:
        self.sampled = sampled
        """Whether some rows were left out; sure once it is read."""
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
        self._layout: Layout = layout_of(self._access.dialect)
        self._url = url
        try:
            self._listed = self._access.read(self._layout.tables)
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
            for listed in self._listed
            if listed.table == spot.table and (listed.plain if spot.schema is None else listed.schema == spot.schema)
        )
        return *next(found, (spot.schema, spot.table)), spot.column

    def tables(self, wanted: Callable[[Listed], bool]) -> Iterator[Held]:
        """The tables that *wanted* wants: a partitioned one once, a vanished one not at all."""
        for listed in self._listed:
            if not listed.is_partition and wanted(listed) and (held := self._hold(listed)):
                yield held

    def read(self, held: Held, *, full: bool) -> Reading:
        """Its rows: a sample from all over it, or with *full* all."""
        cells = [self._piece(*column, full=full) for column in zip(held.columns, held.kinds, strict=True)]
        walks = self._layout.walks(self._access, held.parts, held.key, cells)
        looks = [None if full else walk.looks(max(1, WINDOWS // len(walks))) for walk in walks]
        scattered = [look for some in looks for look in some or ()]
        # Should time end a sample, it has been everywhere all the same.
        random.Random(0).shuffle(scattered)  # noqa: S311 - no secret
        wholes = (walk.whole() for walk, some in zip(walks, looks, strict=True) if some is None)
        batches = chain((look() for look in scattered), chain.from_iterable(wholes))
        return Reading(self._unhurried(batches), sampled=bool(scattered), seconds=None if full else SAMPLE_SECONDS)

    def fit(self, held: Held, column: str) -> tuple[tuple[str, ...], str | None]:
        """The key columns that a target for *column* has to name, and what speaks against such a target."""
        tries = [(), *([held.key] if held.key else [])]
        for key in tries:
            reason = self._refusal(Target(self._url, held.name, column, held.name, key))
            if reason is None:
                return key, None
        return (), self._refusal(Target(self._url, held.name, column, held.name))

    def _refusal(self, target: Target) -> str | None:
        try:
            self.find(target)
        except UsageError as error:
            return str(error)
        return None

    def _unhurried(self, batches: Iterator[Rows]) -> Iterator[Rows]:
        for rows in batches:
            self._access.breathe()
            yield rows

    def _hold(self, listed: Listed) -> Held | None:
        columns = self._columns(listed)
        if isinstance(columns, Refusal):
            return Held(listed, (), (), (), (), fault=columns.words)
        # What a table inherits is read with its parent.
        inherited = set().union(*(self._names(parent) for parent in listed.parents))
        searched = {
            name: kind for name, kind in columns.items() if name not in inherited and self._layout.is_searched(kind)
        }
        if not searched:
            return None
        held = Held(
            listed,
            tuple(self._family(listed)),
            tuple(searched),
            tuple(searched.values()),
            self._key(listed, columns),
            self._access.read(lambda connection: self._layout.caution(connection, listed)),
        )
        return held if (fault := self._fault(held)) is None else Held(listed, (), (), (), (), fault=fault)

    def _key(self, listed: Listed, columns: dict[str, Kind]) -> tuple[str, ...]:
        """The columns of a unique key that can be followed."""

        def read(connection: sa.Connection) -> tuple[str, ...]:
            with suppress(sa.exc.NoSuchTableError):
                return find_unique(connection, self._access.dialect, listed.schema, listed.table)
            return ()

        key = self._access.read(read)
        unfit = self._access.dialect.unfit_key
        return () if any(name not in columns or unfit(columns[name]) for name in key) else key

    def _fault(self, held: Held) -> str | None:
        """What the database says against reading these columns."""
        columns = [self._piece(*column, full=False) for column in zip(held.columns, held.kinds, strict=True)]
        query = sa.select(*columns).select_from(table_clause(held.listed.schema, held.listed.table)).limit(1)
        tried = self._access.attempt(lambda connection: connection.execute(query).all())
        return tried.words if isinstance(tried, Refusal) else None

    def _family(self, listed: Listed) -> Iterator[Listed]:
        if listed.has_rows:
            yield listed
        for other in self._listed:
            if (listed.schema, listed.table) in other.parents:
                yield from self._family(other)

    def _columns(self, listed: Listed) -> dict[str, Kind] | Refusal:
        """By name, with the type below a domain; none of a table that has vanished."""

        def read(connection: sa.Connection) -> dict[str, Kind]:
            try:
                with quietly():
                    columns = sa.inspect(connection).get_columns(listed.table, listed.schema)
            except sa.exc.NoSuchTableError:
                return {}
            return {column["name"]: base_type(column) for column in columns}

        return self._access.attempt(read)

    def _names(self, parent: tuple[str, str]) -> set[str]:
        found = self._columns(Listed(*parent, plain=False))
        return set() if isinstance(found, Refusal) else set(found)

    def _piece(self, name: str, kind: Kind, *, full: bool) -> ColumnElement[Any]:
        """What is fetched of a cell: all of a small one, of a large one a piece around its mark."""
        column = free_column(name)
        haystack = self._layout.haystack(column, kind)
        if not full:
            large = self._layout.length(column, haystack) > HEAD
            haystack = sa.case((large, sa.func.substr(haystack, 1, CUT)), else_=haystack)
        position = self._layout.position(haystack, kind)
        length = sa.func.length(haystack)
        # Just as long as it may be, so that a piece is known as one by its length.
        last = length - CUT + 1
        start = sa.case((position > last, last), (position > 1, position - 1), else_=1)
        piece = sa.case((length > CUT, sa.func.substr(haystack, start, CUT)), else_=haystack)
        return sa.case((position > 0, piece))
