"""Finds known values in a text at a cost that does not grow with their number; pure Python.

It takes five bytes of the text at every sixth place, so that every run of ten characters holds such a gram whole. A
set holds the grams of all forms. If it has none of the text's, which one call in C decides, no form occurs. Only
after a hit it searches the text for the few forms that share the gram.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import NoReturn

from keyring_core.redaction.encodings import Form, squeeze
from keyring_core.redaction.spans import Span, runs

# A seventh of a line of JSON; random-looking values seldom hold it.
_PUNCTUATION = b"\"',:;.()[]{}<>"
# Grams that are read by one call; there is a reader for each number of them.
_MOST_READ = 256


@cache
def _reader(width: int, every: int, count: int) -> Callable[[bytes, int], tuple[bytes, ...]]:
    """Reads *count* grams of a text from a place on."""
    return struct.Struct(f"{width}s{every - width}x" * (count - 1) + f"{width}s").unpack_from


class _Grams:
    """Forms by their grams of *width* bytes, one of which is read every *every* bytes of a text.

    Both are read without the bytes *skipped*.
    """

    __slots__ = ("every", "forms", "known", "skipped", "width")

    def __init__(self, width: int, every: int, skipped: bytes = b"") -> None:
        self.width, self.every, self.skipped = width, every, skipped
        self.forms: dict[bytes, tuple[Form, ...]] = {}
        # The keys of *forms* once more: a set answers faster.
        self.known: set[bytes] = set()

    @property
    def floor(self) -> int:
        """The length of a run that always holds a whole gram."""
        return self.width + self.every - 1

    def fits(self, form: Form) -> bool:
        """True if every run of *form* that has to be found is long enough without the bytes *skipped*."""
        return len(self._kept(form.text)) == len(form.text) or all(
            len(self._kept(form.text[start : start + form.floor])) >= self.floor for start in range(form.windows)
        )

    def grams(self, form: Form) -> Iterator[bytes]:
        """Grams of *form*: every run of it that has to be found, at any place of a text, holds one of them."""
        kept = self._kept(form.text)
        last = len(self._kept(form.text[: form.windows - 1]))
        for offset in range(last + self.every):
            yield kept[offset : offset + self.width]

    def add(self, form: Form) -> None:
        """Makes *form* known."""
        alone = (form,)
        for gram in self.grams(form):
            others = self.forms.get(gram)
            if others is None or form not in others:
                self.forms[gram] = alone if others is None else (*others, form)
                self.known.add(gram)

    def discard(self, form: Form) -> None:
        """Forgets *form*."""
        for gram in self.grams(form):
            others = tuple(other for other in self.forms.get(gram, ()) if other is not form)
            if others:
                self.forms[gram] = others
            else:
                self.known.discard(gram)
                self.forms.pop(gram, None)

    def candidates(self, data: bytes) -> Collection[Form]:
        """The forms that may occur in *data*; usually none."""
        low = squeeze(data, self.skipped)
        count = (len(low) + self.every - self.width) // self.every
        found: set[bytes] = set()
        for first in range(0, count, _MOST_READ):
            grams = _reader(self.width, self.every, min(_MOST_READ, count - first))(low, first * self.every)
            if not self.known.isdisjoint(grams):
                found |= self.known.intersection(grams)
        if not found:
            return ()
        return {form for gram in found for form in self.forms.get(gram, ()) if self._goes_on(form, gram, low)}

    def _goes_on(self, form: Form, gram: bytes, low: bytes) -> bool:
        """True if *low* holds more of *form* than *gram*, which harmless text can share by chance.

        A run of ``floor`` bytes around a gram reaches beyond one of its ends by half of *every*, if not more.
        """
        kept, more = self._kept(form.text), self.every // 2
        start = kept.find(gram)
        while start >= 0:
            end = start + self.width
            if end + more <= len(kept) and low.find(kept[start : end + more]) >= 0:
                return True
            if start >= more and low.find(kept[start - more : end]) >= 0:
                return True
            start = kept.find(gram, start + 1)
        return False

    def _kept(self, text: bytes) -> bytes:
        return text.translate(None, self.skipped)


class GramMatcher:
    """Finds runs of registered forms. Reading takes no lock; writers are serialised by the registry."""

    __slots__ = ("_narrow", "_wide")

    def __init__(self) -> None:
        self._wide = _Grams(5, 6, _PUNCTUATION)
        # For shorter forms. Harmless text shares four bytes with a secret more often than five.
        self._narrow = _Grams(4, 4)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a GramMatcher holds secrets: it can be neither pickled nor copied")

    def _grams(self, form: Form) -> _Grams:
        return self._wide if form.floor >= self._wide.floor else self._narrow

    def add(self, form: Form) -> None:
        """Makes *form* known. The cost depends on its length alone, but for the first forms with some punctuation."""
        grams = self._grams(form)
        if grams is self._wide and not grams.fits(form):
            # From now on its punctuation is read.
            grams = _Grams(5, 6, self._wide.skipped.translate(None, form.text))
            for known in set().union(*self._wide.forms.values()):
                grams.add(known)
            # In one step: readers take no lock.
            self._wide = grams
        grams.add(form)

    def discard(self, form: Form) -> None:
        """Forgets *form*, but no form that shares text with it."""
        self._grams(form).discard(form)

    def candidates(self, data: bytes) -> Collection[Form]:
        """The forms that may occur in *data*; usually none."""
        wide, narrow = self._wide, self._narrow
        forms = wide.candidates(data) if wide.forms else ()
        return {*forms, *narrow.candidates(data)} if narrow.forms else forms


def spans_of(forms: Collection[Form], data: bytes) -> list[Span]:
    """The spans of *forms* in ``squeeze(data)``."""
    if not forms:
        return []
    low = squeeze(data)
    return runs(window for form in forms for window in occurrences(form, low))


def occurrences(form: Form, low: bytes) -> Iterator[tuple[str, int, int]]:
    """Label, start and end of the runs of *form* in *low* that have to be masked. Runs may overlap.

    Up to 63 windows of the shortest length are all searched. A longer form has too many: there, every few characters
    a piece is searched which is so much shorter that each window holds one, and a match is followed to its ends.
    """
    text = form.text
    step = min(1 + form.windows // 64, (form.floor + 1) // 2)
    width = form.floor - step + 1
    for offset in range(0, len(text) - width + 1, step):
        piece = text[offset : offset + width]
        place = low.find(piece)
        while place >= 0:
            start, end = place, place + width
            if step > 1:
                start -= _shared(text[:offset][::-1], low[max(0, place - offset) : place][::-1])
                end += _shared(text[offset + width :], low[end : end + len(text)])
            if end - start >= form.floor:
                yield form.label, start, end
            place = low.find(piece, place + 1)


def _shared(one: bytes, other: bytes) -> int:
    """The number of equal bytes that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
