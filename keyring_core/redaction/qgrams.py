"""Finds known values in a text at a cost that does not grow with their number; pure Python.

It reads the text as integers of seven bytes, one every fourth byte, so that every run of ten characters holds one. A
dict holds the integers of all forms. If it has none of the text's, which one call in C decides, no form occurs. Only
after a hit it searches the text for the few forms that share the integer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from keyring_core.redaction.encodings import Form
from keyring_core.redaction.spans import Span, runs

_EVERY = 4
# Fill a text's length up to a multiple of eight.
_FILLS = tuple(bytes(-length % 8) for length in range(8))


def _sevens(low: bytes) -> memoryview:
    """The integers of the seven bytes at every fourth place of *low*; Python reads larger ones slower."""
    # Every eighth place, then those in between; the eighth byte is overwritten.
    fill = _FILLS[len(low) % 8]
    read = bytearray().join((low, fill, low[_EVERY:], fill, bytes(_EVERY)))
    read[7::8] = bytes(len(read) // 8)
    return memoryview(read).cast("Q")


def _fours(low: bytes) -> memoryview:
    """The integers of the four bytes at every fourth place of *low*."""
    return memoryview(low[: len(low) & -_EVERY]).cast("I")


class _Grams:
    """Forms by the integers of *width* bytes, filled up to *size*, that *read* returns."""

    __slots__ = ("forms", "read", "size", "width")

    def __init__(self, read: Callable[[bytes], memoryview], width: int, size: int) -> None:
        self.read, self.width, self.size = read, width, size
        self.forms: dict[int, tuple[Form, ...]] = {}

    @property
    def floor(self) -> int:
        """The length of a run that always holds a whole integer."""
        return self.width + _EVERY - 1

    def numbers(self, form: Form) -> Iterator[int]:
        """Integers of *form*: every run of its ``floor`` bytes, at any place of a text, holds one of them."""
        for offset in range(len(form.text) - form.floor + _EVERY):
            yield int.from_bytes(form.text[offset : offset + self.width].ljust(self.size, b"\0"), sys.byteorder)

    def candidates(self, low: bytes) -> set[Form]:
        """The forms that may occur in *low*; usually none."""
        known = self.forms.keys()
        if len(low) < self.width or known.isdisjoint(self.read(low)):
            return set()
        return {form for number in known & self.read(low) for form in self.forms.get(number, ())}


class GramMatcher:
    """Finds runs of registered forms. Reading takes no lock; writers are serialised by the registry."""

    __slots__ = ("_narrow", "_wide")

    def __init__(self) -> None:
        self._wide = _Grams(_sevens, 7, 8)
        # For shorter forms. Harmless text shares four bytes with a secret more often than seven.
        self._narrow = _Grams(_fours, 4, 4)

    def __repr__(self) -> str:
        return "<GramMatcher>"

    def _grams(self, form: Form) -> _Grams:
        return self._wide if form.floor >= self._wide.floor else self._narrow

    def add(self, form: Form) -> None:
        """Makes *form* known. The cost depends on its length alone."""
        grams = self._grams(form)
        known, alone = grams.forms, (form,)
        for number in grams.numbers(form):
            others = known.get(number)
            if others is None or form not in others:
                known[number] = alone if others is None else (*others, form)

    def discard(self, form: Form) -> None:
        """Forgets *form*, but no form that shares text with it."""
        grams = self._grams(form)
        for number in grams.numbers(form):
            others = tuple(other for other in grams.forms.get(number, ()) if other is not form)
            if others:
                grams.forms[number] = others
            else:
                grams.forms.pop(number, None)

    def find(self, low: bytes) -> list[Span]:
        """The spans of forms in *low*, a folded text in UTF-8."""
        candidates: set[Form] = set()
        for grams in (self._wide, self._narrow):
            if grams.forms:
                candidates |= grams.candidates(low)
        return runs(window for form in candidates for window in occurrences(form, low)) if candidates else []


def occurrences(form: Form, low: bytes) -> Iterator[tuple[int, int, str]]:
    """Start, end and label of every window of *form* in *low*."""
    for window in windows(form):
        start = low.find(window)
        while start >= 0:
            yield start, start + len(window), form.label
            start = low.find(window, start + 1)


def windows(form: Form) -> Iterator[bytes]:
    """The runs of ``form.floor`` bytes in *form*."""
    for offset in range(len(form.text) - form.floor + 1):
        yield form.text[offset : offset + form.floor]
