"""Numbers as a bar of characters. Its parts differ in colour, and without colour and in plain ASCII, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text


class Ink(NamedTuple):
    """How a part of a bar is drawn."""

    glyph: str
    ascii: str
    style: str


DONE = Ink("━", "#", "green")
WAITING = Ink("┅", "=", "yellow")
WRONG = Ink("╳", "x", "red")  # noqa: RUF001 - drawn, not read
ROOM = Ink("─", ".", "bright_black")


class Bar:
    """A renderable of *width* characters, divided among *parts* in proportion to their numbers."""

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


class Legend:
    """A line that says what the parts of bars mean, on a terminal only: a pipe has no bars."""

    def __init__(self, parts: Sequence[tuple[Ink, str]]) -> None:
        self._parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        if console.is_terminal and self._parts:
            words = (f"{ink.ascii if options.ascii_only else ink.glyph} {word}" for ink, word in self._parts)
            yield Text("  ".join(words), "dim")


def shares(numbers: Sequence[int], width: int) -> list[int]:
    """*width* places divided in proportion to *numbers*. Every number that is not zero gets at least one place.

    All zeros get no place. Raises ValueError if there are fewer places than numbers that are not zero.
    """
    total = sum(numbers)
    if not total:
        return [0] * len(numbers)
    if width < sum(number > 0 for number in numbers):
        raise ValueError(f"a bar of {width} places has no room for its parts")
    # Whole numbers throughout: a float would lose one cell among 2**53.
    places = [max(number * width // total, number > 0) for number in numbers]
    while (over := sum(places) - width) > 0:
        places[places.index(max(places))] -= min(over, 1)
    remainders = sorted(range(len(numbers)), key=lambda index: -(numbers[index] * width % total))
    for index in remainders[: width - sum(places)]:
        places[index] += 1
    return [int(place) for place in places]
