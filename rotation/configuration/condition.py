"""Checks that the condition of a `where` stays within the parentheses that are put around it. Pure.

Databases quote strings and names differently, some by a setting: a condition has to stay inside under each of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DOUBLED = r"{0}(?:[^{0}]|{0}{0})*+{0}"
_ESCAPED = r"{0}(?:[^{0}\\]|{0}{0}|\\.)*+{0}"


def _reading(*parts: str, comments: str = r"--|/\*") -> str:
    """A pattern for the parts of one database's SQL that matter here; a quote that it leaves over is unterminated.

    As text: most commands check no condition, and to compile these patterns takes 30 ms.
    """
    whole = "|".join(f"(?:{part})" for part in parts)
    return rf"(?P<comment>{comments})|{whole}|(?P<sign>[();])|(?P<quote>['\"`\[$])"


_SINGLE, _DOUBLE, _BACK = (_DOUBLED.format(quote) for quote in "'\"`")
_SINGLE_ESCAPED, _DOUBLE_ESCAPED = (_ESCAPED.format(quote) for quote in "'\"")
# A string on the next line continues such a string.
_E_TEXT = rf"[eE]{_SINGLE_ESCAPED}(?:[ \t\f\v]*[\n\r]\s*{_SINGLE_ESCAPED})*"
_LETTER = r"A-Za-z_\x80-\U0010ffff"
_NAME = rf"[{_LETTER}][{_LETTER}0-9$]*"
_TAG = rf"(?:[{_LETTER}][{_LETTER}0-9]*)?"
_DOLLARS = rf"\$(?P<tag>{_TAG})\$.*?\$(?P=tag)\$"
_NO_TAG = rf"\$(?!{_TAG}\$)"

_SQLITE = (_reading(_SINGLE, _DOUBLE, _BACK, r"\[[^\]]*\]", r"\$"),)
_POSTGRESQL = tuple(
    _reading(_E_TEXT, _NAME, text, _DOUBLE, _DOLLARS, _NO_TAG, r"[\[`]")
    for text in (_SINGLE, _SINGLE_ESCAPED)  # standard_conforming_strings on, off
)
_MYSQL = tuple(
    _reading(single, double, _BACK, r"[\[$]", comments=r"--|/\*|\#")
    for single, double in (
        (_SINGLE_ESCAPED, _DOUBLE_ESCAPED),
        (_SINGLE_ESCAPED, _DOUBLE),  # ANSI_QUOTES
        (_SINGLE, _DOUBLE),  # NO_BACKSLASH_ESCAPES
    )
)
_READINGS = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


_BACKSLASH = "if a server's settings give a backslash another meaning; write a quote within a text as ''"


class Fault(NamedTuple):
    """What is wrong with a condition. It quotes none of it: a condition may contain a token."""

    position: int
    """From 1."""
    words: str
    escapes: bool
    """Whether the rest would leave the condition."""


def fault_of(condition: str, database: str) -> Fault | None:
    """Why *condition* is refused on a *database* such as `postgresql`; None if it may stand between parentheses.

    Unknown databases are read as SQLite.
    """
    usual, *others = _READINGS.get(database, _SQLITE)
    if fault := _fault(condition, usual):
        return fault
    # Under another setting a string may be unterminated: then the server refuses the statement, and nothing leaks out.
    found = (_fault(condition, reading) for reading in others)
    escape = next((fault for fault in found if fault and fault.escapes), None)
    return escape and escape._replace(words=f"{escape.words}, {_BACKSLASH}")


def _fault(condition: str, reading: str) -> Fault | None:
    opened: list[int] = []
    for part in re.finditer(reading, condition, re.DOTALL):
        sign, position = part[0], part.start() + 1
        if part["comment"]:
            return Fault(position, "begins a comment, which would hide what follows", escapes=True)
        if part["quote"]:
            return Fault(position, "begins a text or a name that has no end", escapes=False)
        if sign == ";" and part["sign"]:
            return Fault(position, "ends the statement", escapes=True)
        if sign == "(" and part["sign"]:
            opened.append(position)
        elif sign == ")" and part["sign"]:
            if not opened:
                return Fault(position, "closes a parenthesis that is not open", escapes=True)
            opened.pop()
    return Fault(opened[-1], "opens a parenthesis that is never closed", escapes=False) if opened else None
