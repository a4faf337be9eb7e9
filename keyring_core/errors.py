"""The errors of keys and tokens, whose messages hold no key and no token; and how a name from outside stands in one.

The names of files, variables, tables and services may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import ParamSpec, Self, TypeVar

import cryptography.fernet

MAKE_KEY_COMMAND = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
"""Prints a new key; needs only `cryptography`."""
DERIVE_COMMAND = "keyring-rotate keys derive"
"""Prints the Fernet key that an application makes of its secret; without a kind it lists the kinds."""


class KeyringError(Exception):
    """The root of every error that this project raises."""


class KeyConfigError(KeyringError, ValueError):
    """A key is missing or malformed. The message says which variable or file, what is wrong, and what to do."""


class WeakKeyError(KeyConfigError):
    """A well-formed key that can be guessed."""


class KeyConfigWarning(UserWarning):
    """A key setting that works, but should be tidied up."""


class WeakKeyWarning(KeyConfigWarning):
    """A key that can be guessed, accepted to read old tokens."""


Given = ParamSpec("Given")
Made = TypeVar("Made")


def without_frames(call: Callable[Given, Made]) -> Callable[Given, Made]:
    """*call*, whose key errors and warnings come without the frames of *call* and of all that it calls.

    Their locals are texts of keys, an environment, an object that is not whole; some tools show the locals of frames.
    """

    @wraps(call)
    def guarded(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        try:
            return call(*args, **kwargs)
        except (KeyConfigError, KeyConfigWarning) as error:
            fault = error.with_traceback(None)
        del args, kwargs
        raise fault

    return guarded


def printable(text: str) -> str:
    r"""*text* as a part of one line: a newline becomes ``\n``, and nothing in it moves a cursor or turns the text.

    Letters of every script and emoji stay. What is escaped is what `str.isprintable` names: control characters of both
    sets, separators of lines, bidirectional controls, characters without a width, and single surrogates.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def printable_lines(text: str) -> str:
    """*text* of several lines, each of them printable."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


class PlaintextError(KeyringError, ValueError):
    """A plaintext that is not text; use `encrypt_bytes` or `decrypt_bytes`. The message does not show it.

    Examples:
        >>> keyring.decrypt(keyring.encrypt_bytes(bytes([255])))
        Traceback (most recent call last):
        keyring_core.errors.PlaintextError: the token opens, but its plaintext is not UTF-8; use decrypt_bytes
    """


class AlreadyEncryptedError(PlaintextError):
    """A value to encrypt that is a Fernet token already. The message does not show it."""


class ComparisonError(KeyringError, TypeError):
    """A comparison or computation in the database with an encrypted column, whose tokens differ for equal values."""


class StaleIndexError(KeyringError, ValueError):
    """A write that would change an encrypted column and leave its blind index as it was."""


class InvalidToken(KeyringError, cryptography.fernet.InvalidToken):  # noqa: N818 - stock Fernet's own name
    """A token that does not open. Also a `cryptography.fernet.InvalidToken`, so existing handlers still work."""

    def at(self, place: str) -> Self:
        """The same error; from now on its message begins with *place*, such as `users.api_key, id=812`."""
        self.args = (f"{place}: {self}",)
        return self

    def with_hint(self, hint: str) -> Self:
        """The same error; from now on its message ends with *hint*, the next step."""
        self.args = (f"{self}; {hint}",)
        return self


class Malformed(StrEnum):
    """The reasons why a text is not a Fernet token."""

    EMPTY = "empty"
    PLAINTEXT = "plaintext"
    TRUNCATED = "truncated"
    QUOTED = "quoted"
    BYTES_REPR = "bytes-repr"
    GLUED = "glued"
    NOT_A_TOKEN = "not-a-token"  # noqa: S105 - a category, not a password
    TOO_LARGE = "too-large"


class MalformedToken(InvalidToken):
    """The text is not a Fernet token; `category` says why, `found` says it in words."""

    def __init__(self, category: Malformed, found: str) -> None:
        super().__init__(f"not a Fernet token: {found}")
        self.category = category
        self.found = found

    def __reduce__(self) -> tuple[type[MalformedToken], tuple[Malformed, str], dict[str, object]]:
        return type(self), (self.category, self.found), {**vars(self), "args": self.args}


class UndecryptableToken(InvalidToken):
    """A Fernet token that none of these keys opens: the key is unknown, or the token is damaged."""

    category = "unknown-key"

    def __init__(self, message: str, timestamp: int | None = None) -> None:
        super().__init__(message)
        self.timestamp = timestamp
        """The token's own time of issue, in seconds since 1970. It is not authenticated."""


class DamagedToken(UndecryptableToken):
    """A token that a known key signed, but whose content does not decrypt."""

    category = "damaged"

    @classmethod
    def under(cls, key_id: str, timestamp: int | None = None) -> DamagedToken:
        """The error for a token under that key."""
        return cls(
            f"key {key_id} signed this token, but its content is damaged, or the key is mistyped in its second half",
            timestamp,
        )


class SuspendedKey(InvalidToken):
    """A token under a key that is suspended, to try whether anything still reads with it; `key_id` names the key."""

    category = "suspended"

    def __init__(self, message: str, key_id: str = "") -> None:
        super().__init__(message)
        self.key_id = key_id
        """Empty in an error that was made of its message alone, as Celery makes one of a task's result in JSON."""

    @classmethod
    def under(cls, key_id: str) -> SuspendedKey:
        """The error for a token under that key."""
        return cls(
            f"key {key_id}, which this token is under, is suspended; `keyring-rotate keys resume {key_id}` ends that",
            key_id,
        )


class ExpiredToken(InvalidToken):
    """An authentic token that is older than the ttl allows, or from the future.

    Examples:
        >>> keyring.decrypt(keyring.encrypt("sk-live-1"), ttl=-1)
        Traceback (most recent call last):
        keyring_core.errors.ExpiredToken: the token is 0 seconds old; the limit is -1
    """
