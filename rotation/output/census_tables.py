"""Cells per target and tokens per key: tables with bars on a terminal, plain tables elsewhere."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from rotation.model.report import Report
from rotation.model.target import distinct_labels
from rotation.output.bars import DONE, ROOM, WAITING, WRONG, Bar, Legend
from rotation.output.terminal import Fitting, rows_table

BAR = 16
"""Characters of a bar."""


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
    """What the bars of both tables show, as far as it is there."""
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
