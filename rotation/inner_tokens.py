"""Tokens that are part of something else: inside text or JSON, encoded again, or inside another token. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from keyring_core import Key, Keyring, UndecryptableToken
from keyring_core.tokens import MARK, TOKEN_IN_TEXT

MARKS: tuple[bytes, ...] = (MARK.encode(),)
"""Every cell that holds a token in a form that is looked for holds one of these byte strings, so that a database can
tell which cells to fetch."""

SHORTEST = 73
"""Bytes of the shortest token, decoded. It is random, so that nothing makes it shorter: no text of fewer bytes holds
one, in whatever form."""


@dataclass
class InnerTokens:
    """The tokens in one value."""

    under: Counter[str] = field(default_factory=Counter)
    """Tokens per id of a key of ours."""
    unknown: int = 0
    """Tokens that no key of ours signed."""

    def __bool__(self) -> bool:
        return bool(self.under or self.unknown)


def find_inner(keyrings: Sequence[Keyring], value: str | bytes) -> InnerTokens:
    """Every token in *value*, at any depth; each is tried under the keys of all *keyrings*. Raises nothing."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
    found = InnerTokens()
    for token in TOKEN_IN_TEXT.findall(data):
        keys = [key for keyring in keyrings for key in keyring.identify_many([token]) if isinstance(key, Key)]
        if keys:
            found.under[keys[0].id] += 1
        elif any(isinstance(each, UndecryptableToken) for each in keyrings[0].identify_many([token])):
            found.unknown += 1
    return found
