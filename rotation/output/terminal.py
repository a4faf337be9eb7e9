"""Rich text on a terminal, plain text elsewhere; names from outside made fit for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


class PatientConsole(Console):
    """A console whose reader may leave: rich would end the process, with an exit code that means something else."""

    def on_broken_pipe(self) -> None:
        """Prints nothing from then on, so that the exit code is the command's own."""
        self.quiet = True


def console_on(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """A console on *stream*: colours on a terminal, plain text elsewhere, unless *environ* says otherwise."""
    width = None if stream.isatty() else 160
    return PatientConsole(file=stream, width=width, markup=False, highlight=False, emoji=False, _environ=environ)


def say(part: RenderableType, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Prints *part* on *stream*."""
    console_on(stream, environ).print(part, soft_wrap=isinstance(part, str | Text))


def table() -> Table:
    """A table without lines around it, to be filled."""
    return Table(box=None, pad_edge=False, header_style="bold")


def printable(text: str) -> str:
    """*text* with its control characters escaped: a name may hold anything, and a terminal obeys some of it."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
