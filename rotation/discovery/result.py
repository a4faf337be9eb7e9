"""What a look through databases came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rotation.discovery.target_entries import entries
from rotation.discovery.token_column import TokenColumn


class Remark(NamedTuple):
    """What an admin should know of one table, or of one target."""

    database: str
    subject: str
    words: str


@dataclass
class Discovery:
    """What was looked at, and what was found."""

    full: bool
    columns: list[TokenColumn] = field(default_factory=list)
    """Those that hold tokens."""
    databases: dict[str, int] = field(default_factory=dict)
    """Tables that were looked at, per database."""
    rows: int = 0
    sampled: int = 0
    """Tables of which some rows were left out."""
    remarks: list[Remark] = field(default_factory=list)
    hidden: list[Remark] = field(default_factory=list)
    """Those of the remarks that say that rows may be hidden from us."""
    unseen: list[Remark] = field(default_factory=list)
    """Tables and columns that could not be looked at, and why."""
    beyond: list[Remark] = field(default_factory=list)
    """What lies outside of what can be looked at, by name: other databases, other kinds of columns, cells too large."""

    @property
    def uncovered(self) -> list[TokenColumn]:
        """The columns that hold tokens and that no target names."""
        return [column for column in self.columns if not column.covered]

    @property
    def exit_code(self) -> int:
        """3 where a table could not be looked at, 1 where a column is uncovered, else 0."""
        return 3 if self.unseen else int(bool(self.uncovered))

    def document(self) -> dict[str, Any]:
        """The one JSON document."""
        return {
            "complete": self.exit_code == 0,
            "full": self.full,
            "databases": [{"name": name, "tables": tables} for name, tables in self.databases.items()],
            "rows": self.rows,
            "sampled_tables": self.sampled,
            "columns": [column.document() for column in self.columns],
            "remarks": [remark._asdict() for remark in self.remarks],
            "unseen": [remark._asdict() for remark in self.unseen],
            "beyond": [remark._asdict() for remark in self.beyond],
            "targets": entries(self.uncovered),
        }
