"""Tokens whose plaintext holds another token, which no run rotates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyring_core import Key, Keyring
from keyring_core.bulk import decrypt_padded
from keyring_core.token_batches import alike, pick
from keyring_core.tokens import BLOCK
from rotation.model.counts import Counts, RowKey
from rotation.planning.inner_tokens import SHORTEST, InnerTokens, find_inner, holds_mark

NESTED = "nested"
"""The category of a token whose plaintext holds another token; it counts among those under its key, too."""

GIVEN_UP = "there is more in it than could be searched, so it may hold a token that no run rotates"
"""The words for a cell whose search was given up."""

SHORTEST_NESTED = 1 + 8 + BLOCK + SHORTEST + -SHORTEST % BLOCK
"""The signed part of the shortest token that holds another: version, time, IV, and the shortest token, padded."""


def note_nested(counts: Counts, keyring: Keyring, key: Key, signed: Sequence[bytes], rows: Sequence[RowKey]) -> None:
    """Counts what tokens hold besides."""
    for index, inner in find_nested(keyring, key, signed):
        counts.nested += 1
        counts.inner.update(inner.under)
        counts.given_up += inner.given_up
        counts.note(rows[index], NESTED, _describe(inner))


def find_nested(keyring: Keyring, key: Key, signed: Sequence[bytes]) -> Iterator[tuple[int, InnerTokens]]:
    """Each of the tokens under *key* that holds another token: its index, and what it holds, under whatever key.

    Takes the signed parts of the tokens. Short ones can hold none, so that most columns cost nothing; all others are
    decrypted, many in one cipher call.
    """
    long = [index for index, part in enumerate(signed) if len(part) >= SHORTEST_NESTED]
    for places in alike(len(signed[index]) for index in long) if long else ():
        indexes = pick(long, places)
        plaintexts = decrypt_padded(key, [signed[index] for index in indexes])
        if not holds_mark(b"".join(plaintexts)):
            continue
        for index, padded in zip(indexes, plaintexts, strict=True):
            if holds_mark(padded) and (found := find_inner([keyring], padded[: -padded[-1]])):
                yield index, found


def _describe(inner: InnerTokens) -> str:
    """What is wrong with a token that holds *inner*, in words."""
    if not (inner.under or inner.unknown):
        return GIVEN_UP
    keys = ", ".join(f"under {key_id}" for key_id in inner.under) or "under no key here"
    found = f"it holds another token ({keys}), which no run rotates"
    return f"{found}; {GIVEN_UP}" if inner.given_up else found
