"""Text as the matchers see it: in lower case, without backslashes and blanks.

So escapes of any depth look the same, a hex dump is only its digits, and there is less to search.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from bisect import bisect_right
from collections.abc import Iterable

from keyring_core.redaction.spans import Span

_LEFT_OUT = b"\\ "
_LOWER = bytes(range(256)).lower()
# Searches look at these letters first: a text reduced to them is a fifth as long. They become hexadecimal digits, of
# which two are a byte.
_SEARCHED = b"pswdcktyojxuhq0"
_DIGITS = bytes.maketrans(_SEARCHED + _SEARCHED.upper(), b"0123456789abcde" * 2)
_OTHERS = bytes(set(range(256)) - set(_SEARCHED + _SEARCHED.upper()))
_PLACES = re.compile(rb"[\\ ]")


def as_text(value: str | bytes) -> str:
    """*value* as text; bytes that are not UTF-8 become surrogates."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def squeeze(data: bytes, skipped: bytes = b"") -> bytes:
    """*data* in lower case, without the characters that comparisons ignore, and without the bytes *skipped*."""
    return data.translate(_LOWER, _LEFT_OUT + skipped)


def lower(flat: str) -> str:
    """*flat*, which has one character for each byte, in lower case; only ASCII letters change."""
    return flat.lower() if flat.isascii() else flat.encode("latin-1").lower().decode("latin-1")


def reduced(data: bytes) -> str:
    """Only a few letters, in any case, and the zeros of *data*, each as a hexadecimal digit.

    A word is not in *data* if what this leaves of the word is not in what it leaves of *data*.
    """
    return data.translate(_DIGITS, _OTHERS).decode()


def neighbours(gist: str) -> bytes:
    """Every two digits that follow each other in *gist*, as one byte, since C searches fastest for one byte.

    A word's are among a text's if what `reduced` leaves of the word is in *gist*, what it leaves of the text.
    """
    length = len(gist)
    return unhexlify(gist[: length & -2] + gist[1 : (length - 1) | 1])


def unsqueeze(spans: Iterable[Span], data: bytes) -> list[Span]:
    """The *spans* of ``squeeze(data)`` as spans of *data*."""
    # The place in the squeezed text of each byte that was left out.
    missing = [found.start() - number for number, found in enumerate(_PLACES.finditer(data))]

    def original(place: int) -> int:
        return place + bisect_right(missing, place)

    return [span._replace(start=original(span.start), end=original(span.end - 1) + 1) for span in spans]
