"""Plans cells that hold tokens inside text or encoded again: all tokens of a cell move, or none does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, repeat

from keyring_core.token_batches import pick, put
from rotation.model.batch import FurtherToken, Plan, Swaps
from rotation.model.counts import Counts, RowKey
from rotation.planning.rules import Action, Decided, Rules
from rotation.planning.suspects import ROOM, SUSPECT
from rotation.planning.text_search import Obstacle, TextSearch


def plan_texts(rules: Rules, keys: Sequence[RowKey], cells: Sequence[str | bytes]) -> Plan:
    """Plans *cells*, which hold something; *keys* are those of their rows. Counts all but the cells to swap."""
    counts = Counts()
    search = TextSearch(rules, cells, counts)
    decided, damaged = rules.decide(search.found)
    for tokens, verdict, _ in decided:
        if verdict.action is Action.STAY:
            for index in tokens.places:
                search.blame(index, Obstacle(verdict.category, verdict.detail, unsettled=True))
    for index, error in damaged.items():
        search.blame(index, Obstacle(error.category, str(error)))
    swapped = _owners(search, decided, Action.ROTATE)
    waiting = _owners(search, decided, Action.TO_ROTATE)
    holders = {owner for tokens, *_ in decided for owner in pick(search.owners, tokens.places)}
    counts.to_rotate = len(waiting)
    counts.current = len(holders - search.obstacles.keys()) - len(swapped) - len(waiting)
    counts.empty = len(cells) - counts.current - len(waiting) - len(swapped) - len(search.obstacles)
    counts.embedded = sum(len(tokens.places) for tokens, *_ in decided) + search.unknown
    _count_obstacles(search, counts, keys)
    for tokens, verdict, _ in decided:
        counts.unbound += len(tokens.places) * verdict.unbound
        rules.note_nested(counts, tokens, lambda index: keys[search.owners[index]])
        stay = [owner not in swapped for owner in pick(search.owners, tokens.places)]
        counts.hold(tokens.key.id, list(compress(tokens.signed, stay)))
    if not swapped:
        return Plan(Swaps(), (), (), counts)
    places = sorted(swapped)
    key_ids, signed, runs, further = _swapped(search, places, decided)
    swaps = Swaps(pick(keys, places), pick(cells, places), search.rebuilt(places, runs))
    return Plan(swaps, key_ids, signed, counts, further=further)


def _owners(search: TextSearch, decided: Sequence[Decided], action: Action) -> set[int]:
    """The places of the cells with a token of that *action*, and with no obstacle."""
    of_action = (tokens.places for tokens, verdict, _ in decided if verdict.action is action)
    return {owner for places in of_action for owner in pick(search.owners, places)} - search.obstacles.keys()


def _count_obstacles(search: TextSearch, counts: Counts, keys: Sequence[RowKey]) -> None:
    """One problem for each cell that stays or may hide a token: the first one that a person has to look at."""
    for place, obstacles in sorted(search.obstacles.items()):
        first = min(obstacles, key=lambda each: each.unsettled)
        counts.unsettled += first.unsettled
        counts.unreadable += not first.unsettled
        counts.identified += not first.unsettled and all(each.keyless or each.unsettled for each in obstacles)
        counts.note(keys[place], str(first.category), first.detail)
    counts.suspects += len(search.suspects)
    for place in search.suspects:
        if place not in search.obstacles:
            counts.note(keys[place], SUSPECT, ROOM)


def _swapped(
    search: TextSearch, places: Sequence[int], decided: Sequence[Decided]
) -> tuple[Sequence[str], Sequence[bytes], list[str], Sequence[FurtherToken]]:
    """Key id and signed part of the first token to move in each cell at *places*, which ascend.

    Then all runs, the new ones among them, and all other tokens of these cells.
    """
    runs = search.runs[:]
    key_ids, signed, moves = [""] * len(runs), [b""] * len(runs), [False] * len(runs)
    for tokens, _, new in decided:
        put(key_ids, tokens.places, repeat(tokens.key.id, len(tokens.places)))
        put(signed, tokens.places, tokens.signed)
        if new is not None:
            put(moves, tokens.places, repeat(True, len(tokens.places)))  # noqa: FBT003 - no flag of repeat's
            put(runs, tokens.places, search.respelled(tokens.places, new))
    if search.owners == places:
        return key_ids, signed, runs, ()
    first_ids, first_signed, further = _by_cell(places, zip(search.owners, key_ids, signed, moves, strict=True))
    return first_ids, first_signed, runs, further


def _by_cell(
    places: Sequence[int], tokens: Iterable[tuple[int, str, bytes, bool]]
) -> tuple[list[str], list[bytes], list[FurtherToken]]:
    """The first token to move of each cell at *places*, side by side, and all others of these cells.

    *tokens* are owners, key ids, signed parts, and whether each moves; one without a key id is no token.
    """
    order = {place: number for number, place in enumerate(places)}
    key_ids, signed, further = [""] * len(places), [b""] * len(places), list[FurtherToken]()
    for owner, key_id, part, moves in tokens:
        swap = order.get(owner)
        if swap is None or not key_id:
            continue
        if key_ids[swap] or not moves:
            further.append(FurtherToken(swap, key_id, part, moves))
        else:
            key_ids[swap], signed[swap] = key_id, part
    return key_ids, signed, further
