"""Plans a batch: cells in, what to write and what was found out. Pure: no database, so that a test needs none.

Here stands the plan of cells that are to be one token each, and of blocks of them; texts have a file of their own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain, compress, repeat
from typing import cast

from keyring_core import DamagedToken, InvalidToken, Key, Malformed, MalformedToken, UndecryptableToken, bulk
from keyring_core.bulk import Refused, SignedBatch, damaged, find_on_end, pick, reencrypt_on_end
from keyring_core.tokens import signed_part
from rotation.model.batch import NO_KEY, OVERSIZED, Batch, Block, BlockSwap, Plan, Swaps, are_all, split
from rotation.model.counts import KEPT_SAMPLES, Counts, RowKey, Times
from rotation.model.target import Format
from rotation.planning.cell_kinds import CellKind, kind_of
from rotation.planning.inner_tokens import bytes_of, holds_mark
from rotation.planning.rules import OTHER_KEY_SET, STAYING, Action, Decided, Rules, Taken, describe, may_nest
from rotation.planning.texts import plan_texts

_EXACT = frozenset({Malformed.BYTES_REPR, Malformed.TOO_LARGE})
"""Categories of keyring_core that say more than the kind of the cell does."""


class Planner(Rules):
    """Plans the batches of one target, one after the other."""

    def plan(self, batch: Batch) -> Plan:
        """Rotates what needs it and counts the rest; a bad cell affects no other.

        A block, which only the format `token` has, is planned as a whole, unless one of its cells needs a look of its
        own.
        """
        planned = [(block, plan_block(self, block)) for block in batch.blocks]
        apart = [block for block, plan in planned if plan is None]
        rows = _with_rows_of(batch, apart) if apart else batch
        keys, cells = rows.keys, cast(Sequence[str | bytes], rows.cells)
        if not are_all(cells, str, bytes):
            keys = list(compress(rows.keys, [cell is not None for cell in rows.cells]))
            # SQLite keeps a number in a text column if somebody put one there.
            cells = [cell if isinstance(cell, str | bytes) else str(cell) for cell in rows.cells if cell is not None]
        plan = _plan_rows(self, keys, cells) if self.format is Format.TOKEN else plan_texts(self, keys, cells)
        null, unread = batch.null + len(rows.cells) - len(cells), len(batch.oversized)
        scanned = batch.empty + len(cells) + unread
        plan.counts.add(Counts(scanned=scanned, empty=batch.empty, null=null, unsettled=unread))
        for row, words in batch.oversized:
            plan.counts.note(row, OVERSIZED, words)
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
        if not plan.counts.current:
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
    keys, cells = [*batch.keys], [*batch.cells]
    for block in blocks:
        keys += block.row_keys()
        cells += block.each_cell()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Batch(pick(keys, order), pick(cells, order))


def _plan_rows(rules: Rules, keys: Sequence[RowKey], cells: Sequence[str | bytes]) -> Plan:
    """Plans *cells*, which are not empty, of the rows with these *keys*. Counts all but the cells to swap."""
    counts, found, refused = Counts(), list[SignedBatch](), dict[int, InvalidToken]()
    for part in bulk.find(rules.keyring.states, cells):
        if isinstance(part, Refused):
            refused[part.place] = part.error
        else:
            found.append(part)
    decided, undecrypted = rules.decide(found)
    for tokens, action, _ in decided:
        rules.count(counts, tokens, action)
        if may_nest(tokens):
            rules.note_nested(counts, tokens, keys.__getitem__)
        if action in STAYING:
            words = rules.words_of_staying(tokens.key)
            for place in tokens.places:
                counts.note(keys[place], action, words)
    refused |= undecrypted
    taken = {}
    if refused:
        taken = _taken(rules, counts, keys, cells, {place: refused[place] for place in sorted(refused)})
    moving = [each for each in decided if each.new is not None]
    if not moving and not taken:
        return Plan(Swaps(), (), (), counts)
    places, new, key_ids, signed = _side_by_side(rules, moving, taken)
    old, alike = pick(cells, places), cast(Sequence[str | bytes], new)
    if not are_all(old, str):
        # Each new token is of the type of the old one.
        alike = [text if isinstance(cell, str) else text.encode("ascii") for cell, text in zip(old, new, strict=True)]
    return Plan(Swaps(pick(keys, places), old, alike), key_ids, signed, counts)


def _side_by_side(
    rules: Rules, moving: Sequence[Decided], taken: Mapping[int, Taken]
) -> tuple[Sequence[int], Sequence[str], Sequence[str], Sequence[bytes]]:
    """Places in the order of the rows, which is the order to write them in, and the new token of each.

    Then the id of the key that the old token is under, and its signed part. No key id stands for what was no token.
    """
    if len(moving) == 1 and not taken:
        [(tokens, _, new)] = moving
        return tokens.places, new or (), [tokens.key.id] * len(tokens.places), tokens.signed
    primary, now = rules.keyring.primary.fernet, int(time.time())
    sealed = {
        place: primary.encrypt_at_time(each.plaintext, now if each.timestamp is None else each.timestamp).decode()
        for place, each in taken.items()
    }
    columns = [zip(each.places, new or (), repeat(each.key.id), each.signed, strict=False) for each, _, new in moving]
    made = [(place, token, NO_KEY, signed_part(token)) for place, token in sealed.items()]
    places, new, key_ids, signed = zip(*sorted(chain(*columns, made)), strict=True)
    return places, new, key_ids, signed


def _taken(
    rules: Rules,
    counts: Counts,
    keys: Sequence[RowKey],
    cells: Sequence[str | bytes],
    refused: Mapping[int, InvalidToken],
) -> dict[int, Taken]:
    """The content of each cell at a place of *refused*, which ascend, that becomes a token. Counts the other cells."""
    read = {place: found for place in refused if (found := rules.takeover.read(cells[place]))}
    rest = {place: error for place, error in refused.items() if place not in read}
    lost = [place for place, error in rest.items() if type(error) is UndecryptableToken]
    elsewhere = dict(zip(lost, rules.other_keys_of(pick(cells, lost)), strict=True))
    adopted: dict[int, Taken] = {}
    for place, error in rest.items():
        if isinstance(error, MalformedToken):
            if found := _malformed(rules, counts, keys[place], cells[place], error):
                adopted[place] = found
        elif key := elsewhere.get(place):
            counts.unreadable += 1
            counts.identified += 1
            counts.other_sets[key.id] += 1
            counts.note(keys[place], OTHER_KEY_SET, rules.words_of_other(key))
        elif isinstance(error, UndecryptableToken):
            counts.unreadable += 1
            # A damaged token has nothing around it.
            if not isinstance(error, DamagedToken):
                rules.search(counts, bytes_of(cells[place]))
            counts.note(keys[place], error.category, rules.words_of_lost(error, counts))
    counts.taken_over = len(read) + len(adopted)
    if rules.dry_run:
        counts.to_rotate += counts.taken_over
        counts.samples = [(keys[place], describe(cells[place])) for place in list(adopted)[:KEPT_SAMPLES]]
        return {}
    return read | adopted


def _malformed(rules: Rules, counts: Counts, row: RowKey, cell: str | bytes, error: MalformedToken) -> Taken | None:
    """Counts a cell that is no token by what it holds; or returns it, if it is to become one."""
    if error.category == Malformed.EMPTY:
        counts.empty += 1
        return None
    data = bytes_of(cell)
    inner = rules.search(counts, data)
    found = kind_of(cell, inner)
    if taken := rules.takeover.adopt(cell, error, found, inner):
        return taken
    if found.kind is CellKind.PLAINTEXT:
        counts.plaintext += 1
        counts.suspects += rules.is_suspect(data)
        counts.note(row, CellKind.PLAINTEXT, found.detail)
        return None
    counts.unreadable += 1
    counts.identified += found.keyless
    if found.format and not found.glued:
        counts.formats[found.format] += 1
    if found.glued or (error.category in _EXACT and found.kind in {CellKind.TOKEN_IN_TEXT, CellKind.NOT_A_TOKEN}):
        counts.note(row, str(error.category), error.found)
    else:
        counts.note(row, str(found.kind), found.detail)
    return None


def plan_block(rules: Rules, block: Block) -> Plan | None:
    """Rotates what needs it and counts the rest. None if a cell needs a look of its own; then nothing is counted."""
    counts, tried = Counts(scanned=len(block)), Counter[Key]()
    renewed = list[tuple[SignedBatch, bytes]]()
    for tokens in find_on_end(rules.keyring.states, block.cells, block.size):
        if isinstance(tokens, Refused) or (action := rules.action(tokens.key)) in STAYING:
            return None
        if action is Action.ROTATE:
            suspicious = holds_mark if may_nest(tokens) else lambda _: False
            new = reencrypt_on_end(rules.keyring.primary, tokens, suspicious)
            # With blanks around its token a cell is longer than the new token, and the next one would lie in two cells.
            if new is None or len(new) != block.size * len(tokens.places):
                return None
            renewed.append((tokens, new))
        elif (rules.dry_run and damaged(tokens)) or (may_nest(tokens) and any(rules.nested(tokens))):
            return None
        rules.count(counts, tokens, action)
        if rules.decrypts(action):
            tried[tokens.key] += len(tokens.places)
    if any(rules.balance[key] + sound <= 0 for key, sound in tried.items()):
        return None
    rules.balance.update(tried)
    return Plan(Swaps(), (), (), counts, [_joined(block, renewed)] if renewed else ())


def _joined(block: Block, renewed: Sequence[tuple[SignedBatch, bytes]]) -> BlockSwap:
    """One swap for all tokens, in the order of the rows; each batch of them has its successors beside it."""
    times = reduce(Times.plus, [Times.of(tokens.signed) for tokens, _ in renewed])
    places = list(chain.from_iterable(tokens.places for tokens, _ in renewed))
    ids = list(chain.from_iterable([tokens.key.id] * len(tokens.places) for tokens, _ in renewed))
    if places == list(range(len(places))):
        new = b"".join([new for _, new in renewed])
        return BlockSwap(block.part(0, len(places)) if len(places) < len(block) else block, new, ids, times)
    cells = chain.from_iterable(split(new, block.size, binary=True) for _, new in renewed)
    places, ids, each = zip(*sorted(zip(places, ids, cells, strict=True)), strict=True)  # type: ignore[assignment]
    return BlockSwap(block.only(places), b"".join(each), ids, times)
