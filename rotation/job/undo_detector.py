"""Detects another rotation that undoes this one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from keyring_core.tokens import iv_of, timestamp_of
from rotation.model.batch import NO_KEY, Plan
from rotation.model.counts import RowKey
from rotation.stores.writer import Written

KEPT = 10_000
"""Rows to remember; a rotation that undoes this one meets some of the first ones, too."""
RANGE_KEPT = 1000
"""Of one range the first ones only: every pass begins its ranges at about the same rows."""

YOUNG_SECONDS = 60.0
"""Clocks of a service and of this machine may differ by so much."""


class Trace(NamedTuple):
    """What is public of a token under an older key, and whether it was rotated."""

    key: RowKey
    key_id: str
    issued: int
    iv: bytes
    rotated: bool


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
