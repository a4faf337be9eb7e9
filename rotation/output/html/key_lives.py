"""A key's dates as the states it was in: staged, then primary, then previous, until it was retired."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from rotation.ledger.promotions import next_promotion
from rotation.ledger.records import KeyRecord
from rotation.model.key_history import Promotion


class Span(NamedTuple):
    """A state, and from when until when."""

    state: str
    begin: datetime
    end: datetime
    begun_before: bool = False
    """Whether *begin* is only when it was seen so, and it may have begun before."""
    ended_before: bool = False

    @property
    def words(self) -> str:
        """`primary from 2026-01-03 to 2026-02-03`; `from before ...`, where nobody saw it begin."""
        begin, end = ("before " if known else "" for known in (self.begun_before, self.ended_before))
        return f"{self.state} from {begin}{self.begin:%Y-%m-%d} to {end}{self.end:%Y-%m-%d}"


def spans(key: KeyRecord, keys: Iterable[KeyRecord], now: datetime) -> list[Span]:
    """The states of *key* among all *keys* of its service, the first one first.

    The ledger has no date for "no longer primary": that is when the next key was promoted.
    """
    end = _Mark(key.retired or now)
    if key.promotion:
        following = next_promotion(key.promotion, keys)
        begun, replaced = _Mark.of(key.promotion), _Mark.of(following) if following else end
        staged = [("staged", _Mark(key.staged), begun)] if key.staged else []
        states = [*staged, ("primary", begun, replaced), ("previous", replaced, end)]
    elif key.staged:
        states = [("staged", _Mark(key.staged), end)]
    else:
        states = [("previous", _Mark(key.first_seen, before=True), end)]
    found = [(state, begin, min(stop, end)) for state, begin, stop in states]
    return [
        Span(state, begin.when, stop.when, begin.before, stop.before)
        for state, begin, stop in found
        if begin.when < stop.when
    ]


class _Mark(NamedTuple):
    """When a state gives way to the next one: then, or at some time *before*."""

    when: datetime
    before: bool = False

    @classmethod
    def of(cls, promotion: Promotion) -> _Mark:
        return cls(promotion.latest, before=not promotion.exact)
