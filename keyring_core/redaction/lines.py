"""Keeps an event on one line: escapes characters that break a line or move a terminal's cursor."""

from __future__ import annotations

import re

# C0 and C1 controls, DEL, and the separators that some viewers break lines at.
_BREAKING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_BREAKING_BLOCK = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
INDENT = "    "


def one_line(text: str) -> str:
    r"""*text* without line breaks and terminal sequences: a newline becomes ``\n``."""
    return text if text.isprintable() else _BREAKING.sub(_escape, text)


def block(text: str) -> str:
    """A traceback as indented lines, which no event starts with; escapes what moves the cursor."""
    shown = _BREAKING_BLOCK.sub(_escape, text.strip("\n"))
    return INDENT + shown.replace("\n", "\n" + INDENT)


def escape_json(text: str) -> str:
    """JSON *text* with breaking characters escaped: JSON allows some as they are, and orjson writes them so."""
    return text if text.isascii() else _BREAKING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
