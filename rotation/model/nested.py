"""Tokens whose plaintext holds another token: something was encrypted twice, or a document with a token in it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyring_core import Key, Keyring
from keyring_core.bulk import decrypt_padded
from keyring_core.token_batches import alike, pick
from keyring_core.tokens import BLOCK
from rotation.model.inner_tokens import SHORTEST, InnerTokens, find_inner, holds_mark

# Version, time, IV, and the shortest token, padded.
_SHORTEST = 1 + 8 + BLOCK + SHORTEST + -SHORTEST % BLOCK


def find_nested(keyring: Keyring, key: Key, signed: Sequence[bytes]) -> Iterator[tuple[int, InnerTokens]]:
    """Each of the tokens under *key* that holds another token: its index, and what it holds, under whatever key.

    The tokens are given by their signed parts. Short ones can hold none, so that most columns cost nothing; all others
    are decrypted, a stripe of tokens in one cipher call.
    """
    long = [index for index, part in enumerate(signed) if len(part) >= _SHORTEST]
    for places in alike(len(signed[index]) for index in long) if long else ():
        indexes = pick(long, places)
        plaintexts = decrypt_padded(key, [signed[index] for index in indexes])
        if not holds_mark(b"".join(plaintexts)):
            continue
        for index, padded in zip(indexes, plaintexts, strict=True):
            if holds_mark(padded) and (found := find_inner([keyring], padded[: -padded[-1]])):
                yield index, found
