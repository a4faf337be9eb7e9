"""The facts that the checks judge and the findings that they make, as values: each check is a pure function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keyring_core import KeyState
from rotation.ledger.clock import Clocks
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.records import history_of, next_promotion, took_over
from rotation.model.counts import Counts
from rotation.model.next_steps import Next, Remedy, Steps, demotion_steps, retire_step
from rotation.retirement.evidence import Evidence, of_censuses

if TYPE_CHECKING:
    from rotation.configuration.policy import Policy
    from rotation.discovery.result import Discovery, Remark
    from rotation.discovery.token_column import TokenColumn
    from rotation.ledger.records import CensusRecord, InstanceRecord, KeyRecord, RunRecord
    from rotation.model.key_history import Promotion
    from rotation.model.key_use import KeyUse, ReadRecord


ARCHIVE = "--archive"


@dataclass(frozen=True)
class SeenFile:
    """A file that holds a key."""

    variable: str
    """Its name in messages: a variable, `--env-file`, or `--archive`."""
    path: str
    mode: int


@dataclass(frozen=True)
class TargetFacts:
    """One target, and its census."""

    census: CensusRecord
    before: CensusRecord | None = None
    """The last census that a check recorded."""
    title: str = ""
    """Its name in messages, different from every other target's."""

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.title or self.census.label

    @property
    def counts(self) -> Counts:
        """The census's counts."""
        return self.census.counts


@dataclass(frozen=True)
class Facts:
    """All facts of one check. If one could not be gathered, the fault beside it says why."""

    service: str = "default"
    key_set: str | None = None
    """The key set of rotation.toml that these are about; None: the environment's own keys."""
    keys: Mapping[str, KeyState] | None = None
    """Key ids and states in the environment now; None if the keys cannot be loaded."""
    salted: frozenset[str] = frozenset()
    """The ids of those that stand for keys that are made for each row."""
    certificates: tuple[Mapping[str, Any], ...] = ()
    """The certificates of retired keys in the ledger."""
    archives: Mapping[str, str] = field(default_factory=dict)
    """The archive of each retired key that the ledger knows."""
    cut_short: frozenset[str] = frozenset()
    """The ids of keys that are gone, and whose retirement the ledger does not have."""
    keys_fault: str | None = None
    weak: tuple[str, ...] = ()
    """The warnings about keys that can be guessed."""
    key_files: tuple[SeenFile, ...] = ()
    targets: tuple[TargetFacts, ...] = ()
    unreached: Mapping[str, str] = field(default_factory=dict)
    """Targets that could not be read, and why."""
    replicas: tuple[str, ...] = ()
    """What to know of the targets' databases that were read on a standby or a replica."""
    sample: int | None = None
    """About how many rows of each target were read; None: all."""
    ledger_fault: str | None = None
    """The fault, if the ledger cannot be read."""
    ledger_unwritten: str | None = None
    """The fault, if the ledger can be read but not written."""
    late_times: tuple[str, ...] = ()
    """Sentences on times of services that were later than the clock of the ledger's server."""
    records: tuple[KeyRecord, ...] = ()
    """The keys of all services in the ledger."""
    runs: tuple[RunRecord, ...] = ()
    """The last runs, the newest first; the last finished one is among them, however old."""
    begun: int = 0
    """The number of runs that began since the last finished one."""
    instances: tuple[InstanceRecord, ...] = ()
    """Running services of this environment, as they announced themselves."""
    reads: tuple[ReadRecord, ...] = ()
    """The reads that services announced, with every key."""
    complete_run: datetime | None = None
    """The end of the last run that left every token of all targets under the primary key."""
    clocks: Clocks | None = None
    """The time of the ledger, the latest one in it, and what the two are to this machine's clock."""
    search: Discovery | None = None
    """The search for token columns; None if there was none, or it failed."""
    search_fault: str | None = None
    """The part that could not be searched, and the reason."""
    declared: tuple[str, ...] = ()
    """The columns that models declare as encrypted, and that no target covers."""
    models_fault: str | None = None
    """The fault, if the models could not be read."""
    counted: datetime | None = None
    """When the targets were counted, if that is not now."""
    known: tuple[CensusRecord, ...] = ()
    """The last census of each place that the ledger knows."""
    checked: tuple[CensusRecord, ...] = ()
    """The last census of each place that a check took: anything newer has not been reported yet."""

    @cached_property
    def own(self) -> Mapping[str, KeyRecord]:
        """The records of this service's keys."""
        return {record.id: record for record in self.records if record.service == self.service}

    @cached_property
    def under(self) -> Counter[str]:
        """Tokens per key id, in all targets."""
        return sum((target.counts.under for target in self.targets), Counter())

    def keys_step(self, *words: str, when: str = "") -> Next:
        """The command `keys`, such as `promote`, for these keys."""
        return Next(("keys", *words), when, self.key_set)

    def retire_step(self, key_id: str) -> Next:
        """The command that retires one of these keys."""
        return retire_step(key_id, self.key_set, salted=self.salted)

    def evidence(self, key_id: str, policy: Policy, now: datetime) -> Evidence:
        """The evidence in these facts on retiring a key."""
        return replace(
            of_censuses(
                key_id,
                self.keys or {},
                [(target.label, target.census) for target in self.targets],
                self.known,
                self.service,
            ),
            unread=self.unreached,
            key_set=self.key_set,
            since=self.counted,
            promoted=self.promotion,
            search=self.search,
            search_fault=None if self.search else self.search_fault,
            fleet=self.instances,
            now=now,
            use=self.key_use(key_id, policy, now),
        )

    def key_use(self, key_id: str, policy: Policy, now: datetime) -> KeyUse:
        """The reads with a key, and its suspension."""
        known = KeyUses(self.service, self.reads, self.complete_run, self.instances, self.records, now)
        return known.of_key(key_id, self.keys or {}, policy.suspend_days)

    def ids(self, state: KeyState) -> list[str]:
        """The ids of the keys in that state."""
        return [key_id for key_id, has in (self.keys or {}).items() if has is state]

    @cached_property
    def older(self) -> list[str]:
        """The ids of the keys that another one took over from: previous and suspended ones."""
        return [key_id for key_id, state in (self.keys or {}).items() if state.is_superseded]

    @property
    def uncovered(self) -> list[TokenColumn]:
        """The token columns that no target covers, without the columns of other applications."""
        return self.search.uncovered if self.search else []

    @property
    def ignored(self) -> list[Remark]:
        """The columns that rotation.toml ignores, and why."""
        return self.search.ignored if self.search else []

    @cached_property
    def primary(self) -> str | None:
        """The primary key's id."""
        return next(iter(self.ids(KeyState.PRIMARY)), None)

    @cached_property
    def promotion(self) -> Promotion | None:
        """When the primary key took over; None if that is unknown, as after keys were put back by hand."""
        return took_over(self.primary or "", self.older, self.records, self.service)

    def demotion(self, policy: Policy) -> tuple[str, str, Steps] | None:
        """Which previous key was promoted last, if later than the primary key; the likely causes; and what to do."""
        skew = policy.max_clock_skew
        newer = history_of(self.primary or "", self.older, self.records, self.service, skew=skew).newer
        if not newer:
            return None
        key_id, promotion = max(newer.items(), key=lambda item: item[1].latest)
        words = f"{key_id} was promoted ({promotion.words()}) later than the primary key {self.primary}"
        return words, promotion.causes, demotion_steps(key_id, self.key_set, may_be_clock=promotion.is_close)

    @property
    def promoted(self) -> datetime | None:
        """The latest time at which the primary key may have taken over; younger tokens were written after it."""
        return self.promotion.latest if self.promotion else None

    def since(self, key_id: str) -> datetime | None:
        """Since when a key is in its state at least: staged, in use, or replaced by another one."""
        record = self.own.get(key_id)
        state = (self.keys or {}).get(key_id)
        if record is None:
            return None
        if state is KeyState.STAGED:
            return record.staged or record.first_seen
        return self.superseded(key_id) if state and state.is_superseded else record.in_use_since

    def superseded(self, key_id: str) -> datetime | None:
        """The latest time at which another key took over from that one: the first promotion after its own."""
        record = self.own.get(key_id)
        if record is None:
            return self.promoted
        if record.promotion is None:
            # It was a previous key when it was first seen; a staged one was replaced between two checks.
            known = (self.promoted, None if record.staged else record.first_seen)
            return min((when for when in known if when), default=None)
        following = next_promotion(record, self.own.values())
        return following.latest if following else self.promoted

    def previous_in_targets(self) -> Iterator[tuple[TargetFacts, str]]:
        """Each target with each previous or suspended key that has tokens there."""
        for target in self.targets:
            for key_id in self.older:
                if target.counts.under.get(key_id):
                    yield target, key_id


class Level(IntEnum):
    """The urgency of a finding; the number is the exit code of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


URGENCY = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)
"""UNKNOWN ranks below CRITICAL, so that it hides no known fault."""


@dataclass(frozen=True)
class Finding:
    """One message to the operator."""

    level: Level
    subject: str
    """The key, target, file or service that it is about."""
    message: str
    remedy: Remedy
    """The step to take; often a command."""
    check: str = ""
    """The name of the check that found it."""


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    check: str
    title: str
    """The meaning of a finding of it, in one sentence."""
    remedy: str
    """The remedy in general, in words."""
    findings: tuple[Finding, ...] = ()
    off: str | None = None
    """The reason, if the policy turned it off."""

    @property
    def level(self) -> Level:
        """The level of its most urgent finding."""
        return worst(finding.level for finding in self.findings)


def worst(levels: Iterable[Level]) -> Level:
    """The most urgent level; OK without any."""
    return max(levels, key=URGENCY.index, default=Level.OK)
