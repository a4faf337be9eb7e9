"""What a catalog says of tables and their columns, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class TableEntry(NamedTuple):
    """A table by its names, as the catalog has it."""

    schema: str | None
    table: str
    plain: bool
    """Whether its name alone finds it."""
    parents: tuple[tuple[str, str], ...] = ()
    """Tables that are read with this one: schema and name."""
    is_partition: bool = False
    readable: bool = True
    """Whether this user may read any column of it."""
    by_columns: bool = False
    """Whether this user may read some columns only, and none of the system's columns."""
    has_history: bool = False
    """Whether it keeps the rows of the past."""
    caution: str | None = None
    """Why rows of it may be missed while others write."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.table if self.plain else f"{self.schema}.{self.table}"


class Column(NamedTuple):
    """A column, and how it is searched."""

    name: str
    searched: bool = True
    """Whether its type can hold a token."""
    is_bytes: bool = False
    """Whether it is searched, and fetched, as bytes."""
    readable: bool = True
    unsearched: str | None = None
    """Its type, if that can hold a token and is not searched."""
    is_text: bool = False
    """Whether its type is a text, even if `is_bytes`: then the database has to be asked for its bytes."""


@dataclass(frozen=True)
class SearchableTable:
    """A table, and its columns that may hold a token."""

    entry: TableEntry
    columns: tuple[Column, ...]
    caution: str | None = None
    """Why rows of it may be hidden."""
    fault: str | None = None
    """Why it cannot be searched."""
    denied: str | None = None
    """Which columns this user may not read, and what to do."""
    unsearched: tuple[str, ...] = ()
    """Columns of a type that can hold a token and is not searched, with the type."""
    all_columns: tuple[str, ...] = ()
    """The names of all its columns, searched or not."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.entry.name

    @property
    def names(self) -> set[str]:
        """All names by which a target finds it."""
        schema = self.entry.schema
        return {self.entry.name, *([f"{schema}.{self.entry.table}"] if schema else [])}


class Unsearchable(NamedTuple):
    """A part of a database that cannot be searched, and why."""

    subject: str
    words: str
