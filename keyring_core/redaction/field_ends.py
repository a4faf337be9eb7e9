"""Finds the ends of rendered values, so that no pattern reads on into the next field of a log line.

A value in quotes, as in JSON, a repr or ``name="value"``, is searched as if it stood alone; so is the event in a line
of structlog's console.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from keyring_core.redaction.patterns import MULTILINE, compiled

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
