"""Test keys: derived from a public label, so that none stands in git and each run has the same ones."""

from __future__ import annotations

import base64
import hashlib
import secrets

from keyring_core import Key


def key_text(label: str) -> str:
    """The text of the test key of that *label*; worthless anywhere else."""
    digest = hashlib.sha256(b"keyring-core test key: " + label.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def make_key(label: str) -> Key:
    """The test key of that *label*."""
    return Key.parse(key_text(label))


def mistyped(text: str, place: int = 40) -> str:
    """That key's text with another character in one place: from the 23rd on the typing error is in the second half."""
    return f"{text[:place]}{'A' if text[place] != 'A' else 'B'}{text[place + 1 :]}"


def random_secret() -> str:
    """A secret whose end is no name: of two texts in a list, one that ends with Pw makes the other one a password."""
    return f"{secrets.token_urlsafe(24)}-x9"
