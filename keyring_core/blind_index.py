"""A blind index: finds equal values of an encrypted column by an HMAC in a column of its own.

Anyone who reads that column sees which rows hold equal values, and how often each occurs; without a key, nothing else.
The HMAC's key is derived for the one column. The idea: CipherSweet, https://ciphersweet.paragonie.com/internals/blind-index
"""

from __future__ import annotations

import base64
import hmac
import importlib
import re
from collections.abc import Callable, Mapping

from keyring_core.errors import KeyConfigError, without_frames
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, check_context
from keyring_core.redaction import Secret
from keyring_core.tokens import utf8_of

LENGTH = 8 + 1 + 43
"""Characters of an index: the key's id, a colon, and 32 bytes in URL-safe base64 without padding."""
SHAPE = re.compile(r"[0-9a-f]{8}:[A-Za-z0-9_-]{43}")
"""The shape of an index."""


class IndexText(str):
    """A blind index, as a row has it: the one str that a column of indexes stores as it is."""

    __slots__ = ()


NORMAL_FORMS: Mapping[str, Callable[[str], str]] = {"casefold": str.casefold, "lower": str.lower}
"""The normal forms that have a name of their own."""


def normal_form(spelling: str | Callable[[str], str] | None) -> Callable[[str], str] | None:
    """The function for *normalize*: itself, or by its name, `casefold` or `module:function`, whose module is imported.

    Raises KeyConfigError for a name that is neither, and whatever the import raises.
    """
    if spelling is None or callable(spelling):
        return spelling
    if spelling in NORMAL_FORMS:
        return NORMAL_FORMS[spelling]
    module, colon, name = spelling.partition(":")
    found: object = getattr(importlib.import_module(module), name, None) if colon and module and name else None
    if not callable(found):
        raise KeyConfigError(
            f"normalize {spelling!r}: give a function of a text, {' or '.join(NORMAL_FORMS)}, or "
            '"module:function" of one that can be imported'
        )
    return found


def name_of_normal_form(function: Callable[[str], str]) -> str:
    """The name by which `normal_form` finds *function*; a lambda has none, and gets what it is called."""
    known = (name for name, each in NORMAL_FORMS.items() if each is function)
    return next(known, f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}")


class BlindIndex:
    """The index of one column, named by its *context*, such as `users.email`. Raises KeyConfigError without one.

    Holds no key. A text and its UTF-8 bytes are the same value; a Secret is what it holds. With *normalize* the index
    is of what that makes of the text: values whose normal forms are equal have one index. Bytes that are no UTF-8 are
    taken as they are.

    Examples:
        >>> index = BlindIndex("users.email")
        >>> index.of(keyring, "a@example.org") in index.each(keyring, "a@example.org")
        True
    """

    @without_frames
    def __init__(self, context: str, normalize: Callable[[str], str] | None = None) -> None:
        check_context(context)
        self.context, self.normalize = context, normalize

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
        if not isinstance(value, str | bytes):
            raise TypeError(f"{self.context}: a blind index is of str or bytes, not of {type(value).__name__}")
        if self.normalize is not None:
            value = self._normal(self.normalize, value)
        if isinstance(value, bytes):
            return value
        return utf8_of(value, f"{self.context}: the text has a lone surrogate and so no UTF-8 form, and no blind index")

    def _normal(self, normalize: Callable[[str], str], value: str | bytes) -> str | bytes:
        """What *normalize* makes of *value*. Its errors are raised outside of `except`: theirs may hold the value."""
        try:
            text = value if isinstance(value, str) else value.decode("utf-8")
        except UnicodeDecodeError:
            return value
        try:
            made: object = normalize(text)
            fault = f"returned {type(made).__name__}"
        except Exception as error:
            made, fault = None, f"raised {type(error).__name__}"
        if isinstance(made, str):
            return made
        raise TypeError(f"{self.context}: normalize takes a text and returns one; it {fault}")

    def __repr__(self) -> str:
        return f"<BlindIndex {self.context}>"
