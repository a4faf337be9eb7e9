"""Cells that may hide a token in a form that is not looked for. Pure.

A token has SHORTEST bytes or more, 64 of them are random, and nothing makes it shorter. So a cell that hides one has
room for them, and looks random there. In a column of tokens alone any text is suspicious, and the room
decides. If other text belongs into the cells, such as JSON, a stretch of it has to look random: words, sentences,
addresses and short values do not; compressed or encrypted data, keys, signatures and pictures do.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from math import log2

from rotation.planning.cell_readings import URL_SAFE_TO_STANDARD, runs_of
from rotation.planning.inner_tokens import SHORTEST

SUSPECT = "suspect"
"""The category of such a cell in a target of another format than `token`; in that one it is plaintext."""

ROOM = "no token was found in it, and there is room for one in a form that is not looked for"
"""The words for it."""

_DEPTH = 2
"""The number of encodings that are read one inside the other."""
_DIGITS = b"0123456789"
_BLANKS = b" \t\n\r"
_CONTROLS = bytes(sorted({*range(0x20), 0x7F} - {*_BLANKS}))

_LONG, _FROM = 40, 16
_long_pieces = runs_of(rb'^\s"', _LONG)
"""Most cells have no such piece with _LONG characters from a multiple of _FROM on, and need no further look.
Lines of wrapped data have 60 or more."""
_ENDS_OF_STRINGS = (b'":', b'",', b'"}', b'"]')
"""In JSON without blanks: two strings are two stretches."""
_UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
"""Random, and too short to hold a token; there may be many in a row."""

_WINDOW, _STEP = 92, 6
"""Characters: in base85, SHORTEST bytes are as many; in base64 they are more."""
_stretches = runs_of(rb"\S", _WINDOW)
_PARTS, _LEAST_CHANGES, _LEAST_CHANGES_OF_PART, _LEAST_DIFFERENT = 3, 0.45, 0.25, 36
"""Of a window of random characters, the share of neighbours of different classes (digit, capital, small letter, other)
in all of it and in each part; and the number of different characters. In base64, base58 and base85 almost all have
more, on average 0.65, 0.55 and 48."""
_CLASSES = bytes((byte in _DIGITS) + 2 * (0x41 <= byte <= 0x5A) + 3 * (0x61 <= byte <= 0x7A) for byte in range(256))

_BYTES = bytes(range(256))
_CHANGED = bytes(byte > 0 for byte in range(256))

_UNBROKEN = re.compile(rb"[0-9A-Za-z]{%d,}" % _WINDOW)
_LEAST_SHARE_OF_DIGITS, _LEAST_DIFFERENT_IN_WORD = 1 / 16, 9
"""Of base32, hex and decimal digits, in which classes change seldom; no word is as long with as many digits."""
_SETS = ((b"[0-9]", 10), (b"[A-Fa-f]", 6), (b"[G-Z]", 20), (b"[g-z]", 20))

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}")

_rows_of_numbers = runs_of(b"^GHIJKLMNOPQRSTUVWYZghijklmnopqrstvwyz", 2 * SHORTEST + 1)
"""Without the letters that stand neither in numbers nor in `0x`, `\\x` or `\\u`."""
_NUMBERS = re.compile(
    rb"(?<![0-9A-Fa-f])-?[0-9A-Fa-f]{1,3}(?P<between>[^0-9A-Za-z]{1,4}(?:0?[xX]|u00)?)"
    rb"(?:-?[0-9A-Fa-f]{1,3}(?P=between)){%d,}-?[0-9A-Fa-f]{1,3}" % (SHORTEST - 2)
)
"""SHORTEST numbers or more, with the same between any two."""

_LETTERS = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""Letters of other scripts, in UTF-8."""
_HIGH = bytes(range(0x80, 0x100))
_LEAST_HIGH, _LEAST_DIFFERENT_BYTES, _MOST_NULS = 16, 46, 8
"""Of SHORTEST random bytes; on average 36, 63 and 0, and a token begins with zeros."""
_STEP_OF_BYTES = 24


def may_hide(data: bytes, *, only_tokens: bool) -> bool:
    """True if *data*, in which no token was found, may hide one; *only_tokens*: nothing else belongs into the column.

    *data* is a cell, or the rest of it without its tokens.
    """
    return len(data) >= SHORTEST and (only_tokens or _looks_random(data, _DEPTH))


def _looks_random(data: bytes, depth: int) -> bool:
    if _is_random_text(data, depth) or (depth and _has_random_numbers(data, depth)):
        return True
    return not data.isascii() and not _is_legible(data) and _are_random_bytes(data)


def _is_legible(data: bytes) -> bool:
    """True if *data* are text."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(data.translate(None, _CONTROLS)) == len(data)


def _is_random_text(data: bytes, depth: int) -> bool:
    """True if a stretch of *data* without blanks looks random."""
    if not any(begin + -begin % _FROM + _LONG <= end for begin, end in _long_pieces(data)):
        return False
    joined = _in_one_line(data)
    for end in _ENDS_OF_STRINGS:
        joined = joined.replace(end, b" ")
    long = (joined[begin:end] for begin, end in _stretches(joined))
    return any(_is_random_stretch(stretch, depth) for each in long for stretch in _UUID.sub(b" ", each).split())


def _in_one_line(data: bytes) -> bytes:
    """*data* without line breaks, those in JSON strings with them, and without what indents or quotes a line."""
    lines = data.replace(b"\\r", b"").replace(b"\\n", b"\n").splitlines()
    return b"".join([line.strip(b" \t>") for line in lines])


def _is_random_stretch(stretch: bytes, depth: int) -> bool:
    if not (any(_windows(stretch)) or any(map(_is_random_word, _UNBROKEN.findall(stretch)))):
        return False
    # Base64 of a text looks random and is not: a JWT is mostly JSON.
    texts = list[bytes]()
    rest = _BASE64.sub(lambda run: _without_text(run[0], texts), stretch)
    if not texts or not depth:
        return True
    return any(_looks_random(each, depth - 1) for each in (*rest.split(), *texts) if len(each) >= SHORTEST)


def _windows(stretch: bytes) -> Iterator[bool]:
    """For each window of *stretch* True if it looks random; none if all of it has too few different characters."""
    if len(_BYTES) - len(_BYTES.translate(None, stretch)) < _LEAST_DIFFERENT:
        return
    changes = changes_of_class(stretch)
    part = _WINDOW // _PARTS
    for begin in range(0, len(stretch) - _WINDOW + 1, _STEP):
        parts = range(begin, begin + _WINDOW, part)[:_PARTS]
        yield (
            changes.count(1, begin, begin + _WINDOW - 1) >= _LEAST_CHANGES * _WINDOW
            and all(changes.count(1, at, at + part) >= _LEAST_CHANGES_OF_PART * part for at in parts)
            and len(set(stretch[begin : begin + _WINDOW])) >= _LEAST_DIFFERENT
        )


def changes_of_class(text: bytes) -> bytes:
    """1 for each character of *text* whose next one is of another class, and 0 for the others but the last one."""
    classes = text.translate(_CLASSES)
    # All at once, as numbers: a character at a time takes several times as long.
    changes = int.from_bytes(classes[:-1]) ^ int.from_bytes(classes[1:])
    return changes.to_bytes(max(0, len(text) - 1)).translate(_CHANGED)


def _is_random_word(word: bytes) -> bool:
    """True if a *word* of letters and digits has the room, and more digits than words have."""
    characters = sum(size for letters, size in _SETS if re.search(letters, word))
    digits = len(word) - len(word.translate(None, _DIGITS))
    return (
        len(word) * log2(characters) >= 8 * SHORTEST
        and digits >= _LEAST_SHARE_OF_DIGITS * len(word)
        and len(set(word)) >= _LEAST_DIFFERENT_IN_WORD
    )


def _without_text(run: bytes, texts: list[bytes]) -> bytes:
    """*run*, or a blank if it is base64 of a text, which *texts* gets."""
    # No copies of the parts: a run may be megabytes.
    text = memoryview(run.translate(URL_SAFE_TO_STANDARD))
    for begin in range(4):
        decoded = binascii.a2b_base64(text[begin : begin + (len(run) - begin) // 4 * 4])
        if _is_legible(decoded):
            texts.append(decoded)
            return b" "
    return run


def _has_random_numbers(data: bytes, depth: int) -> bool:
    """True if numbers in a row in *data* spell bytes that look random, such as in hex with colons."""
    if len(data) - len(data.translate(None, _DIGITS)) < SHORTEST:
        return False
    line = _in_one_line(data)
    return any(
        _looks_random(spelled, depth - 1)
        for piece in (line[begin:end] for begin, end in _rows_of_numbers(line))
        # In JSON with an indent more than a comma is between two numbers.
        for row in (piece, piece.translate(None, _BLANKS))
        for numbers in _NUMBERS.finditer(row)
        for spelled in _spelled(numbers[0].split(numbers["between"]), numbers["between"])
    )


def _spelled(numbers: list[bytes], between: bytes) -> Iterator[bytes]:
    """The bytes that *numbers* may spell: hex, decimal or octal."""
    is_hex = re.search(rb"[A-Fa-f]", b"".join(numbers)) or re.search(rb"[xXu]", between)
    for base in (16,) if is_hex else (10, 8):
        try:
            values = [int(number, base) for number in numbers]
        except ValueError:
            continue
        # Numbers in their order count something.
        if max(values) < 256 and min(values) >= -128 and values != sorted(values):
            yield bytes(value & 0xFF for value in values)


def _are_random_bytes(data: bytes) -> bool:
    """True if bytes in a row, other than letters, look random."""
    other = _LETTERS.sub(b" ", data)
    pieces = (other[at : at + SHORTEST] for at in range(0, len(other) - SHORTEST + _STEP_OF_BYTES, _STEP_OF_BYTES))
    return any(
        len(piece) - len(piece.translate(None, _HIGH)) >= _LEAST_HIGH
        and len(set(piece)) >= _LEAST_DIFFERENT_BYTES
        and piece.count(0) <= _MOST_NULS
        for piece in pieces
    )
