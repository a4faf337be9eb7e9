"""Plans cells that are to be one token each: rotates tokens, takes over other cells, and counts the rest. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import chain, repeat

from keyring_core import DamagedToken, InvalidToken, Malformed, MalformedToken, UndecryptableToken, bulk
from keyring_core.bulk import SignedBatch
from keyring_core.token_batches import Refused, pick
from keyring_core.tokens import signed_part
from rotation.model.batch import NO_KEY, Plan, Swaps, are_all
from rotation.model.counts import KEPT_SAMPLES, Counts, RowKey
from rotation.planning.cell_kinds import CellKind, kind_of
from rotation.planning.inner_tokens import bytes_of
from rotation.planning.rules import OTHER_KEY_SET, Action, Decided, Rules
from rotation.planning.takeover import Taken, describe

_EXACT = frozenset({Malformed.BYTES_REPR, Malformed.TOO_LARGE})
"""Categories of keyring_core that say more than the kind of the cell does."""


def plan_rows(rules: Rules, keys: Sequence[RowKey], cells: Sequence[str | bytes]) -> Plan:
    """Plans *cells*, which are not empty, of the rows with these *keys*. Counts all but the cells to swap."""
    counts, found, refused = Counts(), list[SignedBatch](), dict[int, InvalidToken]()
    for part in bulk.find(rules.keyring.states, cells):
        if isinstance(part, Refused):
            refused[part.place] = part.error
        else:
            found.append(part)
    decided, damaged = rules.decide(found)
    for tokens, verdict, _ in decided:
        rules.count(counts, tokens, verdict)
        rules.note_nested(counts, tokens, keys.__getitem__)
        if verdict.action is Action.STAY:
            for place in tokens.places:
                counts.note(keys[place], verdict.category, verdict.detail)
    refused |= damaged
    taken = _taken(rules, counts, keys, cells, {place: refused[place] for place in sorted(refused)})
    moving = [each for each in decided if each.new is not None]
    if not moving and not taken:
        return Plan(Swaps(), (), (), counts)
    places, new, key_ids, signed = _side_by_side(rules, moving, taken)
    old = pick(cells, places)
    return Plan(Swaps(pick(keys, places), old, _alike(old, new)), key_ids, signed, counts)


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


def _alike(old: Sequence[str | bytes], new: Sequence[str]) -> Sequence[str | bytes]:
    """Each new token, of the type of the old one."""
    if are_all(old, str):
        return new
    return [token if isinstance(cell, str) else token.encode("ascii") for cell, token in zip(old, new, strict=True)]


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
