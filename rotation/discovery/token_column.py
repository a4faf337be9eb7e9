"""Cells of one column in, the tokens in them counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from keyring_core import Key, Keyring, UndecryptableToken
from rotation.model.inner_tokens import find_inner

ROOM = 180
"""Characters: a shorter token has no room for another one in its plaintext."""
TOO_LARGE = "-"
"""What stands for a cell that was too large to be searched."""
IN_TEXT = "no target rotates tokens inside other text: have the application write them again; keep their key until then"


@dataclass
class TokenColumn:
    """The tokens of a column, as far as it was searched. Its numbers count only what was read."""

    database: str
    """As messages name it: without a password."""
    table: str
    """As a target names it: `table`, or `schema.table`."""
    column: str
    covered: bool = False
    """Whether a target covers it."""
    where: str | None = None
    """The condition of a target that covers it, if none of its targets takes every row."""
    rows: int = 0
    """Rows of the table that were read."""
    sampled: bool = False
    """Whether there are more."""
    tokens: int = 0
    """Cells that are a token and nothing else."""
    embedded: int = 0
    """Cells that hold a token as part of something else, such as JSON, or in another encoding."""
    under: Counter[str] = field(default_factory=Counter)
    """Tokens per key of the keyring, inner ones included."""
    unknown: int = 0
    """Tokens that no key of the keyring opens, inner ones included."""
    inner: Counter[str] = field(default_factory=Counter)
    """The part of `under` that is inner tokens: inside text, encoded again, or inside another token."""
    inner_unknown: int = 0
    """The part of `unknown` that is inner tokens."""
    large: int = 0
    """Cells too large to be searched."""
    given_up: int = 0
    """Cells with so much in them that a token may have been missed."""
    key_columns: tuple[str, ...] = ()
    """What a target has to name if the table has no primary key."""
    hint: str | None = None
    """Why a target for it would be refused."""
    elsewhere: bool = False
    """Whether it is in another schema or database than the targets' own."""
    in_other_database: bool = False
    """Whether it is in a database that no url names."""
    has_history: bool = False
    """Whether rows of the past were read, too (SYSTEM VERSIONING)."""
    url: str = field(default="", repr=False)
    """The url of the database, as it was written; empty if no url names the database."""

    @property
    def label(self) -> str:
        """As messages name it: `user_credentials.api_key`; with its database if no url names that."""
        where = f" in {self.database}" if self.in_other_database else ""
        return f"{self.table}.{self.column}{where}"

    @property
    def found(self) -> bool:
        """Whether there is any token in it."""
        return bool(self.tokens or self.embedded)

    @property
    def proposed(self) -> bool:
        """Whether an entry for it can be added to rotation.toml as it is."""
        return bool(not self.covered and self.tokens and self.hint is None)

    @property
    def bare_unknown(self) -> int:
        """Cells that are a token that no key of the keyring opens; it may be bound to a context no target names."""
        return self.unknown - self.inner_unknown

    @property
    def is_foreign(self) -> bool:
        """Whether it is elsewhere and no key of the keyring opens any token in it: another application's, or bound."""
        return self.elsewhere and not self.under

    def may_need(self, key_id: str) -> bool:
        """Whether a token in it is under that key, or may be, so that the key has to stay.

        A token inside text counts only if it is under that key, and so does any token elsewhere. What was not searched
        is in `Discovery.beyond`.
        """
        return bool(self.under[key_id] or (self.bare_unknown and not self.elsewhere))

    @property
    def remedies(self) -> list[str]:
        """What to do if a key has to stay for this column; about its bare tokens first, if it has any."""
        found = [self._bare_remedy()] if self.tokens else []
        if self.has_history:
            found.append(f"DELETE HISTORY FROM {self.table} drops its past rows, if nobody needs them")
        if self.embedded or self.inner:
            found.append(IN_TEXT)
        return found

    def _bare_remedy(self) -> str:
        if self.covered:
            return "rotate.py run"
        if self.hint is None:
            return "rotate.py discover prints the entry to add"
        if "no primary key" in self.hint:
            return "give the table a primary key, or a unique index whose columns key_columns can name"
        return "have the application keep these tokens where a target can name them; keep their keys until then"

    def take(self, keyrings: Sequence[Keyring], cells: Sequence[Any]) -> None:
        """Counts cells of this column; each token is tried under the keys of all *keyrings*."""
        texts = [cell if isinstance(cell, str | bytes) else bytes(cell) for cell in cells]
        cells = [text for text in texts if text not in {TOO_LARGE, TOO_LARGE.encode()}]
        self.large += len(texts) - len(cells)
        for cell, key in zip(cells, _identify(keyrings, cells), strict=True):
            if key is not None:
                self.tokens += 1
                self.under.update([key] if key else [])
                self.unknown += not key
            # Most columns hold short tokens. A search inside each would cost more than all the rest.
            if key is None or (key and len(cell) >= ROOM):
                self._take_inner(keyrings, cell, key)

    def _take_inner(self, keyrings: Sequence[Keyring], cell: str | bytes, key: str | None) -> None:
        """Counts what is in a *cell*, except the cell itself if that is a token under *key*."""
        found = find_inner(keyrings, cell)
        if key is None:
            self.embedded += bool(found.under or found.unknown)
        elif found.under[key]:
            found.under[key] -= 1
        under = +found.under
        self.under += under
        self.inner += under
        self.given_up += found.given_up
        self.unknown += found.unknown
        self.inner_unknown += found.unknown

    def document(self) -> dict[str, Any]:
        """The column in the JSON document."""
        shown = [each.name for each in fields(self) if each.name not in {"url", "in_other_database"}]
        return {**{name: getattr(self, name) for name in shown}, "proposed": self.proposed}


def _identify(keyrings: Sequence[Keyring], cells: Sequence[str | bytes]) -> list[str | None]:
    """For each cell the id of its key, empty if no keyring opens it, None if it is no token."""
    outcomes: list[str | None] = [None] * len(cells)
    unopened = list(range(len(cells)))
    for keyring in keyrings:
        found = keyring.identify_many([cells[number] for number in unopened])
        for number, item in zip(unopened, found, strict=True):
            if isinstance(item, Key):
                outcomes[number] = item.id
            elif isinstance(item, UndecryptableToken):
                outcomes[number] = ""
        unopened = [number for number in unopened if outcomes[number] == ""]
    return outcomes
