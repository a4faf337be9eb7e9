"""Cells of django-cryptography: a pickle in a layout like Fernet's, raw, under two keys that are made separately.

django-cryptography 1.1 and django-cryptography-5 2.0.3, both alike: `django_cryptography/fields.py`, `conf.py`,
`core/signing.py` (`FernetSigner`) and `utils/crypto.py` (`FernetBytes`). The MAC's key is SECRET_KEY itself; the key
of AES-CBC is a field's own, or made by PBKDF2 of CRYPTOGRAPHY_KEY, otherwise of SECRET_KEY, with CRYPTOGRAPHY_SALT.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hmac import compare_digest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from keyring_core.derivation import protect
from keyring_core.errors import KeyConfigError, KeyConfigWarning
from keyring_core.key_text import refuse_weak_secret
from keyring_core.keys import unpadded
from keyring_core.legacy.package_cells import LegacyPlaintext, LegacyReader
from keyring_core.legacy.pickles import plaintext_in
from keyring_core.tokens import BLOCK, OVERHEAD, TAG, VERSION, Token

SALT = "django-cryptography"
ITERATIONS = 30_000

_GROWTH_OF_TEXT = 2
"""The bytes of UTF-8 that one byte of a pickle can become: protocol 0 writes Latin-1."""
_GROWTH_OF_JSON = 6
"""The same for JSON, which writes NUL as `\\u0000`."""

_KEY_SIZES = {16, 24, 32}
"""Bytes of an AES key."""
_READINGS: tuple[Callable[[str], bytes], ...] = (
    # As Python reads variables that are not UTF-8.
    partial(str.encode, encoding="utf-8", errors="surrogateescape"),
    bytes.fromhex,
    partial(base64.b64decode, altchars="-_", validate=True),
    partial(base64.b64decode, validate=True),
)


def aes_keys(value: str | bytes, where: str) -> list[bytes]:
    """The AES keys that *value* may be: text stands for its UTF-8 bytes, or for what it spells in hex or base64.

    A text of 32 hex digits is a key in three ways, and nothing in it says which one the application means. *value* is
    a field's `key`, from *where*. Raises KeyConfigError if it can be none.
    """
    readings = []
    if isinstance(value, bytes):
        readings.append(value)
    else:
        for read in _READINGS:
            with suppress(ValueError):
                readings.append(read(value))
    keys = [key for key in dict.fromkeys(readings) if len(key) in _KEY_SIZES]
    if not keys:
        # It may be another secret.
        protect(value, "secret")
        raise KeyConfigError(f"{where}: an AES key is 16, 24 or 32 bytes: a text of that length, or in hex or base64")
    reasons = [reason for secret in (value, *keys) if (reason := protect(secret, "key of another package"))]
    if reasons:
        warnings.warn(f"{where}: logs are not masked for it: {reasons[0]}", KeyConfigWarning, 2)
    refuse_weak_secret(keys[0], keys[0], where, allow_weak=True)
    return keys


class DjangoCryptographyCells(LegacyReader):
    """The cells under any of these keys. Nothing but the length and the MAC is read of a cell that none signed.

    *keys* are the key of each MAC, and the encryption keys that may have been used beside it.
    """

    def __init__(self, keys: Iterable[tuple[bytes, Iterable[bytes]]], *, unpickle: bool) -> None:
        self._keys = [
            (HMAC(mac_key, hashes.SHA256()), [algorithms.AES(key) for key in encryption])
            for mac_key, encryption in keys
        ]
        self._unpickle = unpickle

    def _plaintext(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The value in the pickle, and the cell's own time."""
        size = len(cell) - OVERHEAD
        if not isinstance(cell, bytes) or size < BLOCK or size % BLOCK or cell[:1] != VERSION:
            return None
        token = Token(cell[:-TAG], cell[-TAG:])
        for signing, encryption in self._keys:
            mac = signing.copy()
            mac.update(token.signed)
            for key in encryption if compare_digest(mac.finalize(), token.tag) else ():
                decryptor = Cipher(key, modes.CBC(token.iv)).decryptor()
                pickled = unpadded(decryptor.update(token.ciphertext) + decryptor.finalize())
                plaintext = None if pickled is None else plaintext_in(pickled, unpickle=self._unpickle)
                # A pickle can repeat a value without writing it again, as often as it likes; a column has a width.
                if plaintext is not None and len(plaintext) <= self.longest_plaintext(len(cell)):
                    return LegacyPlaintext(plaintext, token.timestamp)
        return None

    def _longest(self, size: int) -> int:
        """The pickle is encrypted, and so is at least one byte of padding."""
        return (_GROWTH_OF_JSON if self._unpickle else _GROWTH_OF_TEXT) * (size - OVERHEAD - 1)
