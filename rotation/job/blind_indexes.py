"""Rows whose blind index does not belong to their cell: under an older key, missing, or of another value. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keyring_core import InvalidToken, Keyring
from keyring_core.blind_index import BlindIndex
from rotation.model.batch import Batch, Plan
from rotation.model.counts import RowKey
from rotation.stores.writer import IndexValue, Written


class Stale(NamedTuple):
    """A row whose index is to be written."""

    key: RowKey
    cell: str | bytes | None
    """As it was read."""
    wanted: str | None
    under: str | None
    """The id of the older key that the present index is under, unless the cell is under that key, too."""
    is_current: bool
    """Whether the cell is under the primary key already, or holds nothing."""


def stale_rows(keyring: Keyring, index: BlindIndex, batch: Batch, plan: Plan) -> Iterator[Stale]:
    """The rows of *batch* whose index is not that of their value under the primary key.

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
        wanted = None if value is None else index.of(keyring, value)
        if held == wanted or not (held or wanted):
            continue
        is_swapped = key in new
        own = None if cell is None or is_swapped else keyring.key_for(cell)
        under = _older_key(keyring, held)
        is_current = not is_swapped and own in {None, keyring.primary}
        yield Stale(key, cell, wanted, None if own and own.id == under else under, is_current)


def _older_key(keyring: Keyring, held: object) -> str | None:
    key_id = str(held).partition(":")[0]
    return key_id if key_id in keyring.states_by_id and key_id != keyring.primary.id else None


def index_values(stale: list[Stale], plan: Plan, written: Written) -> Iterator[IndexValue]:
    """What to write beside the cells of *stale* as they are now, some of them swapped a moment ago."""
    swapped = dict(zip(plan.swaps.keys, plan.swaps.new, strict=True))
    for key, cell, wanted, _, is_current in stale:
        if key in swapped and not written.failed(key):
            yield IndexValue(key, swapped[key], wanted)
        elif is_current:
            yield IndexValue(key, cell, wanted)
