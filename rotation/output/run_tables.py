"""The census as tables: with bars and colours on a terminal, and as wide as it is; plain where a program reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from rotation.model.report import Report, TargetReport
from rotation.model.targets import titles
from rotation.output.bars import DONE, ROOM, WAITING, WRONG, Bar

BAR, SHORT_BAR = 24, 8
"""Characters of a bar, and the fewest that tell something."""
GAP = 2
"""Blanks between two columns."""


class Column(NamedTuple):
    """A number of each target's counts."""

    heading: str
    name: str
    style: str


class Targets:
    """Cells per target. Of its layouts, the first that the terminal has room for."""

    def __init__(self, report: Report) -> None:
        self._report = report
        named = titles([part.id for part in report.targets])
        self._titles = dict(zip((part.target for part in report.targets), named, strict=True))
        self._columns = (
            Column("current", "current", "green"),
            Column("to rotate", "to_rotate", "yellow") if report.dry_run else Column("rotated", "rotated", "green"),
            Column("empty", "empty", ""),
            Column("plaintext", "plaintext", "red"),
            Column("unreadable", "unreadable", "red"),
            Column("unsettled", "unsettled", "red"),
            Column("cells", "scanned", "bold"),
            Column("NULL", "null", "dim"),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        yield self._fitting(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._fitting(console, options))

    def _fitting(self, console: Console, options: ConsoleOptions) -> RenderableType:
        if not console.is_terminal:
            return self._table(self._columns)
        telling = [column for column in self._columns if column.name in ("current", "scanned") or self._counted(column)]
        for columns in (self._columns, telling):
            room = options.max_width - natural_width(self._table(columns), console, options) - GAP
            if room >= SHORT_BAR:
                return self._table(columns, min(room, BAR))
        return Group(*self._blocks(min(options.max_width, BAR)))

    def _counted(self, column: Column) -> bool:
        return any(getattr(target.counts, column.name) for target in self._report.targets)

    def _table(self, columns: Sequence[Column], bar: int = 0) -> Table:
        table = _table()
        table.add_column("target", overflow="fold")
        for column in columns:
            table.add_column(column.heading, justify="right")
        if bar:
            table.add_column("")
        for target in self._report.targets:
            numbers = [(getattr(target.counts, column.name), column.style) for column in columns]
            cells = [Text(f"{number:,}", style if number else "dim") for number, style in numbers]
            table.add_row(Text(self._titles[target.target]), *cells, *([self._bar(target, bar)] if bar else []))
        return table

    def _blocks(self, width: int) -> Iterator[RenderableType]:
        """For a narrow terminal: each target's name, its bar, and what is not zero in words."""
        for target in self._report.targets:
            yield Text(self._titles[target.target], "bold", overflow="fold")
            yield self._bar(target, width)
            words = Text()
            for column in self._columns:
                if number := getattr(target.counts, column.name):
                    words.append(", " if words else "")
                    words.append(f"{number:,} {column.heading}", column.style)
            yield words or Text("0 cells")

    def _bar(self, target: TargetReport, width: int) -> Bar:
        counts = target.counts
        moved = (counts.to_rotate, WAITING) if self._report.dry_run else (counts.rotated, DONE)
        wrong = counts.plaintext + counts.unreadable + counts.unsettled
        return Bar([(counts.current, DONE), moved, (wrong, WRONG), (counts.empty, ROOM)], width)


class Keys:
    """Tokens per key, and each key's part of all tokens."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        room = options.max_width - natural_width(self._table(), console, options) - GAP
        yield self._table(min(room, BAR) if console.is_terminal and room >= SHORT_BAR else 0)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._table(BAR if console.is_terminal else 0))

    def _table(self, bar: int = 0) -> Table:
        table = _table()
        table.add_column("key")
        table.add_column("state")
        table.add_column("tokens", justify="right")
        if bar:
            table.add_column("")
        tokens = [sum(target.counts.under[key["id"]] for target in self._report.targets) for key in self._report.keys]
        for key, number in zip(self._report.keys, tokens, strict=True):
            ink = DONE if key["state"] == "primary" else WAITING
            drawn = [Bar([(number, ink), (sum(tokens) - number, ROOM)], bar)] if bar else []
            table.add_row(Text(key["id"]), Text(key["state"], ink.style), f"{number:,}", *drawn)
        return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")


def natural_width(table: Table, console: Console, options: ConsoleOptions) -> int:
    """How wide it wants to be, and not how narrow it can be made."""
    return Measurement.get(console, options.update(max_width=10_000), table).maximum
