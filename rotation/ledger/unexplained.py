"""Tokens that an earlier census counted and that are gone, though no run has moved them. Pure.

A run explains missing tokens if it was on the same table, or rotated at least as many in a table of that name.
Otherwise an empty table, or another database behind the same url, would prove that nothing needs a key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from rotation.ledger.records import CensusRecord
from rotation.model.target import TargetId


class Unexplained(NamedTuple):
    """Tokens under one key in one column."""

    target: TargetId
    tokens: int
    counted: datetime
    """When they were counted last."""


def carried(census: CensusRecord, known: Iterable[CensusRecord]) -> CensusRecord:
    """*census*, with the tokens that the *known* one of the same place counted and that no run explains."""
    before = next((other for other in known if other.place == census.place), None)
    if before is None:
        return census
    now, found = census.counts.under, {key_id: _known(before, key_id) for key_id in _key_ids(before)}
    waiting = {
        key_id: tokens
        for key_id, tokens in found.items()
        if tokens > now.get(key_id, 0) and not _explains(census, before, tokens)
    }
    if not waiting:
        return census
    return replace(census, unexplained=waiting, home=_home(before), seen=_seen(before).isoformat())


def settled(known: CensusRecord, runs: Iterable[CensusRecord]) -> CensusRecord:
    """A *known* census of another place, without the tokens that one of the *runs* explains."""
    runs = list(runs)
    waiting = {
        key_id for key_id in _key_ids(known) if not any(_explains(run, known, _known(known, key_id)) for run in runs)
    }
    counts = replace(known.counts, under=Counter(_only(known.counts.under, waiting)))
    return replace(known, counts=counts, unexplained=_only(known.unexplained, waiting))


def unexplained(
    key_id: str, now: Sequence[CensusRecord], known: Sequence[CensusRecord], service: str
) -> Iterator[Unexplained]:
    """The missing tokens of that key: in the censuses of *now*, and in places that are no longer a target."""
    places = {census.place for census in now}
    for census in now:
        if tokens := census.unexplained.get(key_id, 0):
            yield Unexplained(census.target, tokens, _seen(census))
    for census in known:
        tokens = _known(census, key_id)
        if tokens and census.service == service and census.place not in places:
            yield Unexplained(census.target, tokens, _seen(census))


def _key_ids(census: CensusRecord) -> list[str]:
    return list(dict.fromkeys((*census.counts.under, *census.unexplained)))


def _known(census: CensusRecord, key_id: str) -> int:
    return max(census.counts.under.get(key_id, 0), census.unexplained.get(key_id, 0))


def _only(tokens: Mapping[str, int], keys: Collection[str]) -> dict[str, int]:
    return {key_id: number for key_id, number in tokens.items() if key_id in keys}


def _home(census: CensusRecord) -> str:
    """The identity of the table that held the tokens."""
    return census.home or census.identity


def _seen(census: CensusRecord) -> datetime:
    """When the tokens were counted last."""
    return datetime.fromisoformat(census.seen) if census.seen else census.taken


def _explains(later: CensusRecord, before: CensusRecord, tokens: int) -> bool:
    """True if *later* is of a run that read those *tokens*, and so has moved them if it had to."""
    if not later.by_run or later.service != before.service or later.taken < before.taken:
        return False
    if (later.target.table, later.target.column) != (before.target.table, before.target.column):
        return False
    same = later.target.database == before.target.database and later.identity == _home(before)
    return same or later.counts.rotated >= tokens
