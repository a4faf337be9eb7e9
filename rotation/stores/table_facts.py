"""What a database's catalog says about a table and one of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class UniqueColumn(NamedTuple):
    """One column of an index that is unique over all rows."""

    key: str
    """The name of the index, or its number."""
    column: str | None
    """None: an expression."""
    collation: str | None = None
    """By which the index compares, if it may be another than the column's."""


class ForeignKey(NamedTuple):
    """A foreign key of the column."""

    name: str | None
    table: str
    """The table that it refers to."""


class TableState(NamedTuple):
    """Which table a name leads to, and what of it a pass relies on; compared at the two ends of a pass."""

    table: str = ""
    """Its number, or its file's; empty if the database shows none."""
    version: object = None
    """Another one after each change that may have led a pass elsewhere for a while, or hidden rows from it."""
    hidden: bool = False
    """Whether rows may be hidden from this user."""


class TableFacts(NamedTuple):
    """Read when a target is opened: each fact that is asked for later would be one more statement per target."""

    primary: tuple[str, ...] = ()
    """The columns of the primary key; none if there is none."""
    unique: Sequence[UniqueColumn] = ()
    """The columns of each unique index, in the order of the indexes."""
    inherited: bool = False
    """Whether other tables are read with this one, so that a key which is unique in it may name several rows."""
    kept: Sequence[str] = ()
    """Columns that the database would change by itself on an UPDATE, and that shall stay."""
    triggers: Sequence[str] = ()
    """What fires on an UPDATE of the column: triggers, and rules, by kind and name."""
    cautions: Sequence[str] = ()
    """Where else old tokens may live on, or rows may be hidden."""
    indexes: Sequence[str | None] = ()
    """The indexes and unique constraints that use the column; None: one without a name."""
    foreign_keys: Sequence[ForeignKey] = ()
    referrers: Sequence[str] = ()
    """Foreign keys of other tables that refer to the column, as `table.constraint`."""
    estimate: int | None = None
    """The database's own estimate of the number of rows; None or less than 1 if it has none."""
