"""Cells of a batch that are no token, or a token that no key opens: what they hold, and which become tokens. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyring_core import DamagedToken, InvalidToken, Keyring, Malformed, MalformedToken, UndecryptableToken
from rotation.model.counts import Counts, RowKey
from rotation.model.key_history import History
from rotation.planning.attempts import words_of
from rotation.planning.cell_kinds import CellKind, kind_of
from rotation.planning.inner_tokens import SHORTEST, InnerTokens, bytes_of, find_inner, holds_mark
from rotation.planning.other_key_sets import OTHER_KEY_SET, OtherKeySets
from rotation.planning.suspects import may_hide
from rotation.planning.takeover import Taken, Takeover

_EXACT = frozenset({Malformed.BYTES_REPR, Malformed.TOO_LARGE})
"""Categories of keyring_core that say more than the kind of the cell does."""


@dataclass(frozen=True)
class RefusedCells:
    """Judges such cells, and counts those that stay."""

    keyring: Keyring
    counts: Counts
    history: History
    others: OtherKeySets
    takeover: Takeover

    def read(self, cells: Sequence[str | bytes], places: Sequence[int]) -> dict[int, Taken]:
        """What another package wrote into *cells*, by its place; it is not counted yet."""
        if self.takeover.reader is None:
            return {}
        return {place: found for place in places if (found := self.takeover.read(cells[place]))}

    def count(self, rows: Mapping[RowKey, tuple[str | bytes, InvalidToken]]) -> dict[RowKey, Taken]:
        """Counts cells with their errors, in their order; returns plaintext to adopt, which is not counted yet."""
        adopted: dict[RowKey, Taken] = {}
        lost = [row for row, (_, error) in rows.items() if type(error) is UndecryptableToken]
        elsewhere = dict(zip(lost, self.others.keys_of([rows[row][0] for row in lost]), strict=True))
        counts = self.counts
        for row, (cell, error) in rows.items():
            if isinstance(error, MalformedToken):
                if taken := self._malformed(row, cell, error):
                    adopted[row] = taken
            elif key := elsewhere.get(row):
                counts.unreadable += 1
                counts.identified += 1
                counts.other_sets[key.id] += 1
                counts.note(row, OTHER_KEY_SET, self.others.words(key))
            elif isinstance(error, UndecryptableToken):
                counts.unreadable += 1
                # A damaged token has nothing around it.
                if not isinstance(error, DamagedToken):
                    self._search(cell)
                counts.note(row, error.category, words_of(error, counts, self.history))
        return adopted

    def _malformed(self, row: RowKey, cell: str | bytes, error: MalformedToken) -> Taken | None:
        """Counts a cell that is no token by what it holds; or returns it, if it is to become one."""
        counts = self.counts
        if error.category == Malformed.EMPTY:
            counts.empty += 1
            return None
        inner = self._search(cell)
        found = kind_of(cell, inner)
        if taken := self.takeover.adopt(cell, error, found, inner):
            return taken
        if found.kind is CellKind.PLAINTEXT:
            counts.plaintext += 1
            counts.suspects += may_hide(bytes_of(cell), only_tokens=True)
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

    def _search(self, cell: str | bytes) -> InnerTokens:
        """What stands in a cell that is no sound token; counts it."""
        data = bytes_of(cell)
        if len(data) < SHORTEST or not holds_mark(data):
            return InnerTokens()
        inner = find_inner([self.keyring, *self.others.keyrings], data)
        self.counts.inner.update(inner.under)
        self.counts.given_up += inner.given_up
        return inner
