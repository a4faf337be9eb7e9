"""Names from outside: shown in one line, obeyed by nothing."""

from __future__ import annotations

import string

from keyring_core.errors import printable, printable_lines
from tests.conftest import Named

ESCAPED = {
    "a\nb": r"a\nb",
    "a\x1b[2J": r"a\x1b[2J",
    "a\r\x08\x7f": r"a\r\x08\x7f",
    "\x9b2J": r"\x9b2J",
    "\u202eb\u2066": r"\u202eb\u2066",
    "\u2028\u2029": r"\u2028\u2029",
    "\u200b\ufeff": r"\u200b\ufeff",
    "\udc80": r"\udc80",
}


def test_what_a_terminal_obeys_is_escaped(named: Named) -> None:
    """Control characters of both sets, separators of lines, what turns the text and what nobody sees (CWE-150)."""
    for name, shown in ESCAPED.items():
        with named(shown):
            assert printable(name) == shown
            assert printable_lines(f"{name}\n") == f"{shown}\n".replace(r"\nb", "\nb")


def test_what_is_legible_stays(named: Named) -> None:
    """Letters of every script, emoji and ASCII are as they were."""
    for name in (string.printable[:95], "café", "Größe", "トークン", "令牌", "المفتاح", "🔑"):
        with named(name):
            assert printable(name) == name
