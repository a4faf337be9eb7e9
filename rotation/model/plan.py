"""Plans a batch: cells in, what to write and what was found out. Pure: no database, so that a test needs none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, compress, repeat
from typing import cast

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
from rotation.model.attempts import Attempt, errors_in, judge, words_of
from rotation.model.batch import Batch, Plan, are_all
from rotation.model.block import Block, BlockSwap, Swaps
from rotation.model.cell_kinds import CellKind, kind_of
from rotation.model.counts import Counts, RowKey
from rotation.model.embedded import SPELLINGS, Spelling
from rotation.model.formats import Format
from rotation.model.inner_tokens import SHORTEST, InnerTokens, bytes_of, find_inner, holds_mark
from rotation.model.key_history import UNKNOWN, History
from rotation.model.nested import note_nested
from rotation.model.other_key_sets import OTHER_KEY_SET, OtherKeySets
from rotation.model.plan_block import count_found, plan_block, reason_to_stay
from rotation.model.plan_texts import plan_texts

_EXACT = frozenset({Malformed.BYTES_REPR, Malformed.TOO_LARGE})
"""Categories of keyring_core that say more than the kind of the cell does."""


def plan_batch(  # noqa: PLR0913 - what a batch is planned by
    keyring: Keyring,
    batch: Batch,
    *,
    dry_run: bool = False,
    history: History = UNKNOWN,
    balance: Counter[Key] | None = None,
    format: Format = Format.TOKEN,  # noqa: A002 - the setting's name
    others: Sequence[tuple[str, Keyring]] = (),
) -> Plan:
    """Rotates what needs it and counts the rest; a bad cell spoils no other.

    A dry run counts what a run would rotate, and plans nothing. Tokens under a key that *history* calls newer than the
    primary one stay. *balance* is that of the batches before this one, as `judge` keeps it.

    *format* is how cells hold tokens. A token that no key of *keyring* opens, but a key of *others*, is reported as
    theirs; these are further key sets with their names.

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
    plan = _plan_rows(keyring, rows, dry_run=dry_run, history=history, balance=balance, others=sets)
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
    bad = {keys[place]: (cells[place], refused[place]) for place in sorted(refused)}
    _count_refused(keyring, counts, bad, history, others)
    return _plan(keys, cells, rotated, counts)


def _plan(keys: Sequence[RowKey], cells: Sequence[str | bytes], rotated: Sequence[Attempt], counts: Counts) -> Plan:
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


def _count_refused(
    keyring: Keyring,
    counts: Counts,
    rows: Mapping[RowKey, tuple[str | bytes, InvalidToken]],
    history: History,
    others: OtherKeySets,
) -> None:
    """Counts cells that are no token, or a token that does not open, in their order."""
    lost = [row for row, (_, error) in rows.items() if type(error) is UndecryptableToken]
    elsewhere = dict(zip(lost, others.keys_of([rows[row][0] for row in lost]), strict=True))
    for row, (cell, error) in rows.items():
        if isinstance(error, MalformedToken):
            _count_malformed(keyring, counts, row, cell, error, others)
        elif key := elsewhere.get(row):
            counts.unreadable += 1
            counts.identified += 1
            counts.other_sets[key.id] += 1
            counts.note(row, OTHER_KEY_SET, others.words(key))
        elif isinstance(error, UndecryptableToken):
            counts.unreadable += 1
            # A damaged token has nothing around it.
            if not isinstance(error, DamagedToken):
                _search(keyring, counts, cell, others)
            counts.note(row, error.category, words_of(error, counts, history))


def _count_malformed(  # noqa: PLR0913, PLR0917 - what one cell is judged by
    keyring: Keyring, counts: Counts, row: RowKey, cell: str | bytes, error: MalformedToken, others: OtherKeySets
) -> None:
    """Counts a cell that is no token by what it holds."""
    if error.category == Malformed.EMPTY:
        counts.empty += 1
        return
    found = kind_of(cell, _search(keyring, counts, cell, others))
    if found.kind is CellKind.PLAINTEXT:
        counts.plaintext += 1
        counts.suspects += len(bytes_of(cell)) >= SHORTEST
        counts.note(row, CellKind.PLAINTEXT, found.detail)
        return
    counts.unreadable += 1
    counts.identified += found.keyless
    if found.format and not found.glued:
        counts.formats[found.format] += 1
    if found.glued or (error.category in _EXACT and found.kind in {CellKind.TOKEN_IN_TEXT, CellKind.NOT_A_TOKEN}):
        counts.note(row, str(error.category), error.found)
    else:
        counts.note(row, str(found.kind), found.detail)


def _search(keyring: Keyring, counts: Counts, cell: str | bytes, others: OtherKeySets) -> InnerTokens:
    """What stands in a cell that is no sound token; counts it."""
    data = bytes_of(cell)
    if len(data) < SHORTEST or not holds_mark(data):
        return InnerTokens()
    inner = find_inner([keyring, *others.keyrings], data)
    counts.inner.update(inner.under)
    counts.given_up += inner.given_up
    return inner
