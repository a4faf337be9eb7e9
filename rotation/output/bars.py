"""Numbers as a bar of characters, which tells its parts apart in colour, without colour and in plain ASCII."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from rotation.output.shares import shares


class Ink(NamedTuple):
    """What a part of a bar is drawn with."""

    glyph: str
    ascii: str
    style: str


DONE = Ink("━", "#", "green")
WAITING = Ink("┅", "=", "yellow")
WRONG = Ink("╳", "x", "red")  # noqa: RUF001 - drawn, not read
ROOM = Ink("─", ".", "bright_black")


class Bar:
    """A renderable of *width* characters, divided among *parts* as their numbers are."""

    def __init__(self, parts: Sequence[tuple[int, Ink]], width: int) -> None:
        self._parts = parts
        self._width = width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        widths = shares([number for number, _ in self._parts], min(self._width, options.max_width))
        for width, (_, ink) in zip(widths, self._parts, strict=True):
            yield Segment((ink.ascii if options.ascii_only else ink.glyph) * width, Style.parse(ink.style))
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width, self._width)
