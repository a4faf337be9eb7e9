"""The search of one table: its tokens are counted, or an earlier search is known to have found none.

A table is passed over only if its database proves that each of its rows is one that was read: then nothing is in it
still. What is deleted meanwhile makes no difference, so tables in which anything was found are not remembered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from keyring_core import Keyring
from rotation.discovery.coverage import Coverage
from rotation.discovery.result import ColumnName, Discovery, IndexValues, Remark
from rotation.discovery.search_progress import SearchProgress
from rotation.discovery.table_source import Courtesy, SearchableTable, TableIdentity
from rotation.discovery.token_column import TokenColumn
from rotation.model.failures import StoreError
from rotation.model.searched_table import SearchedTable
from rotation.model.text import many, release
from rotation.stores.connection import SharedConnections
from rotation.stores.threads import Threads, most_threads

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey
    from rotation.discovery.table_readers import TableRows

DROPPED = "it was dropped before it was searched"

Counted = tuple[list[TokenColumn], "TableRows"]
Outcome = tuple[Counted | SearchedTable | None, str | None]
"""The counted columns of a table, and the reading; or as it was read before; or why it cannot be read."""


class Remembers(Protocol):
    """The part of a ledger that keeps searches. Its methods raise StoreError."""

    def searches(self) -> Mapping[str, SearchedTable]:
        """The tables that are remembered, by a digest."""

    def keep_search(self, place: str, searched: SearchedTable) -> None:
        """Keeps one more, under its digest."""


class SearchMemory:
    """The tables that earlier searches remember; several threads may ask for them, and one adds more."""

    def __init__(self, known: Mapping[str, SearchedTable], keep: Callable[[str, SearchedTable], None]) -> None:
        """*keep* takes one more, under the digest by which *known* has it next time."""
        self._known, self._keep = known, keep

    @classmethod
    def of(cls, ledger: Remembers | None) -> SearchMemory | None:
        """The searches of the last hour; None without a ledger. If it fails, tables are read: that costs time."""
        if ledger is None:
            return None

        def keep(place: str, searched: SearchedTable) -> None:
            with suppress(StoreError):
                ledger.keep_search(place, searched)

        known: Mapping[str, SearchedTable] = {}
        with suppress(StoreError):
            known = ledger.searches()
        return cls(known, keep)

    def unchanged(self, survey: Survey, table: SearchableTable, keyrings: Sequence[Keyring]) -> SearchedTable | None:
        """*table* as it was read, if a search for the same keys found nothing in any row that it has now."""
        found = self._known.get(_place(survey, table, keyrings)) if _shows_all(table) else None
        return found if found and survey.is_unchanged(table, found.witness) else None

    def add(
        self,
        survey: Survey,
        table: SearchableTable,
        keyrings: Sequence[Keyring],
        columns: Sequence[TokenColumn],
        reading: TableRows,
    ) -> None:
        """Remembers *table*, in whose *columns* a search of every row found what they say."""
        is_empty = not any(each.parts or each.indexes or each.large or each.given_up for each in columns)
        if reading.witness is None or not is_empty or not _shows_all(table):
            return
        # The ledger may have to be waited for.
        survey.end_last()
        searched = SearchedTable(reading.began, reading.rows, reading.witness)
        self._keep(_place(survey, table, keyrings), searched)


def _shows_all(table: SearchableTable) -> bool:
    """True if every row and every column can be read, and no other rows than those of now are read with them."""
    entry = table.entry
    return not (table.caution or table.denied or table.fault or entry.caution or entry.has_history or entry.by_columns)


def _place(survey: Survey, table: SearchableTable, keyrings: Sequence[Keyring]) -> str:
    """A digest of all that decides what is found in the rows of *table*: what is read of them, and what is sought."""
    keys = sorted({(key.id, key.context or "") for keyring in keyrings for key in keyring.states})
    named = release(), survey.name, table.entry.schema, table.entry.table
    return sha256(json.dumps([*named, table.columns, keys]).encode("utf-8", "surrogatepass")).hexdigest()


class TableSearch:
    """Searches tables one by one, each once; with threads several of a database at once."""

    def __init__(  # noqa: PLR0913 - what to look for, and what is known
        self,
        found: Discovery,
        coverage: Coverage,
        progress: SearchProgress,
        keyrings: Sequence[Keyring],
        *,
        whole: Collection[ColumnName],
        memory: SearchMemory | None,
    ) -> None:
        """What is found goes to *found*. *whole*: columns of which a sample is not enough, unless they are covered."""
        self._found, self._coverage, self._progress = found, coverage, progress
        self._keyrings, self._whole, self._memory = keyrings, frozenset(whole), memory
        self._threads: Threads | None = None
        self._seen: set[TableIdentity] = set()
        self._unseen: list[tuple[SearchableTable, Remark]] = []

    def close(self) -> None:
        """Ends its threads."""
        if self._threads:
            self._threads.close()

    def is_new(self, table: SearchableTable) -> bool:
        """True unless *table* was searched already, as through another url."""
        return table.identity not in self._seen

    def outcomes(
        self, survey: Survey, tables: Iterable[SearchableTable], *, full_speed: bool
    ) -> Iterator[tuple[SearchableTable, Outcome]]:
        """Each of *tables* with what was read of it; at *full_speed* several of a server at once, without a rest."""
        courtesy = Courtesy(survey.sleep, full_speed=full_speed)
        if not (full_speed and survey.has_snapshots):
            yield from ((table, self._read(survey, table, courtesy)) for table in tables)
            return

        def read(table: SearchableTable, links: SharedConnections) -> Outcome:
            return self._read(survey.twin(links), table, courtesy)

        self._threads = self._threads or Threads(most_threads(), survey.sleep)
        yield from self._threads.each(tables, read)
        # While somebody is connected to a database of PostgreSQL, nobody can copy, rename or drop it.
        self._threads.disconnect()

    def _read(self, survey: Survey, table: SearchableTable, courtesy: Courtesy) -> Outcome:
        """The counted columns of a table, or why they cannot be read; in a thread. Or the table, if it is unchanged."""
        if not table.columns or not self.is_new(table):
            self._progress.leave_out(table.identity)
            return None, table.fault
        full = self._found.full or any(
            (table.database, table.name, column) in self._whole and not self._coverage.is_target(table, column)
            for column in table.all_columns
        )
        self._progress.begin_table(table.identity)
        try:
            if self._memory and (known := self._memory.unchanged(survey, table, self._keyrings)):
                return known, None
            return survey.read(table, lambda reading: self._count(table, reading, full=full), courtesy, full=full)
        finally:
            self._progress.end_table(table.identity)

    def _count(self, table: SearchableTable, reading: TableRows, *, full: bool) -> Counted:
        history = table.entry.has_history and full
        columns = [TokenColumn(table.database, table.name, each.name, has_history=history) for each in table.columns]
        seen = 0
        for batch in reading:
            self._progress.read(table.identity, reading.rows, reading.rows - seen)
            seen = reading.rows
            for column, cells in zip(columns, zip(*batch, strict=True), strict=False):
                column.take(self._keyrings, [cell for cell in cells if cell is not None])
        for column in columns:
            column.rows, column.sampled = reading.rows, reading.sampled
        return columns, reading

    def take(self, survey: Survey, table: SearchableTable, outcome: Outcome) -> list[TokenColumn]:
        """The columns of a table that hold tokens. Remarks on what of it was not searched."""
        found, (counted, fault) = self._found, outcome
        if table.unsearched:
            words = f"columns of a type that is not searched: {', '.join(table.unsearched)}"
            found.beyond.append(Remark.on(table, words))
        if fault:
            self._unseen.append((table, Remark.on(table, fault)))
        if counted is None:
            if table.columns and not fault:
                found.gone.append(Remark.on(table, DROPPED))
            return []
        found.databases[table.database] += 1
        if isinstance(counted, SearchedTable):
            words = f"every row was read at {counted.read.isoformat(timespec='seconds')}, and no row version is newer"
            found.unchanged.append(Remark.on(table, words))
            found.rows += counted.rows
            self._seen.add(table.identity)
            return []
        if self._memory:
            self._memory.add(survey, table, self._keyrings, *counted)
        columns, reading = counted
        self._remark(table, columns, reading.most)
        found.rows += reading.rows
        found.sampled += reading.sampled
        for column in columns:
            if column.indexes and not self._coverage.is_index(table, column.column):
                name = f"{column.label} in {table.database}" if table.is_neighbour else column.label
                found.blind_indexes.append(IndexValues(table.database, name, column.indexes))
        return [column for column in columns if column.found]

    def _remark(self, table: SearchableTable, columns: Sequence[TokenColumn], most: int) -> None:
        """Remarks on what was not searched of a table that was read."""
        found, entry = self._found, table.entry
        beyond: list[str] = []
        for column in columns:
            if column.large:
                beyond.append(f"{column.column}: {many(column.large, 'cell')} of more than {most:,} bytes")
            if column.given_up:
                cells = many(column.given_up, "cell")
                beyond.append(f"{column.column}: {cells} with more in them than could be searched")
            found.unsearched_cells += column.large + column.given_up
        if entry.has_history and not found.full:
            beyond.append("rows of its past (SYSTEM VERSIONING); only a search of every row reads them")
        if entry.caution and found.full:
            beyond.append(entry.caution)
        if table.denied:
            self._unseen.append((table, Remark.on(table, table.denied)))
        else:
            self._seen.add(table.identity)
        if table.caution and table.is_neighbour:
            beyond.append(table.caution)
        elif table.caution:
            remark = Remark.on(table, table.caution)
            found.hidden.append(remark)
            found.remarks.append(remark)
        found.beyond += [Remark.on(table, words) for words in beyond]

    def unseen(self, *, in_neighbours: bool) -> list[Remark]:
        """Why tables could not be searched; none that one url's user could not read, and another's could."""
        return [remark for table, remark in self._unseen if self.is_new(table) and table.is_neighbour is in_neighbours]
