"""Runs as marks on a line of time, a lane for each command."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from rotation.ledger.records import RunRecord
from rotation.output.html.svg import TimeScale, axis, element, percent, picture

LANE = 38
MARKS = {
    "complete": ("M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "solid"),
    "left": ("M0,-5l5,9h-10z", "hollow"),
    "interrupted": ("M-4,-4l8,8m0,-8l-8,8", "wrong"),
    "failed": ("M-4,-4l8,8m0,-8l-8,8", "wrong"),
}
"""The mark of each outcome: a disc, a triangle, a cross. They differ in shape, since not everybody sees the colour."""
RUNNING = ("M-3,-4h6v8h-6z", "hollow")


def chart(runs: Sequence[RunRecord], now: datetime) -> Markup:
    """A lane for each command. Empty without runs."""
    if not runs:
        return Markup("")
    commands = sorted({run.command for run in runs})
    scale = TimeScale(min(run.started for run in runs), now)
    bottom = LANE * len(commands) + 4
    parts = [axis(scale, 0, bottom)]
    for lane, command in enumerate(commands):
        y = LANE * lane
        parts.append(element("text", command, x="0", y=y + 14, class_="lane"))
        parts.append(element("line", x1="0", x2="100%", y1=y + 27, y2=y + 27, class_="grid"))
        parts.extend(_mark(run, scale, y + 27) for run in reversed(runs) if run.command == command)
    return picture("When each command ran, and how it ended; the table below lists the runs.", bottom + 20, *parts)


def mark(outcome: str | None) -> Markup:
    """The mark of an outcome, alone, for a legend or a table; its word stands beside it."""
    path, class_ = MARKS.get(outcome or "", RUNNING)
    shape = element("path", d=path, class_=f"mark {class_}")
    return element("svg", shape, class_="key", viewBox="-6 -6 12 12", width=12, height=12, aria_hidden="true")


def _mark(run: RunRecord, scale: TimeScale, y: float) -> Markup:
    path, class_ = MARKS.get(run.outcome or "", RUNNING)
    title = element("title", f"{run.command} {run.started:%Y-%m-%d %H:%M}: {run.outcome or 'not finished'}")
    # Half a mark from the edge, or it is cut; a group moves by pixels only, an SVG inside an SVG by percentages.
    at = 0.012 + 0.976 * scale.at(run.started)
    return element(
        "svg",
        element("path", title, d=path, class_=f"mark {class_}"),
        x=percent(at),
        y=y,
        width=1,
        height=1,
        overflow="visible",
    )
