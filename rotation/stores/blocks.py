"""Blocks from driver to driver: cells of one length travel on end, and the server finds each by its position.

A swap sends the old and the new cells as one value each. The server takes both from the same place in them, and
compares the old one with the cell byte for byte. So a cell either gets the content that was made of its own, or, if a
place were wrong, nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.bulk import is_token_size, pick
from rotation.model.batch import Batch, Block, BlockSwap, Swaps, are_all, gapless, weight_of
from rotation.stores.columns import TargetCells

T = TypeVar("T")
Swapped = tuple[Sequence[int | None], int | None]
"""The number of cells that each of some swaps has swapped, None if it cannot be done by position; and the number of
their transaction, where the database has such numbers."""

LEAST_ROWS = 32
"""Fewer cells of one length are cheaper row by row."""
MOST_GAPS = 2
"""The most slots for each cell in a swap on a grid."""


class BlockAccess(Protocol):
    """Reads and swaps of one target in blocks."""

    is_bare: bool
    """True if it begins and ends the transactions of its swaps itself."""
    has_pages: bool
    """True if it reads a table page by page, too."""

    def __init__(self, cells: TargetCells) -> None:
        """For cells that it `serves`."""

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""

    def read(self, connection: sa.Connection, query: sa.Select[Any], largest: int) -> Batch | None:
        """The rows of *query*, of the key and the cell in the order of the keys.

        Cells of more than *largest* bytes are read by themselves. None: the rows do not fit into blocks, or are not
        worth it; read them one by one.
        """

    def swap(self, connection: sa.Connection, transactions: Sequence[Sequence[BlockSwap]]) -> list[Swapped]:
        """Swaps each cell that still holds what was read, all of some swaps in one transaction.

        Unless it begins these itself, it is given one.
        """

    def count_pages(self, connection: sa.Connection) -> int | None:
        """The number of the table's pages, if it `has_pages`; None if the table is not one run of pages."""

    def read_pages(self, connection: sa.Connection, start: int, end: int, largest: int) -> Batch | None:
        """The cells of the pages from *start* on and before *end* in blocks, whose keys are places and name no row.

        That is faster than the order of the keys. A row that is written meanwhile moves to another page, so that
        nothing may be concluded unless it is known what others write, and this run itself writes nothing.

        None: some cell has no length of a token, or more than *largest* bytes. Read them by their keys.
        """


@contextmanager
def drivers_errors(used: sa.Connection | sa.Engine) -> Iterator[None]:
    """Raises what the driver itself raises as the DBAPIError that SQLAlchemy would make of it."""
    driver: Any = used.dialect.loaded_dbapi
    connection = used if isinstance(used, sa.Connection) else None
    try:
        yield
        return
    except driver.Error as error:
        raw = connection.connection.driver_connection if connection else None
        lost = used.dialect.is_disconnect(error, raw, None)
        failure = sa.exc.DBAPIError.instance(
            None, None, error, driver.Error, hide_parameters=True, connection_invalidated=lost
        )
    if lost and connection:
        connection.invalidate()
    raise failure


def fetch_all(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[tuple[Any, ...]]:
    """All rows of *query* as the driver hands them out. Raises DBAPIError, also for what fails on the way."""
    result = connection.execute(query)
    try:
        # SQLite reads while it is fetched from.
        with drivers_errors(connection):
            rows: Sequence[tuple[Any, ...]] = result.cursor.fetchall()
        return rows
    finally:
        result.close()


def in_blocks(batch: Batch) -> Batch:
    """The rows of *batch* in a block for each length that a token may have, if they are LEAST_ROWS or more.

    For databases that hand out rows. The keys have one column.
    """
    keys, cells, *_ = batch
    numbers = [key for (key,) in keys]
    # An array holds numbers of 64 bits with a sign.
    if len(keys) < LEAST_ROWS or batch.oversized or not are_all(numbers, int) or numbers[-1] >= 2**63:
        return batch
    sizes = [len(cell) if isinstance(cell, str) and cell.isascii() else 0 for cell in cells]
    texts = cast(Sequence[str], cells)
    blocks, rest = [], list(range(len(keys)))
    for size in filter(is_token_size, set(sizes)):
        places = [place for place, each in enumerate(sizes) if each == size]
        if len(places) >= LEAST_ROWS:
            chosen = gapless(array("q", pick(numbers, places)))
            blocks.append(Block(chosen, "".join(pick(texts, places)).encode("ascii"), size))
            rest = [place for place in rest if sizes[place] != size]
    return Batch(pick(keys, rest), pick(cells, rest), blocks, end=keys[-1]) if blocks else batch


def as_block(count: int, first: Any, last: Any, size: int | None, cells: str | bytes | None) -> Batch | None:
    """*count* rows as one block: their first and last key, the size of the largest cell, and those that fit on end.

    None unless the keys are numbers without gaps and each cell is as long as the largest.
    """
    if count == 0:
        return Batch((), ())
    if count < LEAST_ROWS or not are_all([first, last], int) or last - first + 1 != count or last >= 2**63:
        return None
    if size is None or cells is None or not is_token_size(size) or len(cells) != size * count or not cells.isascii():
        return None
    data = cells if isinstance(cells, bytes) else cells.encode("ascii")
    return Batch((), (), [Block(range(first, last + 1), data, size, isinstance(cells, bytes))], end=(last,))


def grouped(swaps: Sequence[BlockSwap], most: int, most_rows: int) -> Iterator[list[BlockSwap]]:
    """*swaps* in groups of at most *most* bytes, old and new cells together, and of at most *most_rows*."""
    parts = (part for swap in swaps for part in _divided(swap, max(1, min(most_rows, most // (2 * swap.block.size)))))
    return _packed(parts, (_weight, most), (len, most_rows))


def bundled(groups: Iterable[list[BlockSwap]], most: int) -> Iterator[list[list[BlockSwap]]]:
    """*groups* that travel together: at most *most* bytes, old and new cells, unless one group alone is heavier."""
    return _packed(groups, (lambda group: sum(map(_weight, group)), most))


def _divided(swap: BlockSwap, rows: int) -> Iterator[BlockSwap]:
    if rows >= len(swap):
        yield swap
        return
    for start in range(0, len(swap), rows):
        yield swap.part(start, min(start + rows, len(swap)))


def _weight(swap: BlockSwap) -> int:
    return 2 * len(swap.block.cells)


def _packed(items: Iterable[T], *bounds: tuple[Callable[[T], int], int]) -> Iterator[list[T]]:
    """*items* in lists whose sums of each measure are within its bound, unless one item alone is not."""
    pack, held = list[T](), [0] * len(bounds)
    for item in items:
        own = [measure(item) for measure, _ in bounds]
        held = [sum(pair) for pair in zip(held, own, strict=True)]
        if pack and any(size > most for size, (_, most) in zip(held, bounds, strict=True)):
            yield pack
            pack, held = [], own
        pack.append(item)
    if pack:
        yield pack


def parted(swaps: Swaps, most: int, most_rows: int) -> Iterator[Swaps]:
    """*swaps* in parts of at most *most_rows*, and of at most *most* bytes, unless one swap alone is heavier."""
    if weight_of(swaps.old) + weight_of(swaps.new) <= most and len(swaps) <= most_rows:
        yield swaps
        return
    start = weight = 0
    for number, (_, old, new) in enumerate(swaps.rows()):
        own = len(old) + len(new)
        if number - start == most_rows or (number > start and weight + own > most):
            yield swaps.part(start, number)
            start, weight = number, 0
        weight += own
    yield swaps.part(start)


def on_a_grid(swap: BlockSwap) -> dict[str, Any] | None:
    """The first and the last key, and the old and new cells, with a place for every number between; NULs in the gaps.

    None if there are too many gaps.
    """
    block, size = swap.block, swap.block.size
    first, last = block.keys[0], block.keys[-1]
    found = {"first": first, "last": last, "old": block.cells, "new": swap.new, "size": size}
    if isinstance(block.keys, range):
        return found
    places = last - first + 1
    if places > MOST_GAPS * len(block):
        return None
    old, new = bytearray(places * size), bytearray(places * size)
    for at, key in enumerate(block.keys):
        here, there = at * size, (key - first) * size
        old[there : there + size] = block.cells[here : here + size]
        new[there : there + size] = swap.new[here : here + size]
    return found | {"old": bytes(old), "new": bytes(new)}


class GridBlocks(BlockAccess):
    """A batch as one block, if its keys are numbers without gaps and its cells of one length; swaps on a grid of keys.

    For databases whose statements stand in a transaction that is begun and ended around them.
    """

    is_bare = has_pages = False

    def __init__(self, swap: str) -> None:
        """*swap*: the statement, with the parameters first, last, old, new and size in the driver's words."""
        self._swap = swap
        self._left_out = self._to_leave_out = 0
        """The reads that were left out since the last failure, of how many."""

    def aggregate(
        self, key: ColumnElement[Any], cell: ColumnElement[Any], largest: int
    ) -> tuple[ColumnElement[int], ColumnElement[Any]]:
        """The size of each *cell* in bytes, and those on end that this database can hand out so.

        These have at most *largest* bytes. If one is left out, the text is too short, and that is noticed.
        """
        raise NotImplementedError

    def read(self, connection: sa.Connection, query: sa.Select[Any], largest: int) -> Batch | None:
        """All of them as one block. After each failure it is left out twice as many times as before."""
        if self._left_out < self._to_leave_out:
            self._left_out += 1
            return None
        key, cell = query.subquery().c
        size, whole = self.aggregate(key, cell, largest)
        columns = (sa.func.count(), sa.func.min(key), sa.func.max(key), sa.func.max(size))
        found = as_block(*connection.execute(sa.select(*columns, whole)).one())
        self._left_out, self._to_leave_out = 0, 0 if found is not None else min(2 * self._to_leave_out + 1, 63)
        return found

    def swap(self, connection: sa.Connection, transactions: Sequence[Sequence[BlockSwap]]) -> list[Swapped]:
        """On a grid of keys."""
        values = [[on_a_grid(swap) for swap in swaps] for swaps in transactions]
        counts = iter(self._execute(connection, [each for each in chain.from_iterable(values) if each]))
        return [([next(counts) if each else None for each in those], None) for those in values]

    def _execute(self, connection: sa.Connection, values: Sequence[Mapping[str, Any]]) -> list[int]:
        """The number of cells that the statement swaps with each of *values*."""
        return [connection.exec_driver_sql(self._swap, each).rowcount for each in values]
