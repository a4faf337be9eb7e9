"""Cells of django-cryptography: a pickle in a layout like Fernet's, raw, under two keys that are made separately.

django-cryptography 1.1 and django-cryptography-5 2.0.3, both alike: `django_cryptography/fields.py`, `conf.py`,
`core/signing.py` (`FernetSigner`) and `utils/crypto.py` (`FernetBytes`). The MAC's key is SECRET_KEY itself; the key
of AES-256-CBC is made by PBKDF2 of CRYPTOGRAPHY_KEY, otherwise of SECRET_KEY, with CRYPTOGRAPHY_SALT.

The pickle is read without loading it; or by loading it, if the caller says so.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Iterable, Iterator
from hmac import compare_digest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from keyring_core.keys import unpadded
from keyring_core.legacy.reader import LegacyPlaintext
from keyring_core.tokens import BLOCK, OVERHEAD, TAG, VERSION, Token, json_of

SALT = "django-cryptography"
ITERATIONS = 30_000

_GROWTH_OF_TEXT = 2
"""The bytes of UTF-8 that one byte of a pickle can become: protocol 0 writes Latin-1."""
_GROWTH_OF_JSON = 6
"""The same for JSON, which writes NUL as `\\u0000`."""

_SILENT = {"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
"""Opcodes that leave the value as it is."""
_KINDS = {
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), "TEXT"),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), "BYTES"),
}
_MOST_OPCODES = 20
"""More than any pickle of one text or bytes has."""

# The protocols before 3 say bytes by a call of a function, which is not made here.
_ENCODE = ({"GLOBAL MARK TEXT TEXT TUPLE REDUCE STOP", "GLOBAL TEXT TEXT TUPLE2 REDUCE STOP"}, "_codecs encode")
_NO_BYTES = ({"GLOBAL MARK TUPLE REDUCE STOP", "GLOBAL EMPTY_TUPLE REDUCE STOP"}, "__builtin__ bytes")


class DjangoCryptographyCells:
    """The cells under any of these keys. Nothing but the length and the MAC is read of a cell that none signed.

    *keys* are the key of each MAC, and the encryption keys that may have been used beside it.
    """

    def __init__(self, keys: Iterable[tuple[bytes, Iterable[bytes]]], *, unpickle: bool) -> None:
        self._keys = [
            (HMAC(mac_key, hashes.SHA256()), [algorithms.AES(key) for key in encryption])
            for mac_key, encryption in keys
        ]
        self._unpickle = unpickle

    def open(self, cell: str | bytes) -> LegacyPlaintext | None:
        """The text or bytes in the pickle, and the cell's own time."""
        size = len(cell) - OVERHEAD
        if not isinstance(cell, bytes) or size < BLOCK or size % BLOCK or cell[:1] != VERSION:
            return None
        token = Token(cell[:-TAG], cell[-TAG:])
        for key in (key for mac, encryption in self._keys if _signed(mac, token) for key in encryption):
            decryptor = Cipher(key, modes.CBC(token.iv)).decryptor()
            pickled = unpadded(decryptor.update(token.ciphertext) + decryptor.finalize())
            plaintext = None if pickled is None else plaintext_in(pickled, unpickle=self._unpickle)
            # A pickle can repeat a value without writing it again, as often as it likes; a column has a width.
            if plaintext is not None and len(plaintext) <= self.longest_plaintext(len(cell)):
                return LegacyPlaintext(plaintext, token.timestamp)
        return None

    def longest_plaintext(self, size: int) -> int:
        """The pickle is encrypted, and so is at least one byte of padding."""
        return (_GROWTH_OF_JSON if self._unpickle else _GROWTH_OF_TEXT) * (size - OVERHEAD - 1)


def _signed(key: HMAC, token: Token) -> bool:
    """True if *token* is under *key*; compared in constant time."""
    mac = key.copy()
    mac.update(token.signed)
    return compare_digest(mac.finalize(), token.tag)


def plaintext_in(data: bytes, *, unpickle: bool) -> bytes | None:
    """The plaintext that the pickle *data* holds: text as UTF-8, bytes as they are; None if it holds anything else.

    Without *unpickle* nothing is loaded: the pickle is read opcode by opcode, and may only have the opcodes of one text
    or bytes. With *unpickle* it is loaded, which runs whatever code its author put in; then a bool, a number, a list or
    a dict is compact JSON.
    """
    try:
        value = _loaded(data) if unpickle else _read(data)
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return bytes(value)
        return json_of(value) if value is not None and _is_json(value) else None
    except (ValueError, RecursionError):
        return None


def _read(data: bytes) -> str | bytes | None:
    """The text or bytes whose pickle *data* is. Raises ValueError."""
    names: list[str] = []
    values: list[object] = []
    for number, (name, argument) in enumerate(_opcodes(data)):
        if number == _MOST_OPCODES:
            return None
        if name not in _SILENT:
            names.append(_KINDS.get(name, name))
            values.append(argument)
    shape, arguments = " ".join(names), [value for value in values if value is not None]
    match arguments:
        case [str() | bytes() as value] if shape in {"TEXT STOP", "BYTES STOP"}:
            return value
        case [function, str() as text, "latin1"] if shape in _ENCODE[0] and function == _ENCODE[1]:
            return text.encode("latin-1")
        case [function] if shape in _NO_BYTES[0] and function == _NO_BYTES[1]:
            return b""
    return None


def _loaded(data: bytes) -> object:
    """The value that loading *data* gives; None if that fails. Raises ValueError."""
    for _ in _opcodes(data):
        # All of it has to be one pickle: what a wrong key decrypts to may begin like one.
        pass
    try:
        return pickle.loads(data)  # noqa: S301 - on the caller's explicit word, after the MAC was checked
    except Exception:
        # A pickle can raise anything.
        return None


def _opcodes(data: bytes) -> Iterator[tuple[str, object]]:
    """Each opcode's name and argument. Raises ValueError if *data* is not one whole pickle."""
    for opcode, argument, place in pickletools.genops(data):
        if opcode.name == "STOP" and place != len(data) - 1:
            raise ValueError("something follows the pickle")
        yield opcode.name, argument


def _is_json(value: object) -> bool:
    """True if JSON gives back exactly this *value*: a tuple would come back as a list, and the key 1 as "1"."""
    if type(value) is dict:
        return all(type(key) is str and _is_json(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return value is None or type(value) in {bool, int, float, str}
