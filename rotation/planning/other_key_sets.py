"""The keys of other key sets: a token under one of them is in the wrong place, and its key is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keyring_core import InvalidToken, Key, Keyring

OTHER_KEY_SET = "other-key-set"
"""The category of a token that another key set's key opens."""


class OtherKeySets:
    """Key sets beside that of a target, each with its name in words."""

    def __init__(self, sets: Iterable[tuple[str, Keyring]] = ()) -> None:
        self._sets = tuple(sets)

    @property
    def keyrings(self) -> list[Keyring]:
        """Their keyrings."""
        return [keyring for _, keyring in self._sets]

    @property
    def keys(self) -> list[Key]:
        """All their keys."""
        return [key for _, keyring in self._sets for key in keyring.states]

    def keys_of(self, tokens: Sequence[str | bytes]) -> list[Key | None]:
        """For each of *tokens* the key that it is under, if it is one of these."""
        found: list[Key | None] = [None] * len(tokens)
        for _, keyring in self._sets:
            for place, key in enumerate(keyring.identify_many(tokens)):
                if not isinstance(key, InvalidToken):
                    found[place] = found[place] or key
        return found

    def words(self, key: Key) -> str:
        """What is wrong with a token under *key*."""
        name = next(name for name, keyring in self._sets if key in keyring.states)
        return f"under {key.id}, a key of {name}"


NO_OTHERS = OtherKeySets()
