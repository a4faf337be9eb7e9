"""Inline SVG: escaped elements, and a scale of time.

Positions are percentages of the width, so that the text has the same size on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from math import ceil
from typing import NamedTuple

from markupsafe import Markup, escape

DAY = timedelta(days=1)
TICKS = 5
"""The most ticks of an axis."""
LANE = 38
"""Height of a row in a chart of time."""


def element(name: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """An element. A child that is not Markup is escaped as text; a `_` in an attribute's name becomes a `-`."""
    given = Markup("").join(
        Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, given, inner)


def picture(label: str, height: float, *children: Markup) -> Markup:
    """An SVG of the full width, with *label* as its name for screen readers."""
    return element("svg", element("title", label), *children, role="img", width="100%", height=height)


def movable(shape: Markup, at: float, y: float) -> Markup:
    """*shape* at a share of the width. A group can be moved by pixels only, an SVG inside an SVG by percentages."""
    return element("svg", shape, x=percent(at), y=y, width=1, height=1, overflow="visible")


def percent(share: float) -> str:
    """A share of the width as an attribute: `12.5%`."""
    return f"{100 * share:.6g}%"


class Tick(NamedTuple):
    """A position on an axis and its name."""

    at: float
    label: str


class TimeScale:
    """Times as shares of the width: 0 at *first*, 1 at *last*; times outside are put on the edge."""

    def __init__(self, first: datetime, last: datetime) -> None:
        self._first = min(first, last - DAY)
        self._last = last

    def at(self, when: datetime) -> float:
        """The position of that time."""
        return min(max((when - self._first) / (self._last - self._first), 0.0), 1.0)

    def ticks(self) -> list[Tick]:
        """About TICKS ticks at the beginnings of years, months or days."""
        days = (self._last - self._first) / DAY / TICKS
        step = next((step for step in (1, 2, 7, 14) if days <= step), None)
        if step:
            return self._name(_days(self._first, step), "%Y-%m-%d")
        months = days / 30
        step = next((step for step in (1, 2, 3, 6) if months <= step), None)
        if step:
            return self._name(_months(self._first, step), "%Y-%m")
        return self._name(_months(self._first, 12 * ceil(months / 12)), "%Y")

    def _name(self, times: Iterator[datetime], form: str) -> list[Tick]:
        known = takewhile(lambda when: when <= self._last, times)
        return [Tick(self.at(when), f"{when:{form}}") for when in known if when >= self._first]


def axis(scale: TimeScale, top: float, bottom: float) -> Markup:
    """Lines at the scale's ticks from *top* to *bottom*, and their names below."""
    parts = []
    for at, label in scale.ticks():
        parts.append(element("line", x1=percent(at), x2=percent(at), y1=top, y2=bottom, class_="grid"))
        if at < 0.85:
            # A label further right would run over the edge of a phone.
            parts.append(element("text", label, x=percent(at), y=bottom + 14, class_="tick"))
    return Markup("").join(parts)


def _days(first: datetime, step: int) -> Iterator[datetime]:
    start = first.replace(hour=0, minute=0, second=0, microsecond=0)
    return (start + number * DAY for number in count(0, step))


def _months(first: datetime, step: int) -> Iterator[datetime]:
    month = 12 * first.year + first.month - 1
    # datetime knows the years 1 to 9999.
    numbers = range(max(month - month % step, step), 12 * 10_000, step)
    return (datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in numbers)
