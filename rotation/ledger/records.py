"""The ledger's records, as values. Times are aware and in UTC; nothing is secret."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import UnionType
from typing import Any, TypeAlias

from keyring_core.errors import printable
from keyring_core.redaction import get_redactor
from rotation.model.counts import Counts
from rotation.model.key_history import History, Promotion, Retired
from rotation.model.report import NOT_UNREADABLE, TargetReport, legible_key, mark, pack, unpack
from rotation.model.target import TargetId
from rotation.model.text import to_second

KEPT_CENSUS_PROBLEMS = 100
"""Rows with a problem that a census names, at most."""


@dataclass(frozen=True, kw_only=True)
class KeyDates:
    """The dates of a key, as far as they are known."""

    staged: datetime | None = None
    promoted: datetime | None = None
    """When a command of this program made it primary; None if none did."""
    retired: datetime | None = None
    forced: bool = False
    """True if it was retired without proof."""
    promoted_before: datetime | None = None
    """When it was first found primary, if no command of this program had made it so."""
    promoted_after: datetime | None = None
    """The last time before that at which it is known not to have been primary; None if none is known."""
    suspended: datetime | None = None
    """Since when it has been suspended; None if it is not."""

    @property
    def promotion(self) -> Promotion | None:
        """When it became primary; None for a key that has not been primary since the ledger began."""
        if self.promoted:
            return Promotion(self.promoted, self.promoted)
        return Promotion(self.promoted_after, self.promoted_before) if self.promoted_before else None


@dataclass(frozen=True)
class KeyRecord(KeyDates):
    """A key's dates, for one service."""

    id: str
    service: str
    first_seen: datetime
    event: int | None = None
    """The number of its last event in the chain; None if it has had none since the chain began."""
    promoted_in: int | None = None
    """The number of the event of its last promotion; None if the chain has none."""

    @property
    def promotion_order(self) -> tuple[int, datetime]:
        """A value to sort keys by their promotions; a key without one comes before all others.

        That is the order of their events, since a clock may have been wrong; what is older than the chain has dates
        alone. For a key that was found primary the latest possible time counts: keys were seen in that order.
        """
        return (
            (self.promoted_in or 0, self.promotion.latest) if self.promotion else (-1, datetime.min.replace(tzinfo=UTC))
        )

    @property
    def in_use_since(self) -> datetime:
        """Since when it has been in use at least. It may have been in use earlier."""
        return self.promotion.latest if self.promotion else self.first_seen


@dataclass(frozen=True)
class RunRecord:
    """One run of a command."""

    id: int
    command: str
    service: str
    started: datetime
    primary: str
    finished: datetime | None = None
    outcome: str | None = None
    """complete, left, interrupted or failed; None while it runs, or if its process died."""
    counts: dict[str, Any] = field(default_factory=dict)
    whole: bool | None = None
    """True if it was of every row of all targets of its service, as rotation.toml or the models named them then."""


CensusPlace: TypeAlias = tuple[str, str, str, str, str | None]
"""The cells that a census counts: service, database, table, column and condition. Each place has one last census."""


_PRODUCT, _KEPT_AS = re.compile(r"\A(MySQL or MariaDB|MySQL)(?= database )"), "MariaDB"
"""Ledgers know both products by the name of one: before a server has answered, a url of either kind leads to both."""


def place_of(service: str, target: TargetId) -> CensusPlace:
    """The place of a service's target. Contexts share it: two of them cannot count the same cells."""
    return service, _PRODUCT.sub(_KEPT_AS, target.database), target.table, target.column, target.where


@dataclass(frozen=True)
class CensusRecord:
    """The last census of a target."""

    service: str
    name: str
    """The target's name in rotation.toml."""
    target: TargetId
    taken: datetime
    complete: bool
    counts: Counts = field(default_factory=Counts)
    """Numbers only, if the ledger kept it: without rows and without the times of unreadable tokens."""
    sampled: bool = False
    by_run: bool = False
    """True if a run left it: that run has moved the tokens that are gone since the last census."""
    identity: str = ""
    """Which table of which server it was; empty if the database does not say."""
    unexplained: dict[str, int] = field(default_factory=dict)
    """Tokens per key id that an earlier census found, that are gone, and that no run has moved."""
    home: str = ""
    """The identity of the table that held the unexplained tokens."""
    seen: str = ""
    """When the unexplained tokens were counted last, as ISO 8601."""
    checked: bool = False
    """True if the scheduled check took it, and so has reported what it found."""
    problems: list[dict[str, Any]] = field(default_factory=list)
    """The first rows with a problem: {"key": {"id": 7}, "category": "truncated"}."""
    unreadable_rows: str = ""
    """Packed marks of all rows whose cells cannot be read; the ledger keeps them for a check's census."""
    number: int | None = None
    """The number of the last run or check that had begun when it was recorded; None before that, and in old ledgers."""

    @property
    def order(self) -> tuple[int, bool, datetime]:
        """A value to sort censuses of one place by: a clock may have been wrong, and runs have numbers.

        A run that ended before another one began has read what that one's census counted meanwhile, or moved it.
        """
        return self.number or 0, self.number is not None and self.by_run, self.taken

    @property
    def place(self) -> CensusPlace:
        """The place that it is of."""
        return place_of(self.service, self.target)

    @property
    def label(self) -> str:
        """Its name in messages: `user_credentials.api_key`."""
        return self.target.label

    @cached_property
    def unreadable_marks(self) -> frozenset[bytes]:
        """Marks of the rows whose cells cannot be read. Without marks: of the rows that the census names."""
        if self.unreadable_rows:
            return unpack(self.unreadable_rows)
        named = (problem["key"] for problem in self.problems if problem["category"] not in NOT_UNREADABLE)
        return frozenset(map(mark, named))

    def document(self) -> dict[str, Any]:
        """All but the time, for JSON, in the form that the ledger has: flat, with names of its own for some numbers.

        A row's key that looks like a secret is masked.
        """
        document = {name: getattr(self, name) for name in _KEPT}
        document |= {name: getattr(self.target, name) for name in _NAMES}
        document |= {_STORED_AS.get(name, name): number for name, number in self.counts.by_name().items()}
        document["rotated"] += document.pop("to_rotate")
        del document["unbound"]
        for name in _LEFT_OUT_IF_NONE:
            if not document[name]:
                del document[name]
        if self.number is None:
            del document["number"]
        return document | {
            "target": self.name,
            # A redactor is made for this, and takes milliseconds for each key that was loaded.
            "problems": get_redactor().redact_value(self.problems[:KEPT_CENSUS_PROBLEMS]) if self.problems else [],
            # Only a check compares marks.
            "unreadable_rows": self.unreadable_rows if self.checked else "",
        }

    @classmethod
    def of_document(cls, taken: datetime, document: Mapping[str, Any]) -> CensusRecord:
        """The census whose `document` that is.

        Raises KeyError, TypeError, ValueError or AttributeError if this version does not know its form.
        """
        for name, kind in _SHAPE.items():
            if name in document and not isinstance(document[name], kind):
                raise TypeError(name)
        b64decode(document.get("unreadable_rows", ""), validate=True)
        datetime.fromisoformat(document.get("seen") or "2026-01-01")
        kept = {name: document[name] for name in (*_KEPT, "problems", "unreadable_rows") if name in document}
        names = {name: document[name] for name in _NAMES if name in document}
        others = document.keys() - kept.keys() - names.keys() - {"target"}
        numbers = {_READ_AS.get(name, name): document[name] for name in others}
        if not document.get("by_run"):
            # Without a run nothing was rotated: the number is of tokens that a run would rotate.
            numbers["to_rotate"] = numbers.pop("rotated", 0)
        counts = Counts.of_names(numbers)
        return cls(taken=taken, name=document["target"], target=TargetId(**names, digest=""), counts=counts, **kept)


_KEPT = (
    *("service", "complete", "sampled", "checked", "by_run"),
    *("identity", "unexplained", "home", "seen", "number"),
)
_SHAPE: Mapping[str, type[Any] | UnionType] = {
    **dict.fromkeys(("service", "target", "database", "table", "column"), str),
    **dict.fromkeys(("identity", "home", "seen", "unreadable_rows"), str),
    **dict.fromkeys(("complete", "sampled", "checked", "by_run"), bool),
    "where": str | None,
    "number": int,
    "unexplained": dict,
    "problems": list,
}
_NAMES = ("database", "table", "column", "where")
_LEFT_OUT_IF_NONE = (
    *("embedded", "identified", "taken_over", "reindexed", "other_sets", "formats", "others", "nested_unknown"),
)
"""Numbers that an older program cannot read."""
_STORED_AS = {"unsettled": "conflicts", "null": "nulls"}
_READ_AS = {old: new for new, old in _STORED_AS.items()}


def census_record(  # noqa: PLR0913 - what a census is of, and how it was taken
    report: TargetReport, primary: str, service: str, taken: datetime, *, sampled: bool = False, by_run: bool = False
) -> CensusRecord:
    """The census in *report*, of a dry run or of what a run left; *primary* is the primary key's id."""
    counts = report.counts
    return CensusRecord(
        service,
        report.target.name,
        report.id,
        taken,
        complete=report.complete and counts.under.keys() <= {primary} and not (counts.unbound or counts.to_rotate),
        counts=counts,
        sampled=sampled,
        by_run=by_run,
        identity=report.identity,
        unreadable_rows=pack(report.unreadable),
        problems=[
            {"key": legible_key(report.key_names, key), "category": category}
            for key, category, _ in counts.problems[:KEPT_CENSUS_PROBLEMS]
        ],
    )


@dataclass(frozen=True)
class InstanceRecord:
    """A running service that has announced which keys it holds."""

    instance: str
    service: str
    primary: str
    seen: datetime
    previous: tuple[str, ...] = ()
    staged: str | None = None
    seen_before: datetime | None = None
    """When it had announced itself the time before; None if it has once. If a thread does so, one beat earlier."""
    ahead: int | None = None
    """The seconds by which its clock is ahead of that of the ledger's server; below zero if it is behind.

    None if they are the same. The times are by the server's clock.
    """

    @property
    def has_wrong_clock(self) -> bool:
        """True if the two differ by more than SKEW."""
        return timedelta(seconds=abs(self.ahead or 0)) > SKEW

    @property
    def is_regular(self) -> bool:
        """True if it announces itself about once a minute: a thread does, or it has twice."""
        return self.seen_before is not None and self.seen - self.seen_before <= REGULAR

    @property
    def known(self) -> frozenset[str]:
        """The ids of all keys that it can decrypt with."""
        return frozenset((self.primary, *self.previous, *([self.staged] if self.staged else [])))

    @property
    def words(self) -> str:
        """Its name in messages: `billing on web-1:4242 (seen 2026-01-03 12:00:00 UTC)`."""
        return printable(f"{self.service} on {self.instance} (seen {to_second(self.seen)})")


LIVE = timedelta(minutes=10)
"""A service that announced itself within this time is running."""
REGULAR = timedelta(seconds=90)
"""An instance announces itself once a minute, and a write may take some seconds."""
SKEW = timedelta(minutes=1)
"""The most by which the clock of a service may differ from that of the ledger's server without being named."""


def in_fleet(instances: Iterable[InstanceRecord], ring: Iterable[str], service: str) -> list[InstanceRecord]:
    """The instances of *service*, and others that hold one of the keys of *ring*, by id."""
    held = set(ring)
    return [one for one in instances if one.service == service or held & one.known]


def lacking(instances: Iterable[InstanceRecord], key_id: str) -> list[InstanceRecord]:
    """The instances that could not read what is written under the key *key_id*."""
    return [one for one in instances if key_id not in one.known]


def history_of(
    primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str, *, skew: timedelta = SKEW
) -> History:
    """The history of *service*'s keys in *records*, for a run with these keys; clocks may differ by *skew*."""
    own = {record.id: record for record in records if record.service == service}
    newest = own.get(primary)
    # A primary key without a promotion was a previous key when it was first seen, so it is older than promoted ones.
    newer = {
        key_id: promotion._replace(is_close=_may_be_clock(newest, own[key_id], skew))
        for key_id in previous
        if newest and key_id in own and (promotion := own[key_id].promotion)
        if newest.promotion_order < own[key_id].promotion_order
    }
    retired = []
    for record in own.values():
        if record.retired and record.id not in {primary, *previous}:
            # The key may have encrypted from the earliest possible time on.
            earliest = record.promotion and record.promotion.earliest
            begin, end = earliest.timestamp() if earliest else None, record.retired.timestamp()
            retired.append(Retired(record.id, begin, end, record.forced))
    return History(newer, tuple(retired))


def _may_be_clock(one: KeyRecord, other: KeyRecord, skew: timedelta) -> bool:
    """True if only the dates say which of the two was promoted first, and they are no further apart than *skew*."""
    if not (one.promotion and other.promotion) or one.promoted_in != other.promoted_in:
        return False
    return abs(one.promotion.latest - other.promotion.latest) <= skew


def missing(known: Collection[str], records: Iterable[KeyRecord], service: str) -> list[KeyRecord]:
    """The keys that were primary in *service* and not retired, without the *known* ones: lost, or elsewhere."""
    own = (record for record in records if record.service == service and record.id not in known)
    return [record for record in own if record.promotion and not record.retired]


def took_over(primary: str, previous: Collection[str], records: Iterable[KeyRecord], service: str) -> Promotion | None:
    """When the primary key took over from the *previous* ones; None if the ledger does not know.

    None, too, if a previous key was promoted later: then the primary key was put back by hand at an unknown time.
    """
    own = {record.id: record for record in records if record.service == service}
    if primary not in own or history_of(primary, previous, own.values(), service).newer:
        return None
    return own[primary].promotion


def next_promotion(own: KeyRecord, records: Iterable[KeyRecord]) -> Promotion | None:
    """The first promotion after the one of *own*, by the latest times at which they can have been."""
    later = [
        (each.promotion_order, not each.promotion.exact, each.promotion)
        for each in records
        if each.promotion and each.promotion_order > own.promotion_order
    ]
    return min(later, key=lambda one: one[:2])[-1] if later else None
