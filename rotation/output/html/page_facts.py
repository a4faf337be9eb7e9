"""What a page shows, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from rotation.checks.findings import Finding, Level, Result, worst_first
from rotation.checks.use_cases import Overview
from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
from rotation.model.targets import columns_of
from rotation.output.html.wording import share


@dataclass(frozen=True)
class PageFacts:
    """What a page shows of one service; the clock's time is *made*."""

    made: datetime
    service: str
    states: Mapping[str, str]
    """The state of each key in use, by id: primary, previous, staged."""
    records: Sequence[KeyRecord] = ()
    """The service's keys in the ledger, the retired ones with them."""
    censuses: Sequence[CensusRecord] = ()
    unreached: Mapping[str, str] = field(default_factory=dict)
    """Targets that could not be looked at, and why."""
    results: Sequence[Result] = ()
    runs: Sequence[RunRecord] = ()
    """The last one first."""
    certificates: Sequence[Mapping[str, Any]] = ()
    instances: Sequence[InstanceRecord] = ()
    scope: str = "the columns named"
    """What was counted: `the 2 columns named in rotation.toml`."""
    uncovered: Mapping[str, int] = field(default_factory=dict)
    """Columns that no target names, and the cells with tokens that were seen there."""

    @classmethod
    def of(cls, overview: Overview) -> PageFacts:
        """What a page shows of an overview."""
        facts = overview.verdict.facts
        return cls(
            made=overview.verdict.now,
            service=facts.service,
            states={key_id: str(state) for key_id, state in (facts.keys or {}).items()},
            records=tuple(facts.own.values()),
            censuses=tuple(target.census for target in facts.targets),
            unreached=facts.unreached,
            results=overview.verdict.results,
            runs=overview.runs,
            certificates=overview.certificates,
            instances=facts.instances,
            scope=columns_of(overview.targets),
            uncovered={column.label: column.tokens + column.embedded for column in facts.uncovered},
        )

    @property
    def findings(self) -> list[Finding]:
        """What is not as it should be, the most urgent first."""
        return [finding for finding in worst_first(self.results) if finding.level is not Level.OK]

    @property
    def hints(self) -> list[Finding]:
        """What is within the policy, and could be done."""
        return [finding for finding in worst_first(self.results) if finding.level is Level.OK]

    @property
    def primary(self) -> str | None:
        """The primary key's id."""
        return next((key for key, state in self.states.items() if state == "primary"), None)

    @cached_property
    def ids(self) -> list[str]:
        """The ids of all keys: in use by state, then those that only hold tokens or dates, the youngest first."""
        dated = [record.id for record in sorted(self.records, key=lambda record: record.first_seen, reverse=True)]
        return list(dict.fromkeys([*self.states, *self.under, *dated]))

    @property
    def dated(self) -> list[KeyRecord]:
        """The records of the keys, in the order of their ids."""
        return sorted(self.records, key=lambda record: self.ids.index(record.id))

    @cached_property
    def under(self) -> Counter[str]:
        """Tokens per key id, in all targets."""
        return total(census.counts.under for census in self.censuses)

    @cached_property
    def ages(self) -> Counter[str]:
        """Tokens per month of issue, in all targets."""
        return total(census.counts.ages for census in self.censuses)

    @property
    def tokens(self) -> int:
        """Tokens that some key opens."""
        return self.under.total()

    @property
    def left(self) -> int:
        """Tokens under another key than the primary."""
        return self.tokens - self.under[self.primary or ""]

    @property
    def wrong(self) -> int:
        """Cells that no rotation mends."""
        return sum(census.counts.unreadable + census.counts.plaintext for census in self.censuses)

    @property
    def nested(self) -> int:
        """Tokens that hold another token."""
        return sum(census.counts.nested for census in self.censuses)

    @property
    def share(self) -> str:
        """How much of all that was found is as it should be: a token under the primary key, and nothing else."""
        found = self.tokens + self.wrong + sum(self.uncovered.values())
        shown = share(self.under[self.primary or ""] - self.nested, found)
        return "not known" if shown == "all" and self.unreached else shown

    @property
    def complete(self) -> bool:
        """Whether nothing is left under another key in any target, nothing to look at, and no column uncovered."""
        if not self.censuses or self.unreached or self.uncovered or self.left:
            return False
        return all(census.complete for census in self.censuses)


def total(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """The sum of counts."""
    summed: Counter[str] = Counter()
    for part in parts:
        summed.update(part)
    return summed
