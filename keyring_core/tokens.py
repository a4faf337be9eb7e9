"""Text in, the parts of a Fernet token out; or why the text is not a token. Decrypts nothing. Also plaintexts in bytes.

Format: https://github.com/fernet/spec/blob/master/Spec.md
Also accepts what stock Fernet reads and databases hold: blanks around or inside the token (CHAR padding, wrapped
lines), the standard base64 alphabet, and any value of the last character's unused bits.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable
from typing import NamedTuple

from keyring_core.errors import KeyringError, Malformed, MalformedToken, PlaintextError

_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n\v\f"
_PADDINGS = (b"", b"=", b"==")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
VERSION = b"\x80"
_VERSION_BYTE = VERSION[0]
BEGINNING = "gAAAA"
"""The beginning of a token's text, until the year 2106."""
BLOCK = 16
TAG = 32
OVERHEAD = 1 + 8 + BLOCK + TAG  # version, timestamp, IV
_LARGE = 1024 * 1024

_MARKS = (b"gAAAA", b"QUFBQ", b"M5AUCQKB", b"6741414141")
"""The beginning of every token, and parts of it in base64 (at any place), in base32 and in hex."""
_HEX_OF_BYTES = re.compile(rb"80000000[0-9a-fA-F]{138}")

INSIDE = "a token inside something else, or in another encoding"
"""The words for such a cell."""

TokenText = str | bytes | bytearray | memoryview
"""The types in which drivers return a cell that holds a token."""


class Token(NamedTuple):
    """The parts of a token; nothing about them is verified yet."""

    signed: bytes
    """Version, timestamp, IV and ciphertext: the tag authenticates them."""
    tag: bytes

    @property
    def timestamp(self) -> int:
        """The time of encryption, in seconds since 1970; up to 2**64 - 1."""
        return timestamp_of(self.signed)

    @property
    def iv(self) -> bytes:
        """The initialisation vector, 16 bytes."""
        return iv_of(self.signed)

    @property
    def ciphertext(self) -> bytes:
        """One or more blocks of 16 bytes."""
        return self.signed[25:]


def timestamp_of(signed: bytes) -> int:
    """The time in a token's *signed* part."""
    return int.from_bytes(signed[1:9], "big")


def iv_of(signed: bytes) -> bytes:
    """The initialisation vector in a token's *signed* part."""
    return signed[9:25]


def token_length(plaintext: int) -> int:
    """The length of the token of *plaintext* bytes, which are padded to whole blocks."""
    size = OVERHEAD + BLOCK * (plaintext // BLOCK + 1)
    return 4 * -(-size // 3)


def parse_token(text: TokenText) -> Token:
    """The token that *text* spells; errors as for `decode_token`."""
    data = decode_token(text)
    return Token(data[:-TAG], data[-TAG:])


def signed_part(text: TokenText) -> bytes:
    """The part of a token that its tag authenticates; errors as for `decode_token`."""
    return parse_token(text).signed


def decode_token(text: TokenText) -> bytes:
    """The bytes that *text* spells: version, timestamp, IV, ciphertext and tag. Checks lengths, not the tag.

    Raises MalformedToken with its category; TypeError if *text* is neither str, bytes, bytearray nor memoryview.
    """
    data = _bytes_in(text)
    if data is None:
        raise explain(text)
    return data


def is_token(text: TokenText) -> bool:
    """True if *text* has the shape of a token, whatever key it is under. Raises TypeError, as above."""
    return _bytes_in(text) is not None


def _bytes_in(text: TokenText) -> bytes | None:
    """The same bytes; None if *text* is no token. For a diagnosis use the slower `explain`."""
    string = string_of(text)
    # encode() alone would raise an error that carries the whole text.
    raw = string.encode("ascii") if string.isascii() else b""
    if len(raw) % 4 or not _is_base64(raw):
        raw = raw.translate(None, _BLANKS)
        if len(raw) % 4 or not _is_base64(raw):
            return None
    data = binascii.a2b_base64(raw.translate(_URL_SAFE_TO_STANDARD))
    size = len(data) - OVERHEAD
    return None if size < BLOCK or size % BLOCK or data[0] != _VERSION_BYTE else data


def string_of(text: TokenText) -> str:
    """*text* as a str of the same length; bytes outside of ASCII stay outside. Raises TypeError."""
    if isinstance(text, str):
        return text
    if isinstance(text, bytes | bytearray | memoryview):
        return str(text, "latin-1")
    raise TypeError(f"a token is str or bytes, not {type(text).__name__}")


def raw_of(text: TokenText) -> bytes:
    """The bytes of *text*, in UTF-8 if it is a str; raises no error, which would carry the text."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


def explain(text: TokenText) -> MalformedToken:
    """The error for a *text* that is not a token. Its message shows lengths, never the text."""
    raw = raw_of(text)
    bare = raw.strip(_BLANKS)
    category, found = next((category, words) for test, category, words in _FAULTS if test(bare))
    return MalformedToken(category, f"{found} ({len(raw)} bytes)")


def may_hold_token(raw: bytes) -> bool:
    """True if *raw* may be a token in whatever form, whole or cut, and so no plaintext.

    Looks for the beginning of a token, also in base64, base32, hex, UTF-16 or bare bytes. A text that holds these
    characters by chance is refused, too: one random text of 40 characters in ten million.
    """
    narrow = raw.replace(b"\0", b"")
    return (
        any(mark in narrow for mark in _MARKS) or raw.startswith(b"\x80\0\0\0") or _HEX_OF_BYTES.search(raw) is not None
    )


def utf8_of(text: str, refusal: str, error: type[KeyringError] = PlaintextError, errors: str = "strict") -> bytes:
    """The bytes of *text*; *errors* as for `str.encode`. Raises *error*, with *refusal*, if it has no UTF-8 form."""
    try:
        return text.encode("utf-8", errors)
    except UnicodeEncodeError:
        pass  # outside of this block, since the error holds the text
    raise error(refusal)


def text_of(plaintext: bytes) -> str | PlaintextError:
    """The text that *plaintext* is in UTF-8, or the error for what is none."""
    try:
        return plaintext.decode("utf-8")
    except UnicodeDecodeError:
        pass  # outside of this block, since the error holds the plaintext
    return PlaintextError("the token opens, but its plaintext is not UTF-8; use decrypt_bytes")


def json_of(value: object) -> bytes:
    """The plaintext *value* as compact JSON in ASCII: equal values have equal blind indexes.

    Raises TypeError and ValueError for what JSON cannot say, RecursionError if it is deep.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def _is_base64(raw: bytes) -> bool:
    # Deleting the alphabet and checking the rest takes a third of the time of a pattern.
    rest = raw.translate(None, _ALPHABET)
    return rest in _PADDINGS and raw.endswith(rest)


def _matches(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL).fullmatch


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in raw


def _has_token_length(raw: bytes) -> bool:
    size = len(raw.rstrip(b"=")) * 6 // 8 - OVERHEAD
    return _is_base64(raw) and size >= BLOCK and size % BLOCK == 0


# Every token with a timestamp under 2**42 begins with gAAAA: the version, and zeros.
_FAULTS: tuple[tuple[Callable[[bytes], object], Malformed, str], ...] = (
    (lambda raw: not raw, Malformed.EMPTY, "empty"),
    (lambda raw: len(raw) > _LARGE, Malformed.TOO_LARGE, "far longer than a credential"),
    (
        _matches(rb"""b(['"])gAAAA.*\1"""),
        Malformed.BYTES_REPR,
        "a Python bytes repr; store token.decode() in place of str(token)",
    ),
    (_matches(rb"""(["'])gAAAA[^"']*\1"""), Malformed.QUOTED, "a token in quotes; store the bare token"),
    (
        lambda raw: raw.count(b"gAAAA") > 1,
        Malformed.GLUED,
        "several tokens in one cell; stock Fernet up to cryptography 50 reads the first alone",
    ),
    (
        lambda raw: b"gAAAA" in raw and not raw.isascii(),
        Malformed.NOT_A_TOKEN,
        "a token among characters that no token has",
    ),
    (
        _matches(rb"gAAAA[A-Za-z0-9_+/-]*={1,2}.+"),
        Malformed.GLUED,
        "something follows the token's end; stock Fernet up to cryptography 50 drops it",
    ),
    (_matches(rb"gAAAA[A-Za-z0-9_+/-]*={0,2}"), Malformed.TRUNCATED, "a token whose end is missing"),
    (
        lambda raw: b"gAAAA" in raw or raw.startswith((b"Z0FBQ", b"\\x67414141", b"\x80")) or not _is_text(raw),
        Malformed.NOT_A_TOKEN,
        INSIDE,
    ),
    (_has_token_length, Malformed.NOT_A_TOKEN, "as long as a token, but without a token's first byte"),
    # Tests look for the plaintext in messages: these words are unlikely to be part of one.
    (lambda _: True, Malformed.PLAINTEXT, "legible as it stands"),
)
"""The faults that a text can have, in the order in which they are tested."""
