"""What a value may stand for: decodings of parts of it, and texts in it read as their formats mean them. Pure.

Each reading is a guess, and shorter than what it is read from.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator
from functools import partial

# Whatever holds a token in one of these encodings holds one of its marks.
IN_BASE32 = (b"IFAUC", b"CQKBI")
IN_HEX = (b"8000000000", b"41414", b"51554642", b"00410041")  # a raw token, text, base64, UTF-16; without letters
IN_DECIMAL = (b"65,65,65,65", b"65, 65, 65, 65")  # text, as numbers in a list


def runs_of(characters: bytes, least: int) -> Callable[[bytes], list[tuple[int, int]]]:
    """A search for the places of *least* or more of *characters* in a row, which are given as in a pattern's brackets.

    In data with many short runs it takes a sixth of the time of such a pattern, which begins again at each character.
    """
    table = bytes(re.match(b"[%b]" % characters, bytes([byte])) is not None for byte in range(256))
    run = re.compile(b"\1" * least + b"\1*")
    return lambda data: [found.span() for found in run.finditer(data.translate(table))]


# What escapes, lines and wide characters stand in, and no token in any of them is shorter: in other bytes, such as an
# image's, they mean nothing.
text_runs = runs_of(rb"\0\t-\r -~", 73)
_base64_runs = runs_of(rb"A-Za-z0-9+/_-", 98)
_base32_runs = runs_of(rb"A-Z2-7", 117)
_hex_runs = runs_of(rb"0-9A-Fa-f", 146)
_DECIMAL_RUN = re.compile(rb"(?:(?:1[01]\d|12[0-7]|\d?\d), ?){97,}\d{2,3}")
URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")

# Escapes of JSON and Python, apart from URLs: a raw token's own `%41` is none. More hex behind `\x` is PostgreSQL's.
_BACKSLASH = re.compile(
    rb"\\u00([0-9A-Fa-f]{2})|\\x(?![0-9A-Fa-f]{18})([0-9A-Fa-f]{2})|\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL
)
# Of URLs, quoted-printable and HTML.
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})|=([0-9A-F]{2})|&((?:\#[0-9]{1,4}|\#[xX][0-9A-Fa-f]{1,4}|[A-Za-z]{2,8});)")
_LAST = 3  # the group of what is no hex
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"0": b"\0"}


def decoded(data: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Possible decodings of parts of *data*, and the places of these parts. Each is shorter than *data*."""
    for place in _base64_runs(data):
        text = data[slice(*place)].translate(URL_SAFE_TO_STANDARD)
        # It is not known at which character a token begins.
        yield from ((_from_base64(text, begin), place) for begin in range(4))
    for place in _hex_runs(data if any(mark in data for mark in IN_HEX) else b""):
        text = data[slice(*place)]
        for begin in range(2):
            yield binascii.unhexlify(text[begin : begin + (len(text) - begin) // 2 * 2]), place
    for place in _base32_runs(data if any(mark in data for mark in IN_BASE32) else b""):
        text = data[slice(*place)]
        for begin in range(8):
            size = len(text) - begin
            yield base64.b32decode(text[begin:] + b"A" * (-size % 8))[: size * 5 // 8], place
    for run in _DECIMAL_RUN.finditer(data if any(mark in data for mark in IN_DECIMAL) else b""):
        yield bytes(min(int(number), 0xFF) for number in run[0].split(b",")), run.span()


def _from_base64(text: bytes, begin: int) -> bytes:
    size = len(text) - begin
    found = binascii.a2b_base64(b"".join([memoryview(text)[begin:], b"A" * (-size % 4)]))
    # A single character more is not a byte. Here it counts as one, so that a token that is cut there does not fit.
    return found[: size * 3 // 4 + (size % 4 == 1)]


def _unescaped(escape: re.Match[bytes]) -> bytes:
    text: bytes = escape[escape.lastindex or 0]
    if escape.lastindex != _LAST:
        return bytes([int(text, 16)])
    # No token has any of the characters beyond these.
    return b"\xff" if len(text) > 1 else _ESCAPED.get(text, text)


def _without_escapes(text: bytes) -> bytes:
    if b"\\\\" not in text:
        # Nearly all escapes of JSON inside JSON are quotes, and a call for each would take most of the search's time.
        text = text.replace(b'\\"', b'"')
    return _BACKSLASH.sub(_unescaped, text)


def _resolved(escape: re.Match[bytes]) -> bytes:
    text: bytes = escape[escape.lastindex or 0]
    if escape.lastindex != _LAST:
        return bytes([int(text, 16)])
    return html.unescape("&" + text.decode("ascii")).encode("utf-8", "surrogatepass")


def _squeezed(data: bytes) -> bytes:
    """*data* without the zeros of wide characters, line breaks, also of quoted-printable, and blanks."""
    narrow = data.translate(None, b"\0")
    return narrow.replace(b"=\r\n", b"").replace(b"=\n", b"").translate(None, b" \t\r\n\v\f")


READINGS: tuple[Callable[[bytes], bytes], ...] = (_without_escapes, partial(_ESCAPE.sub, _resolved), _squeezed)
"""The ways to read a text; what a way returns is as long as the text if it finds nothing to read."""
