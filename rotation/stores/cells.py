"""Tables and columns as a search has them, and how the cells of a row are fetched.

Nothing is fetched of a cell without a mark, and a large cell is fetched by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import LENGTH
from rotation.planning.inner_tokens import SHORTEST
from rotation.stores.columns import free_column

LARGE_CELL = 64 * 1024
"""Bytes; a larger cell is fetched by itself, so that a batch of rows has a bounded size."""
TOO_LARGE = "-"
"""Stands for a cell that was too large to be searched."""
INDEX_SIZES = tuple(LENGTH * width for width in (1, 2, 4))
"""Bytes of a blind index, in each width of characters."""

LARGE = ""
"""Stands for a large cell that holds a mark. It and TOO_LARGE are shorter than any fetched cell."""

Rows = Sequence[Sequence[Any]]


class Reads(Protocol):
    """Reads rows: in short reads, or all of them in one transaction."""

    def read(self, query: sa.Executable) -> Rows:
        """All rows of *query*."""

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Rows]:
        """The rows of *query*, *rows* at a time."""


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
    size: int = 0
    """About how many bytes it has, with its large cells; 0 if the catalog does not say."""
    rows: int | None = None
    """About how many rows it has; None if the catalog does not say."""

    @property
    def name(self) -> str:
        """As a target names it."""
        return self.table if self.plain else f"{self.schema}.{self.table}"


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
        schema = self.entry.schema
        return {self.entry.name, *([f"{schema}.{self.entry.table}"] if schema else [])}


class CellSyntax:
    """The expressions with which a database searches a cell."""

    piece: ClassVar[int | None] = 4 * 1024 * 1024
    """The part of a large cell that is read at once, in bytes or letters; None: all of it."""

    def haystack(self, column: sa.ColumnClause[Any], kind: SearchedColumn) -> ColumnElement[Any]:
        """The cell as text or bytes."""
        raise NotImplementedError

    def is_marked(
        self, haystack: ColumnElement[Any], kind: SearchedColumn, marks: Collection[bytes]
    ) -> ColumnElement[bool]:
        """True for a cell that holds one of *marks*."""
        raise NotImplementedError

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """The size of the cell in bytes, without reading all of it if the database can do that."""
        del column
        return sa.func.octet_length(haystack)


class CellReader:
    """Fetches the columns *kinds* of one table; a cell of more than *most* bytes is not searched.

    *of_indexes*: the marks of blind indexes, which are shorter than tokens; none, and no index is looked for.
    """

    def __init__(
        self,
        syntax: CellSyntax,
        kinds: Sequence[SearchedColumn],
        marks: Collection[bytes],
        most: int,
        of_indexes: Collection[bytes] = (),
    ) -> None:
        self._syntax, self._kinds, self._marks, self._most = syntax, kinds, marks, most
        self._of_indexes = of_indexes
        self.columns = [self._piece(kind, LARGE_CELL) for kind in kinds]
        """Each cell that holds a mark. A large one is LARGE, and has to be read by itself."""

    # Methods, since a table may be wide and few need them.

    def whole(self) -> list[ColumnElement[Any]]:
        """As `columns`, with a large cell as it is."""
        return [self._piece(kind, self._most) for kind in self._kinds]

    def has_large(self) -> ColumnElement[bool]:
        """True for a row with a large cell."""
        return any_of(sa.func.coalesce(self._length(kind), 0) > LARGE_CELL for kind in self._kinds)

    def fill(
        self, reads: Reads, table: sa.FromClause, found_by: Sequence[ColumnElement[bool]], cells: Sequence[Any]
    ) -> list[Any]:
        """*cells* of the row *found_by* these conditions, with the large ones; TOO_LARGE for one that has grown."""
        query = sa.select().select_from(table).where(*found_by)
        filled = list(cells)
        for place, kind in enumerate(self._kinds):
            if has_large([cells[place]]):
                pieces = list(self._pieces(reads, query, kind))
                # Without a piece the row is gone.
                whole = type(pieces[0])().join(pieces) if pieces else None
                filled[place] = TOO_LARGE if sum(map(len, pieces)) > self._most else whole
        return filled

    def _pieces(self, reads: Reads, query: sa.Select[Any], kind: SearchedColumn) -> Iterator[Any]:
        haystack, size, read = self._haystack(kind), self._syntax.piece, 0
        while True:
            piece = haystack if size is None else sa.func.substr(haystack, read + 1, size)
            found = reads.read(query.add_columns(piece))
            if not found or found[0][0] is None:
                return
            text = found[0][0] if isinstance(found[0][0], str) else bytes(found[0][0])
            yield text
            read += len(text)
            if size is None or len(text) < size or read > self._most:
                return

    def _piece(self, kind: SearchedColumn, whole: int) -> ColumnElement[Any]:
        haystack, length = self._haystack(kind), self._length(kind)
        indexes = []
        if self._of_indexes:
            is_index = length.in_(INDEX_SIZES) & self._syntax.is_marked(haystack, kind, self._of_indexes)
            indexes = [(is_index, haystack)]
        return sa.case(
            *indexes,
            (length < SHORTEST, None),
            (length > self._most, _constant(TOO_LARGE, kind)),
            (sa.not_(self._syntax.is_marked(haystack, kind, self._marks)), None),
            (length > whole, _constant(LARGE, kind)),
            else_=haystack,
        )

    def _haystack(self, kind: SearchedColumn) -> ColumnElement[Any]:
        return self._syntax.haystack(free_column(kind.name), kind)

    def _length(self, kind: SearchedColumn) -> ColumnElement[int]:
        return self._syntax.length(free_column(kind.name), self._haystack(kind))


def has_large(cells: Sequence[Any]) -> bool:
    """True if one of *cells* has to be read by itself."""
    return LARGE in cells or LARGE.encode() in cells


def any_of(conditions: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """True if one of *conditions* holds."""
    return sa.or_(sa.false(), *conditions)


def _constant(mark: str, kind: SearchedColumn) -> ColumnElement[Any]:
    return sa.literal(mark.encode(), sa.LargeBinary) if kind.is_bytes else sa.literal(mark, sa.Text)
