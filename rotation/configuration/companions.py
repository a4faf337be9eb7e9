"""Values that another column of the row holds and that change with the key: a closed list, no SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from keyring_core import Key

VALUES: Mapping[str, Callable[[Key], str]] = {
    "primary-key-id": lambda key: key.id,
    # Keystone finds the key of a credential by it: keystone/credential/providers/fernet/core.py, `key_hash`.
    "sha1-of-primary-key-text": lambda key: hashlib.sha1(_text(key), usedforsecurity=False).hexdigest(),
    "sha256-of-primary-key-text": lambda key: hashlib.sha256(_text(key)).hexdigest(),
}
"""Each value by its name in rotation.toml."""


def _text(key: Key) -> bytes:
    return key.reveal().encode("ascii")


def companion_values(companions: Mapping[str, str], primary: Key) -> dict[str, str]:
    """What each column is to hold beside a token under *primary*; *companions* names the value of each column."""
    return {column: VALUES[name](primary) for column, name in companions.items()}
