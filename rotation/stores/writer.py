"""Writes to a target: each cell by compare-and-swap; if one row is refused, all the others are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import BlockSwap, Swaps, are_all, are_ascii, weight_of
from rotation.model.counts import RowKey
from rotation.stores.access import Access, RowRefusedError
from rotation.stores.columns import AsRead
from rotation.stores.dialect import BatchSwap, Mode
from rotation.stores.open_table import BATCH_BYTES, OpenTable
from rotation.stores.row_keys import same_key

LOOK_ROWS = 200
"""Rows that one query looks up by their keys; SQLite bounds the depth of a condition."""


@dataclass
class Written:
    """The outcome of a batch of changes: each of them is done, except the ones that are named here."""

    lost: set[RowKey] = field(default_factory=set)
    """Rewritten, re-keyed or deleted between the read and the write: the service's change stays."""
    refused: dict[RowKey, tuple[str, str]] = field(default_factory=dict)
    """Category and reason, for cells that the database would not take."""
    transactions: list[int] = field(default_factory=list)
    """The numbers of the transactions that wrote, if the database has such numbers."""
    others: int | None = None
    """The number of writes of others since the last batch; None if it is not known."""

    def add(self, other: Written) -> None:
        """Adds the outcome of another part of the same batch."""
        self.lost |= other.lost
        self.refused |= other.refused
        self.transactions += other.transactions
        if other.others is not None:
            self.others = (self.others or 0) + other.others

    def failed(self, key: RowKey) -> bool:
        """True if the change of that row was not done."""
        return key in self.lost or key in self.refused


class IndexValue(NamedTuple):
    """The blind index that one row is to have."""

    key: RowKey
    cell: str | bytes | None
    """The target's column as it was read: if a service rewrites it meanwhile, the service's index stays."""
    wanted: str | None


class Writer(OpenTable):
    """Writes the cells of a target."""

    def write(self, swaps: Swaps, blocks: Sequence[BlockSwap] = ()) -> Written:
        """Swaps each cell that still holds what was read; if one row is refused, all the others are written.

        One transaction, if the database takes all of it. Heavy swaps are parted: a transaction is bounded in bytes,
        too.
        """
        written = Written()
        for several in self._parted_blocks(blocks):
            written.add(self._write_blocks(several))
        for part in self._parted(swaps) if swaps else ():
            written.add(self._write(part))
        return written

    def _write_blocks(self, swaps: Sequence[BlockSwap]) -> Written:
        access, begun, failed, hurried = self._blocks, Written(), list(swaps), False
        assert access is not None  # noqa: S101 - for the type checker: nothing is read in blocks otherwise

        def swap_all(connection: sa.Connection) -> tuple[Sequence[int | None], Written]:
            swapped = access.swap(connection, swaps)
            return swapped.cells, self._done_in(connection, swapped.transaction)

        try:
            mode = Mode.BARE if access.is_bare else Mode.WRITE
            cells, begun = self._access.write(swap_all, mode)
            failed = [swap for swap, count in zip(swaps, cells, strict=True) if count != len(swap)]
        except RowRefusedError as error:
            self._access.breathe()
            hurried = error.category == "locked"
        for swap in failed:
            # Their own statements show which of them is at fault.
            begun.add(self._write(swap.as_rows(), hurried=hurried))
        return begun

    def _parted_blocks(self, swaps: Sequence[BlockSwap]) -> Iterator[list[BlockSwap]]:
        """*swaps* in groups of bounded weight."""
        group: list[BlockSwap] = []
        weight = 0
        for swap in swaps:
            rows = max(1, self._most_bytes // (2 * swap.block.size))
            for start in range(0, len(swap), rows):
                part = swap if rows >= len(swap) else swap.part(start, min(start + rows, len(swap)))
                own = 2 * len(part.block.cells)
                if group and weight + own > self._most_bytes:
                    yield group
                    group, weight = [], 0
                group.append(part)
                weight += own
        if group:
            yield group

    def _parted(self, swaps: Swaps) -> Iterator[Swaps]:
        """*swaps* in parts of bounded weight."""
        most = self._most_bytes
        if weight_of(swaps.old) + weight_of(swaps.new) <= most:
            yield swaps
            return
        start = weight = 0
        for number, (_, old, new) in enumerate(swaps.rows()):
            own = len(old) + len(new)
            if number > start and weight + own > most:
                yield swaps.part(start, number)
                start, weight = number, 0
            weight += own
        yield swaps.part(start)

    @property
    def _most_bytes(self) -> int:
        most = (self._largest or BATCH_BYTES * 8) // 2
        # A character of a token is one byte. Others have up to four, each of them sent as two.
        return min(BATCH_BYTES, most if self._cells.of_tokens else most // 4)

    def _write(self, swaps: Swaps, *, hurried: bool = False) -> Written:
        """Swaps cells by the keys of their rows; a row that the database refuses is left out."""
        return write_by_halves(
            self._access,
            range(len(swaps)),
            lambda connection, rows: self._swap(connection, swaps.part(rows.start, rows.stop)),
            lambda row, refusal: Written(refused={swaps.keys[row]: self._in_detail(swaps.new[row], *refusal)}),
            hurried=hurried,
        )

    def _swap(self, connection: sa.Connection, swaps: Swaps) -> Written:
        if len(swaps) == 1 and (words := self._too_large(swaps)):
            raise RowRefusedError("refused", words)
        self._dialect.hurry(connection)
        swapped = self._execute(connection, swaps)
        if swapped == len(swaps) and not self._triggers:
            return self._done_in(connection, self._others.transaction(connection))
        written = self._look_again(connection, swaps)
        written.add(self._done_in(connection, self._others.transaction(connection)))
        if swapped and written.lost and self._triggers:
            # A service or a trigger rewrote a cell: writing the rows one by one shows which.
            raise RowRefusedError("not-written", "a trigger changes what is written, and so it was undone")
        return written

    def _execute(self, connection: sa.Connection, swaps: Swaps) -> int:
        """The number of cells that were swapped."""
        # Around its tokens a cell stays as it was, so that the new ones are ASCII if the old ones are.
        usual = are_all(chain.from_iterable(swaps.keys), int) and (self._cells.of_tokens or are_ascii(swaps.old))
        odd = [] if usual else [row for row in swaps.rows() if self._is_odd(*row)]
        plain = swaps if not odd else _swaps_of(row for row in swaps.rows() if not self._is_odd(*row))
        swapped = 0
        if plain:
            statement, parameters = self._batch_swap.statement, self._batch_swap.parameters(plain)
            if isinstance(statement, str):
                swapped = connection.exec_driver_sql(statement, parameters).rowcount
            else:
                swapped = connection.execute(statement, parameters).rowcount
        for key, old, new in odd:
            sent = [same_key(self._key, self._parts(key))], *map(self._sent, (old, new))
            swapped += connection.execute(self._update(*sent)).rowcount
        return swapped

    @cached_property
    def _batch_swap(self) -> BatchSwap:
        """The statement for a batch: of the dialect, or one for each row."""
        if made := self._dialect.batch_swap(self._cells):
            return made
        keys = [column == sa.bindparam(f"key{number}") for number, column in enumerate(self._key)]
        old, new = (sa.bindparam(name, type_=AsRead()) for name in ("old", "new"))
        return BatchSwap(self._update(keys, old, new), _one_by_one)

    def _update(self, found: Iterable[ColumnElement[bool]], old: Any, new: Any) -> sa.Update:
        """Compare and swap: a cell that a service rewrote meanwhile keeps the service's value."""
        is_unchanged = self._dialect.exactly(self._column, self._cells.kind) == old
        values = {self._column: self._dialect.as_stored(new, self._cells.kind), **self._cells.sets(self._table)}
        return sa.update(self._table).where(*found, is_unchanged).values(values)

    def _look_again(self, connection: sa.Connection, swaps: Swaps) -> Written:
        """Compares *swaps* with the table as it is now: a new token may stem from an earlier try."""
        now: dict[RowKey, Any] = {}
        for start in range(0, len(swaps), LOOK_ROWS):
            here = [same_key(self._key, self._parts(key)) for key in swaps.keys[start : start + LOOK_ROWS]]
            query = sa.select(*self._key, self._cell).where(sa.or_(*here))
            now |= {tuple(key): value for *key, value in connection.execute(query)}
        written = Written()
        for key, old, new in swaps.rows():
            value = now.get(key)
            if _same(value, new):
                continue
            if _same(value, old):
                written.refused[key] = "not-written", "the database took the write and kept the old value (a trigger?)"
            else:
                written.lost.add(key)
        return written

    def _is_odd(self, key: RowKey, *cells: object) -> bool:
        """True if the driver cannot send *key* and *cells* back as they came."""
        return any(self._dialect.sendable(part) is not part for part in (*key, *cells))

    def _sent(self, cell: str | bytes) -> Any:
        value = self._dialect.sendable(cell)
        return sa.literal(value, AsRead()) if value is cell else value

    def _too_large(self, swap: Swaps) -> str | None:
        cells = [*swap.old, *swap.new]
        needed = (weight_of(cells) if self._cells.of_tokens else 2 * sum(map(_bytes_of, cells))) + 1024
        if self._largest is None or needed <= self._largest:
            return None
        return f"a swap of this cell sends {needed:,} bytes, and the database takes {self._largest:,}"

    def _in_detail(self, new: str | bytes, category: str, reason: str) -> tuple[str, str]:
        allowed, size = getattr(self._cells.kind, "length", None), len(new)
        if category == "refused" and allowed and size > allowed:
            reason = f"it needs {size} characters and the column holds {allowed}; {reason}"
        return category, reason

    def _done_in(self, connection: sa.Connection, number: int | None) -> Written:
        """The *number* of the transaction in progress, and the writes of others since the last one."""
        others = self._others.count(connection, number)
        return Written(transactions=[] if number is None else [number], others=others)

    def write_indexes(self, values: Sequence[IndexValue]) -> Written:
        """Sets the blind index of each row whose cell is still the same."""
        if not values:
            return Written()
        return write_by_halves(
            self._access,
            range(len(values)),
            lambda connection, rows: self._set_indexes(connection, values[rows.start : rows.stop]),
            lambda row, refusal: Written(refused={values[row].key: refusal}),
        )

    def _set_indexes(self, connection: sa.Connection, values: Sequence[IndexValue]) -> Written:
        assert self._index is not None  # noqa: S101 - for the type checker: nothing is read beside the cells otherwise
        self._dialect.hurry(connection)
        updates = ((value.key, self._index_update(self._index, value)) for value in values)
        lost = {key for key, update in updates if connection.execute(update).rowcount == 0}
        written = self._done_in(connection, self._others.transaction(connection))
        written.lost |= lost
        return written

    def _index_update(self, index: ColumnElement[Any], value: IndexValue) -> sa.Update:
        """Sets the *index* of one row, if its cell is still the same."""
        is_unchanged: ColumnElement[bool] = self._column.is_(None)
        if value.cell is not None:
            is_unchanged = self._dialect.exactly(self._column, self._cells.kind) == sa.literal(value.cell, AsRead())
        found = same_key(self._key, self._parts(value.key))
        sets = {index: sa.literal(value.wanted, AsRead()), **self._cells.sets(self._table)}
        return sa.update(self._table).where(found, is_unchanged).values(sets)

    def settle(self) -> None:
        """Returns when all that was written is on disk."""
        self._access.write(self._dialect.settle)


def write_by_halves(
    access: Access,
    rows: range,
    act: Callable[[sa.Connection, range], Written],
    refused: Callable[[int, tuple[str, str]], Written],
    *,
    hurried: bool = False,
) -> Written:
    """Writes *rows* by *act* in one transaction or, if one row is at fault, in several: all other rows.

    *refused* makes the outcome for a row that is at fault, of category and reason. If *hurried*, no lock is waited
    for.
    """
    try:
        return access.write(lambda connection: act(connection, rows), Mode.HURRIED if hurried else Mode.WRITE)
    except RowRefusedError as error:
        refusal = error.category, error.reason
    if len(rows) == 1:
        return refused(rows[0], refusal)
    access.breathe()
    # After one wait for a lock, no service must wait again for each half of the batch.
    hurried = hurried or refusal[0] == "locked"
    half = len(rows) // 2
    written = write_by_halves(access, rows[:half], act, refused, hurried=hurried)
    written.add(write_by_halves(access, rows[half:], act, refused, hurried=hurried))
    return written


def _swaps_of(rows: Iterable[tuple[RowKey, str | bytes, str | bytes]]) -> Swaps:
    columns = list(zip(*rows, strict=True))
    return Swaps(*columns) if columns else Swaps()


def _bytes_of(cell: str | bytes) -> int:
    return len(cell if isinstance(cell, bytes) else cell.encode("utf-8", "surrogateescape"))


def _one_by_one(swaps: Swaps) -> list[dict[str, Any]]:
    return [
        {f"key{number}": part for number, part in enumerate(key)} | {"old": old, "new": new}
        for key, old, new in swaps.rows()
    ]


def _same(now: object, then: str | bytes) -> bool:
    # CHAR(n) is read with blanks behind it on PostgreSQL.
    return now == then or (isinstance(now, str) and isinstance(then, str) and now.rstrip(" ") == then.rstrip(" "))
