"""The charts: a bar of cells for each target, columns of tokens per month, and runs and keys on a line of time.

They are inline SVG. Positions are percentages of the width, so that the text has the same size on a phone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, count, takewhile
from math import ceil
from typing import NamedTuple

from markupsafe import Markup, escape

from rotation.ledger.records import CensusRecord, KeyRecord, RunRecord, next_promotion
from rotation.model.key_history import Promotion
from rotation.output.census_tables import shares

STEPS = 250
"""Steps of a target's bar. A part that is not zero has at least one, which a phone still shows."""
BAR_HEIGHT, COLUMN_HEIGHT, LIFE_HEIGHT = 10, 120, 12
FEWEST, MONTHS, YEARS = 12, 60, 20
"""The fewest columns, the most months, and the most years."""
MARKS = {
    "complete": ("M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "solid"),
    "left": ("M0,-5l5,9h-10z", "hollow"),
    "interrupted": ("M-4,-4l8,8m0,-8l-8,8", "wrong"),
    "failed": ("M-4,-4l8,8m0,-8l-8,8", "wrong"),
}
"""The mark of each outcome: a disc, a triangle, a cross. They differ in shape, since not everybody sees the colour."""
RUNNING = ("M-3,-4h6v8h-6z", "hollow")


class CellPart(NamedTuple):
    """A part of a target's cells: a key's tokens, with the key's state, or another kind of cell."""

    name: str
    state: str
    number: int
    kind: str
    """Its class in the style sheet."""


def cell_parts(census: CensusRecord, states: Mapping[str, str], kinds: Mapping[str, str]) -> list[CellPart]:
    """The parts that are not zero, keys in the order of *kinds*; their sum is the number of cells."""
    counts = census.counts
    keys, nested = [], counts.nested
    for key, kind in kinds.items():
        # The nested tokens are a part of their own; they are taken from the first keys.
        taken = min(counts.under.get(key, 0), nested)
        nested -= taken
        keys.append(CellPart(key, states.get(key, "not in use"), counts.under.get(key, 0) - taken, kind))
    others = [
        CellPart("with another token inside", "", counts.nested, "wrong"),
        CellPart("unreadable", "", counts.unreadable, "wrong"),
        CellPart("plaintext", "", counts.plaintext, "plain"),
        CellPart("empty", "", counts.empty, "rest"),
    ]
    # Tokens under the staged key are unsettled, but already counted under that key.
    unsettled = counts.scanned - sum(part.number for part in [*keys, *others])
    return [part for part in [*keys, *others, CellPart("unsettled", "", unsettled, "plain")] if part.number > 0]


def cell_bar(label: str, parts: Sequence[CellPart]) -> Markup:
    """The parts of one target side by side."""
    widths = shares([part.number for part in parts], STEPS)
    drawn = [
        element(
            "rect",
            element("title", f"{part.name}: {part.number:,}"),
            x=percent((end - width) / STEPS),
            width=percent(width / STEPS),
            height=BAR_HEIGHT,
            class_=f"span {part.kind}",
        )
        for part, width, end in zip(parts, widths, accumulate(widths), strict=True)
    ]
    return picture(f"Cells of {label}; the rows below have the numbers.", BAR_HEIGHT, *drawn)


def swatch(kind: str) -> Markup:
    """The colour of a part, to stand beside its name."""
    square = element("rect", width=10, height=10, class_=f"span {kind}")
    return element("svg", square, class_="key", width=10, height=10, aria_hidden="true")


class AgeColumn(NamedTuple):
    """Tokens of a month or a year; *kind* is `wrong` for the future."""

    label: str
    number: int
    kind: str = "primary"


def month_columns(ages: Mapping[str, int], now: datetime) -> list[AgeColumn]:
    """A column for each month from the first token to *now*, or for each year if the months are too many.

    All years before the last YEARS are one column, and so is the future.
    """
    last = f"{now:%Y-%m}"
    past = {month: number for month, number in ages.items() if month <= last}
    future = sum(number for month, number in ages.items() if month > last)
    if not ages:
        return []
    begin, end = _index(min(past, default=last)), _index(last)
    if end - begin < MONTHS:
        months = [f"{index // 12:04}-{index % 12 + 1:02}" for index in range(min(begin, end - FEWEST + 1), end + 1)]
        found = [AgeColumn(month, past.get(month, 0)) for month in months]
    else:
        found = _per_year(past, now.year)
    return [*found, AgeColumn(f"after {last}", future, "wrong")] if future else found


def histogram(columns: Sequence[AgeColumn]) -> Markup:
    """The columns as a picture. Empty if no column has a token."""
    highest = max((column.number for column in columns), default=0)
    if not highest:
        return Markup("")
    base, step = COLUMN_HEIGHT + 18, 1 / len(columns)
    parts = [
        element("line", x1="0", x2="100%", y1=base, y2=base, class_="base"),
        element("text", f"{highest:,}", x="0", y="12", class_="tick"),
    ]
    for index, column in enumerate(columns):
        height = max(COLUMN_HEIGHT * column.number / highest, 2) if column.number else 0
        title = element("title", f"{column.label}: {column.number:,}")
        x, y, width = percent((index + 0.1) * step), f"{base - height:.4g}", percent(0.8 * step)
        kind = f"column {column.kind}"
        parts.append(element("rect", title, x=x, y=y, width=width, height=f"{height:.4g}", class_=kind))
        if column.label.endswith("-01") or (len(column.label) == 4 and (len(columns) <= 10 or index % 4 == 0)):
            parts.append(element("text", column.label[:4], x=x, y=base + 15, class_="tick"))
    return picture("How many secrets were issued when; the table below has the numbers.", base + 20, *parts)


def _per_year(past: Mapping[str, int], now: int) -> list[AgeColumn]:
    years: Counter[int] = Counter()
    for month, number in past.items():
        years[max(_index(month) // 12, now - YEARS)] += number
    before, first = years.pop(now - YEARS, 0), min(years, default=now)
    lead = [AgeColumn(f"before {first}", before)] if before else []
    return [*lead, *(AgeColumn(f"{year}", years[year]) for year in range(first, now + 1))]


def _index(month: str) -> int:
    """Months since the year 0."""
    year, number = month.split("-")
    return 12 * int(year) + int(number) - 1


def run_chart(runs: Sequence[RunRecord], now: datetime) -> Markup:
    """Runs as marks on a line of time, a lane for each command. Empty without runs."""
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


def run_mark(outcome: str | None) -> Markup:
    """The mark of an outcome, to stand beside its word in a legend or a table."""
    path, class_ = MARKS.get(outcome or "", RUNNING)
    shape = element("path", d=path, class_=f"mark {class_}")
    return element("svg", shape, class_="key", viewBox="-6 -6 12 12", width=12, height=12, aria_hidden="true")


def _mark(run: RunRecord, scale: TimeScale, y: float) -> Markup:
    path, class_ = MARKS.get(run.outcome or "", RUNNING)
    title = element("title", f"{run.command} {run.started:%Y-%m-%d %H:%M}: {run.outcome or 'not finished'}")
    # Half a mark away from each edge, which would cut the mark.
    at = 0.012 + 0.976 * scale.at(run.started)
    return movable(element("path", title, d=path, class_=f"mark {class_}"), at, y)


class KeySpan(NamedTuple):
    """A state, and from when until when."""

    state: str
    begin: datetime
    end: datetime
    begun_before: bool = False
    """True if the state may have begun before *begin*, when it was first seen."""
    ended_before: bool = False

    @property
    def words(self) -> str:
        """`primary from 2026-01-03 to 2026-02-03`; `from before ...` if the exact date is not known."""
        begin, end = ("before " if known else "" for known in (self.begun_before, self.ended_before))
        return f"{self.state} from {begin}{self.begin:%Y-%m-%d} to {end}{self.end:%Y-%m-%d}"


def spans(key: KeyRecord, keys: Iterable[KeyRecord], now: datetime) -> list[KeySpan]:
    """The states of *key*, one of *keys* of the same service, in order of time.

    The ledger has no date for "no longer primary": that is when the next key was promoted.
    """

    def change(promotion: Promotion) -> tuple[datetime, bool]:
        return promotion.latest, not promotion.exact

    # Each change of state with True if it was at an unknown time before.
    end = (key.retired or now, False)
    if key.promotion:
        following = next_promotion(key, keys)
        begun, replaced = change(key.promotion), change(following) if following else end
        staged = [("staged", (key.staged, False), begun)] if key.staged else []
        states = [*staged, ("primary", begun, replaced), ("previous", replaced, end)]
    elif key.staged:
        states = [("staged", (key.staged, False), end)]
    else:
        states = [("previous", (key.first_seen, True), end)]
    found = [(state, begin, min(stop, end)) for state, begin, stop in states]
    return [
        KeySpan(state, begin, stop, begun_before, ended_before)
        for state, (begin, begun_before), (stop, ended_before) in found
        if begin < stop
    ]


def timeline(keys: Sequence[KeyRecord], now: datetime) -> Markup:
    """A lane for each key with its spans. Empty if the ledger knows no dates."""
    lives = [(key, spans(key, keys, now)) for key in keys]
    begins = [span.begin for _, life in lives for span in life]
    if not begins:
        return Markup("")
    scale = TimeScale(min(begins), now)
    bottom = LANE * len(keys) + 4
    return picture(
        "Since when each key has been in which state; the table below has the dates.",
        bottom + 20,
        axis(scale, 0, bottom),
        *(_lane(key, life, scale, LANE * row) for row, (key, life) in enumerate(lives)),
    )


def _lane(key: KeyRecord, life: Sequence[KeySpan], scale: TimeScale, top: float) -> Markup:
    y = top + 20
    at = scale.at(life[0].begin) if life else 0.0
    anchor, at = ("end", 1.0) if at > 0.6 else ("start", at)
    state = "retired" if key.retired else life[-1].state if life else ""
    name = element("tspan", key.id, class_="id")
    parts = [element("text", name, f" {state}", x=percent(at), y=y - 6, text_anchor=anchor)]
    for span in life:
        begin, end = scale.at(span.begin), scale.at(span.end)
        title = element("title", f"{key.id}: {span.words}")
        x, width, kind = percent(begin), percent(max(end - begin, 0.004)), f"span {span.state}"
        parts.append(element("rect", title, x=x, width=width, y=y, height=LIFE_HEIGHT, class_=kind))
    if key.retired:
        cross = element("path", d=f"M-4,{y + 2}l8,8m0,-8l-8,8", class_="mark wrong")
        parts.append(movable(cross, scale.at(key.retired), 0))
    return element("g", *parts)


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


class TimeScale:
    """Times as shares of the width: 0 at *first*, 1 at *last*; times outside are put on the edge."""

    def __init__(self, first: datetime, last: datetime) -> None:
        self._first = min(first, last - DAY)
        self._last = last

    def at(self, when: datetime) -> float:
        """The position of that time."""
        return min(max((when - self._first) / (self._last - self._first), 0.0), 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """About TICKS ticks at the beginnings of years, months or days: the position and the name of each."""
        days = (self._last - self._first) / DAY / TICKS
        months = days / 30
        if step := next((step for step in (1, 2, 7, 14) if days <= step), None):
            start = self._first.replace(hour=0, minute=0, second=0, microsecond=0)
            times, form = (start + number * DAY for number in count(0, step)), "%Y-%m-%d"
        elif step := next((step for step in (1, 2, 3, 6) if months <= step), None):
            times, form = _months(self._first, step), "%Y-%m"
        else:
            times, form = _months(self._first, 12 * ceil(months / 12)), "%Y"
        known = takewhile(lambda when: when <= self._last, times)
        return [(self.at(when), f"{when:{form}}") for when in known if when >= self._first]


def axis(scale: TimeScale, top: float, bottom: float) -> Markup:
    """Lines at the scale's ticks from *top* to *bottom*, and their names below."""
    parts = []
    for at, label in scale.ticks():
        parts.append(element("line", x1=percent(at), x2=percent(at), y1=top, y2=bottom, class_="grid"))
        if at < 0.85:
            # A label further right would run over the edge of a phone.
            parts.append(element("text", label, x=percent(at), y=bottom + 14, class_="tick"))
    return Markup("").join(parts)


def _months(first: datetime, step: int) -> Generator[datetime, None, None]:
    month = 12 * first.year + first.month - 1
    # datetime knows the years 1 to 9999.
    numbers = range(max(month - month % step, step), 12 * 10_000, step)
    return (datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in numbers)
