"""Reads rotation.toml: a regular file of bounded size and depth. Error messages quote nothing of it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from keyring_core.key_files import read_regular

DEPTH = 16
"""The most nested brackets, or dots in a name: the parser's time grows with the square of their number."""

_PARTS = re.compile(
    # A string that does not end extends to the end of its line, or of the file, so each character is read once.
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:\\[^\n]|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|\#[^\n]*"
    r"|[.\[\]{}=,\n]",
    re.DOTALL,
)

_TWICE = "this is there twice; drop one, and write [[target]], with two brackets, above the settings of each target"
_BACKSLASH = "in double quotes a \\ begins an escape; put a Windows path or a pattern into 'single quotes'"
_FAULTS = {
    "Illegal character '\\n'": "the text in this line has no closing quote",
    "Unterminated string": "a text has no closing quotes",
    "Unescaped '\\'": _BACKSLASH,
    "Invalid hex value": _BACKSLASH,
    "Cannot declare": _TWICE,
    "Cannot overwrite": _TWICE,
    "Cannot mutate": _TWICE,
    "Invalid value": 'a value is a "text" in quotes, a number, true, false, or a ["list"]',
    "Expected newline": "the value ends before this; a text stands in quotes as a whole, and each setting in a line",
    "Expected '='": 'a setting is written as name = "value"',
    "Invalid statement": 'a line is name = "value", [policy] or [[target]]',
    "Invalid initial character": "a name has letters, digits, - and _; a { table } stands in one line",
    "Expected ']'": "a closing bracket is missing, as in [policy] or [[target]]",
    "Unclosed array": "a list lacks its closing ], or a comma between two parts",
    "Unclosed inline table": "a { table } lacks its closing } in the same line, or a comma between two parts",
}
"""The parser's words, which may go on with a part of the file, and what to do."""


def read_toml(path: Path) -> dict[str, Any]:
    """The table in the file at *path*.

    Raises OSError if it cannot be read, and ValueError if it is no TOML; the message gives the position, no content.
    """
    data, _ = read_regular(path, "rotation.toml")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = f"not TOML, which is UTF-8 (byte {error.start + 1})"
    else:
        if line := _too_deep(text):
            fault = f"line {line}: nested more than {DEPTH} deep"
        else:
            table = _parsed(text)
            if not isinstance(table, str):
                return table
            fault = table
    raise ValueError(fault)


def _parsed(text: str) -> dict[str, Any] | str:
    """The table, or what is wrong."""
    try:
        return tomllib.loads(text)
    except ValueError as error:
        message = str(error)
    # The parser's message quotes the text; its position does not.
    position = re.search(r"line \d+, column \d+|at end of document", message)
    place = f" ({position[0]})" if position else ""
    words = next((words for start, words in _FAULTS.items() if message.startswith(start)), "")
    return f"not TOML{place}{words and ': '}{words}"


def _too_deep(text: str) -> int | None:
    """The first line with too many nested brackets or dotted names; None if there is none."""
    brackets = dots = 0
    for part in _PARTS.finditer(text):
        sign = part[0]
        if sign == ".":
            dots += 1
        elif sign in {"[", "{"}:
            brackets, dots = brackets + 1, 0
        elif sign in {"]", "}"}:
            brackets, dots = max(brackets - 1, 0), 0
        elif sign in {"=", ",", "\n"}:
            dots = 0
        if brackets > DEPTH or dots > DEPTH:
            return text.count("\n", 0, part.start()) + 1
    return None
