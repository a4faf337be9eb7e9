"""The results of a batch: counted by keys, and some of them remembered, to detect another rotation that undoes this."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
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
    counts = plan.counts
    if not (written.lost or written.refused):
        counts.rotated += plan.changes
        counts.hold(primary, [*plan.signed, *(each.signed for each in plan.further)] if plan.further else plan.signed)
        for swap in plan.blocks:
            counts.hold_times(primary, swap.times)
        return
    sound = list[bytes]()
    for key, key_id, signed, is_first in _tokens_of(plan):
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


def _tokens_of(plan: Plan) -> Iterator[tuple[RowKey, str, bytes, bool]]:
    """The row, the old key, the signed part of each token to swap, and whether it is the first one of its cell."""
    keys = plan.swaps.keys
    yield from zip(keys, plan.key_ids, plan.signed, repeat(object=True), strict=False)
    for swap in plan.blocks:
        yield from zip(swap.block.row_keys(), swap.key_ids, swap.signed(), repeat(object=True), strict=False)
    for each in plan.further:
        yield keys[each.swap], each.key_id, each.signed, False


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

    def add(self, counts: Counts, servers: set[Fact]) -> Counts:
        """Adds what a pass on these *servers* has written; its *counts*, with what earlier passes moved as rotated.

        Otherwise that would count as already current. Should a service have rewritten or deleted some of these cells
        since, fewer are left to count. If the server changed since the last pass began, it lost what this one wrote.
        """
        if self.servers and not is_one(self.servers | servers):
            self.cells = max(0, self.cells - counts.rotated)
            self.taken_over = max(0, self.taken_over - counts.taken_over)
            self.reindexed = max(0, self.reindexed - counts.reindexed)
        still_there = min(self.cells, counts.current)
        rotated = counts.rotated + still_there
        seen = replace(
            counts,
            current=counts.current - still_there,
            rotated=rotated,
            taken_over=min(counts.taken_over + self.taken_over, rotated + counts.to_rotate),
            reindexed=min(counts.reindexed + self.reindexed, rotated + counts.to_rotate),
        )
        self.servers = servers
        self.cells += counts.rotated
        self.taken_over += counts.taken_over
        self.reindexed += counts.reindexed
        return seen


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
            before = self._seen.get(key)
            if not before or issued >= self._young or (issued, iv) in before:
                continue
            # Several tokens of a cell may be of one second; which of them was which, their IVs say.
            if any(time == issued for time, _ in before):
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
    failed = written.lost.union(written.refused)
    return [
        Trace(key, key_id, timestamp_of(signed), iv_of(signed), key not in failed)
        for key, key_id, signed in first
        if key_id != NO_KEY
    ]
