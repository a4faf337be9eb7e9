"""A table is remembered, and passed over, only if all of it was read and nothing was found."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import pytest

from keyring_core import Keyring
from rotation.discovery.memory import SearchMemory
from rotation.discovery.survey import Survey
from rotation.discovery.table_readers import TableRows
from rotation.discovery.table_source import SearchableTable
from rotation.discovery.token_column import BARE, TokenColumn
from rotation.model.searched_table import SearchedTable
from rotation.stores.catalog import SearchedColumn, TableEntry
from tests.keys import make_key

ENTRY = TableEntry("public", "notes", plain=True)
TABLE = SearchableTable(ENTRY, (SearchedColumn("text"),))
KEYRINGS = [Keyring(make_key("old"))]


class Proved(NamedTuple):
    """A database that proves everything."""

    name: str = "a database"

    def is_unchanged(self, _table: SearchableTable, _witness: Any) -> bool:
        """Always."""
        return True

    def end_last(self) -> None:
        """Nothing is open."""


def remembered(table: SearchableTable = TABLE, *, witness: Any = 1, **found: Any) -> dict[str, SearchedTable]:
    """The memory after *found* in the column of *table*."""
    kept: dict[str, SearchedTable] = {}
    reading = TableRows(iter(()), sampled=False, seconds=None, most=0)
    reading.witness = witness
    column = TokenColumn("a database", "notes", "text", **found)
    SearchMemory({}, kept.__setitem__).add(cast(Survey, Proved()), table, KEYRINGS, [column], reading)
    return kept


def test_what_was_found_decides() -> None:
    """A token, a value of a blind index, a cell that was not searched: any of these has to be reported again."""
    found: list[dict[str, Any]] = [
        {"parts": Counter([BARE])},
        {"indexes": Counter(["5f0c1a9e"])},
        {"large": 1},
        {"given_up": 1},
    ]

    assert len(remembered()) == 1
    assert [remembered(**each) for each in found] == [{}] * len(found)
    assert remembered(witness=None) == {}


HIDING = {
    "row security": replace(TABLE, caution="rows may be hidden"),
    "denied columns": replace(TABLE, denied="a column may not be read"),
    "a fault": replace(TABLE, fault="it cannot be read"),
    "rows may be missed": replace(TABLE, entry=ENTRY._replace(caution="rows may be missed")),
    "history": replace(TABLE, entry=ENTRY._replace(has_history=True)),
    "some columns": replace(TABLE, entry=ENTRY._replace(by_columns=True)),
}


@pytest.mark.parametrize("table", HIDING.values(), ids=HIDING)
def test_a_table_that_may_hide_something_is_read_again(table: SearchableTable) -> None:
    """What a search has to say of it would be left out; whatever the database proves."""
    memory = SearchMemory(remembered(), lambda *_: None)

    assert memory.unchanged(cast(Survey, Proved()), TABLE, KEYRINGS)
    assert not memory.unchanged(cast(Survey, Proved()), table, KEYRINGS)
    assert remembered(table) == {}


OTHERS = {
    "a database": (Proved("another"), TABLE, KEYRINGS),
    "a schema": (Proved(), replace(TABLE, entry=ENTRY._replace(schema="app")), KEYRINGS),
    "a table": (Proved(), replace(TABLE, entry=ENTRY._replace(table="other")), KEYRINGS),
    "a column": (Proved(), replace(TABLE, columns=(SearchedColumn("words"),)), KEYRINGS),
    "a kind": (Proved(), replace(TABLE, columns=(SearchedColumn("text", is_bytes=True),)), KEYRINGS),
    "a key": (Proved(), TABLE, [Keyring(make_key("new"))]),
    "a context": (Proved(), TABLE, [Keyring(make_key("old")).bind("notes.text")]),
}


@pytest.mark.parametrize(("survey", "table", "keyrings"), OTHERS.values(), ids=OTHERS)
def test_another_search_is_not_known(survey: Proved, table: SearchableTable, keyrings: list[Keyring]) -> None:
    """Each of these decides what is found."""
    memory = SearchMemory(remembered(), lambda *_: None)

    assert not memory.unchanged(cast(Survey, survey), table, keyrings)


def test_the_time_of_reading_is_remembered() -> None:
    """When it began, since what was written later may be missing."""
    before = datetime.now(UTC)
    [searched] = remembered().values()

    assert before <= searched.read <= datetime.now(UTC)
