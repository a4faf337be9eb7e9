"""How the cells of a row are asked for: nothing of a cell without a mark, and a large one by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.catalogs import Catalog, Column, any_of
from rotation.discovery.reads import Cells, Reads
from rotation.discovery.table_readers import TableReader
from rotation.model.inner_tokens import SHORTEST
from rotation.stores.columns import free_column

CUT = 64 * 1024
"""A larger cell is read by itself, so that a batch of rows has a bounded size."""

LARGE, TOO_LARGE = "", "-"
"""What stands for a large cell that holds a mark, and for one that was not looked at. No cell that is fetched is so
short."""


class CellReader:
    """What is fetched of the columns *kinds* of one table; a cell of more than *most* bytes is not looked at."""

    def __init__(self, catalog: Catalog, kinds: Sequence[Column], marks: Collection[bytes], most: int) -> None:
        self._catalog, self._kinds, self._marks, self._most = catalog, kinds, marks, most
        self.cells = Cells(
            [self._piece(kind, CUT) for kind in kinds],
            lambda: [self._piece(kind, most) for kind in kinds],
            lambda: any_of(sa.func.coalesce(self._length(kind), 0) > CUT for kind in kinds),
        )

    def fill(self, reader: Reads, table: sa.FromClause, walk: TableReader, row: Sequence[Any]) -> list[Any]:
        """The cells of a *row* of *walk*, with the large ones; TOO_LARGE for one that grew too large meanwhile."""
        width = len(self._kinds)
        return [
            self._large(reader, table, kind, walk.at(row[width:])) if _is(cell, LARGE) else cell
            for kind, cell in zip(self._kinds, row[:width], strict=True)
        ]

    def _large(
        self, reader: Reads, table: sa.FromClause, kind: Column, row: Sequence[ColumnElement[bool]]
    ) -> str | bytes | None:
        """The cell piece by piece; None where the row is gone."""
        pieces = list(self._pieces(reader, table, kind, row))
        if sum(map(len, pieces)) > self._most:
            return TOO_LARGE
        return type(pieces[0])().join(pieces) if pieces else None

    def _pieces(
        self, reader: Reads, table: sa.FromClause, kind: Column, row: Sequence[ColumnElement[bool]]
    ) -> Iterator[Any]:
        haystack, size, read = self._haystack(kind), self._catalog.piece, 0
        while True:
            piece = haystack if size is None else sa.func.substr(haystack, read + 1, size)
            found = reader.read(sa.select(piece).select_from(table).where(*row))
            if not found or found[0][0] is None:
                return
            text = found[0][0] if isinstance(found[0][0], str) else bytes(found[0][0])
            yield text
            read += len(text)
            if size is None or len(text) < size or read > self._most:
                return

    def _piece(self, kind: Column, whole: int) -> ColumnElement[Any]:
        haystack, length = self._haystack(kind), self._length(kind)
        stands = {mark: _constant(mark, kind) for mark in (LARGE, TOO_LARGE)}
        return sa.case(
            (length < SHORTEST, None),
            (length > self._most, stands[TOO_LARGE]),
            (sa.not_(self._catalog.is_marked(haystack, kind, self._marks)), None),
            (length > whole, stands[LARGE]),
            else_=haystack,
        )

    def _haystack(self, kind: Column) -> ColumnElement[Any]:
        return self._catalog.haystack(free_column(kind.name), kind)

    def _length(self, kind: Column) -> ColumnElement[int]:
        return self._catalog.length(free_column(kind.name), self._haystack(kind))


def is_too_large(cell: object) -> bool:
    """Whether *cell* stands for one that was not looked at."""
    return _is(cell, TOO_LARGE)


def _is(cell: object, mark: str) -> bool:
    return cell in {mark, mark.encode()}


def _constant(mark: str, kind: Column) -> ColumnElement[Any]:
    return sa.literal(mark.encode(), sa.LargeBinary) if kind.is_bytes else sa.literal(mark, sa.Text)
