"""Cells that cannot be read, remembered by eight bytes a row: so that a check compares all of them with the last ones.

A census names the first hundred rows; what is new may be any other.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256

SIZE = 8
MOST_MARKS = 100_000
"""Rows of a target that are remembered, a megabyte; beyond these only numbers are compared."""

NOT_UNREADABLE = frozenset(
    {"nested", "plaintext", "staged-key", "newer-key", "no-key", "locked", "rewritten", "refused", "not-written"}
)
"""Categories of problems that are not about cells that cannot be read."""


def mark(key: Mapping[str, object]) -> bytes:
    """What a row is known by: a digest of its key, which is given with its columns' names and fit for JSON."""
    return sha256(json.dumps(list(key.items())).encode()).digest()[:SIZE]


def pack(marks: Iterable[bytes]) -> str:
    """Marks as text, MOST_MARKS of them at most."""
    return b64encode(b"".join(sorted(marks)[:MOST_MARKS])).decode()


def unpack(text: str) -> frozenset[bytes]:
    """The marks in a text. Raises ValueError for what is no such text."""
    data = b64decode(text, validate=True)
    return frozenset(data[place : place + SIZE] for place in range(0, len(data), SIZE))
