"""Current cells in rows whose companion columns hold what belongs to another key: each is to be written as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import cast

from rotation.model.batch import Batch, Plan, Swaps
from rotation.model.counts import Counts

Look = Callable[[Batch], Counts]
"""Counts what a batch holds."""


def fixes_of(batch: Batch, plan: Plan, look: Look) -> Swaps:
    """Each current cell of a misfit, to be swapped for itself: the store writes its companions beside it."""
    if not batch.misfits or not plan.counts.current:
        return Swaps()
    others = batch.misfits.difference(plan.swaps.keys)
    chosen = [key in others for key in batch.keys]
    current = _current(Batch(list(compress(batch.keys, chosen)), list(compress(batch.cells, chosen))), look)
    # None is no token.
    cells = cast(Sequence[str | bytes], current.cells)
    return Swaps(current.keys, cells, cells)


def _current(batch: Batch, look: Look) -> Batch:
    """The rows of *batch* whose cells are current: its halves are looked at, as long as they are mixed."""
    current = look(batch).current
    if current in {0, batch.rows}:
        return batch if current else Batch((), ())
    half = batch.rows // 2
    first, second = (Batch(batch.keys[part], batch.cells[part]) for part in (slice(half), slice(half, None)))
    return _current(first, look).plus(_current(second, look))
