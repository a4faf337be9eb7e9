"""Text as the matchers see it: in lower case, without backslashes and blanks.

So escapes of any depth look the same, a hex dump is only its digits, and there is less to search.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from keyring_core.redaction.spans import Span

_LEFT_OUT = b"\\ "
# Searches look at these letters first: a text reduced to them is a fifth as long.
_SEARCHED = b"pswdcktyojx0"
_OTHERS = bytes(set(range(256)) - set(_SEARCHED))
_PLACES = re.compile(rb"[\\ ]")


def as_text(value: str | bytes) -> str:
    """*value* as text; bytes that are not UTF-8 become surrogates."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def fold(text: str) -> bytes:
    """*text* as it is compared."""
    return squeeze(text.encode("utf-8", "surrogatepass").lower())


def squeeze(low: bytes) -> bytes:
    """*low* without the characters that comparisons ignore."""
    return low.translate(None, _LEFT_OUT)


def reduced(low: bytes) -> str:
    """Only a few letters and the zeros of *low*. A word whose letters are not in it is not in *low*."""
    return low.translate(None, _OTHERS).decode()


def unsqueeze(spans: Iterable[Span], low: bytes) -> list[Span]:
    """The *spans* of ``squeeze(low)`` as spans of *low*."""
    # The place in the squeezed text of each byte that was left out.
    missing = [found.start() - number for number, found in enumerate(_PLACES.finditer(low))]

    def original(place: int) -> int:
        return place + bisect_right(missing, place)

    return [span._replace(start=original(span.start), end=original(span.end - 1) + 1) for span in spans]
