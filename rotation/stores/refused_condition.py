"""Why a database refused the condition of a `where`, in words that quote none of it: it may contain a token. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

_KINDS = (
    (r"^(42703|1054|42P01)\b|no such column", "it names a column that is not there"),
    (r"^(42601|1064)\b|syntax error|incomplete input|unrecognized token", "it is no SQL condition"),
    (r"^(42883|no such function)|no such function", "it calls a function, or compares types, that do not fit"),
    (r"^(42804|22P02|42846)\b", "it compares values of types that do not fit"),
)
"""Codes of PostgreSQL and MariaDB, words of SQLite, and what each means."""
_WORDS = frozenset(("and", "or", "not", "is", "in", "null", "like", "between", "true", "false"))
_TEXTS = re.compile(r"'(?:[^']|'')*'")
_NAMES = re.compile(r"""["`\[]([^"`\]]+)["`\]]|\b([A-Za-z_]\w*)\b""")


def why_refused(condition: str, code: object, message: str, columns: Sequence[str], quote: str) -> str:
    """The database's *code* for it, what that means, and what to write.

    *message* is the database's own, of which nothing is shown; *quote* is the character around its names.
    """
    kind = next((words for pattern, words in _KINDS if re.search(pattern, f"{code} {message}")), "")
    near = _nearest(condition, columns) if kind == _KINDS[0][1] else ""
    return (
        f"the database does not take the condition in where (code {code}){kind and ': '}{kind}{near or '.'} "
        f"In SQL 'this' is a text, and {quote}this{quote} the name of a column"
    )


def _nearest(condition: str, columns: Sequence[str]) -> str:
    """The column that a name in *condition* probably means; empty if none is like one."""
    known = {name.lower(): name for name in columns}
    for quoted, bare in _NAMES.findall(_TEXTS.sub("''", condition)):
        name = (quoted or bare).lower()
        if (
            name not in _WORDS
            and name not in known
            and (near := difflib.get_close_matches(name, known, n=1, cutoff=0.7))
        ):
            return f"; did you mean {known[near[0]]}?"
    return ""
