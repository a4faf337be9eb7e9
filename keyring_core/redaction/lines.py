"""Keeps an event on one line: escapes characters that break a line, move a terminal's cursor or turn the text."""

from __future__ import annotations

import re

# C1 controls and DEL, the separators that some viewers break lines at, what changes the direction of the text, and
# what nobody sees; but not the joiners of emoji and of Indic and Arabic letters.
_OTHERS = r"\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_BREAKING = re.compile(rf"[\x00-\x08\x0a-\x1f{_OTHERS}]")
_BREAKING_BLOCK = re.compile(rf"[\x00-\x08\x0b-\x1f{_OTHERS}]")
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
