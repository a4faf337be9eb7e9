"""A batch of cells, the plan for it, the swaps to write, their outcome in counts, and the size of the next batch."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress, repeat
from typing import Any, NamedTuple, cast

from keyring_core.bulk import TokenBatch, read_on_end
from keyring_core.tokens import TokenText, iv_of, timestamp_of
from rotation.model.counts import Counts, RowKey, Times
from rotation.model.failures import CONTINUE, StoreError

BATCH_BYTES = 2 * 1024 * 1024
"""The weight of a batch, unless one cell alone is heavier: what it holds in memory is bounded by that."""
LARGE_CELL = 64 * 1024
"""Bytes; beside a larger cell little fits in a batch: a search fetches it by itself."""
LARGEST_CELL = 16 * 1024 * 1024
"""Bytes; a larger cell of a target is not read."""
OVERSIZED = "oversized"
"""The category of such a cell. Nobody knows what is in it, so that it keeps every key."""
NO_KEY = ""
"""In place of a key's id, for a cell that was not a token of the keyring."""
REWRITTEN = "rewritten", "a service changed, moved or deleted it meanwhile"


class Batch(NamedTuple):
    """Cells of one column and the keys of their rows, side by side and in the order of the keys; others in blocks."""

    keys: Sequence[RowKey]
    cells: Sequence[str | bytes | None]
    blocks: Sequence[Block] = ()
    null: int = 0
    """Further rows that hold nothing."""
    empty: int = 0
    """Further rows with an empty text."""
    end: RowKey | None = None
    """The last key of all, if there are rows beside *keys*."""
    misfits: frozenset[RowKey] = frozenset()
    """Rows whose companion columns do not hold what belongs to a token under the primary key."""
    indexes: Sequence[object] = ()
    """The cells of the blind index's column, side by side with *keys*, if there is such a column."""
    salts: Sequence[tuple[object, ...]] = ()
    """The values of the salt columns, side by side with *keys*, if there are such columns."""
    oversized: Sequence[tuple[RowKey, str]] = ()
    """Further rows, whose cells were too large to be read: in words, how large."""

    @property
    def last(self) -> RowKey | None:
        """The last key of all; None if there is no row."""
        return self.end if self.end is not None or not self.keys else self.keys[-1]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.keys) + sum(map(len, self.blocks)) + self.null + self.empty + len(self.oversized)

    @property
    def weight(self) -> int:
        """The number of characters and bytes of the cells."""
        return weight_of(self.cells) + weight_of([block.cells for block in self.blocks])

    def plus(self, other: Batch) -> Batch:
        """These rows and the rows of *other*, which come behind them."""
        return Batch(
            [*self.keys, *other.keys],
            [*self.cells, *other.cells],
            [*self.blocks, *other.blocks],
            self.null + other.null,
            self.empty + other.empty,
            self.last if other.last is None else other.last,
            self.misfits | other.misfits,
            [*self.indexes, *other.indexes],
            [*self.salts, *other.salts],
            [*self.oversized, *other.oversized],
        )

    def without(self, left_out: Container[RowKey]) -> Batch:
        """All rows but the ones with these keys, of a batch that has no others beside its *keys*."""
        stay = [key not in left_out for key in self.keys]
        return self._side_by_side(lambda values: list(compress(values, stay)))

    def part(self, start: int, stop: int) -> Batch:
        """Some of the rows, as a slice, of a batch that has no others beside its *keys*."""
        return self._side_by_side(lambda values: values[start:stop])

    def _side_by_side(self, some: Callable[[Sequence[Any]], Sequence[Any]]) -> Batch:
        """*some* of the rows, chosen alike from all that stands side by side with the keys."""
        rows: dict[str, Any] = {name: some(getattr(self, name)) for name in ("keys", "cells", "indexes", "salts")}
        return self._replace(**rows)


class FurtherToken(NamedTuple):
    """A token of a cell to swap, beside the first one that moves."""

    swap: int
    """The place of its cell among the swaps."""
    key_id: str
    signed: bytes
    moves: bool
    """It is not current already."""


class Plan(NamedTuple):
    """The plan for a batch."""

    swaps: Swaps
    key_ids: Sequence[str]
    """The key that the old token of each is under; if several are to move, the first of them."""
    signed: Sequence[bytes]
    """Each old token without its tag: its time, which the new one keeps, and its IV."""
    counts: Counts
    """Of all cells but the ones to swap."""
    blocks: Sequence[BlockSwap] = ()
    """Blocks to swap beside *swaps*."""
    further: Sequence[FurtherToken] = ()
    """All other tokens of the cells in *swaps*, current ones included."""

    @property
    def changes(self) -> int:
        """The number of cells to swap."""
        return len(self.swaps) + sum(map(len, self.blocks))

    @property
    def is_clean(self) -> bool:
        """True if nothing is to be written, and nothing to be reported."""
        return not self.changes and not self.counts.categories


def are_all(values: Iterable[object], *kinds: type) -> bool:
    """True if each of *values* is of one of *kinds*, exactly."""
    return set(map(type, values)).issubset(kinds)


def weight_of(values: Sequence[object]) -> int:
    """The number of characters and bytes of the texts among *values*."""
    texts = values if are_all(values, str, bytes) else [value for value in values if isinstance(value, str | bytes)]
    return sum(map(len, cast(Sequence[str], texts)))


@dataclass(frozen=True, slots=True)
class Block:
    """Cells of one length, one after the other, and the keys of their rows, each of one column, in their order."""

    keys: Sequence[Any]
    """As a range, if they have no gaps."""
    cells: bytes = field(repr=False)
    """ASCII."""
    size: int
    """Of a cell, in bytes."""
    binary: bool = False
    """A cell by itself is bytes, and not str."""

    def __len__(self) -> int:
        return len(self.keys)

    def row_keys(self) -> list[RowKey]:
        """The keys as other batches have them."""
        return [(key,) for key in self.keys]

    def each_cell(self) -> list[str | bytes]:
        """The cells as other batches have them."""
        return split(self.cells, self.size, binary=self.binary)

    def part(self, start: int, stop: int) -> Block:
        """Some of the rows, as a slice."""
        return replace(self, keys=self.keys[start:stop], cells=self.cells[start * self.size : stop * self.size])

    def only(self, places: Sequence[int]) -> Block:
        """Some of the rows, by their places."""
        if len(places) == len(self.keys):
            return self
        chosen: Iterable[Any] = map(self.keys.__getitem__, places)
        keys = array("q", chosen) if isinstance(self.keys, range | array) else list(chosen)
        size = self.size
        return replace(self, keys=keys, cells=b"".join([self.cells[at * size : at * size + size] for at in places]))


@dataclass(frozen=True, slots=True)
class Swaps:
    """Cells to write, side by side: each held *old* when it was read, and is to hold *new*."""

    keys: Sequence[RowKey] = ()
    old: Sequence[str | bytes] = ()
    new: Sequence[str | bytes] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self) -> Iterator[tuple[RowKey, str | bytes, str | bytes]]:
        """Key, old and new cell of each."""
        return zip(self.keys, self.old, self.new, strict=True)

    def part(self, start: int, stop: int | None = None) -> Swaps:
        """Some of them, as a slice."""
        return Swaps(self.keys[start:stop], self.old[start:stop], self.new[start:stop])


@dataclass(frozen=True, slots=True)
class BlockSwap:
    """A block whose every cell is to be swapped for the one at the same place in *new*."""

    block: Block
    new: bytes = field(repr=False)
    key_ids: Sequence[str]
    """The key that each old token is under."""
    times: Times
    """When the tokens were issued."""

    def __len__(self) -> int:
        return len(self.block)

    def part(self, start: int, stop: int) -> BlockSwap:
        """Some of the rows, as a slice; *times* stay as they are."""
        size = self.block.size
        return replace(
            self,
            block=self.block.part(start, stop),
            new=self.new[start * size : stop * size],
            key_ids=self.key_ids[start:stop],
        )

    def as_rows(self) -> Swaps:
        """The same row by row."""
        return Swaps(
            self.block.row_keys(), self.block.each_cell(), split(self.new, self.block.size, binary=self.block.binary)
        )

    def signed(self) -> Iterator[bytes]:
        """The old tokens without their tags."""
        for part in read_on_end(self.block.cells, self.block.size):
            # No cell can be refused here: each was read before.
            if isinstance(part, TokenBatch):
                yield from (signed for signed, _ in part.tokens())


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


def count_swaps(plan: Plan, written: Written, primary: str) -> None:
    """Adds the swaps to the counts of the batch: those written as rotated, the others as unsettled."""
    counts = plan.counts
    if not (written.lost or written.refused):
        counts.rotated += plan.changes
        counts.hold(primary, [*plan.signed, *(each.signed for each in plan.further)] if plan.further else plan.signed)
        for swap in plan.blocks:
            counts.hold_times(primary, swap.times)
        return
    sound = list[bytes]()
    keys, first = plan.swaps.keys, repeat(object=True)
    for key, key_id, signed, is_first in chain(
        zip(keys, plan.key_ids, plan.signed, first, strict=False),
        *(zip(each.block.row_keys(), each.key_ids, each.signed(), first, strict=False) for each in plan.blocks),
        ((keys[each.swap], each.key_id, each.signed, False) for each in plan.further),
    ):
        refusal = written.refused.get(key)
        if not written.failed(key):
            counts.rotated += is_first
            sound.append(signed)
        elif refusal and key_id != NO_KEY:
            counts.hold(key_id, [signed])
        if written.failed(key) and is_first:
            counts.unsettled += 1
            counts.taken_over -= key_id == NO_KEY
            counts.note(key, *(refusal or REWRITTEN))
    counts.hold(primary, sound)


class Trace(NamedTuple):
    """The public parts of a token under an older key; *rotated*: it was swapped."""

    key: RowKey
    key_id: str
    issued: int
    iv: bytes
    rotated: bool


def traces_of(plan: Plan, written: Written, room: int) -> list[Trace]:
    """About *room* of the tokens that were to be swapped, the first ones, and those beside them in their cells."""
    first = list(zip(plan.swaps.keys[:room], plan.key_ids[:room], plan.signed[:room], strict=True))
    first += [
        (plan.swaps.keys[each.swap], each.key_id, each.signed)
        for each in plan.further
        if each.moves and each.swap < room
    ]
    for swap in plan.blocks:
        few = swap.part(0, max(0, min(len(swap), room - len(first))))
        first += zip(few.block.row_keys(), few.key_ids, few.signed(), strict=True)
    failed = written.lost.union(written.refused)
    return [
        Trace(key, key_id, timestamp_of(signed), iv_of(signed), key not in failed)
        for key, key_id, signed in first
        if key_id != NO_KEY
    ]


def gapless(numbers: array[int]) -> Sequence[int]:
    """*numbers*, which ascend; as a range if they have no gaps."""
    first, last = numbers[0], numbers[-1]
    return range(first, last + 1) if last - first + 1 == len(numbers) else numbers


def split(cells: bytes, size: int, *, binary: bool = False) -> list[Any]:
    """The *cells* of *size* bytes each, as bytes or as str."""
    whole: TokenText = cells if binary else cells.decode("ascii")
    return [whole[start : start + size] for start in range(0, len(cells), size)]


FIRST_ROWS = 1000
"""The first batch is small: the size of the rows is not known yet."""


@dataclass
class BatchSize:
    """Aims at batches of *seconds* and *max_bytes*, of at most *max_rows*. Grows by doubling, shrinks at once.

    Of light rows there are never fewer than *least*, however long they take.
    """

    max_rows: int
    seconds: float = 0.5
    max_bytes: int = BATCH_BYTES
    rows: int = FIRST_ROWS
    least: int = 1

    def __post_init__(self) -> None:
        self.rows = min(self.rows, self.max_rows)

    def limit(self, max_rows: int) -> None:
        """From here on at most *max_rows*."""
        self.max_rows = max_rows
        self.rows = min(self.rows, max_rows)

    def took(self, rows: int, seconds: float, size: int) -> None:
        """Adapts to a batch of *rows* that took *seconds* and had *size* bytes."""
        self.rows = max(1, min(self._fitting(rows, seconds, size), self.rows * 2))

    def shrink(self) -> None:
        """Adapts to a batch for which memory was too short."""
        self.rows, self.max_bytes = max(1, self.rows // 8), max(1, self.max_bytes // 8)

    def expect(self, rows: int, seconds: float, size: int) -> None:
        """Adapts before the first batch: *rows* like its own would take *seconds*, and had *size* bytes."""
        self.rows = max(self.rows, self._fitting(rows, seconds, size))

    def _fitting(self, rows: int, seconds: float, size: int) -> int:
        by_time = max(rows * self.seconds / max(seconds, 1e-6), self.least)
        return int(min(by_time, rows * self.max_bytes / max(size, 1), self.max_rows))


class Forward:
    """Notices a walk along keys that does not get on: a comparison and an order that disagree would go round for ever.

    Keeps one key, replaced after 1, 2, 4, ... steps (Brent's algorithm), and so finds a circle of any length.
    """

    def __init__(self, start: object = None) -> None:
        self._kept, self._steps, self._limit = start, 0, 1

    def to(self, key: object) -> None:
        """Advances to *key*. Raises StoreError if the walk was there before."""
        if key == self._kept:
            raise StoreError(
                "the keys do not grow: the database gave a row again whose key is not greater than the last one "
                f"(its collation, or a damaged index?). Check the table's index. {CONTINUE}"
            )
        self._steps += 1
        if self._steps == self._limit:
            self._kept, self._steps, self._limit = key, 0, self._limit * 2
