"""Finds the tokens in the cells of a batch: all of them in a few calls, or one cell after the other.

Most cells are plain: each token in them ends where its characters end, and its key is known. A cell in which something
is not plain is searched by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import NamedTuple, cast

from keyring_core import Keyring, UndecryptableToken
from keyring_core.bulk import Found
from keyring_core.token_batches import Refused
from rotation.model.batch import are_all
from rotation.model.counts import Counts
from rotation.model.key_history import History
from rotation.planning.attempts import words_of
from rotation.planning.cell_kinds import FOREIGN, NO_TOKENS, CellKind, follows_foreign_prefix, kind_of, places_of_tokens
from rotation.planning.embedded import MARK, Located, Spelling, locate, padded
from rotation.planning.inner_tokens import SHORTEST, bytes_of, find_inner, holds_mark
from rotation.planning.nested import GIVEN_UP
from rotation.planning.other_key_sets import OTHER_KEY_SET, OtherKeySets
from rotation.planning.suspects import may_hide

_SEPARATORS = ("\0", *map(chr, range(0xE000, 0xF900)))
"""Characters to stand between texts: the first one is rare, and of private ones some is in none of the texts."""


_GAP = "|"
"""What stands in the place of a token while a cell is searched for others: no token's character, and no blank."""


class Fault(NamedTuple):
    """Why a cell stays as it is."""

    category: str
    detail: str
    keyless: bool = False
    """Whether it needs no key but those that are counted."""
    unsettled: bool = False
    """Whether a later run may move it. Otherwise a person has to look."""


@dataclass
class Tokens:
    """Tokens side by side: their places in a batch are indexes here."""

    owners: list[int] = field(default_factory=list)
    """The place of the cell that each stands in. Ascending, up to *plain*, and behind it."""
    runs: list[str] = field(default_factory=list)
    """The characters that spell each in its cell."""
    bodies: list[str] = field(default_factory=list)
    """Each as it is in a bare token, without padding."""
    plain: int = 0
    """How many of them are of cells that were not searched one by one."""


class TextSearch:
    """The cells of a batch, the tokens in them, and what is wrong with any."""

    def __init__(  # noqa: PLR0913, PLR0917 - what cells are judged by
        self,
        keyring: Keyring,
        cells: Sequence[str | bytes],
        spelling: Spelling,
        history: History,
        others: OtherKeySets,
        counts: Counts,
    ) -> None:
        """Finds all tokens and their keys, and what stands beside them. *counts* get what only a search sees."""
        self._keyring, self._cells, self._spelling = keyring, cells, spelling
        self._history, self._others, self._counts = history, others, counts
        self._texts = cast(Sequence[str], cells) if are_all(cells, str) else list(map(_text, cells))
        self.tokens = Tokens()
        """Those under a key of the keyring; of cells that were searched by themselves twice, the first time in vain."""
        self.found: list[Found] = []
        """The same by their keys; their places are indexes of `tokens`."""
        self.faults: dict[int, list[Fault]] = defaultdict(list)
        """What keeps a cell as it is, by its place."""
        self.suspects: list[int] = []
        """The places of cells that may hide a token in a form that is not looked for."""
        self._searched: dict[int, list[Located]] = {}
        """The tokens of the cells that were searched by themselves, of no known key, too."""
        self._separator, joined = _joined(self._texts)
        self._pieces = self._spelling.whole.split(joined)
        self._find()

    @property
    def unknown(self) -> int:
        """How many tokens are under no key of the keyring."""
        located = (each for found in self._searched.values() for each in found)
        return sum(each.key not in self._keyring.states for each in located)

    def _find(self) -> None:
        rests, tokens = self._pieces[::2], self.tokens
        tokens.runs = self._pieces[1::2]
        tokens.owners = list(accumulate(map(str.count, rests[:-1], repeat(self._separator))))
        tokens.bodies = list(map(self._spelling.body, tokens.runs)) if self._spelling.encoded else tokens.runs[:]
        tokens.plain = len(tokens.runs)
        whole = zip(tokens.owners, tokens.runs, tokens.bodies, strict=True) if self._spelling.encoded else ()
        refused = {owner for owner, run, body in whole if not self._spelling.is_alone(run, body)}
        for part in self._keyring.find_many(padded(tokens.bodies)):
            if isinstance(part, Refused):
                refused.add(tokens.owners[part.place])
            else:
                self.found.append(part)
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
        inner = find_inner([self._keyring, *self._others.keyrings], data)
        self._counts.inner.update(inner.under)
        self._counts.given_up += inner.given_up
        found = kind_of(data, inner)
        if inner.given_up:
            self.faults[place].append(Fault(CellKind.NOT_A_TOKEN, GIVEN_UP))
        elif found.kind not in NO_TOKENS:
            at = f"at character {self._place_of_truncated(place) + 1}: " if found.kind is CellKind.TRUNCATED else ""
            detail = f"{at}{found.detail}"
            self._counts.formats.update([found.format] if found.format and place not in self.faults else ())
            self.faults[place].append(Fault(found.kind, detail, keyless=found.keyless))
        else:
            self._suspect(place, rest, data)

    def _suspect(self, place: int, rest: str, data: bytes) -> None:
        """Notes a cell in which no token was found beside its own, if one may be hidden there."""
        # A cell that holds a token as its format has it may hold other text, too; one that holds none is to be one.
        holds_none = rest == self._texts[place]
        if may_hide(data, only_tokens=self._spelling.encoded and holds_none):
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
        tokens, again = self.tokens, set(places)
        others = [owner not in again for owner in tokens.owners]
        self.found = [_only(each, others) for each in self.found]
        keys = [*self._keyring.states, *self._others.keys]
        for place in places:
            search = locate(self._spelling, self._texts[place], keys)
            self._searched[place] = search.tokens
            if search.given_up:
                self._counts.given_up += 1
                self.faults[place].append(Fault(CellKind.NOT_A_TOKEN, GIVEN_UP))
            for number, each in enumerate(search.tokens):
                if each.key in self._keyring.states:
                    tokens.owners.append(place)
                    tokens.runs.append(each.run)
                    tokens.bodies.append(each.body)
                else:
                    self._blame_token(place, number, self._fault_of(each, self._texts[place][: each.start]))
            self._look_at(place, _without(self._texts[place], search.tokens))
        for part in self._keyring.find_many(padded(tokens.bodies[tokens.plain :])):
            if isinstance(part, Found):
                self.found.append(_moved(part, tokens.plain))
            else:
                self.blame(tokens.plain + part.place, Fault(CellKind.NOT_A_TOKEN, str(part.error)))

    def _fault_of(self, token: Located, before: str) -> Fault:
        """What is wrong with a token under no key of the keyring."""
        if token.key:
            self._counts.other_sets[token.key.id] += 1
            return Fault(OTHER_KEY_SET, self._others.words(token.key), keyless=True)
        if follows_foreign_prefix(before):
            return Fault(FOREIGN.kind, FOREIGN.detail, keyless=True)
        if not token.whole:
            return Fault(CellKind.TRUNCATED, "a token whose end is missing; or no key opens it, and something follows")
        [refused] = self._keyring.identify_many(padded([token.body]))
        if not isinstance(refused, UndecryptableToken):
            return Fault(CellKind.TRUNCATED, str(refused))
        return Fault(refused.category, words_of(refused, self._counts, self._history))

    def _blame_token(self, place: int, number: int, fault: Fault) -> None:
        """Notes what is wrong with a token: which one of the cell it is, and where it stands."""
        starts = self._starts(place)
        which = f"token {number + 1} of {len(starts)}, " if len(starts) > 1 else ""
        words = f"{which}at character {starts[number] + 1}: {fault.detail}"
        self.faults[place].append(fault._replace(detail=words))

    def blame(self, index: int, fault: Fault) -> None:
        """Notes what is wrong with a token, by its index."""
        place = self.tokens.owners[index]
        if place in self._searched:
            known = [at for at, each in enumerate(self._searched[place]) if each.key in self._keyring.states]
            first = bisect_left(self.tokens.owners, place, self.tokens.plain)
            self._blame_token(place, known[index - first], fault)
        else:
            self._blame_token(place, index - bisect_left(self.tokens.owners, place, 0, self.tokens.plain), fault)

    def rebuilt(self, places: Sequence[int], runs: Sequence[str]) -> Sequence[str | bytes]:
        """The cells at *places* with *runs* in the places of their tokens."""
        pieces, plain = list(self._pieces), self.tokens.plain
        pieces[1::2] = runs[:plain]
        texts = "".join(pieces).split(self._separator)
        for place in self._searched.keys() & set(places):
            first = bisect_left(self.tokens.owners, place, plain)
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


def _only(found: Found, chosen: Sequence[bool]) -> Found:
    """Those of its tokens whose place is *chosen*."""
    kept = [at for at, place in enumerate(found.batch.places) if chosen[place]]
    return found if len(kept) == len(found.batch.places) else Found(found.key, found.batch.only(kept))


def _moved(found: Found, by: int) -> Found:
    """The same tokens, at places further on."""
    return Found(found.key, found.batch._replace(places=[place + by for place in found.batch.places]))


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
