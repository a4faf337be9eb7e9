"""A target's cells, part by part: tokens per key, and what is wrong or empty; and all of them as one bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from markupsafe import Markup

from rotation.ledger.records import CensusRecord
from rotation.output.html.svg import element, percent, picture
from rotation.output.shares import shares

FINE = 250
"""Steps of a bar: what is there at all is one of them, which a phone shows."""
HEIGHT = 10


class Part(NamedTuple):
    """A part of a target's cells: a key's tokens, with the key's state, or another kind of cell."""

    name: str
    state: str
    number: int
    kind: str
    """What it is drawn as."""


def parts(census: CensusRecord, states: Mapping[str, str], kinds: Mapping[str, str]) -> list[Part]:
    """What is not zero, in the order of *kinds*, each key's kind; their sum is the number of cells."""
    counts = census.counts
    keys = [Part(key, states.get(key, "not in use"), counts.under.get(key, 0), kind) for key, kind in kinds.items()]
    keys = list(_less(keys, counts.nested))
    others = [
        Part("with another token inside", "", counts.nested, "wrong"),
        Part("unreadable", "", counts.unreadable, "wrong"),
        Part("plaintext", "", counts.plaintext, "plain"),
        Part("empty", "", counts.empty, "rest"),
    ]
    # Tokens under the staged key are unsettled, and are counted per key already.
    unsettled = counts.scanned - sum(part.number for part in [*keys, *others])
    return [part for part in [*keys, *others, Part("unsettled", "", unsettled, "plain")] if part.number > 0]


def _less(keys: Sequence[Part], nested: int) -> Iterator[Part]:
    """*keys* without the tokens that hold another one, which are a part of their own; the first keys lose most."""
    for part in keys:
        taken = min(part.number, nested)
        nested -= taken
        yield part._replace(number=part.number - taken)


def bar(label: str, found: Sequence[Part]) -> Markup:
    """The parts side by side."""
    widths = shares([part.number for part in found], FINE)
    drawn = [
        element(
            "rect",
            element("title", f"{part.name}: {part.number:,}"),
            x=percent((end - width) / FINE),
            width=percent(width / FINE),
            height=HEIGHT,
            class_=f"span {part.kind}",
        )
        for part, width, end in zip(found, widths, accumulate(widths), strict=True)
    ]
    return picture(f"Cells of {label}; the rows below have the numbers.", HEIGHT, *drawn)


def swatch(kind: str) -> Markup:
    """The colour of a part, beside its name."""
    square = element("rect", width=10, height=10, class_=f"span {kind}")
    return element("svg", square, class_="key", width=10, height=10, aria_hidden="true")
