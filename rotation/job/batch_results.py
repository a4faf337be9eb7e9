"""The results of a batch: counted by keys, and some of them remembered, to detect another rotation that undoes this."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from keyring_core.tokens import iv_of, timestamp_of
from rotation.model.batch import NO_KEY, Plan, Written
from rotation.model.counts import Counts, RowKey
from rotation.stores.servers import Fact, is_one

REWRITTEN = "rewritten", "a service changed, moved or deleted it meanwhile"
KEPT = 10_000
"""Rows to remember; a rotation that undoes this one meets some of the first ones, too."""
RANGE_KEPT = 1000
"""Of one range the first ones only: every pass begins its ranges at about the same rows."""

YOUNG_SECONDS = 60.0
"""The most by which the clocks of a service and of this machine may differ."""


def count_swaps(plan: Plan, written: Written, primary: str) -> None:
    """Adds the swaps to the counts of the batch: those written as rotated, the others as unsettled."""
    _count_rows(plan.counts, (plan.swaps.keys, plan.key_ids, plan.signed), written, primary)
    for swap in plan.blocks:
        if written.lost or written.refused:
            columns = swap.block.row_keys(), swap.key_ids, list(swap.signed())
            _count_rows(plan.counts, columns, written, primary)
        else:
            plan.counts.rotated += len(swap)
            plan.counts.hold_times(primary, swap.times)
    _count_further(plan, written, primary)


def _count_rows(
    counts: Counts, columns: tuple[Sequence[RowKey], Sequence[str], Sequence[bytes]], written: Written, primary: str
) -> None:
    """*columns*: the key of each row, the id of the key that its old token is under, and that token's signed part."""
    keys, key_ids, signed = columns
    failed = set[int]()
    if written.lost or written.refused:
        failed = {index for index, key in enumerate(keys) if written.failed(key)}
    sound = [part for index, part in enumerate(signed) if index not in failed] if failed else signed
    counts.rotated += len(sound)
    counts.hold(primary, sound)
    counts.unsettled += len(failed)
    for index in sorted(failed):
        key = keys[index]
        was_token = key_ids[index] != NO_KEY
        counts.taken_over -= not was_token
        if refusal := written.refused.get(key):
            if was_token:
                counts.hold(key_ids[index], [signed[index]])
            counts.note(key, *refusal)
        else:
            counts.note(key, *REWRITTEN)


def _count_further(plan: Plan, written: Written, primary: str) -> None:
    """Counts the tokens beside the first one of each cell, under the key that they are under now."""
    sound, keys = [], plan.swaps.keys
    for swap, key_id, signed, _ in plan.further:
        if not written.failed(keys[swap]):
            sound.append(signed)
        elif keys[swap] in written.refused:
            plan.counts.hold(key_id, [signed])
    plan.counts.hold(primary, sound)


class Trace(NamedTuple):
    """The public parts of a token under an older key; *rotated*: it was swapped."""

    key: RowKey
    key_id: str
    issued: int
    iv: bytes
    rotated: bool


@dataclass
class Moved:
    """The number of cells that a run has written to a target so far, and that a server has not lost since."""

    cells: int = 0
    taken_over: int = 0
    """Cells that were no token before."""
    reindexed: int = 0
    """Cells whose index is of another text than before."""
    servers: set[Fact] = field(default_factory=set)
    """The facts of the servers of the last pass."""

    def add(self, counts: Counts) -> None:
        """A pass has written what *counts* says."""
        self.cells += counts.rotated
        self.taken_over += counts.taken_over
        self.reindexed += counts.reindexed

    def look(self, counts: Counts, servers: set[Fact]) -> None:
        """Before `add`: if the server changed since the last pass began, what *counts* has written was lost by it."""
        if self.servers and not is_one(self.servers | servers):
            self.cells = max(0, self.cells - counts.rotated)
            self.taken_over = max(0, self.taken_over - counts.taken_over)
            self.reindexed = max(0, self.reindexed - counts.reindexed)
        self.servers = servers


class UndoDetector:
    """Remembers the times and the IVs of a sample of the tokens that this run has rotated, by their rows.

    A rotation keeps a token's time and changes its IV. A service that encrypts makes a young token; one that writes
    back a row as it was read brings the very token back. So an old time with another IV is another rotation's doing.
    """

    def __init__(self) -> None:
        self.undone: Counter[str] = Counter()
        """Tokens per older key that another rotation put under it, after we had rotated them."""
        self._seen: dict[RowKey, set[tuple[int, bytes]]] = {}
        self._young = time.time() - YOUNG_SECONDS

    def take(self, traces: Iterable[Trace]) -> None:
        """Notes which of these tokens had been rotated before, and remembers those that were rotated now."""
        traces = list(traces)
        for key, key_id, issued, iv, _ in traces:
            before = self._seen.get(key, ())
            # Several tokens of a cell may be of one second; which of them was which, their IVs say.
            if issued < self._young and (issued, iv) not in before and any(time == issued for time, _ in before):
                self.undone[key_id] += 1
        for key, _, issued, iv, rotated in traces:
            if rotated and (key in self._seen or len(self._seen) < KEPT):
                self._seen.setdefault(key, set()).add((issued, iv))


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
    return [
        Trace(key, key_id, timestamp_of(signed), iv_of(signed), not written.failed(key))
        for key, key_id, signed in first
        if key_id != NO_KEY
    ]
