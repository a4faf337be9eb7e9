"""Plans a batch: cells in, what to write and what was found out. Pure: no database, so that a test needs none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, compress, repeat
from typing import cast

from keyring_core import (
    InvalidToken,
    Key,
    Keyring,
    KeyState,
)
from keyring_core.token_batches import Refused, pick
from keyring_core.tokens import signed_part
from rotation.model.batch import NO_KEY, Batch, Block, BlockSwap, Plan, Swaps, are_all
from rotation.model.counts import KEPT_SAMPLES, Counts, RowKey
from rotation.model.formats import Format
from rotation.model.key_history import UNKNOWN, History
from rotation.planning.attempts import Attempt, errors_in, judge
from rotation.planning.embedded import SPELLINGS, Spelling
from rotation.planning.nested import note_nested
from rotation.planning.other_key_sets import OtherKeySets
from rotation.planning.plan_block import count_found, plan_block, reason_to_stay
from rotation.planning.plan_texts import plan_texts
from rotation.planning.refused_cells import RefusedCells
from rotation.planning.takeover import NOTHING, Taken, Takeover, describe


def plan_batch(  # noqa: PLR0913 - what a batch is planned by
    keyring: Keyring,
    batch: Batch,
    *,
    dry_run: bool = False,
    history: History = UNKNOWN,
    balance: Counter[Key] | None = None,
    format: Format = Format.TOKEN,  # noqa: A002 - the setting's name
    others: Sequence[tuple[str, Keyring]] = (),
    takeover: Takeover = NOTHING,
) -> Plan:
    """Rotates what needs it and counts the rest; a bad cell spoils no other.

    A dry run counts what a run would rotate, and plans nothing. Tokens under a key that *history* calls newer than the
    primary one stay. *balance* is that of the batches before this one, as `judge` keeps it.

    *format* is how cells hold tokens. A token that no key of *keyring* opens, but a key of *others*, is reported as
    theirs; these are further key sets with their names. *takeover* says which other cells become tokens, too.

    A block, which only the format `token` has, is planned as a whole, unless one of its cells needs a look of its own.
    """
    balance = Counter() if balance is None else balance
    sets = OtherKeySets(others)
    if format is not Format.TOKEN:
        return _plan_texts(keyring, batch, SPELLINGS[format], dry_run, history, balance, sets)
    counts = Counts(scanned=batch.empty, empty=batch.empty, null=batch.null)
    blocks: list[BlockSwap] = []
    looked_into: list[Block] = []
    for block in batch.blocks:
        if planned := plan_block(keyring, block, dry_run=dry_run, history=history, balance=balance):
            counts.add(planned.counts)
            blocks += planned.swaps
        else:
            looked_into.append(block)
    rows = _with_rows_of(batch, looked_into)
    plan = _plan_rows(keyring, rows, dry_run=dry_run, history=history, balance=balance, others=sets, takeover=takeover)
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


def _plan_texts(  # noqa: PLR0913, PLR0917 - as for plan_batch
    keyring: Keyring,
    batch: Batch,
    spelling: Spelling,
    dry_run: bool,  # noqa: FBT001 - only passed on
    history: History,
    balance: Counter[Key],
    others: OtherKeySets,
) -> Plan:
    """The plan of a batch of another format than `token`."""
    counts = Counts(scanned=batch.empty, empty=batch.empty, null=batch.null)
    keys, cells = _filled(batch, filled := Counts())
    plan = plan_texts(keyring, keys, cells, spelling, dry_run=dry_run, history=history, balance=balance, others=others)
    counts.null += filled.null
    plan.counts.add(counts)
    return plan


def _plan_rows(  # noqa: PLR0913 - as for plan_batch
    keyring: Keyring,
    batch: Batch,
    *,
    dry_run: bool,
    history: History,
    balance: Counter[Key],
    others: OtherKeySets,
    takeover: Takeover,
) -> Plan:
    counts = Counts()
    keys, cells = _filled(batch, counts)
    refused: dict[int, InvalidToken] = {}
    attempts: list[Attempt] = []
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
            attempts.append(Attempt(part.key, places, signed, None, keyring.damaged_many(part)))
        elif state is KeyState.PRIMARY:
            count_found(counts, part.key.id, state, signed)
            note_nested(counts, keyring, part.key, signed, pick(keys, places))
        else:
            renewed = keyring.reencrypt_many(part)
            attempts.append(Attempt(part.key, places, signed, renewed, errors_in(renewed)))
    rotated: list[Attempt] = []
    for attempt in judge(attempts, balance):
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
    judging = RefusedCells(keyring, counts, history, others, takeover)
    taken = judging.read(cells, sorted(refused))
    bad = {keys[place]: (cells[place], refused[place]) for place in sorted(refused) if place not in taken}
    adopted = judging.count(bad)
    taken |= {place: adopted[keys[place]] for place in refused if keys[place] in adopted}
    counts.taken_over = len(taken)
    if dry_run:
        counts.to_rotate += len(taken)
        counts.samples = [(row, describe(bad[row][0])) for row in list(adopted)[:KEPT_SAMPLES]]
        taken = {}
    return _plan(keys, cells, rotated, _sealed(keyring.primary, taken), counts)


_New = tuple[int, str, str, bytes]
"""A place in a batch, the new token, the id of the key that the old one is under, and its signed part."""


def _sealed(primary: Key, taken: Mapping[int, Taken]) -> list[_New]:
    """A new token for each of *taken*; no key id stands for what was no token."""
    now = int(time.time())
    tokens = [
        primary.fernet.encrypt_at_time(each.plaintext, now if each.timestamp is None else each.timestamp).decode()
        for each in taken.values()
    ]
    return [(place, token, NO_KEY, signed_part(token)) for place, token in zip(taken, tokens, strict=True)]


def _plan(
    keys: Sequence[RowKey],
    cells: Sequence[str | bytes],
    rotated: Sequence[Attempt],
    sealed: Sequence[_New],
    counts: Counts,
) -> Plan:
    """The swaps in the order of the rows, which is the order to write them in."""
    if not rotated and not sealed:
        return Plan(Swaps(), (), (), counts)
    if len(rotated) == 1 and not sealed:
        key, places, signed, new, _ = rotated[0]
        key_ids: Sequence[str] = [key.id] * len(places)
    else:
        columns = [zip(each.places, each.new or (), repeat(each.key.id), each.signed, strict=False) for each in rotated]
        places, new, key_ids, signed = zip(*sorted(chain(*columns, sealed)), strict=True)
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
