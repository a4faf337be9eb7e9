"""Shapes of secrets and their patterns: anchored, bounded, compiled on first use, and kept in one field of a log line.

A value in quotes, as in JSON, a repr or ``name="value"``, is searched as if it stood alone; so is the event in a line
of structlog's console. So no pattern reads on into the next field.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from keyring_core.redaction.spans import MASK_START, Span


class Shape(NamedTuple):
    """*pattern* is matched wherever *gate* occurs. Its last named group, or all of it, is the secret.

    The match begins *before* characters before the gate. A match of nothing but numbers is no secret, unless
    *numbers* is set.
    """

    gate: str
    pattern: str
    label: str
    numbers: bool = False
    before: int = 0


class Enclosed(NamedTuple):
    """A secret between *gate* and the next match of *end*.

    The end is at most *longest* characters away, and if *in_line*, in the same line. With *cut*, the secret goes on
    to the end of the line if there is no such end. What matches *whole* right behind the gate is the secret at once.
    """

    gate: str
    end: str
    label: str
    longest: int = 20_000
    in_line: bool = False
    cut: bool = True
    whole: str = ""


# Python's repr of a tuple, list or dict, five levels deep. A string in it that ends in a backslash may be one whose
# quote is escaped once more, as in JSON; a value that SQLAlchemy cut may lack a quote. Neither is such a repr.
_STRINGS = r"""(?:'(?:[^'\\\n]|\\.)*+(?<!\\)'|"(?:[^"\\\n]|\\.)*+(?<!\\)")(?=[,:)\]}>]| \.\.\.)"""
REPR = r"(?!)"
for _ in range(5):
    REPR = rf"""[(\[{{](?!\d+ characters truncated)(?:[^()\[\]{{}}'"\n\\]++|{_STRINGS}|{REPR})*+[)\]}}]"""


def by_gate(*shapes: Shape) -> dict[str, tuple[Shape, ...]]:
    """*shapes* under their gates."""
    gates: dict[str, tuple[Shape, ...]] = {}
    for shape in shapes:
        gates[shape.gate] = (*gates.get(shape.gate, ()), shape)
    return gates


# Numbers: the cache hashes them, and an enum's hash is slow.
EXACT = int(re.ASCII)
EXACT_VERBOSE = int(re.ASCII | re.VERBOSE)
ANY_CASE = int(re.ASCII | re.IGNORECASE)
ANY_CASE_VERBOSE = int(re.ASCII | re.IGNORECASE | re.VERBOSE)
MULTILINE = int(re.ASCII | re.MULTILINE)


@cache
def compiled(pattern: str, flags: int = EXACT) -> re.Pattern[str]:
    """*pattern*, compiled once, and not by an import."""
    return re.compile(pattern, flags)


def by_first_character(patterns: Iterable[str]) -> str:
    """One of *patterns*, each of which begins with a literal; the first of those that begin alike.

    Those are one branch: a search tries every branch at every place.
    """
    branches: dict[str, list[str]] = {}
    for pattern in patterns:
        first = pattern[:2] if pattern.startswith("\\") else pattern[:1]
        branches.setdefault(first, []).append(pattern.removeprefix(first))
    return "|".join(f"{first}(?:{'|'.join(dict.fromkeys(rest))})" for first, rest in branches.items())


# Numbers, and what else of a statement's parameters or a row cannot be a secret: any text can be one. The name of a
# parameter is none.
_NUMBERS = re.compile(
    r"(?:[\d\s.,()\[\]{}+-]|(?:None|True|False|null)\b|datetime\.\w+(?=\()|\\{0,7}'\w{1,64}\\{0,7}':(?= [-\d(\[NTFd])"
    r"|displaying \d+ of \d+ total bound parameter sets|\d+ parameters truncated)*+"
)


def hidden(found: re.Match[str], shape: Shape) -> Iterator[Span]:
    """The secret in a match of *shape*: its matched group, or all of it."""
    yield from secret(found.string, *found.span(found.lastgroup or 0), shape.label, numbers=shape.numbers)


def secret(text: str, start: int, end: int, label: str, *, numbers: bool = False) -> Iterator[Span]:
    """The span from *start* to *end*, unless it holds a mask, or nothing but numbers and they are no secret there."""
    if not text.startswith(MASK_START, start, end) and (numbers or not _NUMBERS.fullmatch(text, start, end)):
        yield Span(start, end, label)


_DOUBLE = r"(?:[^\"\\\n]++|\\.)*+"
_SINGLE = r"(?:[^'\\\n]++|\\.)*+"
# What stands before and after shows that these quotes are no apostrophes, and that each quote inside is escaped.
_QUOTED_VALUE = "|".join(
    rf"(?<==){quote}(?P<keyed_{name}>{value}){quote}(?=\s*$|[,;]?\s{{1,9}}[\w.-]{{1,64}}=)"
    rf"|(?<=[{{\[,:])\s{{0,40}}{quote}(?P<{name}>{value}){quote}"
    rf"(?=\s{{0,40}}(?:[:\]}}]|$|,\s{{0,40}}(?:{quote}|[\d{{\[tfnTFN-])))"
    for name, quote, value in (("double", '"', _DOUBLE), ("single", "'", _SINGLE))
)
# 2026-01-31T12:00:00Z [info     ] the event                      [logger] name=value name='a value'
_CONSOLE_EVENT = (
    r"^(?:[\d:.TZ+-]{1,40} )?\[[a-z]{4,9} *\] (?P<event>[^\n]*?) {0,32}\[[\w.:-]{1,100}\]"
    rf"(?: [\w.-]{{1,64}}=(?:\"{_DOUBLE}\"|'{_SINGLE}'|[^\s\"']*+))*+$"
)


class Fields:
    """The values in *text* whose ends can be seen. They are looked for when the first of them is asked for."""

    __slots__ = ("_text", "_values")

    def __init__(self, text: str) -> None:
        self._text = text
        self._values: list[list[tuple[int, int]]] | None = None

    def end(self, place: int) -> int:
        """The end of the value that *place* is in; the end of the text if it is in none."""
        if self._values is None:
            patterns = (compiled(pattern, MULTILINE) for pattern in (_QUOTED_VALUE, _CONSOLE_EVENT))
            self._values = [[one.span(one.lastgroup or 0) for one in every.finditer(self._text)] for every in patterns]
        length = len(self._text)
        for values in self._values:
            number = bisect_right(values, (place, length)) - 1
            if number >= 0 and place < values[number][1]:
                return values[number][1]
        return length

    def match(self, pattern: re.Pattern[str], place: int, after: int) -> re.Match[str] | None:
        """The match of *pattern* at *place*; what it hides stays in one value.

        *after* is the end of the words that give a secret away: of a field's name, or inside the value.
        """
        text = self._text
        found = pattern.match(text, place)
        # Only a quote ends a value, so most matches need no second look.
        if found is None or not ('"' in found[0] or "'" in found[0]):
            return found
        start, end = found.span(found.lastgroup or 0)
        # Right behind the words, a quote that closes their value opens no other.
        given, own = self.end(after - 1 if start == after + 1 else after), self.end(start)
        if own < given and text.startswith(":", own + 1):
            return None  # the name of the next field
        return found if end <= min(given, own) else pattern.match(text, place, min(given, own))
