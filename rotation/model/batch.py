"""A batch of cells, what to write of it, and what was found out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from rotation.model.block import Block, BlockSwap, Swaps
from rotation.model.counts import Counts, RowKey

NO_KEY = ""
"""In place of a key's id, for a cell that was no token of the keyring."""


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
    """What the column of the blind index holds, side by side with *keys*, if there is such a column."""

    @property
    def last(self) -> RowKey | None:
        """The last key of all; None if there is no row."""
        return self.end if self.end is not None or not self.keys else self.keys[-1]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.keys) + sum(map(len, self.blocks)) + self.null + self.empty

    @property
    def weight(self) -> int:
        """How many characters and bytes the cells have."""
        return weight_of(self.cells) + sum(len(block.cells) for block in self.blocks)

    def plus(self, other: Batch) -> Batch:
        """These rows and those of *other*, which come behind them."""
        return Batch(
            [*self.keys, *other.keys],
            [*self.cells, *other.cells],
            [*self.blocks, *other.blocks],
            self.null + other.null,
            self.empty + other.empty,
            self.last if other.last is None else other.last,
            self.misfits | other.misfits,
            [*self.indexes, *other.indexes],
        )


class FurtherToken(NamedTuple):
    """A token of a cell to swap, beside the first one that moves."""

    swap: int
    """The place of its cell among the swaps."""
    key_id: str
    signed: bytes
    moves: bool
    """Whether it is not current already."""


class Plan(NamedTuple):
    """What a batch comes to."""

    swaps: Swaps
    key_ids: Sequence[str]
    """The key that the old token of each is under; if several are to move, the first of them."""
    signed: Sequence[bytes]
    """Each old token without its tag: its time, which the new one keeps, and its IV."""
    counts: Counts
    """Of all cells but those to swap."""
    blocks: Sequence[BlockSwap] = ()
    """What is swapped beside *swaps*."""
    further: Sequence[FurtherToken] = ()
    """All other tokens of the cells in *swaps*, current ones included."""

    @property
    def changes(self) -> int:
        """How many cells are to be swapped."""
        return len(self.swaps) + sum(map(len, self.blocks))


def are_all(values: Iterable[object], *kinds: type) -> bool:
    """Whether each of *values* is of one of *kinds*, exactly."""
    return set(map(type, values)).issubset(kinds)


def are_ascii(cells: Sequence[str | bytes]) -> bool:
    """Whether each of *cells* is ASCII."""
    return all(cell.isascii() for cell in cells)


def weight_of(values: Sequence[object]) -> int:
    """How many characters and bytes the texts among *values* have."""
    texts = values if are_all(values, str, bytes) else [value for value in values if isinstance(value, str | bytes)]
    return sum(map(len, cast(Sequence[str], texts)))
