"""The kind of a cell, whatever the format of its target: a token, a token in some other form, another cipher's output.

Pure, and without a key: the result of `find_inner` is passed in. Words about a cell show nothing of it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from keyring_core import Malformed
from keyring_core.redaction import find_credentials
from keyring_core.tokens import BLOCK, VERSION, explain, is_token
from rotation.model.target import Format
from rotation.planning.cell_readings import URL_SAFE_TO_STANDARD
from rotation.planning.inner_tokens import (
    OF_THESE_YEARS,
    OF_TOKENS,
    SHORTEST,
    InnerTokens,
    bytes_of,
    is_raw_size,
    looks_random,
)
from rotation.planning.suspects import changes_of_class, may_hide


class CellKind(StrEnum):
    """The kind of a cell. The value is its name in reports."""

    EMPTY = "empty"
    PLAINTEXT = "plaintext"
    TOKEN = "token"  # noqa: S105 - a kind, as the next ones
    """A token and nothing else."""
    NESTED = "nested"
    """A token in a token: its plaintext holds another one, which no run rotates."""
    TOKEN_IN_TEXT = "token-in-text"  # noqa: S105
    """Tokens inside JSON, YAML, a URL, behind a prefix, or several of them."""
    ENCODED_TOKEN = "encoded-token"  # noqa: S105
    """A token that was encoded again, such as in base64 or hex; alone or inside text."""
    ENVELOPE = "envelope"
    """A wrapped key and a value of another key: tokens in two forms, not all of them under keys that are here. Only a
    search names it so: a target of the right format reads each token for itself."""
    TRUNCATED = "truncated"
    """A token whose end is missing; alone or inside text."""
    FOREIGN_CIPHER = "foreign-cipher"
    """Fernet's frame with another cipher in it."""
    CIPHERTEXT = "ciphertext"
    """The output of another cipher; or a random secret, which looks the same."""
    NOT_A_TOKEN = "not-a-token"  # noqa: S105
    """Other bytes that are not text, or that could not be searched to their end."""


NO_TOKENS = frozenset({CellKind.EMPTY, CellKind.PLAINTEXT, CellKind.CIPHERTEXT, CellKind.NOT_A_TOKEN})
"""Kinds of cells without a visible token."""


class Classification(NamedTuple):
    """The content of one cell, described."""

    kind: CellKind
    detail: str = ""
    """In words."""
    format: Format | None = None
    """The format of a target that would rotate it."""
    keyless: bool = False
    """Every token in it is under a key that `find_inner` named."""
    glued: bool = False
    """It is several tokens and nothing else, which is a program's mistake."""


_BLANKS = b" \t\r\n\v\f"
LEAST_BODY = 98
"""Characters of the shortest token without its padding."""
PATTERNS = {
    Format.EMBEDDED: re.compile(rb"gAAAA[A-Za-z0-9_-]{%d,}" % (LEAST_BODY - 5)),
    # The text of a token has neither the first bit of a byte nor any sign but "-", "_" and "=", so that its base64
    # holds letters and digits alone, and is the same in both alphabets.
    Format.BASE64: re.compile(rb"Z0FBQU[EF][A-Za-z0-9]{%d,}" % (LEAST_BODY * 4 // 3 - 7)),
    Format.HEX: re.compile(rb"67(?:41){4}(?:[2-7][0-9A-Fa-f]){%d,}" % (LEAST_BODY - 5)),
}
"""What is long enough to be a token in a cell of each format, with all that follows it in the same characters."""

# What stands in front is looked at last: `re` seeks the letters that a pattern begins with much faster than others.
DATED = rb"gAAAAA(?<![A-Za-z0-9+/]gAAAAA)[BC]"
"""The beginning of a token of the years 2004 to 2072. Data of other kinds, such as pictures in base64, hold
`gAAAA` by chance; this at the beginning of a word is no chance."""
_DATED = re.compile(DATED + rb"[A-Za-z0-9_-]{5,}(?![A-Za-z0-9_+/-])")

# In hex: raw, and text; in base64, base64 twice, base32; raw, in base32; raw, in Python's repr, and in hex with colons;
# in URLs, JSON, UTF-16.
_BEGINNINGS = [
    re.compile(pattern).search
    for pattern in rb"""
    80(?<![0-9A-Fa-f]80)(?:00){4}[4-9A-Ba-b]
    67(?<![0-9A-Fa-f]67)(?:41){5}4[23]
    Z0FBQUFBQ(?<![A-Za-z0-9+/_-]Z0FBQUFBQ)
    WjBGQlFVRkJR(?<![A-Za-z0-9+/_-]WjBGQlFVRkJR)
    M5AUCQKBIFB(?<![A-Za-z0-9+/_-]M5AUCQKBIFB)
    QAAAAAAA(?<![A-Za-z0-9]QAAAAAAA)
    \\x80(?:\\x00){4}
    80(?::00){4}:
    %67(?:%41){5}%4[23]
    \\u0067(?:\\u0041){5}\\u004[23]
    g\0(?:A\0){5}[BC]
    """.split()
]
"""The beginnings of such tokens, raw and in other encodings. Whole tokens have patterns of their own above."""

_FOREIGN_PREFIXES = ("$encrypted$UTF8$AESCBC$", "$encrypted$AESCBC$", "$encrypted$fernet-256$")
FOREIGN = Classification(
    CellKind.FOREIGN_CIPHER, "AES-256 in Fernet's frame, as AWX and the AAP gateway write it", keyless=True
)
_FOREIGN_TIME = 4 * b"\0"  # of a time in seconds, until 2106

_BASE64_TEXT = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_HEX_TEXT = re.compile(rb"[0-9A-Fa-f-]+")
_LEAST_CIPHERTEXT = 12 + 16  # bytes of AES-GCM's nonce and tag
_LEAST_CHANGES, _LEAST_CHANGES_PADDED = 0.45, 0.3
"""The least share of neighbouring characters of different classes (small letter, capital, digit, sign) in random
base64, which has 0.64. Words written together have less; "=" at the right place is a sign of its own."""
_DISTINCT_PER_BYTE = 0.6
"""The least share of different bytes among up to 48 random ones."""


def places_of_tokens(text: str) -> list[int]:
    """The places of words in *text* that begin like a token of these years, whole or truncated."""
    # A byte for each character.
    return [found.start() for found in _DATED.finditer(text.encode("latin-1", "replace"))]


def kind_of(cell: str | bytes, inner: InnerTokens) -> Classification:
    """The content of *cell*; *inner* is the result of `find_inner`, which is empty without a mark (`holds_mark`).

    For a cell that a target of the format `token` refuses, and for any cell of a column that no target covers.
    """
    data = bytes_of(cell)
    bare = data.strip(_BLANKS) if _is_text(data) else data
    if not bare:
        return Classification(CellKind.EMPTY, "empty", keyless=True)
    found = _token(bare, inner) or _foreign(bare, inner) or _tokens_in(bare, inner) or _other(bare)
    return found._replace(detail=f"{found.detail} ({len(data)} bytes)")


def follows_foreign_prefix(before: str) -> bool:
    """True if the text *before* announces another cipher in Fernet's frame."""
    return before.endswith(_FOREIGN_PREFIXES)


def _token(data: bytes, inner: InnerTokens) -> Classification | None:
    if not is_token(data):
        return None
    if inner.under.total() + inner.unknown > 1:
        return Classification(CellKind.NESTED, "a token that holds another token", keyless=_all_known(inner))
    return Classification(CellKind.TOKEN, "a token", Format.TOKEN, keyless=_all_known(inner))


def _foreign(data: bytes, inner: InnerTokens) -> Classification | None:
    """A cell of Fernet's frame with another cipher, which none of the keys signed."""
    if inner.under:
        return None
    if any(prefix.encode() in data for prefix in _FOREIGN_PREFIXES):
        return FOREIGN
    if data.startswith(VERSION + _FOREIGN_TIME) and is_raw_size(len(data)) and looks_random(data[:SHORTEST]):
        words = (
            "Fernet's frame as raw bytes: another cipher, as django-cryptography writes it, or a key that is not here"
        )
        return Classification(CellKind.FOREIGN_CIPHER, words)
    return None


def _tokens_in(data: bytes, inner: InnerTokens) -> Classification | None:
    """A cell that holds tokens as part of something else."""
    if (inner or _DATED.search(data)) and (tokens := PATTERNS[Format.EMBEDDED].findall(data)):
        words = "a token inside text" if len(tokens) == 1 else f"{len(tokens)} tokens inside text"
        glued = data.startswith(b"gAAAA") and data.count(b"gAAAA") > 1 and not data.translate(None, OF_TOKENS)
        return Classification(CellKind.TOKEN_IN_TEXT, words, Format.EMBEDDED, _all_known(inner, tokens), glued)
    for encoding in (Format.BASE64, Format.HEX):
        pattern = PATTERNS[encoding]
        if tokens := pattern.findall(data):
            inside = "" if pattern.fullmatch(data.rstrip(b"=")) else ", inside text"
            known = _all_known(inner, tokens)
            return Classification(
                CellKind.ENCODED_TOKEN, f"a token encoded again, in {encoding}{inside}", encoding, keyless=known
            )
    if inner.under or inner.unknown or (inner.unopened and not inner.given_up):
        words = "a token inside something else or in another encoding, which no run rotates"
        return Classification(CellKind.ENCODED_TOKEN, words, keyless=_all_known(inner))
    if inner.given_up:
        return Classification(
            CellKind.NOT_A_TOKEN, "there is more in it than could be searched, so it may hold a token"
        )
    return _truncated(data)


def _truncated(data: bytes) -> Classification | None:
    """A cell that holds the beginning of a token."""
    if _DATED.search(data):
        inside = "" if _DATED.match(data) else ", inside text"
        return Classification(CellKind.TRUNCATED, f"a token whose end is missing{inside}")
    if OF_THESE_YEARS.match(data) or any(search(data) for search in _BEGINNINGS):
        return Classification(CellKind.TRUNCATED, "a token in another encoding, whose end is missing")
    return None


def _all_known(inner: InnerTokens, tokens: Sequence[bytes] = ()) -> bool:
    """True if every token is under a known key, also beside *tokens*, and nothing beside them may hide one."""
    if inner.unknown or inner.has_endless or inner.given_up or inner.under.total() < max(1, len(set(tokens))):
        return False
    return not any(may_hide(each, only_tokens=False) for each in inner.beside)


def _other(data: bytes) -> Classification:
    """A cell in which no token was found."""
    # No token fits into fewer bytes than SHORTEST, in whatever form.
    short = len(data) < SHORTEST
    if _is_ciphertext(data):
        words = "another cipher's output, or a random secret stored as it is"
        return Classification(CellKind.CIPHERTEXT, words, keyless=short)
    if not _is_text(data):
        return Classification(CellKind.NOT_A_TOKEN, "bytes that are no text", keyless=short)
    error = explain(data)
    words = error.found.rpartition(" (")[0]
    if error.category == Malformed.TRUNCATED:
        return Classification(CellKind.TRUNCATED, words)
    # A few letters that a token begins with, in the middle of a text, are no token.
    if error.category == Malformed.TOO_LARGE or (error.category == Malformed.NOT_A_TOKEN and b"gAAAA" not in data):
        return Classification(CellKind.NOT_A_TOKEN, words, keyless=short)
    return Classification(CellKind.PLAINTEXT, "legible as it stands", keyless=short)


def _is_ciphertext(data: bytes) -> bool:
    """True if *data* look like the usual packages' output: whole AES blocks or AES-GCM, raw or in padded base64."""
    if not _is_text(data):
        return _is_cipher_size(len(data)) and _are_random(data)
    if len(data) % 4 or not _BASE64_TEXT.fullmatch(data) or _HEX_TEXT.fullmatch(data):
        return False
    decoded = binascii.a2b_base64(data.translate(URL_SAFE_TO_STANDARD))
    if not _is_cipher_size(len(decoded)) or _is_text(decoded) or not _are_random(decoded):
        return False
    least = _LEAST_CHANGES_PADDED if data.endswith(b"=") else _LEAST_CHANGES
    characters = data.rstrip(b"=")
    if changes_of_class(characters).count(1) < least * max(1, len(characters) - 1):
        return False
    # A prefix of a service's keys makes it a credential. 32 random bytes in base64 are a Fernet key by shape alone.
    return all(span.label == "fernet-key" for span in find_credentials(data.decode("ascii"), data))


def _is_cipher_size(size: int) -> bool:
    return size >= _LEAST_CIPHERTEXT or size == BLOCK


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _are_random(data: bytes) -> bool:
    first = data[: 3 * BLOCK]
    return len(set(first)) >= _DISTINCT_PER_BYTE * len(first)
