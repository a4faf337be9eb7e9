"""Tokens that decrypt to another token: something was encrypted twice."""

from __future__ import annotations

from collections.abc import Sequence

from keyring_core import InvalidToken, Key
from keyring_core.tokens import BLOCK, Token, decode_token

# The shortest token has 100 characters; padded, they are 112 bytes behind version, time and IV.
_SHORTEST = 1 + 8 + BLOCK + 112
_TOKEN_BEGINS = b"gAAAA"


def count_nested(key: Key, signed: Sequence[bytes]) -> int:
    """How many tokens under *key*, given by their signed parts, hold another token.

    Short ones cannot, so that most columns cost nothing; of the others the first block tells, in one cipher call.
    """
    long = [part for part in signed if len(part) >= _SHORTEST]
    if not long:
        return 0
    decryptor = key.cbc(bytes(BLOCK)).decryptor()
    # Each first block stands behind its own IV, as in keyring_core.bulk; what comes out in an IV's place is noise.
    plain = decryptor.update(b"".join([part[9 : 9 + 2 * BLOCK] for part in long])) + decryptor.finalize()
    begins = range(BLOCK, len(plain), 2 * BLOCK)
    return sum(
        plain.startswith(_TOKEN_BEGINS, begin) and _holds_token(key, part)
        for begin, part in zip(begins, long, strict=True)
    )


def _holds_token(key: Key, signed: bytes) -> bool:
    plain = key.open(Token(signed, b""))
    try:
        return plain is not None and bool(decode_token(plain))
    except InvalidToken:
        return False
