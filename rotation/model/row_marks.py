"""Eight-byte marks of rows whose cells cannot be read, so that a check recognizes the new ones among all of them.

A census names only the first hundred rows; a new one may be any other.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256

SIZE = 8
MOST_MARKS = 100_000
"""Marks kept per target, about a megabyte; beyond these only numbers are compared."""

NOT_UNREADABLE = frozenset(
    {
        "nested",
        "plaintext",
        "suspect",
        "staged-key",
        "newer-key",
        "no-key",
        "locked",
        "rewritten",
        "refused",
        "not-written",
    }
)
"""Categories of problems that are not about cells that cannot be read."""


def mark(key: Mapping[str, object]) -> bytes:
    """A row's mark: a digest of its key. *key* maps column names to values that fit JSON."""
    return sha256(json.dumps(list(key.items())).encode()).digest()[:SIZE]


def pack(marks: Iterable[bytes]) -> str:
    """Marks as text, MOST_MARKS of them at most."""
    return b64encode(b"".join(sorted(marks)[:MOST_MARKS])).decode()


def unpack(text: str) -> frozenset[bytes]:
    """The marks in a packed text. Raises ValueError for other text."""
    data = b64decode(text, validate=True)
    return frozenset(data[place : place + SIZE] for place in range(0, len(data), SIZE))
