"""The bytes that stand for a plaintext. No error carries the plaintext: each is raised outside of `except`."""

from __future__ import annotations

import json

from keyring_core.errors import PlaintextError


def utf8_of(text: str, refusal: str) -> bytes:
    """The bytes of *text*. Raises PlaintextError, with *refusal*, if it has none in UTF-8."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        pass
    raise PlaintextError(refusal)


def json_of(value: object) -> bytes:
    """*value* as compact JSON in ASCII: of equal values blind indexes are equal.

    Raises TypeError and ValueError for what JSON cannot say, RecursionError if it is deep.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
