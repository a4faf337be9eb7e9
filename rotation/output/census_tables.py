"""Cells per target and tokens per key: tables with bars on a terminal, plain tables elsewhere.

The parts of a bar differ in colour, and without colour and in plain ASCII, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from rotation.model.report import Report
from rotation.model.target import distinct_labels
from rotation.output.terminal import Fitting, rows_table

BAR = 16
"""Characters of a bar."""


class Ink(NamedTuple):
    """The looks of a part of a bar."""

    glyph: str
    ascii: str
    style: str


DONE = Ink("━", "#", "green")
WAITING = Ink("┅", "=", "yellow")
WRONG = Ink("╳", "x", "red")  # noqa: RUF001 - drawn, not read
ROOM = Ink("─", ".", "bright_black")


def targets_table(report: Report) -> Fitting:
    """Cells per target."""
    moved = ("to rotate", "to_rotate", "yellow") if report.dry_run else ("rotated", "rotated", "green")
    columns = (
        ("current", "current", "green"),
        moved,
        ("empty", "empty", ""),
        ("plaintext", "plaintext", "red"),
        ("unreadable", "unreadable", "red"),
        ("unsettled", "unsettled", "red"),
        ("cells", "scanned", "bold"),
        ("NULL", "null", "dim"),
    )
    rows: list[list[RenderableType]] = []
    for target, title in zip(report.targets, distinct_labels([target.id for target in report.targets]), strict=True):
        counts = target.counts
        numbers = [(getattr(counts, name), style) for _, name, style in columns]
        cells = [Text(f"{number:,}", style if number else "dim") for number, style in numbers]
        wrong = counts.plaintext + counts.unreadable + counts.unsettled
        waiting = (counts.to_rotate, WAITING) if report.dry_run else (counts.rotated, DONE)
        bar = Bar([(counts.current, DONE), waiting, (wrong, WRONG), (counts.empty, ROOM)], BAR)
        rows.append([title, *cells, bar])
    return rows_table(("target", *(f"#{heading}" for heading, _, _ in columns), ""), rows, always="#cells")


def legend(report: Report) -> Legend:
    """The legend of the bars of both tables, of the parts that are there."""
    counts = [target.counts for target in report.targets]
    waiting = any(each.to_rotate for each in counts) or any(
        part.under(key["id"]) for part in report.by_keys for key in part.keys if key["state"] != "primary"
    )
    wrong = any(each.plaintext or each.unreadable or each.unsettled for each in counts)
    done = any(each.current or each.rotated for each in counts)
    return Legend([(DONE, "done")] * done + [(WAITING, "to rotate")] * waiting + [(WRONG, "needs a look")] * wrong)


def keys_table(report: Report) -> Fitting:
    """Tokens per key, and each key's share of all tokens."""
    several = bool(report.parts)
    rows: list[list[RenderableType]] = []
    for part in report.by_keys:
        total = sum(part.under(key["id"]) for key in part.keys)
        for key in part.keys:
            number, ink = part.under(key["id"]), DONE if key["state"] == "primary" else WAITING
            bar = Bar([(number, ink), (total - number, ROOM)], BAR)
            named: list[RenderableType] = [part.key_set or "environment"] if several else []
            rows.append([*named, key["id"], Text(key["state"], ink.style), f"{number:,}", bar])
    return rows_table((*(["key set"] if several else []), "key", "state", "#tokens", ""), rows, always="#tokens")


@dataclass
class Bar:
    """A renderable of *width* characters, divided among *parts* in proportion to their numbers."""

    parts: Sequence[tuple[int, Ink]]
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        widths = shares([number for number, _ in self.parts], min(self.width, options.max_width))
        for width, (_, ink) in zip(widths, self.parts, strict=True):
            yield Segment((ink.ascii if options.ascii_only else ink.glyph) * width, Style.parse(ink.style))
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width, self.width)


@dataclass
class Legend:
    """A line that says what the parts of bars mean, on a terminal only: a pipe has no bars."""

    parts: Sequence[tuple[Ink, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        if console.is_terminal and self.parts:
            words = (f"{ink.ascii if options.ascii_only else ink.glyph} {word}" for ink, word in self.parts)
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
