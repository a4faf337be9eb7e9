"""A kind of lines, and which of them count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

MOST_LINES = 350
"""Of one kind."""
MOST_ALIKE = 25
"""Lines of one kind that differ in numbers only."""
_LONGEST = 4000
_NUMBERS = re.compile(r"\b[0-9a-f]{7,}\b|\d+", re.IGNORECASE)


class UnavailableError(Exception):
    """What makes the lines is not on this machine."""


class Kind(NamedTuple):
    """Lines from one program, or of one format."""

    name: str
    lines: Callable[[], Iterable[str]]


def chosen(kind: Kind) -> list[str]:
    """The lines of *kind* that count: each once, few that are alike, and of too many an even choice."""
    alike: Counter[str] = Counter()
    lines = []
    for line in dict.fromkeys(map(str.rstrip, kind.lines())):
        shape = _NUMBERS.sub("0", line)
        alike[shape] += 1
        if line.strip() and len(line) <= _LONGEST and alike[shape] <= MOST_ALIKE:
            lines.append(line)
    if not lines:
        raise UnavailableError("no lines")
    step = max(1, len(lines) / MOST_LINES)
    return [lines[int(place * step)] for place in range(min(len(lines), MOST_LINES))]
