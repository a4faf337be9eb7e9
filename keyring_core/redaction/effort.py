"""Keeps a search cheap: a quick look at the words that a text can hold, and the steps that one text may cost.

What is written to hold up a scan is masked, not read.
"""

from __future__ import annotations

import math
from binascii import unhexlify
from collections.abc import Callable
from typing import TypeAlias

from keyring_core.redaction.spans import Span

# Each place that may hold a secret costs a step, and two more to read what stands there.
READ = 2

# Searches look at these letters first: a text reduced to them is a fifth as long. They become hexadecimal digits, of
# which two are a byte.
_SEARCHED = b"pswdcktyojxuhq0"
_DIGITS = bytes.maketrans(_SEARCHED + _SEARCHED.upper(), b"0123456789abcde" * 2)
_OTHERS = bytes(set(range(256)) - set(_SEARCHED + _SEARCHED.upper()))


class Effort:
    """The steps that are left for one search."""

    __slots__ = ("_steps",)

    def __init__(self, steps: float) -> None:
        self._steps = steps

    def step(self, steps: int = 1) -> bool:
        """Takes *steps*. False if they are not left."""
        self._steps -= steps
        return self._steps >= 0


Limit: TypeAlias = Callable[[int], Effort]
"""Gives the steps for one search of a text by its length."""


def bounded(length: int) -> Effort:
    """The steps for a text of *length* characters: dense text, such as a list of settings, takes one for eight."""
    return Effort(96 + length // 8)


def unbounded(_length: int) -> Effort:
    """Enough steps, for text of which all but a few characters are known to be harmless."""
    return Effort(math.inf)


def rest(text: str, start: int) -> Span:
    """All of *text* from *start* on, where the steps for it have been taken."""
    return Span(start, len(text), "rest")


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
