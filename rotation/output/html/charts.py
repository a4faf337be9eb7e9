"""The charts: a bar of cells for each target, columns of tokens per month, and runs and keys on a line of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

from markupsafe import Markup

from rotation.ledger.records import CensusRecord, KeyRecord, RunRecord, next_promotion
from rotation.model.key_history import Promotion
from rotation.output.census_tables import shares
from rotation.output.html.svg import LANE, TimeScale, axis, element, movable, percent, picture

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
    keys = [CellPart(key, states.get(key, "not in use"), counts.under.get(key, 0), kind) for key, kind in kinds.items()]
    keys = list(_without_nested(keys, counts.nested))
    others = [
        CellPart("with another token inside", "", counts.nested, "wrong"),
        CellPart("unreadable", "", counts.unreadable, "wrong"),
        CellPart("plaintext", "", counts.plaintext, "plain"),
        CellPart("empty", "", counts.empty, "rest"),
    ]
    # Tokens under the staged key are unsettled, but already counted under that key.
    unsettled = counts.scanned - sum(part.number for part in [*keys, *others])
    return [part for part in [*keys, *others, CellPart("unsettled", "", unsettled, "plain")] if part.number > 0]


def _without_nested(keys: Sequence[CellPart], nested: int) -> Iterator[CellPart]:
    """*keys* without the *nested* tokens, which are a part of their own; they are taken from the first keys."""
    for part in keys:
        taken = min(part.number, nested)
        nested -= taken
        yield part._replace(number=part.number - taken)


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
    first = min(past, default=last)
    found = _per_month(past, first, last) if _index(last) - _index(first) < MONTHS else _per_year(past, now.year)
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


def _per_month(past: Mapping[str, int], first: str, last: str) -> list[AgeColumn]:
    begin = min(_index(first), _index(last) - FEWEST + 1)
    months = [f"{index // 12:04}-{index % 12 + 1:02}" for index in range(begin, _index(last) + 1)]
    return [AgeColumn(month, past.get(month, 0)) for month in months]


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


class _Change(NamedTuple):
    """When one state gave way to the next: at that time, or *before* it."""

    when: datetime
    before: bool = False

    @classmethod
    def of(cls, promotion: Promotion) -> _Change:
        return cls(promotion.latest, before=not promotion.exact)


def spans(key: KeyRecord, keys: Iterable[KeyRecord], now: datetime) -> list[KeySpan]:
    """The states of *key*, one of *keys* of the same service, in order of time.

    The ledger has no date for "no longer primary": that is when the next key was promoted.
    """
    end = _Change(key.retired or now)
    if key.promotion:
        following = next_promotion(key.promotion, keys)
        begun, replaced = _Change.of(key.promotion), _Change.of(following) if following else end
        staged = [("staged", _Change(key.staged), begun)] if key.staged else []
        states = [*staged, ("primary", begun, replaced), ("previous", replaced, end)]
    elif key.staged:
        states = [("staged", _Change(key.staged), end)]
    else:
        states = [("previous", _Change(key.first_seen, before=True), end)]
    found = [(state, begin, min(stop, end)) for state, begin, stop in states]
    return [
        KeySpan(state, begin.when, stop.when, begin.before, stop.before)
        for state, begin, stop in found
        if begin.when < stop.when
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
