"""The keys' dates as a picture: a line per key, from when it was staged to when it was retired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from rotation.ledger.records import KeyRecord
from rotation.output.html.key_lives import Span, spans
from rotation.output.html.svg import TimeScale, axis, element, percent, picture

LANE, BAR = 38, 12


def timeline(keys: Sequence[KeyRecord], now: datetime) -> Markup:
    """A lane for each key. Empty where the ledger knows none."""
    lives = [(key, spans(key, keys, now)) for key in keys]
    begins = [span.begin for _, life in lives for span in life]
    if not begins:
        return Markup("")
    scale = TimeScale(min(begins), now)
    bottom = LANE * len(keys) + 4
    lanes = [_lane(key, life, scale, LANE * row) for row, (key, life) in enumerate(lives)]
    return picture(
        "Since when each key has been in which state; the table below has the dates.",
        bottom + 20,
        axis(scale, 0, bottom),
        *lanes,
    )


def _lane(key: KeyRecord, life: Sequence[Span], scale: TimeScale, top: float) -> Markup:
    bar = top + 20
    at = scale.at(life[0].begin) if life else 0.0
    anchor, at = ("end", 1.0) if at > 0.6 else ("start", at)
    state = "retired" if key.retired else life[-1].state if life else ""
    parts = [
        element(
            "text", element("tspan", key.id, class_="id"), f" {state}", x=percent(at), y=bar - 6, text_anchor=anchor
        )
    ]
    for span in life:
        begin, end = scale.at(span.begin), scale.at(span.end)
        title = f"{key.id}: {span.words}"
        parts.append(
            element(
                "rect",
                element("title", title),
                x=percent(begin),
                width=percent(max(end - begin, 0.004)),
                y=bar,
                height=BAR,
                class_=f"span {span.state}",
            )
        )
    if key.retired:
        # A group moves by pixels, an SVG inside an SVG by percentages.
        cross = element("path", d=f"M-4,{bar + 2}l8,8m0,-8l-8,8", class_="mark wrong")
        parts.append(element("svg", cross, x=percent(scale.at(key.retired)), width=1, height=1, overflow="visible"))
    return element("g", *parts)
