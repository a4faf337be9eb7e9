"""What can go wrong with a key or a token; no message here ever holds one."""

from __future__ import annotations

from enum import StrEnum

import cryptography.fernet

MAKE_KEY_COMMAND = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
"""Prints a new key; works wherever `cryptography` is installed."""


class KeyringError(Exception):
    """The root of every error that this project raises."""


class KeyConfigError(KeyringError, ValueError):
    """A key is missing or malformed. The message names the variable or file, the fault and the remedy."""


class WeakKeyError(KeyConfigError):
    """A well-formed key that anybody can guess."""


class KeyConfigWarning(UserWarning):
    """A key setting that works, and that somebody should tidy up."""


class WeakKeyWarning(KeyConfigWarning):
    """A key that anybody can guess, accepted to read old tokens."""


class PlaintextError(KeyringError, ValueError):
    """A plaintext that is not text: `encrypt_bytes` and `decrypt_bytes` handle it. The message does not show it."""


class InvalidToken(KeyringError, cryptography.fernet.InvalidToken):  # noqa: N818 - stock Fernet's own name
    """A token that does not open. Also a `cryptography.fernet.InvalidToken`, so existing handlers still work."""


class Malformed(StrEnum):
    """Why a text is no Fernet token."""

    EMPTY = "empty"
    PLAINTEXT = "plaintext"
    TRUNCATED = "truncated"
    QUOTED = "quoted"
    BYTES_REPR = "bytes-repr"
    GLUED = "glued"
    NOT_A_TOKEN = "not-a-token"  # noqa: S105 - a category, not a password
    TOO_LARGE = "too-large"


class MalformedToken(InvalidToken):
    """The text is not a Fernet token; `category` says in which way, `found` in words."""

    def __init__(self, category: Malformed, found: str) -> None:
        super().__init__(f"not a Fernet token: {found}")
        self.category = category
        self.found = found

    def __reduce__(self) -> tuple[type[MalformedToken], tuple[Malformed, str]]:
        return type(self), (self.category, self.found)


class UndecryptableToken(InvalidToken):
    """A Fernet token that none of these keys opens: the key is unknown, or the token is damaged."""

    category = "unknown-key"

    def __init__(self, message: str, timestamp: int | None = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp
        """When the token says that it was issued, in seconds since 1970: legible to anybody, proven by nothing."""


class DamagedToken(UndecryptableToken):
    """A token that a known key signed, and whose content does not decrypt all the same."""

    category = "damaged"

    @classmethod
    def under(cls, key_id: str, timestamp: int | None = None) -> DamagedToken:
        """The error for a token under that key."""
        return cls(
            f"key {key_id} signed this token, but its content is damaged, or the key is mistyped in its second half",
            timestamp,
        )


class ExpiredToken(InvalidToken):
    """An authentic token that is older than the ttl allows, or from the future."""
