"""Cells per target and tokens per key: tables with bars on a terminal, plain tables elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rotation.model.report import Report, TargetReport
from rotation.model.targets import titles
from rotation.output.bars import DONE, ROOM, WAITING, WRONG, Bar
from rotation.output.terminal import Fitting, table

BAR = 16
"""Characters of a bar."""


class Column(NamedTuple):
    """A number of each target's counts."""

    heading: str
    name: str
    style: str


def targets_table(report: Report) -> Fitting:
    """Cells per target. On a terminal a column that holds nothing but zeros is left out."""
    moved = Column("to rotate", "to_rotate", "yellow") if report.dry_run else Column("rotated", "rotated", "green")
    columns = (
        Column("current", "current", "green"),
        moved,
        Column("empty", "empty", ""),
        Column("plaintext", "plaintext", "red"),
        Column("unreadable", "unreadable", "red"),
        Column("unsettled", "unsettled", "red"),
        Column("cells", "scanned", "bold"),
        Column("NULL", "null", "dim"),
    )
    used = [column for column in columns if any(getattr(target.counts, column.name) for target in report.targets)]
    wide = [column for column in columns if column in used or column.name in {"current", "scanned"}]
    named = titles([target.id for target in report.targets])
    narrow = Group(*_one_below_the_other(report, used, named))
    return Fitting(_table(report, columns, named), _table(report, wide, named, bars=True), narrow)


def keys_table(report: Report) -> Fitting:
    """Tokens per key, and on a terminal each key's share of all tokens as a bar."""
    plain, wide = table("key", "state", "#tokens"), table("key", "state", "#tokens", "")
    lines = []
    tokens = {key["id"]: report.under(key["id"]) for key in report.keys}
    for key in report.keys:
        number, ink = tokens[key["id"]], DONE if key["state"] == "primary" else WAITING
        row = (Text(key["id"]), Text(key["state"], ink.style), f"{number:,}")
        plain.add_row(*row)
        wide.add_row(*row, Bar([(number, ink), (sum(tokens.values()) - number, ROOM)], BAR))
        lines.append(Text.assemble(key["id"], " ", row[1], f" {number:,}"))
    return Fitting(plain, wide, Group(*lines))


def _table(report: Report, columns: Sequence[Column], named: Sequence[str], *, bars: bool = False) -> Table:
    shown = table("target", *(f"#{column.heading}" for column in columns), *([""] if bars else []))
    for target, name in zip(report.targets, named, strict=True):
        numbers = [(getattr(target.counts, column.name), column.style) for column in columns]
        cells = [Text(f"{number:,}", style if number else "dim") for number, style in numbers]
        shown.add_row(Text(name), *cells, *([_bar(target, report)] if bars else []))
    return shown


def _one_below_the_other(report: Report, columns: Sequence[Column], named: Sequence[str]) -> Iterator[RenderableType]:
    """Each target's name, its bar, and its numbers that are not zero, in words."""
    for target, name in zip(report.targets, named, strict=True):
        yield Text(name, "bold", overflow="fold")
        yield _bar(target, report)
        numbers = [(getattr(target.counts, column.name), column) for column in columns]
        words = [Text(f"{number:,} {column.heading}", column.style) for number, column in numbers if number]
        yield Text(", ").join(words) if words else Text("0 cells")


def _bar(target: TargetReport, report: Report) -> Bar:
    counts = target.counts
    moved = (counts.to_rotate, WAITING) if report.dry_run else (counts.rotated, DONE)
    wrong = counts.plaintext + counts.unreadable + counts.unsettled
    return Bar([(counts.current, DONE), moved, (wrong, WRONG), (counts.empty, ROOM)], BAR)
