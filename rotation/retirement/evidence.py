"""The evidence on which the retirement of a key is decided: counts, searches, and parts that were left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from keyring_core import KeyState
from rotation.discovery.result import Discovery
from rotation.ledger.records import CensusRecord, InstanceRecord
from rotation.ledger.session import Unexplained, unexplained
from rotation.model.counts import Counts
from rotation.model.key_history import Promotion
from rotation.model.report import Report
from rotation.model.target import distinct_labels
from rotation.stores.other_writers import OpenTransaction


@dataclass(frozen=True)
class Evidence:
    """All that is known for and against retiring one key. `of_report` and `of_censuses` make it."""

    key_id: str
    primary: str
    censuses: Sequence[tuple[str, Counts]] = ()
    """The counts of each target, with its title."""
    previous: Sequence[str] = ()
    """The ids of all previous keys, this one among them."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Targets that were not read to the end, and why."""
    unnamed_indexes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns of blind indexes that no run renews, by the title of a target beside them."""
    sampled: bool = False
    """True if only some rows of the targets were read."""
    since: datetime | None = None
    """The time of the counts, if that is not now."""
    promoted: Promotion | None = None
    """The time at which the primary key took over from the previous ones, if that is known."""
    partial: bool = False
    """True if some target has a `where`."""
    left_out: Sequence[tuple[str, Counts]] | None = None
    """The counts of the rows that the targets' `where` leave out, per column; None: they were not read."""
    search: Discovery | None = None
    """The search of all columns; None: they were not searched."""
    search_fault: str | None = None
    """The fault, if the search failed."""
    unexplained: Sequence[Unexplained] = ()
    """Tokens under the key that the ledger knows of and that no run has moved."""
    uncommitted: Sequence[OpenTransaction] = ()
    """Transactions that have written and are not committed, so that nothing here saw what they wrote."""
    fleet: Sequence[InstanceRecord] = ()
    key_set: str | None = None
    """The key set that the key is of; None: the environment's own keys."""


def of_report(report: Report, key_id: str) -> Evidence:
    """The evidence in a run's or a census's *report*: it read its targets and nothing else."""
    named = list(zip(distinct_labels([part.id for part in report.targets]), report.targets, strict=True))
    return Evidence(
        key_id,
        report.primary,
        [(title, part.counts) for title, part in named],
        previous=[key["id"] for key in report.keys if key["state"] == KeyState.PREVIOUS],
        unread={title: part.stopped for title, part in named if part.stopped},
        unnamed_indexes={title: part.unnamed_indexes for title, part in named if part.unnamed_indexes},
        partial=any(part.id.where for part in report.targets),
        key_set=report.key_set,
    )


def of_censuses(
    key_id: str,
    states: Mapping[str, KeyState],
    censuses: Iterable[tuple[str, CensusRecord]],
    known: Sequence[CensusRecord],
    service: str,
) -> Evidence:
    """The evidence in *censuses*, each with its target's title, and in all that the ledger has *known* of *service*."""
    named = list(censuses)
    records = [census for _, census in named]
    return Evidence(
        key_id,
        next((each for each, state in states.items() if state is KeyState.PRIMARY), ""),
        censuses=[(title, census.counts) for title, census in named],
        previous=[each for each, state in states.items() if state is KeyState.PREVIOUS],
        sampled=any(census.sampled for census in records),
        partial=any(census.target.where for census in records),
        unexplained=tuple(unexplained(key_id, records, known, service)),
    )
