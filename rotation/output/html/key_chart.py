"""The states of each key over time: staged, primary, previous, retired."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from rotation.ledger.records import KeyRecord, next_promotion
from rotation.model.key_history import Promotion
from rotation.output.html.svg import LANE, TimeScale, axis, element, movable, percent, picture

BAR_HEIGHT = 12


class Span(NamedTuple):
    """A state, and from when until when."""

    state: str
    begin: datetime
    end: datetime
    begun_before: bool = False
    """Whether the state may have begun before *begin*, when it was first seen."""
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


def spans(key: KeyRecord, keys: Iterable[KeyRecord], now: datetime) -> list[Span]:
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
        Span(state, begin.when, stop.when, begin.before, stop.before)
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


def _lane(key: KeyRecord, life: Sequence[Span], scale: TimeScale, top: float) -> Markup:
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
        parts.append(element("rect", title, x=x, width=width, y=y, height=BAR_HEIGHT, class_=kind))
    if key.retired:
        cross = element("path", d=f"M-4,{y + 2}l8,8m0,-8l-8,8", class_="mark wrong")
        parts.append(movable(cross, scale.at(key.retired), 0))
    return element("g", *parts)
