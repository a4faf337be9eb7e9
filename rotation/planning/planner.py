"""Plans a batch: cells in, what to write and what was found out. Pure: no database, so that a test needs none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import cast

from keyring_core.token_batches import pick
from rotation.model.batch import Batch, Block, Plan, Swaps, are_all
from rotation.model.counts import Counts, RowKey
from rotation.model.target import Format
from rotation.planning.blocks import plan_block
from rotation.planning.rows import plan_rows
from rotation.planning.rules import Rules
from rotation.planning.texts import plan_texts


class Planner(Rules):
    """Plans the batches of one target, one after the other."""

    def plan(self, batch: Batch) -> Plan:
        """Rotates what needs it and counts the rest; a bad cell affects no other.

        A block, which only the format `token` has, is planned as a whole, unless one of its cells needs a look of its
        own.
        """
        planned = [(block, plan_block(self, block)) for block in batch.blocks]
        rows = _with_rows_of(batch, [block for block, plan in planned if plan is None])
        keys, cells = _filled(rows)
        plan = plan_rows(self, keys, cells) if self.format is Format.TOKEN else plan_texts(self, keys, cells)
        null = batch.null + len(rows.cells) - len(cells)
        plan.counts.add(Counts(scanned=batch.empty + len(cells), empty=batch.empty, null=null))
        for _, each in planned:
            if each is not None:
                plan.counts.add(each.counts)
        return plan._replace(blocks=[swap for _, each in planned if each for swap in each.blocks])

    def look(self, batch: Batch) -> Counts:
        """The counts of a dry run over *batch* alone."""
        return replace(self, dry_run=True, balance=Counter()).plan(batch).counts

    def fixes(self, batch: Batch, plan: Plan) -> Swaps:
        """Each current cell in a row with wrong companions, to be swapped for itself: then the store writes them, too.

        *plan* is that of *batch*. Companions are the columns that a swap sets beside the cell.
        """
        if not batch.misfits or not plan.counts.current:
            return Swaps()
        others = batch.misfits.difference(plan.swaps.keys)
        chosen = [key in others for key in batch.keys]
        current = self._current(Batch(list(compress(batch.keys, chosen)), list(compress(batch.cells, chosen))))
        # None is no token.
        cells = cast(Sequence[str | bytes], current.cells)
        return Swaps(current.keys, cells, cells)

    def _current(self, batch: Batch) -> Batch:
        """The rows of *batch* whose cells are current: its halves are looked at, as long as they are mixed."""
        current = self.look(batch).current
        if current in {0, batch.rows}:
            return batch if current else Batch((), ())
        half = batch.rows // 2
        first, second = (Batch(batch.keys[part], batch.cells[part]) for part in (slice(half), slice(half, None)))
        return self._current(first).plus(self._current(second))


def _with_rows_of(batch: Batch, blocks: Sequence[Block]) -> Batch:
    """The rows of *batch* outside of its blocks, and the rows of *blocks*, in the order of the keys."""
    if not blocks:
        return batch
    keys, cells = [*batch.keys], [*batch.cells]
    for block in blocks:
        keys += block.row_keys()
        cells += block.each_cell()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Batch(pick(keys, order), pick(cells, order))


def _filled(batch: Batch) -> tuple[Sequence[RowKey], Sequence[str | bytes]]:
    """Keys and cells of the rows that hold something."""
    keys, cells = batch.keys, batch.cells
    if not are_all(cells, str, bytes):
        # SQLite keeps a number in a text column if somebody put one there.
        texts = [cell if isinstance(cell, str | bytes) else str(cell) for cell in cells if cell is not None]
        keys, cells = list(compress(keys, [cell is not None for cell in cells])), texts
    return keys, cast(Sequence[str | bytes], cells)
