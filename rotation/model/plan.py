"""Plans a batch: cells in, what to write and what was found out. Pure: no database, so that a test needs none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress, repeat
from typing import Any, NamedTuple, cast

from keyring_core import (
    DamagedToken,
    InvalidToken,
    Key,
    Keyring,
    KeyState,
    Malformed,
    MalformedToken,
    UndecryptableToken,
)
from keyring_core.token_batches import Refused, pick
from keyring_core.tokens import INSIDE
from rotation.model.batch import Batch, Plan, are_all
from rotation.model.block import Block, BlockSwap, Swaps
from rotation.model.counts import Counts, RowKey
from rotation.model.inner_tokens import SHORTEST, InnerTokens, bytes_of, find_inner, holds_mark
from rotation.model.key_history import UNKNOWN, History
from rotation.model.nested import note_nested
from rotation.model.plan_block import count_found, plan_block, reason_to_stay


def plan_batch(
    keyring: Keyring,
    batch: Batch,
    *,
    dry_run: bool = False,
    history: History = UNKNOWN,
    balance: Counter[Key] | None = None,
) -> Plan:
    """Rotates what needs it and counts the rest; a bad cell spoils no other.

    A dry run counts what a run would rotate, and plans nothing. Tokens under a key that *history* calls newer than the
    primary one stay. *balance* is that of the batches before this one, as `_judge` keeps it.

    A block is planned as a whole, unless one of its cells needs a look of its own.
    """
    balance = Counter() if balance is None else balance
    counts = Counts(scanned=batch.empty, empty=batch.empty, null=batch.null)
    blocks: list[BlockSwap] = []
    others: list[Block] = []
    for block in batch.blocks:
        if planned := plan_block(keyring, block, dry_run=dry_run, history=history, balance=balance):
            counts.add(planned.counts)
            blocks += planned.swaps
        else:
            others.append(block)
    plan = _plan_rows(keyring, _with_rows_of(batch, others), dry_run=dry_run, history=history, balance=balance)
    plan.counts.add(counts)
    return plan._replace(blocks=blocks)


def _with_rows_of(batch: Batch, blocks: Sequence[Block]) -> Batch:
    """The rows of *batch* outside of its blocks, and those of *blocks*, in the order of the keys."""
    if not blocks:
        return batch
    keys, cells = [*batch.keys], [*batch.cells]
    for block in blocks:
        keys += block.row_keys()
        cells += block.each_cell()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Batch(pick(keys, order), pick(cells, order))


def _plan_rows(keyring: Keyring, batch: Batch, *, dry_run: bool, history: History, balance: Counter[Key]) -> Plan:
    counts = Counts()
    keys, cells = _filled(batch, counts)
    refused: dict[int, InvalidToken] = {}
    attempts: list[_Attempt] = []
    for part in keyring.find_many(cells):
        if isinstance(part, Refused):
            refused[part.place] = part.error
            continue
        places, signed, state = part.batch.places, part.signed, keyring.states[part.key]
        if reason := reason_to_stay(part.key.id, state, history):
            counts.unsettled += len(places)
            counts.hold(part.key.id, signed)
            note_nested(counts, keyring, part.key, signed, pick(keys, places))
            for place in places:
                counts.note(keys[place], *reason)
        elif dry_run:
            attempts.append(_Attempt(part.key, places, signed, None, keyring.damaged_many(part)))
        elif state is KeyState.PRIMARY:
            count_found(counts, part.key.id, state, signed)
            note_nested(counts, keyring, part.key, signed, pick(keys, places))
        else:
            renewed = keyring.reencrypt_many(part)
            attempts.append(_Attempt(part.key, places, signed, renewed, _errors_in(renewed)))
    rotated: list[_Attempt] = []
    for attempt in _judge(attempts, balance):
        refused |= {attempt.places[index]: error for index, error in attempt.errors.items()}
        sound = attempt.sound()
        if not sound.places:
            continue
        if sound.new is not None:
            rotated.append(sound)
            note_nested(counts, keyring, sound.key, sound.signed, pick(keys, sound.places))
            continue
        count_found(counts, sound.key.id, keyring.states[sound.key], sound.signed)
        note_nested(counts, keyring, sound.key, sound.signed, pick(keys, sound.places))
        counts.unbound += len(sound.signed) if sound.key.context != keyring.context else 0
    for place in sorted(refused):
        _count_refused(counts, keys[place], _looked_into(keyring, counts, cells[place], refused[place]), history)
    return _plan(keys, cells, rotated, counts)


class _Attempt(NamedTuple):
    """Tokens that one key signed, and what decrypting them came to."""

    key: Key
    places: Sequence[int]
    """Their places in the batch, ascending."""
    signed: Sequence[bytes]
    """Each without its tag."""
    new: Sequence[Any] | None
    """Their successors, or an error each; None if they are only counted."""
    errors: Mapping[int, InvalidToken]
    """Those that do not decrypt, by their index here."""

    def sound(self) -> _Attempt:
        """The others."""
        if not self.errors:
            return self
        good = [index not in self.errors for index in range(len(self.places))]
        new = None if self.new is None else list(compress(self.new, good))
        return _Attempt(self.key, list(compress(self.places, good)), list(compress(self.signed, good)), new, {})


def _errors_in(new: Sequence[str | InvalidToken]) -> dict[int, InvalidToken]:
    """The errors among successors, by their index."""
    if are_all(new, str):
        return {}
    return {index: error for index, error in enumerate(new) if isinstance(error, InvalidToken)}


def _judge(attempts: Sequence[_Attempt], balance: Counter[Key]) -> Iterator[_Attempt]:
    """*attempts*; if at least half of a key's tokens fail to decrypt, all of them count as damaged.

    Then the key is wrong: it is mistyped in its second half, which does not sign. One in 256 of its tokens decrypts
    all the same, to nonsense, and must not be written. *balance* holds by how many more tokens of a key have decrypted
    than have not, in this batch and in those before.
    """
    for attempt in attempts:
        balance[attempt.key] += len(attempt.signed) - 2 * len(attempt.errors)
    for attempt in attempts:
        if balance[attempt.key] > 0:
            yield attempt
        else:
            error = DamagedToken.under(attempt.key.id)
            yield attempt._replace(errors=dict.fromkeys(range(len(attempt.places)), error))


def _plan(keys: Sequence[RowKey], cells: Sequence[str | bytes], rotated: Sequence[_Attempt], counts: Counts) -> Plan:
    """The swaps in the order of the rows, which is the order to write them in."""
    if not rotated:
        return Plan(Swaps(), (), (), counts)
    if len(rotated) == 1:
        key, places, signed, new, _ = rotated[0]
        key_ids: Sequence[str] = [key.id] * len(places)
    else:
        columns = [zip(each.places, each.new or (), repeat(each.key.id), each.signed, strict=False) for each in rotated]
        places, new, key_ids, signed = zip(*sorted(chain.from_iterable(columns)), strict=True)
    old = pick(cells, places)
    return Plan(Swaps(pick(keys, places), old, _alike(old, new or ())), key_ids, signed, counts)


def _filled(batch: Batch, counts: Counts) -> tuple[Sequence[RowKey], Sequence[str | bytes]]:
    """Keys and cells of the rows that hold something; counts all."""
    keys, cells = batch.keys, batch.cells
    if not are_all(cells, str, bytes):
        # SQLite keeps a number in a text column if somebody put one there.
        texts = [cell if isinstance(cell, str | bytes) else str(cell) for cell in cells if cell is not None]
        keys, cells = list(compress(keys, [cell is not None for cell in cells])), texts
    counts.scanned, counts.null = len(cells), len(batch.cells) - len(cells)
    return keys, cast(Sequence[str | bytes], cells)


def _alike(old: Sequence[str | bytes], new: Sequence[str]) -> Sequence[str | bytes]:
    """Each new token, of the type of the old one."""
    if are_all(old, str):
        return new
    return [token if isinstance(cell, str) else token.encode("ascii") for cell, token in zip(old, new, strict=True)]


def _looked_into(keyring: Keyring, counts: Counts, cell: str | bytes, error: InvalidToken) -> InvalidToken:
    """*error*, or what a cell that passed for plaintext is. Counts the tokens in it, and a cell that may hide one."""
    data = bytes_of(cell)
    # A damaged token is one all the same: there is nothing around it.
    if len(data) < SHORTEST or isinstance(error, DamagedToken):
        return error
    inner = find_inner([keyring], data) if holds_mark(data) else InnerTokens()
    counts.inner.update(inner.under)
    counts.given_up += inner.given_up
    if not isinstance(error, MalformedToken) or error.category != Malformed.PLAINTEXT:
        return error
    if inner:
        return MalformedToken(Malformed.NOT_A_TOKEN, f"{INSIDE} ({len(data)} bytes)")
    counts.suspects += 1
    return error


def _count_refused(counts: Counts, key: RowKey, error: InvalidToken, history: History) -> None:
    category = error.category if isinstance(error, MalformedToken | UndecryptableToken) else "unreadable"
    if category == Malformed.EMPTY:
        counts.empty += 1
        return
    if category == Malformed.PLAINTEXT:
        counts.plaintext += 1
    else:
        counts.unreadable += 1
    detail = error.found if isinstance(error, MalformedToken) else str(error)
    if type(error) is UndecryptableToken and error.timestamp is not None:
        counts.lost.append(error.timestamp)
        hint = history.hint(error.timestamp)
        detail = f"{detail}; {hint}" if hint else detail
    counts.note(key, str(category), detail)
