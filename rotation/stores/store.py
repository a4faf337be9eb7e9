"""One target in a database, opened: read by keys, written by compare-and-swap, and watched for other writers."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import chain
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import BATCH_BYTES, BlockSwap, Swaps, Written, are_all
from rotation.model.counts import RowKey
from rotation.planning.inner_tokens import bytes_of
from rotation.stores.access import LOCKED, Access, RowRefusedError, fault_of
from rotation.stores.blocks import bundled, grouped, parted
from rotation.stores.columns import AsRead
from rotation.stores.connection import SharedConnections
from rotation.stores.dialect import BatchSwap, Mode
from rotation.stores.error_codes import Fault
from rotation.stores.opened_table import Watch
from rotation.stores.reader import Reader, same_key

HUGE = 1024 * 1024
"""Characters or bytes of a cell that is swapped by a statement of its own."""
ON_THE_WAY_SECONDS = 0.2
"""The most time that rows stay locked while statements for others of the same transaction are on their way."""
SwappedRow = tuple[RowKey, str | bytes, str | bytes]
"""Key, old and new cell."""
LOOK_ROWS = 200
"""Rows that one query looks up by their keys; SQLite bounds the depth of a condition."""


class IndexValue(NamedTuple):
    """The blind index that one row is to have."""

    key: RowKey
    cell: str | bytes | None
    """The target's column as it was read: if a service rewrites it meanwhile, the service's index stays."""
    wanted: str | None


class Store(Reader):
    """The store of a target: its reads stand in reader.py, its writes here. A refused row is left out of a write."""

    @property
    def takes_turns(self) -> bool:
        """True if threads do best to take turns, with one connection."""
        return self._dialect.one_connection

    def pages(self, watch: Watch) -> int | None:
        """The number of the table's pages, if a pass may read page by page what *watch* has watched until now.

        A row that moves to a page that was read is found by the proof of *watch*, and by nothing else. None: rows are
        read in the order of their keys only. Raises StoreError.
        """
        # A shard's rows are spread over all pages.
        if not (self._blocks and self._blocks.has_pages and watch.name) or self._shard:
            return None
        return self._access.read(self._blocks.count_pages)

    def twin(self, links: SharedConnections) -> Store:
        """A copy for another thread, with a connection of *links*; or this store, if threads do best to take turns."""
        if self.takes_turns:
            return self
        other = copy.copy(self)
        other._access = self._access.twin(links)
        other._others = self._others.of_thread()
        return other

    def write(self, swaps: Swaps, blocks: Sequence[BlockSwap] = (), most_rows: int = sys.maxsize) -> Written:
        """Swaps each cell that still holds what was read; if one row is refused, all the others are written.

        A transaction is bounded in bytes, and has *most_rows*: so many rows are locked at once.
        """
        written, largest = Written(), self._largest or BATCH_BYTES * 16
        # Each byte is sent as two, and so may be the place of a missing key beside it. A character of a token is one
        # byte, others have up to four. There are statements around them.
        most = min(2 * BATCH_BYTES, largest // 5 if self._cells.of_tokens else largest // 9)
        if self._blocks and blocks:
            for several in bundled(grouped(blocks, most, most_rows), most if self._blocks.is_bare else 0):
                written.add(self._write_blocks(several))
        for part in parted(swaps, most, most_rows) if swaps else ():
            written.add(self._write(part))
        return written

    def _write_blocks(self, transactions: Sequence[Sequence[BlockSwap]]) -> Written:
        swaps = list(chain.from_iterable(transactions))
        access, begun, failed, hurried = self._blocks, Written(), swaps, False
        assert access is not None  # noqa: S101 - for the type checker: nothing is read in blocks otherwise

        def swap_all(connection: sa.Connection) -> tuple[list[int | None], Written]:
            cells, written = list[int | None](), Written()
            for counts, number in access.swap(connection, transactions):
                cells += counts
                written.add(self._done_in(connection, number))
            return cells, written

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

    def _write(self, swaps: Swaps, *, hurried: bool = False) -> Written:
        """Swaps cells by the keys of their rows; a row that the database refuses is left out."""
        allowed = getattr(self._cells.kind, "length", None)

        def refused(row: int, refusal: tuple[str, str]) -> Written:
            (category, reason), size = refusal, len(swaps.new[row])
            if category == "refused" and allowed and size > allowed:
                reason = f"it needs {size} characters and the column holds {allowed}; {reason}"
            return Written(refused={swaps.keys[row]: (category, reason)})

        is_bare = self._dialect.is_by_itself and self._is_one_statement(swaps, self._odd(swaps))
        return write_by_halves(
            self._access,
            range(len(swaps)),
            partial(self._swap, swaps),
            refused,
            Mode.HURRIED if hurried else Mode.BARE if is_bare else Mode.WRITE,
        )

    def _is_one_statement(self, swaps: Swaps, odd: Sequence[SwappedRow]) -> bool:
        """True if one statement swaps them, of which these are *odd*, and nothing of it may have to be undone."""
        return self._is_batched and len(swaps) <= self._batch_swap.most and not (self._triggers or odd)

    def _held(self, connection: sa.Connection, keys: Sequence[RowKey]) -> dict[RowKey, tuple[str, str]]:
        """In a hurry, the refusals of those rows that others hold, if they can be left out. Takes the other rows."""
        if not self._dialect.always_waits(connection):
            return {}
        query = sa.select(*self._key)
        try:
            free = {tuple(key) for key in self._at(connection, query.with_for_update(skip_locked=True), keys)}
        except DBAPIError as error:
            if fault_of(error, self._dialect) is not Fault.LOCKED:
                raise
            # Somebody holds the whole table: halves of the batch would wait for it again.
            return dict.fromkeys(keys, LOCKED)
        # What is not there any more is held by nobody.
        there = self._at(connection, query, [key for key in keys if key not in free])
        return {tuple(key): LOCKED for key in there}

    def _at(self, connection: sa.Connection, query: sa.Select[Any], keys: Sequence[RowKey]) -> Iterator[Sequence[Any]]:
        """What *query* finds in the rows of these *keys*."""
        for start in range(0, len(keys), LOOK_ROWS):
            here = [same_key(self._key, self._parts(key)) for key in keys[start : start + LOOK_ROWS]]
            yield from connection.execute(query.where(sa.or_(*here)))

    def _swap(self, swaps: Swaps, connection: sa.Connection, rows: range, mode: Mode) -> Written:
        """Swaps those of *swaps* at the places *rows*, in a transaction of that *mode*. Raises RowRefusedError."""
        if len(rows) < len(swaps):
            swaps = swaps.part(rows.start, rows.stop)
        held = self._held(connection, swaps.keys) if mode is Mode.HURRIED else {}
        if held:
            free = [row for row in swaps.rows() if row[0] not in held]
            if not free:
                return Written(refused=held)
            swaps = Swaps(*zip(*free, strict=True))
        if len(swaps) == 1 and self._largest is not None and (words := self._too_large(swaps, self._largest)):
            raise RowRefusedError("refused", words)
        if self._dialect.hurries:
            self._dialect.hurry(connection)
        # What is seen afterwards is of another transaction. A cell that a service has rewritten since is lost, too.
        odd = self._odd(swaps)
        at_once = self._dialect.has_numbers and self._is_one_statement(swaps, odd)
        number = self._dialect.number(connection, self._table, at_once=at_once) if self._dialect.has_numbers else None
        swapped, written = self._execute(connection, swaps, odd), Written()
        if swapped != len(swaps) or self._triggers:
            if number and at_once:
                # That transaction is over: this look, too, waits for a lock on the table no longer than others.
                self._dialect.begin(connection, Mode.READ)
            written = self._look_again(connection, swaps)
        written.add(self._done_in(connection, number and number()))
        written.refused |= held
        if swapped and written.lost and self._triggers:
            # A service or a trigger rewrote a cell: writing the rows one by one shows which.
            raise RowRefusedError("not-written", "a trigger changes what is written, and so it was undone")
        return written

    def _execute(self, connection: sa.Connection, swaps: Swaps, odd: Sequence[SwappedRow]) -> int:
        """The number of cells that were swapped, those of *odd* row by row."""
        plain, swapped = swaps, 0
        if odd:
            others = [row for row in swaps.rows() if not self._is_odd(*row)] if len(odd) < len(swaps) else []
            plain = Swaps(*zip(*others, strict=True)) if others else Swaps()
        statement, parameters, most = self._batch_swap
        for start in range(0, len(plain), most):
            part = plain.part(start, start + most) if len(plain) > most else plain
            sent = statement(len(part)) if callable(statement) else statement
            if isinstance(sent, str):
                swapped += connection.exec_driver_sql(sent, parameters(part)).rowcount
            else:
                swapped += connection.execute(sent, parameters(part)).rowcount
        for key, old, new in odd:
            found = same_key(self._key, self._parts(key))
            is_huge = len(swaps) == 1 and self._digest(old) is not None
            value = self._sent(self._dialect.compact(new) if is_huge else new)
            swapped += connection.execute(self._update([found], self._is_unchanged(old), value)).rowcount
        return swapped

    def _odd(self, swaps: Swaps) -> list[SwappedRow]:
        """Those that each need a statement of their own."""
        # Around its tokens a cell stays as it was, so that the new ones are ASCII if the old ones are.
        usual = are_all(chain.from_iterable(swaps.keys), int) and (
            self._cells.of_tokens or all(cell.isascii() for cell in swaps.old)
        )
        alone = len(swaps) == 1 and len(swaps.old[0]) > HUGE and self._digest(swaps.old[0]) is not None
        return [] if usual and not alone else [row for row in swaps.rows() if alone or self._is_odd(*row)]

    def _digest(self, cell: str | bytes) -> ColumnElement[Any] | None:
        """The digest of what the database holds, if only that of *cell* is sent, to be compared with."""
        return self._dialect.digest(self._column, self._cells.kind) if len(cell) > HUGE else None

    def _is_unchanged(self, old: str | bytes) -> ColumnElement[bool]:
        """True for the very content that was read. Of a huge cell old and new do not both fit into one message."""
        if (digest := self._digest(old)) is not None:
            return sa.and_(digest == sa.literal(sha256(bytes_of(old)).hexdigest(), AsRead()))
        return sa.and_(self._dialect.exactly(self._column, self._cells.kind) == self._sent(old))

    def _update(self, found: Iterable[ColumnElement[bool]], is_unchanged: ColumnElement[bool], new: Any) -> sa.Update:
        """Compare and swap: a cell that a service rewrote meanwhile keeps the service's value."""
        values = {self._column: self._dialect.as_stored(new, self._cells.kind), **self._cells.sets(self._table)}
        return sa.update(self._table).where(*found, is_unchanged).values(values)

    def _look_again(self, connection: sa.Connection, swaps: Swaps) -> Written:
        """Compares *swaps* with the table as it is now: a new token may stem from an earlier try."""
        found = self._at(connection, sa.select(*self._key, self._cell), swaps.keys)
        now: dict[RowKey, Any] = {tuple(key): value for *key, value in found}
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

    def _too_large(self, swap: Swaps, largest: int) -> str | None:
        dialect, cells = self._dialect, [*swap.old, *swap.new]
        if self._digest(swap.old[0]) is not None:
            needed = dialect.sent_size(dialect.compact(swap.new[0]))
        elif self._cells.of_tokens:
            needed = sum(map(dialect.sent_size, cells))
        else:
            needed = 2 * sum(len(bytes_of(cell)) for cell in cells)
        needed += 1024
        if needed <= largest:
            return None
        remedy = "raise its max_allowed_packet, then run again"
        return f"a swap of this cell sends {needed:,} bytes, and the database takes {largest:,}; {remedy}"

    def _done_in(self, connection: sa.Connection, number: int | None) -> Written:
        """The *number* of the transaction in progress, and the writes of others since the last one."""
        others = self._others.count(connection, number)
        return Written(transactions=[] if number is None else [number], others=others)

    def write_indexes(self, values: Sequence[IndexValue]) -> Written:
        """Sets the blind index of each row whose cell is still the same."""
        # Each has a statement, and so a round trip, of its own.
        trip = self._access.link.line.trip
        written, most = Written(), max(1, int(ON_THE_WAY_SECONDS / trip)) if trip else len(values) or 1
        for start in range(0, len(values), most):
            part = write_by_halves(
                self._access,
                range(start, min(start + most, len(values))),
                partial(self._set_indexes, values),
                lambda row, refusal: Written(refused={values[row].key: refusal}),
            )
            written.add(part)
        return written

    def _set_indexes(self, values: Sequence[IndexValue], connection: sa.Connection, rows: range, mode: Mode) -> Written:
        assert self._index is not None  # noqa: S101 - for the type checker: nothing is read beside the cells otherwise
        if self._dialect.hurries:
            self._dialect.hurry(connection)
        number = self._dialect.number(connection, self._table) if self._dialect.has_numbers else None
        chosen = values[rows.start : rows.stop]
        lost = set()
        held = self._held(connection, [key for key, _, _ in chosen]) if mode is Mode.HURRIED else {}
        for key, cell, wanted in (value for value in chosen if value.key not in held):
            is_unchanged = self._column.is_(None) if cell is None else self._is_unchanged(cell)
            sets = {self._index: sa.literal(wanted, AsRead()), **self._cells.sets(self._table)}
            found = same_key(self._key, self._parts(key))
            if connection.execute(sa.update(self._table).where(found, is_unchanged).values(sets)).rowcount == 0:
                lost.add(key)
        written = self._done_in(connection, number and number())
        written.lost |= lost
        written.refused |= held
        return written

    def settle(self) -> None:
        """Returns when all that was written is on disk."""
        if self._dialect.hurries:
            self._access.write(self._dialect.settle)

    def _prepare_writes(self) -> None:
        batched = self._dialect.batch_swap(self._cells)
        self._batch_swap, self._is_batched = batched or self._swap_of_each(), batched is not None

    def _swap_of_each(self) -> BatchSwap:
        """The statement for one row, which the driver repeats."""
        names = [f"key{number}" for number in range(len(self._key))]
        keys = [column == sa.bindparam(name) for column, name in zip(self._key, names, strict=True)]
        old, new = (sa.bindparam(name, type_=AsRead()) for name in ("old", "new"))

        def parameters(swaps: Swaps) -> list[dict[str, Any]]:
            return [dict(zip(names, key, strict=True), old=old, new=new) for key, old, new in swaps.rows()]

        is_unchanged = self._dialect.exactly(self._column, self._cells.kind) == old
        return BatchSwap(self._update(keys, is_unchanged, new), parameters)


def write_by_halves(
    access: Access,
    rows: range,
    act: Callable[..., Written],
    refused: Callable[[int, tuple[str, str]], Written],
    mode: Mode = Mode.WRITE,
) -> Written:
    """Writes *rows* by *act* in one transaction or, if one row is at fault, in several: all other rows.

    *act* is called with a connection, and with the *rows* and the *mode* of its transaction.
    *refused* makes the outcome for a row that is at fault, of category and reason. *mode*: of the first try.
    """
    try:
        return access.write(partial(act, rows=rows, mode=mode), mode)
    except RowRefusedError as error:
        refusal = error.category, error.reason
    if len(rows) == 1:
        return refused(rows[0], refusal)
    access.breathe()
    # After one wait for a lock, no service must wait again for each half of the batch.
    mode = Mode.HURRIED if mode is Mode.HURRIED or refusal[0] == "locked" else Mode.WRITE
    half = len(rows) // 2
    written = write_by_halves(access, rows[:half], act, refused, mode)
    written.add(write_by_halves(access, rows[half:], act, refused, mode))
    return written


def _same(now: object, then: str | bytes) -> bool:
    # CHAR(n) is read with blanks behind it on PostgreSQL.
    return now == then or (isinstance(now, str) and isinstance(then, str) and now.rstrip(" ") == then.rstrip(" "))
