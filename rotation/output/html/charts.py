"""Charts of numbers: a bar of cells for each target, columns of tokens per month, and runs on a line of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import NamedTuple

from markupsafe import Markup

from rotation.ledger.records import CensusRecord, KeyRecord, RunRecord
from rotation.model import times
from rotation.output.bars import shares
from rotation.output.html.svg import LANE, TimeScale, axis, element, movable, percent, picture

STEPS = 250
"""Steps of a target's bar. A part that is not zero has at least one, which a phone still shows."""
BAR_HEIGHT, COLUMN_HEIGHT = 10, 120
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


class Part(NamedTuple):
    """A part of a target's cells: a key's tokens, with the key's state, or another kind of cell."""

    name: str
    state: str
    number: int
    kind: str
    """Its class in the style sheet."""


def cell_parts(census: CensusRecord, states: Mapping[str, str], kinds: Mapping[str, str]) -> list[Part]:
    """The parts that are not zero, keys in the order of *kinds*; their sum is the number of cells."""
    counts = census.counts
    keys = [Part(key, states.get(key, "not in use"), counts.under.get(key, 0), kind) for key, kind in kinds.items()]
    keys = list(_without_nested(keys, counts.nested))
    others = [
        Part("with another token inside", "", counts.nested, "wrong"),
        Part("unreadable", "", counts.unreadable, "wrong"),
        Part("plaintext", "", counts.plaintext, "plain"),
        Part("empty", "", counts.empty, "rest"),
    ]
    # Tokens under the staged key are unsettled, but already counted under that key.
    unsettled = counts.scanned - sum(part.number for part in [*keys, *others])
    return [part for part in [*keys, *others, Part("unsettled", "", unsettled, "plain")] if part.number > 0]


def _without_nested(keys: Sequence[Part], nested: int) -> Iterator[Part]:
    """*keys* without the *nested* tokens, which are a part of their own; they are taken from the first keys."""
    for part in keys:
        taken = min(part.number, nested)
        nested -= taken
        yield part._replace(number=part.number - taken)


def cell_bar(label: str, parts: Sequence[Part]) -> Markup:
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


class Column(NamedTuple):
    """Tokens of a month or a year; *kind* is `wrong` for the future."""

    label: str
    number: int
    kind: str = "primary"


def month_columns(ages: Mapping[str, int], now: datetime) -> list[Column]:
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
    return [*found, Column(f"after {last}", future, "wrong")] if future else found


def histogram(columns: Sequence[Column]) -> Markup:
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


def _per_month(past: Mapping[str, int], first: str, last: str) -> list[Column]:
    begin = min(_index(first), _index(last) - FEWEST + 1)
    months = [f"{index // 12:04}-{index % 12 + 1:02}" for index in range(begin, _index(last) + 1)]
    return [Column(month, past.get(month, 0)) for month in months]


def _per_year(past: Mapping[str, int], now: int) -> list[Column]:
    years: Counter[int] = Counter()
    for month, number in past.items():
        years[max(_index(month) // 12, now - YEARS)] += number
    before, first = years.pop(now - YEARS, 0), min(years, default=now)
    lead = [Column(f"before {first}", before)] if before else []
    return [*lead, *(Column(f"{year}", years[year]) for year in range(first, now + 1))]


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


def share(part: int, whole: int) -> str:
    """`97.5 %`; `all` if nothing that was counted is missing. It never rounds to 0 or 100."""
    if not whole or part in (0, whole):
        return "all" if whole and part else "0 %"
    return f"{min(max(round(100 * part / whole, 1), 0.1), 99.9):.1f} %"


def day(when: datetime | None) -> Markup:
    """The date, in UTC; a dash for none."""
    if when is None:
        return Markup('<span class="none">–</span>')  # noqa: RUF001 - a dash
    text = f"{when.astimezone(UTC):%Y-%m-%d}"
    return Markup('<time datetime="{0}">{0}</time>').format(text)


def moment(when: datetime | None) -> Markup:
    """Date and time to the minute, in UTC; a dash for none."""
    if when is None:
        return day(None)
    when = when.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{when:%Y-%m-%dT%H:%MZ}", f"{when:%Y-%m-%d %H:%M}")


def promoted(key: KeyRecord | None) -> Markup:
    """When a key became primary: a date, or `before` one if it was found primary or previous then."""
    promotion = key.promotion if key else None
    if key is None or (promotion is None and key.staged):
        return day(None)
    if promotion is None:
        return Markup("before {}").format(day(key.first_seen))
    if promotion.exact or promotion.earliest is None:
        return Markup("{}{}").format("" if promotion.exact else "before ", day(promotion.latest))
    return Markup("between {} and {}").format(day(promotion.earliest), day(promotion.latest))


def issued(seconds: int | None) -> Markup:
    """A token's time as a date; it may lie beyond any calendar."""
    if seconds is None:
        return day(None)
    when = times.issued(seconds)
    return day(when) if when else Markup("after 9999")
