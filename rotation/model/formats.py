"""How a cell holds its tokens."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """The format of a target's cells."""

    TOKEN = "token"  # noqa: S105 - a format's name
    """A cell is one token."""
    EMBEDDED = "embedded"
    """Tokens stand inside longer text: JSON, YAML, a URL, behind a prefix."""
    BASE64 = "base64"
    """Each token's text was encoded again, in base64; alone or inside longer text."""
    HEX = "hex"
    """Each token's text was encoded again, in hex digits; alone or inside longer text."""
