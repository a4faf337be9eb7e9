"""Finds the tokens in the cells of a batch: all of them in a few calls, or one cell after the other.

Most cells are plain: each token in them ends where its characters end, and its key is known. A cell in which something
is not plain is searched by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, repeat
from typing import NamedTuple, cast

from keyring_core import UndecryptableToken, bulk
from keyring_core.bulk import SignedBatch
from keyring_core.token_batches import pick
from rotation.model.batch import are_all
from rotation.model.counts import Counts
from rotation.planning.cell_kinds import FOREIGN, NO_TOKENS, CellKind, follows_foreign_prefix, kind_of, places_of_tokens
from rotation.planning.embedded import MARK, SPELLINGS, Located, locate, padded
from rotation.planning.inner_tokens import SHORTEST, bytes_of, holds_mark
from rotation.planning.rules import GIVEN_UP, OTHER_KEY_SET, Rules

_SEPARATORS = ("\0", *map(chr, range(0xE000, 0xF900)))
"""Characters to stand between texts: the first one is rare, and of private ones some is in none of the texts."""


_GAP = "|"
"""What stands in the place of a token while a cell is searched for others: no token's character, and no blank."""


class Obstacle(NamedTuple):
    """What keeps a cell as it is."""

    category: str
    detail: str
    keyless: bool = False
    """Whether it needs no key but those that are counted."""
    unsettled: bool = False
    """Whether a later run may move it. Otherwise a person has to look."""


class TextSearch:
    """The cells of a batch, the tokens in them, and what is wrong with any."""

    def __init__(self, rules: Rules, cells: Sequence[str | bytes], counts: Counts) -> None:
        """Finds all tokens and their keys, and what stands beside them. *counts* get what only a search sees."""
        self._rules, self._cells, self._counts = rules, cells, counts
        self._spelling, self._known = SPELLINGS[rules.format], rules.keyring.states
        self._texts = cast(Sequence[str], cells) if are_all(cells, str) else list(map(_text, cells))
        self.obstacles: dict[int, list[Obstacle]] = defaultdict(list)
        """What keeps a cell as it is, by its place."""
        self.suspects: list[int] = []
        """The places of cells that may hide a token in a form that is not looked for."""
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
        """The place of the cell that each stands in. Ascending, up to *plain*, and behind it."""
        self._plain = len(self.runs)
        """The number of tokens in cells that were not searched one by one."""
        self.found: list[SignedBatch] = []
        """The tokens by their keys; their places are indexes of *runs*, *bodies* and *owners*."""
        self._find(rests)

    @property
    def unknown(self) -> int:
        """How many tokens are under no key of the keyring."""
        located = (each for found in self._searched.values() for each in found)
        return sum(each.key not in self._known for each in located)

    def _find(self, rests: Sequence[str]) -> None:
        whole = zip(self.owners, self.runs, self.bodies, strict=True) if self._spelling.encoded else ()
        refused = {owner for owner, run, body in whole if not self._spelling.is_alone(run, body)}
        for part in bulk.find(self._known, padded(self.bodies)):
            if isinstance(part, SignedBatch):
                self.found.append(part)
            else:
                refused.add(self.owners[part.place])
        self._look_beside(rests, refused)
        if refused:
            self._search_each(sorted(refused))

    def _look_beside(self, rests: Sequence[str], searched: set[int]) -> None:
        """Looks at what stands beside the tokens, in all cells but those that are *searched* anyway."""
        beside = _GAP.join(rests).split(self._separator)
        for place, rest in enumerate(beside):
            # In fewer characters of ASCII there is no room for a token, in whatever form.
            has_room = len(rest) >= SHORTEST or not rest.isascii()
            if place not in searched and (has_room or MARK in rest):
                self._look_at(place, rest)

    def _look_at(self, place: int, rest: str) -> None:
        """Notes a token in another form in what is left of a cell without its tokens."""
        data = rest.encode("latin-1") if isinstance(self._cells[place], bytes) else bytes_of(rest)
        if not holds_mark(data):
            self._suspect(place, rest, data)
            return
        inner = self._rules.search(self._counts, data)
        found = kind_of(data, inner)
        if inner.given_up:
            self.obstacles[place].append(Obstacle(CellKind.NOT_A_TOKEN, GIVEN_UP))
        elif found.kind not in NO_TOKENS:
            at = f"at character {self._place_of_truncated(place) + 1}: " if found.kind is CellKind.TRUNCATED else ""
            detail = f"{at}{found.detail}"
            self._counts.formats.update([found.format] if found.format and place not in self.obstacles else ())
            self.obstacles[place].append(Obstacle(found.kind, detail, keyless=found.keyless))
        else:
            self._suspect(place, rest, data)

    def _suspect(self, place: int, rest: str, data: bytes) -> None:
        """Notes a cell in which no token was found beside its own, if one may be hidden there."""
        if self._rules.is_suspect(data, alone=rest == self._texts[place]):
            self.suspects.append(place)

    def _place_of_truncated(self, place: int) -> int:
        """Where in a cell the first token stands that is none of those found."""
        known = self._starts(place)
        return next((start for start in places_of_tokens(self._texts[place]) if start not in known), 0)

    def _starts(self, place: int) -> list[int]:
        """Where in a cell its tokens stand."""
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
            for number, each in enumerate(located):
                if each.key in self._known:
                    self.owners.append(place)
                    self.runs.append(each.run)
                    self.bodies.append(each.body)
                else:
                    self._blame_token(place, number, self._obstacle_of(each, self._texts[place][: each.start]))
            self._look_at(place, _without(self._texts[place], located))
        for part in bulk.find(self._known, padded(self.bodies[self._plain :])):
            if isinstance(part, SignedBatch):
                moved = part.batch._replace(places=[place + self._plain for place in part.places])
                self.found.append(SignedBatch(part.key, moved))
            else:
                self.blame(self._plain + part.place, Obstacle(CellKind.NOT_A_TOKEN, str(part.error)))

    def _obstacle_of(self, token: Located, before: str) -> Obstacle:
        """What is wrong with a token under no key of the keyring."""
        if token.key:
            self._counts.other_sets[token.key.id] += 1
            return Obstacle(OTHER_KEY_SET, self._rules.words_of_other(token.key), keyless=True)
        if follows_foreign_prefix(before):
            return Obstacle(FOREIGN.kind, FOREIGN.detail, keyless=True)
        if not token.whole:
            return Obstacle(
                CellKind.TRUNCATED, "a token whose end is missing; or no key opens it, and something follows"
            )
        [refused] = self._rules.keyring.identify_many(padded([token.body]))
        if not isinstance(refused, UndecryptableToken):
            return Obstacle(CellKind.TRUNCATED, str(refused))
        return Obstacle(refused.category, self._rules.words_of_lost(refused, self._counts))

    def _blame_token(self, place: int, number: int, obstacle: Obstacle) -> None:
        """Notes what is wrong with a token: which one of the cell it is, and where it stands."""
        starts = self._starts(place)
        which = f"token {number + 1} of {len(starts)}, " if len(starts) > 1 else ""
        words = f"{which}at character {starts[number] + 1}: {obstacle.detail}"
        self.obstacles[place].append(obstacle._replace(detail=words))

    def blame(self, index: int, obstacle: Obstacle) -> None:
        """Notes what is wrong with a token, by its index."""
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
            texts[place] = _replaced(self._texts[place], self._searched[place], runs[first:])
        rebuilt = [texts[place] for place in places]
        if are_all(self._cells, str):
            return rebuilt
        return [
            text if isinstance(self._cells[place], str) else text.encode("latin-1")
            for place, text in zip(places, rebuilt, strict=True)
        ]


def _text(cell: str | bytes) -> str:
    """A character for each byte."""
    return cell if isinstance(cell, str) else cell.decode("latin-1")


def _joined(texts: Sequence[str]) -> tuple[str, str]:
    """A character that is in none of *texts*, and these with it in between."""
    for separator in _SEPARATORS:
        joined = separator.join(texts)
        if joined.count(separator) == max(0, len(texts) - 1):
            return separator, joined
    raise ValueError("texts hold every character that might stand between them")


def _without(text: str, tokens: Sequence[Located]) -> str:
    """*text* with a gap in the place of each of *tokens*."""
    pieces, end = list[str](), 0
    for each in tokens:
        pieces.append(text[end : each.start])
        end = max(end, each.start + len(each.run))
    return _GAP.join([*pieces, text[end:]])


def _replaced(text: str, tokens: Sequence[Located], runs: Sequence[str]) -> str:
    """*text* with *runs* in the places of *tokens*, which are as long."""
    pieces, end = list[str](), 0
    for each, run in zip(tokens, runs, strict=False):
        pieces += text[end : each.start], run
        end = each.start + len(run)
    return "".join([*pieces, text[end:]])
