"""Tables and columns as a search has them, and how the cells of a row are fetched.

Nothing is fetched of a cell without a mark, and a large cell is fetched by itself. The conditions are text: a search
asks thousands of tables the same, and an expression of SQLAlchemy would be compiled for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import LENGTH
from rotation.planning.inner_tokens import SHORTEST, Spelled

LARGE_CELL = 64 * 1024
"""Bytes; a larger cell is fetched by itself, so that a batch of rows has a bounded size."""
TOO_LARGE = "-"
"""Stands for a cell that was too large to be searched."""
INDEX_SIZES = tuple(LENGTH * width for width in (1, 2, 4))
"""Bytes of a blind index, in each width of characters."""
LEVELS = 98, 146, 196, 262
"""Bytes. Each is asked of a cell by itself, so that there are fewer of them than sizes of forms; measured on SQLite."""
LEAST = min(SHORTEST, *INDEX_SIZES)
"""Bytes of the smallest cell that is searched. A column without room for it is not read."""

LARGE = ""
"""Stands for a large cell that holds a mark. It and TOO_LARGE are shorter than any fetched cell."""

Rows = Sequence[Sequence[Any]]
T = TypeVar("T")


class Reads(Protocol):
    """Reads rows: in short reads, or all of them in one transaction."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """The rows of *query*, *rows* at a time."""

    def ask(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*, which asks the catalog."""


class TableEntry(NamedTuple):
    """A table by its names, as the catalog has it."""

    schema: str | None
    table: str
    plain: bool
    """True if its name alone finds it."""
    parents: tuple[tuple[str, str], ...] = ()
    """Tables that are read with this one: schema and name."""
    is_partition: bool = False
    readable: bool = True
    """True if this user may read any column of it."""
    by_columns: bool = False
    """True if this user may read some columns only, and none of the system's columns."""
    has_history: bool = False
    """True if it keeps the rows of the past."""
    caution: str | None = None
    """The reason why rows of it may be missed while others write."""
    hidden: str | None = None
    """The reason why rows may be hidden from this user."""
    has_parts: bool = False
    """True if others may be read with it."""
    size: int = 0
    """About how many bytes it has, with its large cells; 0 if the catalog does not say."""
    rows: int | None = None
    """About how many rows it has; None if the catalog does not say."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.table if self.plain else f"{self.schema}.{self.table}"

    @property
    def names(self) -> set[str]:
        """All names by which a target finds it."""
        return {self.name, *([f"{self.schema}.{self.table}"] if self.schema else [])}


class SearchedColumn(NamedTuple):
    """A column, and how it is searched."""

    name: str
    searched: bool = True
    """True if its type can hold a token."""
    is_bytes: bool = False
    """True if it is searched, and fetched, as bytes."""
    readable: bool = True
    unsearched: str | None = None
    """Its type, if that can hold a token and is not searched."""
    is_text: bool = False
    """True if its type is a text, even if `is_bytes`: then the database has to be asked for its bytes."""


@dataclass(frozen=True)
class SearchableTable:
    """A table, and its columns that may hold a token."""

    entry: TableEntry
    columns: tuple[SearchedColumn, ...]
    caution: str | None = None
    """The reason why rows of it may be hidden."""
    fault: str | None = None
    """The reason why it cannot be searched."""
    denied: str | None = None
    """The columns that this user may not read, and the remedy."""
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
        return self.entry.names


class CellSyntax:
    """The SQL with which a database searches a cell."""

    piece: ClassVar[int | None] = 4 * 1024 * 1024
    """The part of a large cell that is read at once, in bytes or letters; None: all of it."""

    def quote(self, name: str) -> str:
        """*name* as an identifier. Not SQLAlchemy's own, which doubles a percent sign, as literal SQL does again."""
        return '"' + name.replace('"', '""') + '"'

    def table(self, entry: TableEntry) -> str:
        """The rows of a table, and of those that are read with it."""
        return ".".join(self.quote(name) for name in (entry.schema, entry.table) if name is not None)

    def cell(self, kind: SearchedColumn) -> str:
        """The cell as text or bytes."""
        raise NotImplementedError

    def size(self, kind: SearchedColumn) -> str:
        """The bytes of the cell, without reading all of it if the database can do that."""
        return f"octet_length({self.cell(kind)})"

    def holds(self, kind: SearchedColumn, mark: bytes) -> str:
        """True for a cell that holds *mark*."""
        raise NotImplementedError

    def constant(self, kind: SearchedColumn, value: bytes) -> str:
        """*value* as such a cell."""
        raise NotImplementedError

    def is_marked(self, kind: SearchedColumn, forms: Sequence[Spelled]) -> str:
        """True for a cell that holds a mark of one of *forms*, and room for a token in it."""
        return in_any_form(forms, self.size(kind), lambda mark: self.holds(kind, mark))


def in_any_form(forms: Sequence[Spelled], size: str, holds: Callable[[bytes], str]) -> str:
    """The SQL that is true for a cell of *size* that *holds* a mark of one of *forms*.

    Most cells are too small for most forms, and have none of their pieces.
    """
    found: str | None = None
    by_level = groupby(sorted(forms, key=_level), _level)
    for least, those in reversed([(least, list(those)) for least, those in by_level]):
        parts = [_in_form(form, holds) for form in those]
        found = f"({size} >= {least} AND ({any_of([*parts, *([found] if found else [])])}))"
    return found or any_of(())


def _level(form: Spelled) -> int:
    """The size from which on *form* is looked for: one of LEVELS, or less."""
    return max((level for level in LEVELS if level <= form.least), default=form.least)


def _in_form(form: Spelled, holds: Callable[[bytes], str]) -> str:
    marks = any_of(holds(mark) for mark in form.marks)
    return marks if form.marks == (form.piece,) else f"({holds(form.piece)} AND ({marks}))"


class CellConditions:
    """The SQL for cells of one search, made once for each kind of column: *most* bytes of a cell are searched."""

    def __init__(
        self, syntax: CellSyntax, forms: Sequence[Spelled], most: int, of_indexes: Sequence[Spelled] = ()
    ) -> None:
        """*of_indexes*: the forms of blind indexes, which are smaller than tokens; none: they are not looked for."""
        self.syntax, self.forms, self.most, self.of_indexes = syntax, forms, most, of_indexes
        self._of_kind = cache(self._made)

    def is_wanted(self, kind: SearchedColumn) -> str:
        """True for a cell that holds a mark, or that is too large to be searched."""
        return self._named(kind)[0]

    def fetched(self, kind: SearchedColumn) -> str:
        """The cell if it holds a mark. A large one is LARGE, and has to be read by itself."""
        return self._named(kind)[1]

    def whole(self, kind: SearchedColumn) -> str:
        """As `fetched`, with a large cell as it is."""
        return self._named(kind)[2]

    def is_large(self, kind: SearchedColumn) -> str:
        """True for a large cell."""
        return f"COALESCE({self.syntax.size(kind)}, 0) > {LARGE_CELL}"

    def _named(self, kind: SearchedColumn) -> Sequence[str]:
        quoted = self.syntax.quote(kind.name)
        return [
            made.replace(self.syntax.quote(ANY_NAME), quoted) for made in self._of_kind(kind._replace(name=ANY_NAME))
        ]

    def _made(self, kind: SearchedColumn) -> Sequence[str]:
        syntax, size = self.syntax, self.syntax.size(kind)
        marked, least = syntax.is_marked(kind, self.forms), SHORTEST
        if self.of_indexes:
            is_index = any_of(syntax.holds(kind, form.piece) for form in self.of_indexes)
            marked = f"(({size} IN ({', '.join(map(str, INDEX_SIZES))}) AND ({is_index})) OR {marked})"
            least = LEAST
        large, too_large = (syntax.constant(kind, each.encode()) for each in (LARGE, TOO_LARGE))
        fetched = [
            f"CASE WHEN {size} > {self.most} THEN {too_large} WHEN NOT {marked} THEN NULL "
            f"WHEN {size} > {whole} THEN {large} ELSE {syntax.cell(kind)} END"
            for whole in (LARGE_CELL, self.most)
        ]
        # Most cells are too small for anything, so that nothing else is asked of them.
        return f"({size} >= {least} AND ({size} > {self.most} OR {marked}))", *fetched


ANY_NAME = "any column"
"""Stands for the name of a column in SQL that is made once for all columns of a kind."""


class CellReader:
    """Fetches the columns *kinds* of one table."""

    def __init__(self, conditions: CellConditions, kinds: Sequence[SearchedColumn]) -> None:
        self.conditions, self.kinds = conditions, kinds

    # Methods, since a table may be wide and few need them.

    def columns(self) -> list[ColumnElement[Any]]:
        """Each cell that holds a mark. A large one is LARGE, and has to be read by itself."""
        return [sa.literal_column(self.conditions.fetched(kind)) for kind in self.kinds]

    def whole(self) -> list[ColumnElement[Any]]:
        """As `columns`, with a large cell as it is."""
        return [sa.literal_column(self.conditions.whole(kind)) for kind in self.kinds]

    def is_wanted(self) -> ColumnElement[bool]:
        """True for a row with a cell that is wanted."""
        return condition(map(self.conditions.is_wanted, self.kinds))

    def has_large(self) -> ColumnElement[bool]:
        """True for a row with a large cell."""
        return condition(map(self.conditions.is_large, self.kinds))

    def fill(
        self, reads: Reads, table: sa.FromClause, found_by: Sequence[ColumnElement[bool]], cells: Sequence[Any]
    ) -> list[Any]:
        """*cells* of the row *found_by* these conditions, with the large ones; TOO_LARGE for one that has grown."""
        query = sa.select().select_from(table).where(*found_by)
        filled = list(cells)
        for place, kind in enumerate(self.kinds):
            if has_large([cells[place]]):
                pieces = list(self._pieces(reads, query, kind))
                # Without a piece the row is gone.
                whole = type(pieces[0])().join(pieces) if pieces else None
                filled[place] = TOO_LARGE if sum(map(len, pieces)) > self.conditions.most else whole
        return filled

    def _pieces(self, reads: Reads, query: sa.Select[Any], kind: SearchedColumn) -> Iterator[Any]:
        syntax = self.conditions.syntax
        cell, size, read = syntax.cell(kind), syntax.piece, 0
        while True:
            piece = cell if size is None else f"substr({cell}, {read + 1}, {size})"
            found = reads.read(query.add_columns(sa.literal_column(piece)))
            if not found or found[0][0] is None:
                return
            text = found[0][0] if isinstance(found[0][0], str) else bytes(found[0][0])
            yield text
            read += len(text)
            if size is None or len(text) < size or read > self.conditions.most:
                return


def has_large(cells: Sequence[Any]) -> bool:
    """True if one of *cells* has to be read by itself."""
    return LARGE in cells or LARGE.encode() in cells


def condition(parts: Iterable[str]) -> ColumnElement[bool]:
    """The condition that one of *parts* is true."""
    # Of no type: a database without booleans would get `= 1` behind it, and SQLite then computes all of it as a value.
    return sa.literal_column(any_of(parts))


def any_of(conditions: Iterable[str]) -> str:
    """The SQL that is true if one of *conditions* is; nested, since SQLite bounds how deep an expression may be."""
    parts = list(conditions)
    while len(parts) > WIDE:
        parts = [f"({' OR '.join(parts[start : start + WIDE])})" for start in range(0, len(parts), WIDE)]
    return f"({' OR '.join(parts)})" if parts else "(1 = 0)"


WIDE = 50
"""Conditions that stand beside each other."""
