"""The place of a target's cells, as names and types; and the shards.

A shard is one of several independent runs over a table. The runs do not communicate, and rows come and go, so the key
alone decides to which shard a row belongs. Whole numbers are divided into blocks, so that a run can skip the blocks of
others; keys of other types are divided by a checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.failures import UsageError
from rotation.stores.servers import Fact


class AsRead(sa.types.UserDefinedType[Any]):
    """A value that goes back as it came. A declared type would be a cast, which an enum or a domain does not take."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """No column is made with it."""
        raise NotImplementedError


class QualifiedName(NamedTuple):
    """A column by its names; no schema: the only one that a connection searches."""

    schema: str | None
    table: str
    column: str


@dataclass(frozen=True)
class TargetCells:
    """The place of a target's cells."""

    qualified: QualifiedName
    """As statements name it."""
    schema: str | None
    """As the target names it; None: whichever a connection finds."""
    kind: sa.types.TypeEngine[Any]
    """The column's type; of a domain, the type below it."""
    key: tuple[str, ...]
    key_kinds: tuple[sa.types.TypeEngine[Any], ...]
    key_collations: tuple[str | None, ...]
    """By which each key column is compared; None: its own."""
    nullable_key: bool
    of_tokens: bool = True
    """True if each cell is one token, which is ASCII, and of one of few lengths; otherwise it may be any text."""
    beside: Mapping[str, str | None] = field(default_factory=dict)
    """Other columns that a swap sets, each to a value; None: to what it holds, which the database would change."""

    index: str | None = None
    """The column of the blind index."""
    salts: tuple[str, ...] = ()
    """The columns with the salts of the keys that are made for each row."""
    like_index: tuple[str, ...] = ()
    """Other columns of the type that a blind index has."""

    def clause(self) -> sa.TableClause:
        """The table with its key columns, the column, and those that are read or set beside it."""
        index = [self.index] if self.index else []
        names = dict.fromkeys((*self.key, self.qualified.column, *index, *self.salts, *self.beside))
        return table_clause(self.qualified.schema, self.qualified.table, names)

    def sets(self, table: sa.TableClause) -> dict[Any, ColumnElement[Any]]:
        """The columns that a swap in *table* sets beside the cell."""
        return {
            table.c[name]: table.c[name] if value is None else sa.literal(value, AsRead())
            for name, value in self.beside.items()
        }

    def sets_as_text(self, named: Callable[[str], str]) -> list[str]:
        """The same as parts of a SET; *named* makes an identifier of a name."""
        # A value is letters and digits.
        return [
            f"{named(name)} = {named(name)}" if value is None else f"{named(name)} = '{value}'"
            for name, value in self.beside.items()
        ]

    def misfit(
        self, table: sa.TableClause, exactly: Callable[[sa.ColumnClause[Any], sa.types.TypeEngine[Any]], Any]
    ) -> ColumnElement[bool] | None:
        """True for a row in *table* with another value beside the cell than a swap sets; None if it sets none.

        *exactly*: `Dialect.exactly`.
        """
        wanted = {name: value for name, value in self.beside.items() if value is not None}
        held = [
            exactly(table.c[name], sa.Text()).is_distinct_from(sa.literal(value, AsRead()))
            for name, value in wanted.items()
        ]
        return sa.or_(*held) if held else None

    def keys(self, table: sa.TableClause) -> list[ColumnElement[Any]]:
        """The key columns of *table*, as they are compared."""
        named = zip(self.key, self.key_collations, strict=True)
        return [table.c[name] if by is None else sa.collate(table.c[name], by) for name, by in named]


def table_clause(schema: str | None, table: str, columns: Iterable[str] = ()) -> sa.TableClause:
    """A table and some of its columns, by their quoted names; values come and go as the driver has them."""
    held = map(free_column, columns)
    return sa.table(quoted(table), *held, schema=None if schema is None else quoted(schema))


def free_column(name: str) -> sa.ColumnClause[Any]:
    """A column of whichever table a statement is about."""
    return sa.column(quoted(name), AsRead())


def quoted(name: str) -> quoted_name:
    """*name* as an identifier that is always quoted."""
    return quoted_name(name, quote=True)


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
    """The table that a name leads to, and its state; compared at the two ends of a pass."""

    table: str = ""
    """Its number, or its file's; empty if the database shows none."""
    version: object = None
    """Another one after each change that may have led a pass elsewhere for a while, or hidden rows from it."""
    hidden: bool = False
    """True if rows may be hidden from this user."""
    server: tuple[Fact, ...] = ()
    """The server that says so."""


class TableFacts(NamedTuple):
    """Read when a target is opened: each fact that is asked for later would be one more statement per target."""

    primary: tuple[str, ...] = ()
    """The columns of the primary key; empty without one."""
    unique: Sequence[UniqueColumn] = ()
    """The columns of each unique index, in the order of the indexes."""
    inherited: bool = False
    """True if other tables are read with this one, so that a key which is unique in it may name several rows."""
    kept: Sequence[str] = ()
    """Columns that the database would change by itself on an UPDATE, and that shall stay."""
    triggers: Sequence[str] = ()
    """The triggers and rules that fire on an UPDATE of the column, by kind and name."""
    cautions: Sequence[str] = ()
    """Other places where old tokens may live on, and the reasons why rows may be hidden."""
    indexes: Sequence[str | None] = ()
    """The indexes and unique constraints that use the column; None: one without a name."""
    foreign_keys: Sequence[ForeignKey] = ()
    referrers: Sequence[str] = ()
    """Foreign keys of other tables that refer to the column, as `table.constraint`."""
    estimate: int | None = None
    """The database's own estimate of the number of rows; None or less than 1 if it has none."""
    unidentified: Sequence[str] = ()
    """The statements without which the database refuses every UPDATE, since it could not say which row one was of."""


BLOCK_BITS = 13
"""Blocks of 8192 consecutive keys belong to one shard."""


@dataclass(frozen=True)
class Shard:
    """Shard *index*, from 0, of *count* shards."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `0/3`, `1/3` or `2/3`. Raises UsageError."""
        first, _, second = text.partition("/")
        if first.isascii() and first.isdigit() and second.isascii() and second.isdigit():
            index, count = int(first), int(second)
            if index < count <= 10_000:
                return cls(index, count)
        raise UsageError(f"--shard {text}: expected I/N with I from 0 to N - 1, such as 0/3, 1/3 and 2/3")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def block_behind(self, key: int) -> tuple[int, int]:
        """The next keys of this shard after *key* in one block, as bounds: after the first number, up to the second."""
        block = (key + 1) >> BLOCK_BITS
        ahead = (self.index - block) % self.count
        first = (block + ahead) << BLOCK_BITS
        return max(key, first - 1), first + (1 << BLOCK_BITS) - 1
