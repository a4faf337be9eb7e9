"""Cells of sqlalchemy-utils' two AES engines. `AesEngine` authenticates nothing, so a check decides what is plaintext.

sqlalchemy-utils 0.43.0, `sqlalchemy_utils/types/encrypted/encrypted_type.py` and `padding.py` beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyring_core.errors import KeyConfigError
from keyring_core.keys import unpadded
from keyring_core.legacy.package_cells import LegacyPlaintext, LegacyReader
from keyring_core.tokens import BLOCK

JSON = "json"
_IV, _TAG = 12, 16


def _one_and_zeroes(padded: bytes) -> bytes | None:
    """The package strips every 0x80 at the end, and so cannot read a text whose UTF-8 ends with one, such as `À`."""
    text = padded.rstrip(b"\0")
    return text[:-1] if text.endswith(b"\x80") else None


def _zeroes(padded: bytes) -> bytes | None:
    """Zeros, and their number plus one."""
    size = padded[-1]
    return padded[:-size] if 1 <= size <= BLOCK and not padded[-size:-1].strip(b"\0") else None


def _naive(padded: bytes) -> bytes | None:
    """The package's default. It loses every `*` at the end of a text, and nothing in the cell says how many."""
    return padded.rstrip(b"*") if padded.endswith(b"*") else None


PADDINGS: dict[str, Callable[[bytes], bytes | None]] = {
    "pkcs5": unpadded,
    "oneandzeroes": _one_and_zeroes,
    "zeroes": _zeroes,
    "naive": _naive,
}
"""Each padding's function: a padded text without it; None for bytes that it never makes."""


def check_of(words: str) -> Callable[[str], object]:
    """The check in *words*: `json`, or a regular expression for a whole plaintext. Raises KeyConfigError otherwise."""
    if words == JSON:
        return _is_json
    try:
        return re.compile(words).fullmatch
    except (re.error, OverflowError, RecursionError) as error:
        fault = str(error)
    raise KeyConfigError(f"check is neither {JSON} nor a regular expression: {fault}")


class AesCells(LegacyReader):
    """base64 of AES-256-CBC, whose IV is the first half of the key.

    Nothing authenticates such a cell: under a wrong key it may open to anything. It counts as the package's if its
    padding is in order, its bytes are UTF-8, and its text passes the *check*.
    """

    def __init__(self, keys: Iterable[bytes], padding: str, check: str) -> None:
        self._ciphers = [Cipher(algorithms.AES(key), modes.CBC(key[:BLOCK])) for key in keys]
        self._unpad = PADDINGS[padding]
        self._passes = check_of(check)

    def _plaintext(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The plaintext under the first key for which it passes."""
        data = _decoded(cell)
        if data is None or not data or len(data) % BLOCK:
            return None
        for cipher in self._ciphers:
            decryptor = cipher.decryptor()
            plaintext = self._unpad(decryptor.update(data) + decryptor.finalize())
            with suppress(UnicodeDecodeError):
                if plaintext is not None and self._passes(plaintext.decode()):
                    return LegacyPlaintext(plaintext, None)
        return None

    def _longest(self, size: int) -> int:
        """Every padding adds a byte or more."""
        return size * 3 // 4 - 1


class GcmCells(LegacyReader):
    """base64 of IV, tag and what AES-256-GCM encrypted."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def _plaintext(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The plaintext under the key that made the tag."""
        data = _decoded(cell)
        if data is None or len(data) < _IV + _TAG:
            return None
        iv, tag, encrypted = data[:_IV], data[_IV : _IV + _TAG], data[_IV + _TAG :]
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                return LegacyPlaintext(cipher.decrypt(iv, encrypted + tag, None), None)
        return None

    def _longest(self, size: int) -> int:
        """IV and tag have no plaintext."""
        return size * 3 // 4 - _IV - _TAG


def _decoded(cell: str | bytes) -> bytes | None:
    """The bytes that *cell* spells, as `b64encode` writes them; a CHAR column puts blanks around them."""
    try:
        text = (cell.encode("ascii") if isinstance(cell, str) else cell).strip()
        data = base64.b64decode(text)
    except (UnicodeEncodeError, binascii.Error):
        return None
    # The decoder drops what is no base64.
    return data if base64.b64encode(data) == text else None


def _is_json(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False
