"""All that is known for and against retiring one key, as one value; what a command did not read is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from keyring_core import KeyState
from rotation.discovery.result import Discovery
from rotation.discovery.token_column import TokenColumn
from rotation.ledger.clock import utc_now
from rotation.ledger.records import CensusRecord, InstanceRecord
from rotation.ledger.session import Unexplained, unexplained
from rotation.model.counts import Counts
from rotation.model.key_history import Promotion
from rotation.model.key_use import KeyUse
from rotation.model.next_steps import Refusal
from rotation.model.report import Report
from rotation.model.target import distinct_labels
from rotation.stores.change_tracker import OpenTransaction


@dataclass(frozen=True)
class Evidence:
    """All that is known for and against retiring one key. `of_report` and `of_censuses` make it."""

    key_id: str
    primary: str
    censuses: Sequence[tuple[str, Counts]] = ()
    """The counts of each target, with its title."""
    previous: Sequence[str] = ()
    """The ids of all previous and suspended keys, this one among them."""
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
    replicas: Sequence[Refusal] = ()
    """What was read on a server that repeats another one's changes, so that it may lack some."""
    uncommitted: Sequence[OpenTransaction] = ()
    """Transactions that have written and are not committed, so that nothing here saw what they wrote."""
    wrapped: Sequence[Refusal] = ()
    """Keys of other key sets that are stored as tokens under it, or may be."""
    sharing: Sequence[Sharing] = ()
    """Keys of other key sets that are made of the same secret."""
    fleet: Sequence[InstanceRecord] = ()
    silent: Sequence[InstanceRecord] = ()
    """The ones that announced themselves each minute, and did so no more while one more word was waited for."""
    now: datetime = field(default_factory=utc_now)
    """The time at which the fleet is looked at."""
    use: KeyUse = field(default_factory=KeyUse)
    """The reads with the key, and its suspension."""
    key_set: str | None = None
    """The key set that the key is of; None: the environment's own keys."""
    of_rows: frozenset[str | None] = frozenset()
    """If it stands for keys of rows, all key sets with such keys, of which a search opens no token; otherwise empty."""
    has_contexts: bool = False
    """True if a target that was counted names a context."""

    @property
    def may_be_unopened(self) -> bool:
        """True if a token that no key here opens may be under this one all the same, wherever it stands.

        It may be bound to a context that nothing names here, if others are named, or be under the key of a row.
        """
        return bool(self.of_rows or self.has_contexts or (self.search and self.search.has_contexts))

    @property
    def stored(self) -> dict[str, int]:
        """The tokens under the key in each target that has any."""
        found = {}
        for label, counts in self.censuses:
            if tokens := sum(kind.get(self.key_id, 0) for kind in (counts.under, counts.inner, counts.other_sets)):
                found[label] = tokens
        return found

    def unopened(self, column: TokenColumn) -> int:
        """The tokens in *column* that no key here opens, and that may need this one."""
        return column.unknown if self.may_be_unopened else column.bare_unknown


class Sharing(NamedTuple):
    """A key of another key set that is made of the same secret."""

    words: str
    against: Sequence[Refusal] = ()
    """The reasons to keep that key that need no evidence."""
    evidence: Evidence | None = None
    """On that key, without a search: the search of this one is of all columns."""


def of_report(report: Report, key_id: str) -> Evidence:
    """The evidence in a run's or a census's *report*: it read its targets and nothing else."""
    named = list(zip(distinct_labels([part.id for part in report.targets]), report.targets, strict=True))
    return Evidence(
        key_id,
        report.primary,
        [(title, part.counts) for title, part in named],
        previous=[key["id"] for key in report.keys if KeyState(key["state"]).is_superseded],
        unread={title: part.stopped for title, part in named if part.stopped},
        unnamed_indexes={title: part.unnamed_indexes for title, part in named if part.unnamed_indexes},
        partial=any(part.id.where for part in report.targets),
        has_contexts=any(part.id.context for part in report.targets),
        use=report.uses.get(key_id, KeyUse()),
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
        previous=[each for each, state in states.items() if state.is_superseded],
        sampled=any(census.sampled for census in records),
        partial=any(census.target.where for census in records),
        has_contexts=any(census.target.context for census in records),
        unexplained=tuple(unexplained(key_id, records, known, service)),
    )
