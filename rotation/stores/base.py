"""What the job needs of a place that keeps tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rotation.model.batch import Batch, BlockSwap, Swaps
from rotation.model.counts import RowKey
from rotation.stores.connection import SharedConnections
from rotation.stores.dialect import Tempo
from rotation.stores.witness import Changed, Unknown


@dataclass
class Written:
    """What became of a batch of changes: each of them is done, but for those named here."""

    lost: set[RowKey] = field(default_factory=set)
    """Rewritten, re-keyed or deleted between the read and the write: the service's change stays."""
    refused: dict[RowKey, tuple[str, str]] = field(default_factory=dict)
    """Category and reason, for cells that the database would not take."""
    transactions: list[int] = field(default_factory=list)
    """The numbers of those that wrote, where the database has such numbers."""
    others: int | None = None
    """How often others have written since the last batch; None if that is not known."""

    def add(self, other: Written) -> None:
        """Takes in what became of another part of the same batch."""
        self.lost |= other.lost
        self.refused |= other.refused
        self.transactions += other.transactions
        if other.others is not None:
            self.others = (self.others or 0) + other.others

    def failed(self, key: RowKey) -> bool:
        """Whether the change of that row was not done."""
        return key in self.lost or key in self.refused


class IndexValue(NamedTuple):
    """What the blind index of one row is to be."""

    key: RowKey
    cell: str | bytes | None
    """What the target's column holds: if a service rewrites it meanwhile, the service's index stays."""
    wanted: str | None


class Watch(Protocol):
    """Watches a target during one pass."""

    @property
    def name(self) -> str | None:
        """How the report calls this proof; None if nothing shows what others write."""

    def wrote(self, transactions: Iterable[int]) -> None:
        """These transactions are of this run."""

    def changed(self, *, wrote: bool = True) -> Changed | Unknown:
        """What others have written, or why that is not known; *wrote*: this run has written meanwhile, too.

        Raises StoreError if the name leads to another table by now, or if some rows are hidden from this user.
        """


class Store(Protocol):
    """One target, opened. Every method raises StoreError if the database fails for good."""

    @property
    def retries(self) -> int:
        """How often something was tried again, so far."""

    @property
    def tempo(self) -> Tempo:
        """How large its batches may be."""

    def key_names(self) -> tuple[str, ...]:
        """The columns that name a row."""

    def warnings(self) -> list[str]:
        """What an admin should know before the first write."""

    def identity(self) -> str:
        """Which table of which server it is, however it was reached; empty if the database does not say."""

    def number(self) -> str:
        """Of the table, or of its file, that the name led to when it was opened; empty if the database shows none."""

    def size(self) -> int:
        """About how many rows there are; for progress only."""

    def keyless(self) -> int:
        """How many rows that hold something no key names."""

    def key_after(self, after: RowKey | None, rows: int) -> RowKey | None:
        """The key of the row that is *rows* behind *after*; None if there are fewer."""

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        """The next rows in the order of their keys: behind *after*, up to and with *upto*.

        At most *limit*, fewer if they are large, none only if none is left.
        """

    def write(self, swaps: Swaps, blocks: Sequence[BlockSwap] = ()) -> Written:
        """Swaps each cell that still holds what was read. One transaction, if the database takes all of it.

        Heavy swaps are parted: a transaction is bounded in bytes, too.
        """

    def write_indexes(self, values: Sequence[IndexValue]) -> Written:
        """Sets the blind index of each row whose cell is still the same."""

    def blind_indexes(self, *, of_all_rows: bool) -> list[str]:
        """The columns of the table that hold blind indexes, by their first value; with or without a target.

        Otherwise the value is looked for in the first rows alone.
        """

    def lacks_room(self, longest: Callable[[int], int]) -> str | None:
        """Why the column is too narrow for the tokens of its cells; None if it is wide enough.

        *longest* is how many bytes of plaintext a cell of so many bytes has, at most.
        """

    def settle(self) -> None:
        """Returns when all that was written, by whatever process, is on disk."""

    def allow(self, writes: int) -> None:
        """So often this process itself writes through other connections, such as that of its ledger."""

    def watch(self, *, reads_only: bool = False) -> Watch:
        """Begins to watch, before the first read of a pass; with *reads_only* the table alone, not what others write.

        Raises StoreError as `Watch.changed` does.
        """

    def twin(self, links: SharedConnections) -> Store:
        """A store of the target for another thread, with a connection of *links*; or this one, if it serves both."""

    def close(self) -> None:
        """Gives up the connections."""
