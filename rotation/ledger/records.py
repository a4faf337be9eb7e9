"""What the ledger knows, as values. Times are aware and in UTC; none of it is secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from keyring_core.redaction.current import get_redactor
from rotation.model.key_history import Promotion
from rotation.model.row_marks import NOT_UNREADABLE, mark, unpack

KEPT_CENSUS_PROBLEMS = 100
"""Rows with a problem that a census names; the report that found them has more."""


@dataclass(frozen=True)
class KeyRecord:
    """A key's dates, for one service."""

    id: str
    service: str
    first_seen: datetime
    staged: datetime | None = None
    promoted: datetime | None = None
    """When a step of this program made it primary; None where none did."""
    retired: datetime | None = None
    forced: bool = False
    """Whether it was retired without proof."""
    promoted_before: datetime | None = None
    """When it was first found primary, where no step of this program had made it so."""
    promoted_after: datetime | None = None
    """When it was last known not to be primary before that; None where nothing is known."""

    @property
    def promotion(self) -> Promotion | None:
        """When it became primary; None for a key that never was, since the ledger began."""
        return Promotion.of(self.promoted, self.promoted_after, self.promoted_before)

    @property
    def in_use_since(self) -> datetime:
        """Since when it has been in use at least; where it was in use before, nobody knows for how long."""
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
    """complete, left, interrupted or failed; None while it runs, or where it died."""
    counts: dict[str, Any] = field(default_factory=dict)


class CensusPlace(NamedTuple):
    """What a census is of: the ledger keeps the last one of each."""

    service: str
    database: str
    """Which database, in words that hold no password."""
    table: str
    column: str
    where: str | None


@dataclass(frozen=True)
class CensusRecord:
    """The last census of a target. Numbers of tokens; times of tokens are Fernet's, in seconds since 1970."""

    service: str
    target: str
    """What reports call it."""
    table: str
    column: str
    taken: datetime
    complete: bool
    sampled: bool = False
    by_run: bool = False
    """Whether a run left it: what is gone since the last census, that run has moved."""
    identity: str = ""
    """Which table of which server it was; empty where the database does not tell."""
    unexplained: dict[str, int] = field(default_factory=dict)
    """Tokens per key id that an earlier census found, that are not there, and that no run has moved."""
    home: str = ""
    """The identity of the table that those were in."""
    seen: str = ""
    """When they were seen there last, as ISO 8601."""
    database: str = ""
    where: str | None = None
    checked: bool = False
    """Whether the scheduled check took it: what that one saw, somebody was told."""
    scanned: int = 0
    current: int = 0
    to_rotate: int = 0
    """Tokens that a run would rotate."""
    rotated: int = 0
    """Tokens that this run rotated."""
    empty: int = 0
    plaintext: int = 0
    unreadable: int = 0
    unsettled: int = 0
    null: int = 0
    nested: int = 0
    """Tokens whose plaintext holds another token."""
    suspects: int = 0
    """Plaintext cells that are long enough to hold a token in a form that is not looked for."""
    given_up: int = 0
    """Cells with more in them than could be searched, so that a token may have been missed, under whatever key."""
    under: dict[str, int] = field(default_factory=dict)
    """Tokens per key id."""
    inner: dict[str, int] = field(default_factory=dict)
    """Tokens per key id that are part of something else."""
    categories: dict[str, int] = field(default_factory=dict)
    """Problems per category, all of them."""
    oldest: dict[str, int] = field(default_factory=dict)
    youngest: dict[str, int] = field(default_factory=dict)
    """The first and the last time of a token, per key id."""
    ages: dict[str, int] = field(default_factory=dict)
    """Tokens per month of their time, such as `2026-01`."""
    problems: list[dict[str, Any]] = field(default_factory=list)
    """The first rows to look at: {"key": {"id": 7}, "category": "truncated"}."""
    unreadable_rows: str = ""
    """Marks of all rows whose cells cannot be read, packed; what a check took keeps them."""

    @property
    def place(self) -> CensusPlace:
        """What it is of."""
        return CensusPlace(self.service, self.database, self.table, self.column, self.where)

    @property
    def label(self) -> str:
        """What messages call it: `user_credentials.api_key`."""
        return f"{self.table}.{self.column}"

    @cached_property
    def unreadable_marks(self) -> frozenset[bytes]:
        """Marks of the rows whose cells cannot be read; of a census from before there were any those that it names."""
        if self.unreadable_rows:
            return unpack(self.unreadable_rows)
        named = (problem["key"] for problem in self.problems if problem["category"] not in NOT_UNREADABLE)
        return frozenset(map(mark, named))

    def document(self) -> dict[str, Any]:
        """All but the time, for JSON. A row's key may itself be somebody's secret, and is masked where it looks so."""
        document = asdict(self)
        del document["taken"]
        if not self.checked:
            # Nobody compares with it.
            document["unreadable_rows"] = ""
        document["problems"] = get_redactor().redact_value(self.problems[:KEPT_CENSUS_PROBLEMS])
        return document


@dataclass(frozen=True)
class InstanceRecord:
    """A running service that told which keys it holds."""

    instance: str
    service: str
    primary: str
    seen: datetime
    previous: tuple[str, ...] = ()
    staged: str | None = None

    @property
    def known(self) -> frozenset[str]:
        """The ids of all keys whose tokens it can read."""
        return frozenset((self.primary, *self.previous, *([self.staged] if self.staged else [])))


LIVE = timedelta(minutes=10)
"""A service that announced itself within this time is running."""


def in_fleet(instances: Iterable[InstanceRecord], ring: Iterable[str], service: str) -> list[InstanceRecord]:
    """The instances that share our keys. Ids are unique: one that has none of ours belongs to another environment."""
    ours = set(ring)
    return [one for one in instances if one.service == service or ours & one.known]
