"""Rows in whose blind index does not belong to their value; which indexes to write, and why one cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keyring_core import InvalidToken, Keyring, KeyState, PlaintextError
from keyring_core.blind_index import BlindIndex
from rotation.model.batch import Batch, Plan, Written
from rotation.model.counts import RowKey
from rotation.model.report import row_in_words
from rotation.stores.store import IndexValue, Store

NO_INDEX = "no-index"
"""The category of a row whose value has no blind index."""


class Stale(NamedTuple):
    """A row whose index is to be written."""

    key: RowKey
    cell: str | bytes | None
    """As it was read."""
    wanted: str | None
    under: str | None
    """The id of the older key that the present index is under; None if the cell has the same key."""
    is_current: bool
    """True if the cell is under the primary key already, or holds nothing."""
    changes: bool = False
    """True if the present index is of another text, such as another normal form, and not only under another key."""
    fault: str = ""
    """The reason that no index can be made; the present one stays."""


def stale_rows(keyring: Keyring, index: BlindIndex, batch: Batch, plan: Plan) -> Iterator[Stale]:
    """The rows of *batch* whose index does not belong to their value under the primary key.

    The value of a cell that *plan* takes over is in its new token: the keyring does not open the cell itself.
    """
    new = dict(zip(plan.swaps.keys, plan.swaps.new, strict=True))
    full = [place for place, cell in enumerate(batch.cells) if isinstance(cell, str | bytes) and cell]
    opened = keyring.decrypt_bytes_many([new.get(batch.keys[place], batch.cells[place] or "") for place in full])
    values = dict(zip(full, opened, strict=True))
    for place, (key, cell, read) in enumerate(zip(batch.keys, batch.cells, batch.indexes, strict=True)):
        value = values.get(place)
        if isinstance(value, InvalidToken) or (value is None and cell is not None):
            # What does not open, or is empty, has no index; it is reported, or the service's own.
            continue
        # A column of type CHAR is filled up with blanks.
        held = read.rstrip(" ") if isinstance(read, str) else read
        wanted, fault = None, ""
        if value is not None:
            try:
                wanted = index.of(keyring, value)
            except (PlaintextError, TypeError) as error:
                # The application's function, which makes the normal form. These words hold no value.
                fault = str(error)
        if not fault and (held == wanted or not (held or wanted)):
            continue
        is_swapped = key in new
        own = None if cell is None or is_swapped else keyring.key_for(cell)
        older = str(held).partition(":")[0]
        under = older if older in keyring.states_by_id and older != keyring.primary.id else None
        is_current = not is_swapped and own in {None, keyring.primary}
        stays = own is not None and keyring.states[own] is KeyState.STAGED
        changes = bool(wanted) and older in keyring.states_by_id and held not in index.each(keyring, value or b"")
        yield Stale(
            key, cell, wanted, None if own and own.id == under else under, is_current, changes and not stays, fault
        )


def index_values(stale: list[Stale], plan: Plan, written: Written) -> Iterator[IndexValue]:
    """The values to write beside the cells of *stale* as they are now, some of them swapped a moment ago."""
    swapped = dict(zip(plan.swaps.keys, plan.swaps.new, strict=True))
    for row in stale:
        if row.fault:
            continue
        if row.key in swapped and not written.failed(row.key):
            yield IndexValue(row.key, swapped[row.key], row.wanted)
        elif row.is_current:
            yield IndexValue(row.key, row.cell, row.wanted)


def explained(value: IndexValue, refusal: tuple[str, str], store: Store) -> tuple[str, str]:
    """The *refusal* of *value*; if another row has that index already, its reason says so."""
    category, reason = refusal
    other = store.holder(value.wanted, value.key) if category == "refused" and value.wanted else None
    if other is None:
        return refusal
    row = row_in_words(store.key_names(), other)
    return category, f"row {row} has the same blind index: two rows have one value, or one normal form; {reason}"
