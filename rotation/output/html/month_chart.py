"""When the stored secrets were issued: tokens per month, or per year where the months are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from rotation.output.html.svg import element, percent, picture

FEWEST, MONTHS, YEARS = 12, 60, 20
"""Columns, at least and at most."""
HEIGHT = 120


class Column(NamedTuple):
    """Tokens of a month or a year; *kind* is `wrong` for the future."""

    label: str
    number: int
    kind: str = "primary"


def columns(ages: Mapping[str, int], now: datetime) -> list[Column]:
    """Every month from the first token's to *now*, years where that are too many; what lies outside is one column."""
    last = f"{now:%Y-%m}"
    past = {month: number for month, number in ages.items() if month <= last}
    future = sum(number for month, number in ages.items() if month > last)
    if not ages:
        return []
    first = min(past, default=last)
    found = _per_month(past, first, last) if _index(last) - _index(first) < MONTHS else _per_year(past, now.year)
    return [*found, Column(f"after {last}", future, "wrong")] if future else found


def histogram(found: Sequence[Column]) -> Markup:
    """The columns as a picture. Empty where there are none."""
    highest = max((column.number for column in found), default=0)
    if not highest:
        return Markup("")
    base, step = HEIGHT + 18, 1 / len(found)
    parts = [
        element("line", x1="0", x2="100%", y1=base, y2=base, class_="base"),
        element("text", f"{highest:,}", x="0", y="12", class_="tick"),
    ]
    for place, column in enumerate(found):
        height = max(HEIGHT * column.number / highest, 2) if column.number else 0
        title = element("title", f"{column.label}: {column.number:,}")
        x, y, width = percent((place + 0.1) * step), f"{base - height:.4g}", percent(0.8 * step)
        kind = f"column {column.kind}"
        parts.append(element("rect", title, x=x, y=y, width=width, height=f"{height:.4g}", class_=kind))
        if column.label.endswith("-01") or (len(column.label) == 4 and (len(found) <= 10 or place % 4 == 0)):
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
