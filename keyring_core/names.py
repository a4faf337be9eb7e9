"""Names from outside in a message: of files, variables, tables, services. A name may hold anything."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""*text* as a part of one line: a newline becomes ``\n``, and nothing in it moves a cursor or turns the text.

    Letters of every script and emoji stay. What is escaped is what `str.isprintable` names: control characters of both
    sets, separators of lines, bidirectional controls, characters without a width, and single surrogates.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def printable_lines(text: str) -> str:
    """*text* of several lines, each of them printable."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))
