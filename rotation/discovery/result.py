"""What a search through databases found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from rotation.configuration.declarations import DeclaredColumn, same_table
from rotation.discovery.target_entries import model_entries, target_entries
from rotation.discovery.token_column import TokenColumn


class Remark(NamedTuple):
    """What an admin should know of one table, or of one target."""

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
    """What was searched, and what was found."""

    full: bool
    columns: list[TokenColumn] = field(default_factory=list)
    """Those that hold tokens."""
    blind_indexes: list[IndexValues] = field(default_factory=list)
    """Those of a search of every row."""
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
    recognised: list[str] = field(default_factory=list)
    """What is said of known applications whose tables are there, a line each."""
    beyond: list[Remark] = field(default_factory=list)
    """What lies outside of the search, by name: other databases, other kinds of columns, cells too large."""
    left_out: list[Remark] = field(default_factory=list)
    """Those of them that `[policy]` names."""
    unopened: list[Remark] = field(default_factory=list)
    """Columns elsewhere that were read, with tokens that no key opens: another application's, or bound ones."""
    gone: list[Remark] = field(default_factory=list)
    """Databases and tables that were dropped before they were searched."""
    declared: list[DeclaredColumn] = field(default_factory=list)
    """The encrypted columns of the models that were named."""
    without_target: list[DeclaredColumn] = field(default_factory=list)
    """Those that no target covers and no [[ignore]] names."""
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
