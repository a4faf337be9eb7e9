"""How the cells of a row are fetched: nothing of a cell without a mark, and a large one by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import LENGTH
from rotation.discovery.reads import Reads
from rotation.discovery.tables import Column
from rotation.discovery.token_column import TOO_LARGE
from rotation.planning.inner_tokens import SHORTEST
from rotation.stores.columns import free_column
from rotation.stores.reader import LARGE_CELL

INDEX_SIZES = tuple(LENGTH * width for width in (1, 2, 4))
"""Bytes of a blind index, in each width of characters."""

LARGE = ""
"""What stands for a large cell that holds a mark. No cell that is fetched is as short, or as short as TOO_LARGE."""


class CellSyntax:
    """How a kind of database searches a cell."""

    piece: ClassVar[int | None] = 4 * 1024 * 1024
    """How much of a large cell is read at once, in bytes or letters; None: all of it."""

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """The cell as text or bytes."""
        raise NotImplementedError

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """Whether it holds one of *marks*."""
        raise NotImplementedError

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """How long the cell is in bytes, without reading all of it if the database can do that."""
        del column
        return sa.func.octet_length(haystack)


class CellReader:
    """What is fetched of the columns *kinds* of one table; a cell of more than *most* bytes is not searched.

    *of_indexes*: the marks of blind indexes, which are shorter than tokens; none, and no index is looked for.
    """

    def __init__(
        self,
        syntax: CellSyntax,
        kinds: Sequence[Column],
        marks: Collection[bytes],
        most: int,
        of_indexes: Collection[bytes] = (),
    ) -> None:
        self._syntax, self._kinds, self._marks, self._most = syntax, kinds, marks, most
        self._of_indexes = of_indexes
        self.columns = [self._piece(kind, LARGE_CELL) for kind in kinds]
        """Of each cell what holds a mark. A large one is LARGE, and has to be read by itself."""

    # Methods, since a table may be wide and few need them.

    def whole(self) -> list[ColumnElement[Any]]:
        """As `columns`, with a large cell as it is."""
        return [self._piece(kind, self._most) for kind in self._kinds]

    def has_large(self) -> ColumnElement[bool]:
        """Whether a row has a large cell."""
        return any_of(sa.func.coalesce(self._length(kind), 0) > LARGE_CELL for kind in self._kinds)

    def fill(
        self, reads: Reads, table: sa.FromClause, found_by: Sequence[ColumnElement[bool]], cells: Sequence[Any]
    ) -> list[Any]:
        """*cells* of the row *found_by* these conditions, with the large ones; TOO_LARGE for one that has grown."""
        query = sa.select().select_from(table).where(*found_by)
        return [
            self._large(reads, query, kind) if has_large([cell]) else cell
            for kind, cell in zip(self._kinds, cells, strict=True)
        ]

    def _large(self, reads: Reads, query: sa.Select[Any], kind: Column) -> str | bytes | None:
        """The cell piece by piece; None if the row is gone."""
        pieces = list(self._pieces(reads, query, kind))
        if sum(map(len, pieces)) > self._most:
            return TOO_LARGE
        return type(pieces[0])().join(pieces) if pieces else None

    def _pieces(self, reads: Reads, query: sa.Select[Any], kind: Column) -> Iterator[Any]:
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

    def _piece(self, kind: Column, whole: int) -> ColumnElement[Any]:
        haystack, length = self._haystack(kind), self._length(kind)
        if self._of_indexes:
            is_index = length.in_(INDEX_SIZES) & self._syntax.is_marked(haystack, kind, self._of_indexes)
            indexes = [(is_index, haystack)]
        else:
            indexes = []
        return sa.case(
            *indexes,
            (length < SHORTEST, None),
            (length > self._most, _constant(TOO_LARGE, kind)),
            (sa.not_(self._syntax.is_marked(haystack, kind, self._marks)), None),
            (length > whole, _constant(LARGE, kind)),
            else_=haystack,
        )

    def _haystack(self, kind: Column) -> ColumnElement[Any]:
        return self._syntax.haystack(free_column(kind.name), kind)

    def _length(self, kind: Column) -> ColumnElement[int]:
        return self._syntax.length(free_column(kind.name), self._haystack(kind))


def has_large(cells: Sequence[Any]) -> bool:
    """Whether one of *cells* has to be read by itself."""
    return LARGE in cells or LARGE.encode() in cells


def any_of(conditions: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether one of *conditions* holds."""
    return sa.or_(sa.false(), *conditions)


def _constant(mark: str, kind: Column) -> ColumnElement[Any]:
    return sa.literal(mark.encode(), sa.LargeBinary) if kind.is_bytes else sa.literal(mark, sa.Text)
