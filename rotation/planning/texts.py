"""Plans cells that hold tokens inside text or encoded again: all tokens of a cell move, or none does.

If a target leaves others' tokens, a cell with a token under a key of its own moves without the tokens of other keys.

Most cells are plain: each token in them ends where its characters end, and its key is known. The tokens of all plain
cells are found in a few calls. A cell in which something is not plain is searched by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress, repeat
from typing import NamedTuple

from keyring_core import UndecryptableToken, bulk
from keyring_core.bulk import SignedBatch, pick, put
from rotation.model.batch import FurtherToken, Plan, Swaps, are_all
from rotation.model.counts import Counts, RowKey
from rotation.planning.cell_kinds import FOREIGN, NO_TOKENS, CellKind, follows_foreign_prefix, kind_of, places_of_tokens
from rotation.planning.embedded import MARK, SPELLINGS, Located, locate, padded
from rotation.planning.inner_tokens import SHORTEST, InnerTokens, bytes_of, holds_mark
from rotation.planning.rules import GIVEN_UP, OTHER_KEY_SET, STAYING, Action, Decided, Rules, may_nest
from rotation.planning.suspects import ROOM, SUSPECT

_SEPARATORS = ("\0", *map(chr, range(0xE000, 0xF900)))
"""Characters to stand between texts: the first one is rare, and some private one is in no text of a batch."""

_GAP = "|"
"""Stands for a token while its cell is searched for others: not a character of tokens, and not a blank."""


def plan_texts(rules: Rules, keys: Sequence[RowKey], cells: Sequence[str | bytes]) -> Plan:
    """Plans *cells*, which are not empty, of the rows with these *keys*. Counts all but the cells to swap."""
    counts = Counts()
    search = TextSearch(rules, cells, counts)
    decided, damaged = rules.decide(search.found)
    for tokens, action, _ in decided:
        if action in STAYING:
            obstacle = Obstacle(action, rules.words_of_staying(tokens.key), unsettled=True)
            for index in tokens.places:
                search.blame(index, obstacle)
    for index, error in damaged.items():
        search.blame(index, Obstacle(error.category, str(error)))
    swapped = _owners(search, decided, Action.ROTATE)
    waiting = _owners(search, decided, Action.TO_ROTATE, Action.TO_BIND)
    holders = {owner for tokens, *_ in decided for owner in pick(search.owners, tokens.places)}
    counts.to_rotate = len(waiting)
    counts.current = len(holders - search.obstacles.keys()) - len(swapped) - len(waiting)
    counts.empty = len(cells) - counts.current - len(waiting) - len(swapped) - len(search.obstacles)
    counts.embedded = sum(len(tokens.places) for tokens, *_ in decided) + search.unknown
    counts.others = sum(number for place, number in search.left.items() if place not in search.obstacles)
    _count_obstacles(search, counts, keys)
    for tokens, action, _ in decided:
        counts.unbound += len(tokens.places) * (action is Action.TO_BIND)
        if may_nest(tokens):
            rules.note_nested(counts, tokens, lambda index: keys[search.owners[index]])
        stay = [owner not in swapped for owner in pick(search.owners, tokens.places)]
        counts.hold(tokens.key.id, list(compress(tokens.signed, stay)))
    if not swapped:
        return Plan(Swaps(), (), (), counts)
    places = sorted(swapped)
    key_ids, signed, runs, further = _swapped(search, places, decided)
    swaps = Swaps(pick(keys, places), pick(cells, places), search.rebuilt(places, runs))
    return Plan(swaps, key_ids, signed, counts, further=further)


def _owners(search: TextSearch, decided: Sequence[Decided], *actions: Action) -> set[int]:
    """The places of the cells with a token of one of *actions*, and with no obstacle."""
    of_action = (tokens.places for tokens, action, _ in decided if action in actions)
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


class Obstacle(NamedTuple):
    """The reason for which a cell stays as it is."""

    category: str
    detail: str
    keyless: bool = False
    """It needs no other key than the ones that are counted."""
    unsettled: bool = False
    """A later run may move it. Otherwise a person has to look."""


class TextSearch:
    """The cells of a batch, the tokens in them, and the obstacles to moving any."""

    def __init__(self, rules: Rules, cells: Sequence[str | bytes], counts: Counts) -> None:
        """Finds all tokens and their keys, and looks at the text beside them. *counts* get what only a search sees."""
        self._rules, self._cells, self._counts = rules, cells, counts
        self._spelling, self._known = SPELLINGS[rules.format], rules.keyring.states
        # A character for each byte.
        self._texts = [cell if isinstance(cell, str) else cell.decode("latin-1") for cell in cells]
        self.obstacles: dict[int, list[Obstacle]] = defaultdict(list)
        """The reasons for which cells stay as they are, by place."""
        self.suspects: list[int] = []
        """The places of cells that may hide a token in a form that is not looked for."""
        self.unknown = 0
        """The number of tokens under no key of the keyring that keep their cells from moving."""
        self.left = Counter[int]()
        """The numbers of tokens that stay, under keys that are not here, by place; in whatever form."""
        self._envelopes: set[int] = set()
        """The places of cells with a token of the keyring, if the tokens of other keys beside it stay."""
        self._searched: dict[int, list[Located]] = {}
        """The tokens of the cells that were searched by themselves, of no known key, too."""
        self._separator, joined = _joined(self._texts)
        self._pieces = self._spelling.whole.split(joined)
        self.runs = self._pieces[1::2]
        """The characters that spell each token in its cell; of cells that are searched by themselves, once more."""
        self.bodies = list(map(self._spelling.body, self.runs)) if self._spelling.encoded else self.runs[:]
        """Each as it is in a bare token, without padding."""
        rests = self._pieces[::2]
        self.owners = list(accumulate(map(str.count, rests[:-1], repeat(self._separator))))
        """The place of the cell of each. Ascending, up to the number of plain ones, and behind it."""
        self._plain = len(self.runs)
        """The number of tokens in cells that were not searched one by one."""
        self.found: list[SignedBatch] = []
        """The tokens by their keys; their places are indexes of *runs*, *bodies* and *owners*."""
        self._find(rests)

    def _find(self, rests: Sequence[str]) -> None:
        whole = zip(self.owners, self.runs, self.bodies, strict=True) if self._spelling.encoded else ()
        refused = {owner for owner, run, body in whole if not self._spelling.is_alone(run, body)}
        for part in bulk.find(self._known, padded(self.bodies)):
            if isinstance(part, SignedBatch):
                self.found.append(part)
            else:
                refused.add(self.owners[part.place])
        if self._rules.leaves_others:
            self._envelopes = {*self.owners} - refused
        # The text beside the tokens, in all cells but the ones that are searched anyway.
        for place, rest in enumerate(_GAP.join(rests).split(self._separator)):
            # In fewer characters of ASCII there is no room for a token, in whatever form.
            has_room = len(rest) >= SHORTEST or not rest.isascii()
            if place not in refused and (has_room or MARK in rest):
                self._look_at(place, rest)
        if refused:
            self._search_each(sorted(refused))

    def _look_at(self, place: int, rest: str) -> None:
        """Notes a token in another form in what is left of a cell without its tokens."""
        data = rest.encode("latin-1") if isinstance(self._cells[place], bytes) else bytes_of(rest)
        alone = rest == self._texts[place]
        if not holds_mark(data):
            self._suspect(place, data, alone=alone)
            return
        inner = self._rules.search(self._counts, data)
        if place in self._envelopes and self._rules.are_others(inner):
            self._leave(place, data, inner)
        else:
            self._judge(place, data, inner, alone=alone)

    def _leave(self, place: int, data: bytes, inner: InnerTokens) -> None:
        """Leaves the tokens of others in *data*, and judges the rest of it."""
        self.left[place] += inner.unknown
        self._counts.inner -= inner.under
        self._counts.other_sets.update(inner.under)
        for rest in inner.rest:
            if rest is data:
                # No token's place is known in it, so that it holds all of them.
                self._suspect(place, rest, alone=False)
            else:
                self._judge(place, rest, InnerTokens(), alone=False)

    def _judge(self, place: int, data: bytes, inner: InnerTokens, *, alone: bool) -> None:
        """Notes what *data* of a cell are, if they may be a token: *inner* is in them."""
        found = kind_of(data, inner)
        if inner.given_up:
            self.obstacles[place].append(Obstacle(CellKind.NOT_A_TOKEN, GIVEN_UP))
        elif found.kind not in NO_TOKENS:
            detail = found.detail
            if found.kind is CellKind.TRUNCATED:
                # The first one that was not found.
                known = self._starts(place)
                start = next((start for start in places_of_tokens(self._texts[place]) if start not in known), 0)
                detail = f"at character {start + 1}: {detail}"
            self._counts.formats.update([found.format] if found.format and place not in self.obstacles else ())
            self.obstacles[place].append(Obstacle(found.kind, detail, keyless=found.keyless))
        else:
            self._suspect(place, data, alone=alone)

    def _suspect(self, place: int, data: bytes, *, alone: bool) -> None:
        """Notes a cell if a token may be hidden in *data*; *alone*: these are all of it."""
        if place not in self.suspects[-1:] and self._rules.is_suspect(data, alone=alone):
            self.suspects.append(place)

    def _starts(self, place: int) -> list[int]:
        """The places of the tokens in a cell."""
        if place in self._searched:
            return [each.start for each in self._searched[place]]
        return [match.start() for match in self._spelling.whole.finditer(self._texts[place])]

    def _search_each(self, places: Sequence[int]) -> None:
        """Looks for the tokens of the cells at *places* again, one cell after the other."""
        again = set(places)
        found = [
            each.only([at for at, index in enumerate(each.places) if self.owners[index] not in again])
            for each in self.found
        ]
        self.found = [each for each in found if each.places]
        for place in places:
            located, given_up = locate(self._spelling, self._texts[place], self._rules.keys)
            self._searched[place] = located
            if given_up:
                self._counts.given_up += 1
                self.obstacles[place].append(Obstacle(CellKind.NOT_A_TOKEN, GIVEN_UP))
            if self._rules.leaves_others and any(each.key in self._known for each in located):
                self._envelopes.add(place)
            for number, each in enumerate(located):
                if each.key in self._known:
                    self.owners.append(place)
                    self.runs.append(each.run)
                    self.bodies.append(each.body)
                elif obstacle := self._obstacle_of(place, each):
                    self.unknown += 1
                    self._blame_token(place, number, obstacle)
            self._look_at(place, _replaced(self._texts[place], located, repeat(_GAP)))
        for part in bulk.find(self._known, padded(self.bodies[self._plain :])):
            if isinstance(part, SignedBatch):
                moved = part.batch._replace(places=[place + self._plain for place in part.places])
                self.found.append(SignedBatch(part.key, moved))
            else:
                self.blame(self._plain + part.place, Obstacle(CellKind.NOT_A_TOKEN, str(part.error)))

    def _obstacle_of(self, place: int, token: Located) -> Obstacle | None:
        """The obstacle of a token under no key of the keyring; None if it stays, and its cell moves all the same."""
        is_left = place in self._envelopes
        if token.key:
            self._counts.other_sets[token.key.id] += 1
            return None if is_left else Obstacle(OTHER_KEY_SET, self._rules.words_of_other(token.key), keyless=True)
        if not is_left and follows_foreign_prefix(self._texts[place][: token.start]):
            return Obstacle(FOREIGN.kind, FOREIGN.detail, keyless=True)
        if not token.whole:
            words = "a token whose end is missing; or no key opens it, and something follows"
            return Obstacle(CellKind.TRUNCATED, words)
        [refused] = self._rules.keyring.identify_many(padded([token.body]))
        if not isinstance(refused, UndecryptableToken):
            return Obstacle(CellKind.TRUNCATED, str(refused))
        if is_left:
            self.left[place] += 1
            return None
        return Obstacle(refused.category, self._rules.words_of_lost(refused, self._counts))

    def _blame_token(self, place: int, number: int, obstacle: Obstacle) -> None:
        """Notes an obstacle of a token, with its number and its place in the cell."""
        starts = self._starts(place)
        which = f"token {number + 1} of {len(starts)}, " if len(starts) > 1 else ""
        words = f"{which}at character {starts[number] + 1}: {obstacle.detail}"
        self.obstacles[place].append(obstacle._replace(detail=words))

    def blame(self, index: int, obstacle: Obstacle) -> None:
        """Notes an obstacle of a token, by its index."""
        place = self.owners[index]
        if place in self._searched:
            known = [at for at, each in enumerate(self._searched[place]) if each.key in self._known]
            first = bisect_left(self.owners, place, self._plain)
            self._blame_token(place, known[index - first], obstacle)
        else:
            self._blame_token(place, index - bisect_left(self.owners, place, 0, self._plain), obstacle)

    def respelled(self, places: Sequence[int], new: Sequence[str]) -> list[str]:
        """The *new* tokens, which are of one length, written in the places of the old ones, by their indexes."""
        size = len(self.bodies[places[0]])
        bodies = [token[:size] for token in new]
        if not self._spelling.encoded:
            return bodies
        return list(map(self._spelling.respell, pick(self.runs, places), bodies))

    def rebuilt(self, places: Sequence[int], runs: Sequence[str]) -> Sequence[str | bytes]:
        """The cells at *places* with *runs* in the places of their tokens."""
        pieces, plain = list(self._pieces), self._plain
        pieces[1::2] = runs[:plain]
        texts = "".join(pieces).split(self._separator)
        for place in self._searched.keys() & set(places):
            first = bisect_left(self.owners, place, plain)
            known = [each for each in self._searched[place] if each.key in self._known]
            texts[place] = _replaced(self._texts[place], known, runs[first:])
        rebuilt = [texts[place] for place in places]
        if are_all(self._cells, str):
            return rebuilt
        return [
            text if isinstance(self._cells[place], str) else text.encode("latin-1")
            for place, text in zip(places, rebuilt, strict=True)
        ]


def _joined(texts: Sequence[str]) -> tuple[str, str]:
    """A character that is in none of *texts*, and these with it in between."""
    for separator in _SEPARATORS:
        joined = separator.join(texts)
        if joined.count(separator) == max(0, len(texts) - 1):
            return separator, joined
    raise ValueError("texts hold every character that might stand between them")


def _replaced(text: str, tokens: Sequence[Located], runs: Iterable[str]) -> str:
    """*text* with *runs* in the places of *tokens*. Those that no key signed may overlap; the last one ends them."""
    pieces, end = list[str](), 0
    for each, run in zip(tokens, runs, strict=False):
        pieces += text[end : each.start], run
        end = each.start + len(each.run)
    return "".join([*pieces, text[end:]])
