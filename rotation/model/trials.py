"""Which tokens of a batch decrypt, and whether their keys are to be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from keyring_core import DamagedToken, InvalidToken, Key
from rotation.model.bulk_columns import are_all


class Trial(NamedTuple):
    """Tokens that a key signed, and what decrypting them came to."""

    key: Key
    places: Sequence[int]
    """Where each stands in the batch."""
    signed: Sequence[bytes]
    """Each without its tag."""
    new: Sequence[Any] | None
    """Their successors, or an error each; None where they are only counted."""
    errors: Mapping[int, InvalidToken]
    """Those that do not decrypt, by their index here."""

    def sound(self) -> Trial:
        """The others."""
        if not self.errors:
            return self
        good = [index not in self.errors for index in range(len(self.places))]
        new = None if self.new is None else list(compress(self.new, good))
        return Trial(self.key, list(compress(self.places, good)), list(compress(self.signed, good)), new, {})


def errors_in(new: Sequence[str | InvalidToken]) -> dict[int, InvalidToken]:
    """The errors among successors, by their index."""
    if are_all(new, str):
        return {}
    return {index: error for index, error in enumerate(new) if isinstance(error, InvalidToken)}


def judge(trials: Sequence[Trial], balance: Counter[Key]) -> Iterable[Trial]:
    """*trials*; and of a key half of whose tokens do not decrypt, or more, none does.

    Then it is the key that is wrong: mistyped in its second half, which does not sign. One in 256 of its tokens
    decrypts all the same, to something else than was encrypted, and must not be written. *balance* holds by how many
    more tokens of a key have decrypted than have not, in this batch and in those before.
    """
    for trial in trials:
        balance[trial.key] += len(trial.signed) - 2 * len(trial.errors)
    return (trial if balance[trial.key] > 0 else trial._replace(errors=_all_damaged(trial)) for trial in trials)


def _all_damaged(trial: Trial) -> dict[int, InvalidToken]:
    return dict.fromkeys(range(len(trial.places)), DamagedToken.under(trial.key.id))
