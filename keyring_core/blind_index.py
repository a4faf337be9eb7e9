"""A blind index: finds equal values of an encrypted column by an HMAC in a column of its own.

Anyone who reads that column sees which rows hold equal values, and how often each occurs; without a key, nothing else.
The HMAC's key is derived for the one column. The idea: CipherSweet, https://ciphersweet.paragonie.com/internals/blind-index
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Any

from keyring_core.errors import without_frames
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, check_context
from keyring_core.redaction.secret import Secret
from keyring_core.tokens import raw_of, utf8_of

LENGTH = 8 + 1 + 43
"""Characters of an index: the key's id, a colon, and 32 bytes in URL-safe base64 without padding."""
SHAPE = re.compile(r"[0-9a-f]{8}:[A-Za-z0-9_-]{43}")
"""The shape of an index."""


class IndexText(str):
    """A blind index, as a row has it: the one str that a column of indexes stores as it is."""

    __slots__ = ()


class BlindIndex:
    """The index of one column, named by its *context*, such as `users.email`. Raises KeyConfigError without one.

    Holds no key. A text and its UTF-8 bytes are the same value; a Secret is what it holds.

    Examples:
        >>> index = BlindIndex("users.email")
        >>> index.of(keyring, "a@example.org") in index.each(keyring, "a@example.org")
        True
    """

    @without_frames
    def __init__(self, context: str) -> None:
        check_context(context)
        self.context = context

    def of(self, keyring: Keyring, value: str | bytes | Secret) -> str:
        """The index of *value* under the primary key: what to store beside its token.

        Raises PlaintextError for text without a UTF-8 form, and TypeError for other types.
        """
        return self._under(keyring.primary, self._as_bytes(value))

    def each(self, keyring: Keyring, value: str | bytes | Secret) -> list[str]:
        """The index of *value* under every key, one of which an equal value's row has. Errors as for `of`."""
        data = self._as_bytes(value)
        # A bound keyring that accepts unbound tokens has each key twice.
        return list(dict.fromkeys(self._under(key, data) for key in keyring.states))

    def _under(self, key: Key, data: bytes) -> str:
        # Derived each time: that takes 4 us, and a key that is kept would outlive a reload.
        digest = hmac.digest(key.blind_index_key(self.context), data, "sha256")
        return f"{key.id}:{base64.urlsafe_b64encode(digest).rstrip(b'=').decode('ascii')}"

    def _as_bytes(self, value: str | bytes | Secret) -> bytes:
        if isinstance(value, Secret):
            value = value.reveal()
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise TypeError(f"{self.context}: a blind index is of str or bytes, not of {type(value).__name__}")
        return utf8_of(value, f"{self.context}: the text has a lone surrogate and so no UTF-8 form, and no blind index")

    def __repr__(self) -> str:
        return f"<BlindIndex {self.context}>"


def may_stand_for(index: object, value: object) -> bool:
    """True if *index* can be written beside *value*: it is an index, or an equal value.

    False only if it surely is not: a value of another type is for the column to refuse.
    """
    if isinstance(index, IndexText):
        return True
    given: list[Any] = [each.reveal() if isinstance(each, Secret) else each for each in (index, value)]
    if not all(isinstance(each, str | bytes | None) for each in given):
        return True
    held, wanted = (None if each is None else raw_of(each) for each in given)
    return held == wanted
