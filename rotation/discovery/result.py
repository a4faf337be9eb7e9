"""The outcome of a search through databases, and the columns of it that rotation.toml ignores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from keyring_core.names import printable
from rotation.configuration.declarations import DeclaredColumn, same_table
from rotation.configuration.sections import Ignored
from rotation.discovery.target_entries import model_entries, target_entries
from rotation.discovery.token_column import TokenColumn
from rotation.model.next_steps import Next
from rotation.stores.cells import SearchableTable

UNMATCHED = "an [[ignore]] of rotation.toml names it, and no column that was searched is called so"


class Remark(NamedTuple):
    """A remark for an admin on one table, or on one target."""

    database: str
    subject: str
    words: str


class IndexValues(NamedTuple):
    """A column with values of a blind index, which no target names as its `index`."""

    database: str
    label: str
    """As messages name the column."""
    under: Counter[str]
    """The values, per key."""


@dataclass
class Discovery:
    """The databases that were searched, and what was found in them."""

    full: bool
    columns: list[TokenColumn] = field(default_factory=list)
    """The columns that hold tokens."""
    blind_indexes: list[IndexValues] = field(default_factory=list)
    """The columns with blind indexes, in a search of every row."""
    databases: dict[str, int] = field(default_factory=dict)
    """Tables that were searched, per database."""
    rows: int = 0
    sampled: int = 0
    """Tables of which some rows were left out."""
    remarks: list[Remark] = field(default_factory=list)
    hidden: list[Remark] = field(default_factory=list)
    """The remarks that say that rows may be hidden from this user."""
    unseen: list[Remark] = field(default_factory=list)
    """Tables and columns that could not be searched, and why."""
    ignored: list[Remark] = field(default_factory=list)
    """The columns that rotation.toml ignores, and why."""
    unsearched_cells: int = 0
    """Cells of which not all was searched; `beyond` names their columns."""
    tables_seen: dict[str, set[str]] = field(default_factory=dict)
    """The columns of each table, as targets name it."""
    recognised: list[Next] = field(default_factory=list)
    """The command to begin with each known application whose tables are there."""
    beyond: list[Remark] = field(default_factory=list)
    """The parts outside of the search, by name: other databases, other kinds of columns, cells too large."""
    left_out: list[Remark] = field(default_factory=list)
    """The ones of them that `[policy]` names."""
    unopened: list[Remark] = field(default_factory=list)
    """Columns elsewhere that were read, with tokens that no key opens: another application's, or bound ones."""
    gone: list[Remark] = field(default_factory=list)
    """Databases and tables that were dropped before they were searched."""
    declared: list[DeclaredColumn] = field(default_factory=list)
    """The encrypted columns of the models that were named."""
    without_target: list[DeclaredColumn] = field(default_factory=list)
    """The declared columns that no target covers and no [[ignore]] names."""
    url: str = ""
    """The url of the one database that was searched, as it was written; empty if there are several."""

    @property
    def uncovered(self) -> list[TokenColumn]:
        """The columns that hold tokens of this service, and that no target covers and no [[ignore]] names."""
        return [column for column in self.columns if column.is_uncovered]

    @property
    def unnamed(self) -> list[TokenColumn]:
        """The same, then the columns of other applications that no target covers and no [[ignore]] names."""
        foreign = (column for column in self.columns if column.is_foreign)
        return [*self.uncovered, *(column for column in foreign if not column.covered and column.ignored is None)]

    @property
    def exit_code(self) -> int:
        """3 if a table could not be searched, otherwise 1 if a column is uncovered, otherwise 0."""
        return 3 if self.unseen else int(bool(self.uncovered or self.without_target))

    @property
    def entries(self) -> str:
        """The `[[target]]` entries to add to rotation.toml, ready to paste."""
        by_models = model_entries(self.without_target, self.declared, self.url, " or ".join(self.databases))
        return "\n".join(filter(None, (by_models, target_entries(self._found_alone))))

    @property
    def _found_alone(self) -> list[TokenColumn]:
        """The uncovered columns that no entry of models would cover."""
        return [
            column
            for column in self.uncovered
            if not any(
                each.column == column.column and same_table(each.table, column.table) for each in self.without_target
            )
        ]


class Ignores:
    """The `[[ignore]]` entries, and what they have matched so far."""

    def __init__(self, entries: Sequence[Ignored]) -> None:
        self._entries = entries
        self._matched: set[tuple[Ignored, str | None]] = set()

    def reasons(self, urls: Collection[str], table: SearchableTable) -> dict[str | None, str]:
        """The reasons for ignoring columns of *table*, by name; None stands for all others. *urls* lead to it."""
        found: dict[str | None, str] = {}
        for ignored in self._entries:
            if ignored.url not in {None, *urls} or ignored.table not in table.names:
                continue
            for column in _parts(ignored):
                if column is None or column in table.all_columns:
                    self._matched.add((ignored, column))
                    found.setdefault(column, ignored.reason)
        return found

    def unmatched(self) -> Iterator[Remark]:
        """A remark on each column, or table, that was not found."""
        for ignored in self._entries:
            for column in _parts(ignored):
                if (ignored, column) not in self._matched:
                    yield Remark("", label(ignored.table, column), UNMATCHED)


def label(table: str, column: str | None) -> str:
    """The name in messages for an ignored column, or for all of a table."""
    return printable(f"{table}, all columns" if column is None else f"{table}.{column}")


def _parts(ignored: Ignored) -> Sequence[str | None]:
    return ignored.columns or (None,)
