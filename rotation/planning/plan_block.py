"""Plans a block as a whole: each verdict is that of `plan_batch` on the same rows, or there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from typing import NamedTuple

from keyring_core import Key, Keyring, KeyState
from keyring_core.bulk import Found
from keyring_core.token_batches import Refused
from rotation.model.batch import Block, BlockSwap, split
from rotation.model.counts import Counts, Times
from rotation.model.key_history import History
from rotation.planning.inner_tokens import holds_mark
from rotation.planning.nested import SHORTEST_NESTED, find_nested


class BlockPlan(NamedTuple):
    """What a block comes to."""

    counts: Counts
    """Of all cells but those to swap."""
    swaps: Sequence[BlockSwap]
    """One, or none."""


class _Piece(NamedTuple):
    """Tokens of a block that are rotated together."""

    key: Key
    places: Sequence[int]
    new: bytes
    """Their successors, one after the other."""
    times: Times


@dataclass
class _Planning:
    """A block while it is planned."""

    counts: Counts
    size: int
    """Of a cell, in bytes."""
    pieces: list[_Piece] = field(default_factory=list)
    balance: Counter[Key] = field(default_factory=Counter)


def plan_block(
    keyring: Keyring, block: Block, *, dry_run: bool, history: History, balance: Counter[Key]
) -> BlockPlan | None:
    """Rotates what needs it and counts the rest. None if a cell needs a look of its own; then nothing is counted.

    Arguments as for `plan_batch`.
    """
    planning = _Planning(Counts(scanned=len(block)), block.size)
    for found in keyring.find_on_end(block.cells, block.size):
        if isinstance(found, Refused) or not _take(planning, keyring, found, history, dry_run=dry_run):
            return None
    if any(balance[key] + sound <= 0 for key, sound in planning.balance.items()):
        return None
    balance.update(planning.balance)
    return BlockPlan(planning.counts, [_joined(block, planning.pieces)] if planning.pieces else [])


def _take(planning: _Planning, keyring: Keyring, found: Found, history: History, *, dry_run: bool) -> bool:
    """Plans the tokens of *found*; False if one of them needs a look of its own."""
    key, signed = found.key, found.signed
    state, long = keyring.states[key], len(signed[0]) >= SHORTEST_NESTED
    if reason_to_stay(key.id, state, history):
        return False
    rotates = not dry_run and state is not KeyState.PRIMARY
    if rotates:
        new = keyring.reencrypt_on_end(found, holds_mark if long else lambda _: False)
        # With blanks around its token a cell is longer than the new token, and the next one would lie in two cells.
        if new is None or len(new) != planning.size * len(signed):
            return False
        planning.pieces.append(_Piece(key, found.batch.places, new, Times.of(signed)))
    else:
        if (dry_run and keyring.damaged_many(found)) or (long and any(find_nested(keyring, key, signed))):
            return False
        count_found(planning.counts, key.id, state, signed)
        planning.counts.unbound += len(signed) if dry_run and key.context != keyring.context else 0
    if rotates or dry_run:
        planning.balance[key] += len(signed)
    return True


def _joined(block: Block, pieces: Sequence[_Piece]) -> BlockSwap:
    """One swap for all *pieces*, in the order of the rows."""
    times = reduce(Times.plus, [piece.times for piece in pieces])
    places = list(chain.from_iterable(piece.places for piece in pieces))
    ids = list(chain.from_iterable([piece.key.id] * len(piece.places) for piece in pieces))
    if places == list(range(len(places))):
        new = b"".join([piece.new for piece in pieces])
        return BlockSwap(block.part(0, len(places)) if len(places) < len(block) else block, new, ids, times)
    cells = chain.from_iterable(split(piece.new, block.size, binary=True) for piece in pieces)
    places, ids, each = zip(*sorted(zip(places, ids, cells, strict=True)), strict=True)  # type: ignore[assignment]
    return BlockSwap(block.only(places), b"".join(each), ids, times)


def reason_to_stay(key_id: str, state: KeyState, history: History) -> tuple[str, str] | None:
    """Category and detail, if a token must not move to the primary key."""
    if state is KeyState.STAGED:
        # A service that has it as primary would only write it again.
        return "staged-key", f"under the staged key {key_id}: finish the promotion, then run again"
    if state is KeyState.PREVIOUS and (detail := history.demotion(key_id)):
        return "newer-key", detail
    return None


def count_found(counts: Counts, key_id: str, state: KeyState, signed: Sequence[bytes]) -> None:
    """Counts tokens that stay, or that a dry run leaves, by their key's state."""
    counts.hold(key_id, signed)
    if state is KeyState.PRIMARY:
        counts.current += len(signed)
    else:
        counts.to_rotate += len(signed)
