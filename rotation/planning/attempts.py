"""Tokens of one key on their way to the primary key, and which of them are believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from keyring_core import DamagedToken, InvalidToken, Key, UndecryptableToken
from rotation.model.batch import are_all
from rotation.model.counts import Counts
from rotation.model.key_history import History


class Attempt(NamedTuple):
    """Tokens that one key signed, and what decrypting them came to."""

    key: Key
    places: Sequence[int]
    """Their places in the batch, ascending."""
    signed: Sequence[bytes]
    """Each without its tag."""
    new: Sequence[Any] | None
    """Their successors, or an error each; None if they are only counted."""
    errors: Mapping[int, InvalidToken]
    """Those that do not decrypt, by their index here."""

    def sound(self) -> Attempt:
        """The others."""
        return self.only([index not in self.errors for index in range(len(self.places))]) if self.errors else self

    def only(self, chosen: Sequence[bool]) -> Attempt:
        """Some of them, without their errors; *chosen* says of each whether it is one."""
        new = None if self.new is None else list(compress(self.new, chosen))
        return Attempt(self.key, list(compress(self.places, chosen)), list(compress(self.signed, chosen)), new, {})


def errors_in(new: Sequence[str | InvalidToken]) -> dict[int, InvalidToken]:
    """The errors among successors, by their index."""
    if are_all(new, str):
        return {}
    return {index: error for index, error in enumerate(new) if isinstance(error, InvalidToken)}


def judge(attempts: Sequence[Attempt], balance: Counter[Key]) -> Iterator[Attempt]:
    """*attempts*; if at least half of a key's tokens fail to decrypt, all of them count as damaged.

    Then the key is wrong: it is mistyped in its second half, which does not sign. One in 256 of its tokens decrypts
    all the same, to nonsense, and must not be written. *balance* holds by how many more tokens of a key have decrypted
    than have not, in this batch and in those before.
    """
    for attempt in attempts:
        balance[attempt.key] += len(attempt.signed) - 2 * len(attempt.errors)
    for attempt in attempts:
        if balance[attempt.key] > 0:
            yield attempt
        else:
            error = DamagedToken.under(attempt.key.id)
            yield attempt._replace(errors=dict.fromkeys(range(len(attempt.places)), error))


def words_of(error: UndecryptableToken, counts: Counts, history: History) -> str:
    """What is wrong with a token that does not open. *counts* keep its time, if no key opens it."""
    if isinstance(error, DamagedToken) or error.timestamp is None:
        return str(error)
    counts.lost.append(error.timestamp)
    hint = history.hint(error.timestamp)
    return f"{error}; {hint}" if hint else str(error)
