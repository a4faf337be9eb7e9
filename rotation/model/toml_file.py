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
        # The parser's message quotes the text; its position does not.
        position = re.search(r"line \d+, column \d+|at end of document", str(error))
        return f"not TOML ({position[0]})" if position else "not TOML"


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
