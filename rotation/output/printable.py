"""Text from outside, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """A name may hold anything, and a terminal obeys some of it."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
