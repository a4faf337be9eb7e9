"""Finds known values in a text at a cost that does not grow with their number; pure Python.

The text is read as whole numbers of seven bytes, taken so often that every run of ten characters holds one of them,
and the forms' own numbers stand in one dict. When no number of the text is among them, which one call in C decides,
no form occurs: the answer is exact. Only after a hit are the few forms that share the number searched for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from keyring_core.redaction.encodings import Form
from keyring_core.redaction.spans import Span, runs

_EVERY = 4
# What makes a text's length a multiple of eight.
_FILLS = tuple(bytes(-length % 8) for length in range(8))


def _sevens(low: bytes) -> memoryview:
    """The number of the seven bytes at every fourth place of *low*: seven, since Python reads larger ones slower."""
    # Every eighth place and, behind all of these, those in between; the eighth byte is overwritten.
    fill = _FILLS[len(low) % 8]
    read = bytearray().join((low, fill, low[_EVERY:], fill, bytes(_EVERY)))
    read[7::8] = bytes(len(read) // 8)
    return memoryview(read).cast("Q")


def _fours(low: bytes) -> memoryview:
    """The number of the four bytes at every fourth place of *low*."""
    return memoryview(low[: len(low) & -_EVERY]).cast("I")


class _Grams:
    """Forms under the numbers of *width* bytes, filled up to *size*, that *read* shows of every fourth place."""

    __slots__ = ("forms", "read", "size", "width")

    def __init__(self, read: Callable[[bytes], memoryview], width: int, size: int) -> None:
        self.read, self.width, self.size = read, width, size
        self.forms: dict[int, tuple[Form, ...]] = {}

    @property
    def floor(self) -> int:
        """How long a run has to be to show a whole number wherever it stands."""
        return self.width + _EVERY - 1

    def numbers(self, form: Form) -> Iterator[int]:
        """The numbers of which every run of ``form.floor`` bytes, wherever it stands in a text, shows one."""
        for offset in range(len(form.text) - form.floor + _EVERY):
            yield int.from_bytes(form.text[offset : offset + self.width].ljust(self.size, b"\0"), sys.byteorder)

    def candidates(self, low: bytes) -> set[Form]:
        """The forms that may occur in *low*; nearly always none."""
        known = self.forms.keys()
        if len(low) < self.width or known.isdisjoint(self.read(low)):
            return set()
        return {form for number in known & self.read(low) for form in self.forms.get(number, ())}


class GramMatcher:
    """Finds runs of registered forms. Reading takes no lock; writers are serialised by the registry."""

    __slots__ = ("_narrow", "_wide")

    def __init__(self) -> None:
        self._wide = _Grams(_sevens, 7, 8)
        # For forms too short for that; more honest text shares four bytes with a secret than seven.
        self._narrow = _Grams(_fours, 4, 4)

    def __repr__(self) -> str:
        return "<GramMatcher>"

    def _grams(self, form: Form) -> _Grams:
        return self._wide if form.floor >= self._wide.floor else self._narrow

    def add(self, form: Form) -> None:
        """Makes *form* known. Costs its own length, whatever is known already."""
        grams = self._grams(form)
        known, alone = grams.forms, (form,)
        for number in grams.numbers(form):
            others = known.get(number)
            if others is None or form not in others:
                known[number] = alone if others is None else (*others, form)

    def discard(self, form: Form) -> None:
        """Forgets *form*; other forms that share text with it stay known."""
        grams = self._grams(form)
        for number in grams.numbers(form):
            others = tuple(other for other in grams.forms.get(number, ()) if other is not form)
            if others:
                grams.forms[number] = others
            else:
                grams.forms.pop(number, None)

    def find(self, low: bytes) -> list[Span]:
        """Where forms occur in *low*, a folded text in UTF-8."""
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
