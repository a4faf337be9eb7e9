"""Tokens whose plaintext holds another token: something was encrypted twice, or a document with a token in it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyring_core import Key, Keyring
from keyring_core.bulk import decrypt_padded
from keyring_core.stripes import alike, pick
from keyring_core.tokens import BLOCK
from rotation.inner_tokens import SHORTEST, InnerTokens, find_inner, holds_mark

# Version, time, IV, and the shortest token, padded.
_SHORTEST = 1 + 8 + BLOCK + SHORTEST + -SHORTEST % BLOCK


def find_nested(keyring: Keyring, key: Key, signed: Sequence[bytes]) -> Iterator[InnerTokens]:
    """What each of the tokens under *key* holds that holds another token, whatever key that is under.

    The tokens are given by their signed parts. Short ones can hold none, so that most columns cost nothing; all others
    are decrypted, a stripe of tokens in one cipher call.
    """
    long = [part for part in signed if len(part) >= _SHORTEST]
    for places in alike(map(len, long)) if long else ():
        plaintexts = decrypt_padded(key, pick(long, places))
        if not holds_mark(b"".join(plaintexts)):
            continue
        for padded in filter(holds_mark, plaintexts):
            found = find_inner([keyring], padded[: -padded[-1]])
            if found:
                yield found
