"""A key's dates as the states it was in: staged, then primary, then previous, until it was retired."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from rotation.ledger.records import KeyRecord


class Span(NamedTuple):
    """A state, and from when until when."""

    state: str
    begin: datetime
    end: datetime


def spans(key: KeyRecord, keys: Iterable[KeyRecord], now: datetime) -> list[Span]:
    """The states of *key* among all *keys* of its service, the first one first.

    The ledger has no date for "no longer primary": that is when the next key was promoted.
    """
    end = key.retired or now
    demoted = _superseded(key, keys) or end
    if key.promoted:
        marks = [("staged", key.staged, key.promoted), ("primary", key.promoted, demoted), ("previous", demoted, end)]
    elif key.staged:
        marks = [("staged", key.staged, end)]
    else:
        marks = [("previous", key.first_seen, end)]
    return [Span(state, begin, min(stop, end)) for state, begin, stop in marks if begin and begin < min(stop, end)]


def _superseded(key: KeyRecord, keys: Iterable[KeyRecord]) -> datetime | None:
    promotions = [other.promoted for other in keys if other.promoted]
    return min((when for when in promotions if key.promoted and when > key.promoted), default=None)
