"""Remembers the tables in which a search of every row found nothing, so that the next search does not read them again.

A table is passed over only if its database proves that each of its rows is one that was read: then nothing is in it
still. What is deleted meanwhile makes no difference, so tables in which anything was found are not remembered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from keyring_core import Keyring
from rotation.discovery.table_source import SearchableTable
from rotation.discovery.token_column import TokenColumn
from rotation.model.failures import StoreError
from rotation.model.searched_table import SearchedTable
from rotation.model.text import release

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey
    from rotation.discovery.table_readers import TableRows


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
