"""Text as the matchers see it: in lower case, without backslashes and blanks.

So escapes of any depth are one, a hex dump is its digits, and there is less to read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from keyring_core.redaction.spans import Span

_LEFT_OUT = b"\\ "
# What is looked for first: a text is a fifth as long with nothing but this, and many searches take less time.
_TELLING = b"pswdcktyojx0"
_UNTELLING = bytes(set(range(256)) - set(_TELLING))
_PLACES = re.compile(rb"[\\ ]")


def as_text(value: str | bytes) -> str:
    """*value* as text; bytes that are none are kept as surrogates."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def fold(text: str) -> bytes:
    """*text* as it is compared."""
    return squeeze(text.encode("utf-8", "surrogatepass").lower())


def squeeze(low: bytes) -> bytes:
    """*low* without what is left out of comparisons."""
    return low.translate(None, _LEFT_OUT)


def reduced(low: bytes) -> str:
    """*low* without all but a few letters, and zeros: where these are not in it, neither is what they stand in."""
    return low.translate(None, _UNTELLING).decode()


def unsqueeze(spans: Iterable[Span], low: bytes) -> list[Span]:
    """Where *spans* of ``squeeze(low)`` stand in *low*."""
    # For each byte left out, its place in the squeezed text.
    missing = [found.start() - number for number, found in enumerate(_PLACES.finditer(low))]

    def original(place: int) -> int:
        return place + bisect_right(missing, place)

    return [span._replace(start=original(span.start), end=original(span.end - 1) + 1) for span in spans]
