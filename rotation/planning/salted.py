"""Plans batches of a target whose keys are made for each row, of a secret and of salts in columns of the row. Pure.

Rows with the same salts are planned with a keyring of their own, which has the ids and states of the target's keyring.

A swap compares the cell alone, not the salt. That is enough: a cell and its salts are read in one statement, and a
service that gives a row another salt encrypts its cell again, which the swap then leaves alone. A row whose salt
changes alone has lost its key before the swap as after it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from itertools import chain, groupby
from typing import Any

from keyring_core import Keyring
from keyring_core.row_keys import KeyOfRow, RowKeyring, RowKeyrings
from rotation.model.batch import Batch, FurtherToken, Plan, Swaps
from rotation.model.counts import Counts, RowKey
from rotation.planning.planner import Planner
from rotation.planning.rules import NO_SALT

READY_SECONDS = 0.5
"""About the most time that the keys of a batch may take: a run is asked to stop or to pause between batches."""

_SOUND = 1 << 62
"""The balance of a key of a row: it was derived, so that no half of it can be mistyped."""


@dataclass(frozen=True)
class SaltedPlanner(Planner):
    """Plans the batches of one target, whose rows are read with their salts."""

    keyrings: RowKeyrings = field(kw_only=True)

    def ready(self, batch: Batch, wait: Callable[[float], object]) -> Batch:
        """The first rows of *batch*, at least one, whose keys are derived now, as many as the time allows.

        *wait* is called before each derivation; whatever it raises ends this.
        """
        if batch.oversized:
            # Nobody knows where between the others these rows are. Such a batch has few rows.
            return batch
        end, ready = time.monotonic() + READY_SECONDS, set[tuple[bytes | None, ...]]()
        for place, salts in enumerate(self._salts(batch)):
            if salts is None or salts in ready:
                continue
            if ready and (time.monotonic() > end or len(ready) == self.keyrings.MOST):
                return batch.part(0, place)
            wait(0)
            self.keyrings.of(salts)
            ready.add(salts)
        return batch

    def plan(self, batch: Batch) -> Plan:
        """As `Planner.plan`, row by row in the order of *batch*."""
        runs = list(self._runs(batch._replace(oversized=())))
        if any(state.is_superseded and not key.salt_column for key, state in self.keyring.states.items()):
            # Before any token under such a key is written: whether its tokens decrypt, or it is mistyped.
            for keyring, part in runs:
                self._plan_with(keyring.keyring, part, dry_run=True)
        plans = (plan for keyring, part in runs for plan in self._plans(keyring, part))
        nameless = Batch((), (), oversized=batch.oversized)
        return _joined(chain(plans, [super().plan(nameless)] if batch.oversized else []))

    @property
    def price(self) -> str:
        """The price of a key, in words; empty if it is low."""
        each = self.keyrings.seconds / max(self.keyrings.made, 1)
        return f"{each:.2f} s for the keys of each salt" if each >= 0.01 else ""

    def _salts(self, batch: Batch) -> Iterator[tuple[bytes | None, ...] | None]:
        """The salts of each row; None for an empty cell, which needs no key."""
        for cell, values in zip(batch.cells, batch.salts, strict=True):
            # SQLite keeps a number in a text column, and 0 is one.
            yield None if cell in {None, "", b""} else self.keyrings.salts(values)

    def _runs(self, batch: Batch) -> Iterator[tuple[RowKeyring, Batch]]:
        """The rows one after the other that have the same salts, with their keyring."""
        start = 0
        for salts, rows in groupby(self._salts(batch)):
            stop = start + sum(1 for _ in rows)
            found = RowKeyring(self.keyring, ()) if salts is None else self.keyrings.of(salts)
            yield found, batch.part(start, stop)
            start = stop

    def _plans(self, found: RowKeyring, batch: Batch) -> Iterator[Plan]:
        if found.missing:
            yield from (self._plan_without_salt(found, batch.part(row, row + 1)) for row in range(batch.rows))
        else:
            yield self._plan_with(found.keyring, batch, dry_run=self.dry_run)

    def _plan_with(self, keyring: Keyring, batch: Batch, *, dry_run: bool) -> Plan:
        own = [key for key in keyring.states if isinstance(key, KeyOfRow)]
        self.balance.update(dict.fromkeys(own, _SOUND))
        plan = Planner(**_settings(self) | {"keyring": keyring, "dry_run": dry_run}).plan(batch)
        for key in own:
            del self.balance[key]
        return plan

    def _plan_without_salt(self, found: RowKeyring, row: Batch) -> Plan:
        """The plan of a cell for which some keys cannot be made. What the others open is as good as elsewhere."""
        looked = self._plan_with(found.keyring, row, dry_run=True)
        can_write = not found.keyring.primary.salt_column
        if not (looked.counts.unreadable or looked.counts.others or (looked.counts.to_rotate and not can_write)):
            return self._plan_with(found.keyring, row, dry_run=self.dry_run) if can_write else looked
        [key] = row.keys
        counts = Counts(scanned=1, unreadable=1)
        names = " and ".join(found.missing)
        counts.note(key, NO_SALT, f"its key is made with the salt in {names}, which is empty here, or holds no salt")
        return Plan(Swaps(), (), (), counts)


def salted(planner: Planner) -> SaltedPlanner:
    """*planner* for rows with salts."""
    return SaltedPlanner(**_settings(planner), keyrings=RowKeyrings(planner.keyring))


def _settings(planner: Planner) -> dict[str, Any]:
    """All that *planner* goes by, whichever settings there are."""
    return {each.name: getattr(planner, each.name) for each in fields(Planner)}


def _joined(plans: Iterable[Plan]) -> Plan:
    """The plan for rows that were planned apart, in their order."""
    counts, further = Counts(), list[FurtherToken]()
    keys: list[RowKey] = []
    old: list[str | bytes] = []
    new: list[str | bytes] = []
    key_ids: list[str] = []
    signed: list[bytes] = []
    for plan in plans:
        further += [each._replace(swap=each.swap + len(keys)) for each in plan.further]
        keys += plan.swaps.keys
        old += plan.swaps.old
        new += plan.swaps.new
        key_ids += plan.key_ids
        signed += plan.signed
        counts.add(plan.counts, keep=sys.maxsize)
    return Plan(Swaps(keys, old, new), key_ids, signed, counts, further=further)
