"""What was counted in cells, and when the tokens in them were issued: their months, coarsely and cheaply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from keyring_core.tokens import timestamp_of
from rotation.model import times

_COARSE = itemgetter(slice(1, 7))
"""The first six of a timestamp's eight bytes: steps of 65,536 seconds, some 18 hours."""
_STEP = 16


def months(signed: Sequence[bytes]) -> Counter[str]:
    """Tokens per month of issue, as "2026-01" in UTC, from their signed parts; nine hours off at most."""
    found: Counter[str] = Counter()
    for step, tokens in Counter(map(_COARSE, signed)).items():
        found[_month(step)] += tokens
    return found


class Times(NamedTuple):
    """When some tokens were issued."""

    tokens: int
    oldest: int
    """In seconds since 1970."""
    youngest: int
    ages: Counter[str]
    """Tokens per month, as `months` gives them."""

    @classmethod
    def of(cls, signed: Sequence[bytes]) -> Times:
        """Of one token or more, by their signed parts."""
        # Behind the version, which is the same in all, the timestamp comes first: bytes compare as times do.
        first, last = min(signed), max(signed)
        same = _COARSE(first) == _COARSE(last)
        ages = Counter({_month(_COARSE(first)): len(signed)}) if same else months(signed)
        return cls(len(signed), timestamp_of(first), timestamp_of(last), ages)

    def plus(self, other: Times) -> Times:
        """Both merged."""
        return Times(
            self.tokens + other.tokens,
            min(self.oldest, other.oldest),
            max(self.youngest, other.youngest),
            self.ages + other.ages,
        )


# A service's tokens lie within a few years, and a year has 481 steps.
@lru_cache(maxsize=8192)
def _month(step: bytes) -> str:
    middle = (int.from_bytes(step, "big") << _STEP) + (1 << _STEP - 1)
    return f"{times.issued(middle) or times.LAST:%Y-%m}"


@dataclass
class CellCounts:
    """What was counted. In cells, the seven numbers from `current` to `unsettled` add up to `scanned`."""

    # These are the fields of JSON documents, too, and their docstrings the descriptions there.
    scanned: int = 0
    """Cells that were read, without NULLs."""
    current: int = 0
    """Cells that are under the primary key already."""
    to_rotate: int = 0
    """Cells that a run would rotate; only of a command that writes nothing."""
    rotated: int = 0
    """Cells that were rotated and written."""
    empty: int = 0
    """Cells that hold nothing; in another format than `token` those that hold no token."""
    plaintext: int = 0
    """Cells that are no token, but legible text."""
    unreadable: int = 0
    """Cells that no key opens."""
    unsettled: int = 0
    """Cells that the run could not decide, such as those that a service rewrote meanwhile."""
    null: int = 0
    """Cells that are NULL."""
    embedded: int = 0
    """Tokens in cells of another format than `token`."""
    # A run finds these in its next pass, as current tokens.
    nested: int = 0
    """Tokens whose plaintext holds another token, or may."""
    # Every token in them is under a key that `under`, `inner` or `other_sets` names, though in a form that the target's
    # format does not have, and nothing beside them may hide one; or no token is in them at all.
    identified: int = 0
    """Unreadable cells that need no other key than those that are named here."""
    # As `may_hide` judges them. Of the format `token` they are plaintext; of another one they hold no token that was
    # found, or more than that.
    suspects: int = 0
    """Cells that may hide a token in a form that is not looked for: long plaintext, or text that looks random."""
    given_up: int = 0
    """Cells with more in them than could be searched."""
    unbound: int = 0
    """Tokens that are to be bound to the target's context; only of a command that writes nothing."""
    taken_over: int = 0
    """Cells, of to_rotate or rotated, that were no tokens of these keys."""
    under: Counter[str] = field(default_factory=Counter)
    """Tokens for each key id."""
    # A rotation keeps the time of a token.
    oldest: dict[str, int] = field(default_factory=dict)
    """When the oldest token under each key id was issued, in seconds since 1970."""
    youngest: dict[str, int] = field(default_factory=dict)
    """When the youngest token under each key id was issued, in seconds since 1970."""
    # In UTC; nine hours off at most.
    ages: Counter[str] = field(default_factory=Counter)
    """Tokens for each month of issue, such as `2026-01`."""
    inner: Counter[str] = field(default_factory=Counter)
    """Tokens for each key id that are part of something else."""
    other_sets: Counter[str] = field(default_factory=Counter)
    """Tokens for each key id of another key set than the target's."""
    formats: Counter[str] = field(default_factory=Counter)
    """Unreadable cells that a target of another format would rotate, for each format."""
    categories: Counter[str] = field(default_factory=Counter)
    """Problems for each category; all of them, also those that are not listed."""


NUMBERS = tuple(each.name for each in fields(CellCounts) if each.default == 0)
"""The fields that simply add up."""
TABLES = tuple(each.name for each in fields(CellCounts) if each.name not in NUMBERS)
"""The fields that map a key's id, a month or a category to a number."""
PARTS = NUMBERS[: NUMBERS.index("null")]
"""`scanned`, then the numbers that add up to it."""
KEPT_PROBLEMS = 1000
"""Problems kept for the report of one target; beyond these only their number is."""
KEPT_SAMPLES = 5
"""Cells of a target that are described before they become tokens."""

RowKey = tuple[Any, ...]
"""The values of a row's key columns."""


class Problem(NamedTuple):
    """A cell that somebody should look at."""

    key: RowKey
    category: str
    detail: str


@dataclass
class Counts(CellCounts):
    """What was found in a target, and some of the rows.

    A cell with several tokens is current if all are, and moves as a whole or not at all.
    """

    samples: list[tuple[RowKey, str]] = field(default_factory=list)
    """Some plaintext cells that become tokens, described without their content; only a dry run has them."""
    lost: list[int] = field(default_factory=list)
    """When the tokens that no key opens say that they were issued; the first KEPT_PROBLEMS."""
    problems: list[Problem] = field(default_factory=list)
    """All of a batch's and a range's; of a target's, the first KEPT_PROBLEMS."""

    def note(self, key: RowKey, category: str, detail: str) -> None:
        """Remembers a problem."""
        self.categories[category] += 1
        self.problems.append(Problem(key, category, detail))

    def hold(self, key_id: str, signed: Sequence[bytes]) -> None:
        """Counts tokens under a key by their *signed* parts, and notes when they were issued."""
        if signed:
            self.hold_times(key_id, Times.of(signed))

    def hold_times(self, key_id: str, times: Times) -> None:
        """Counts tokens under a key by their *times*."""
        self.under[key_id] += times.tokens
        self._date(key_id, times.oldest, times.youngest)
        self.ages.update(times.ages)

    def add(self, other: Counts, keep: int = KEPT_PROBLEMS) -> None:
        """Takes in what was found in another part of the same target; *keep* bounds the lists of rows."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.under.update(other.under)
        self.inner.update(other.inner)
        self.other_sets.update(other.other_sets)
        self.formats.update(other.formats)
        for key_id, oldest in other.oldest.items():
            self._date(key_id, oldest, other.youngest[key_id])
        self.ages.update(other.ages)
        self.categories.update(other.categories)
        self.problems.extend(other.problems[: max(0, keep - len(self.problems))])
        self.samples.extend(other.samples[: max(0, KEPT_SAMPLES - len(self.samples))])
        self.lost.extend(other.lost[: max(0, keep - len(self.lost))])

    def by_name(self) -> dict[str, Any]:
        """The numbers as JSON documents have them; no row is in them."""
        return {
            **{name: getattr(self, name) for name in NUMBERS},
            **{name: dict(sorted(getattr(self, name).items())) for name in TABLES},
        }

    @classmethod
    def of_names(cls, numbers: Mapping[str, Any]) -> Counts:
        """The counts whose `by_name` that is. Raises TypeError and AttributeError if it is something else."""
        counts, empty = cls(**numbers), cls()
        tables = {name: getattr(counts, name) for name in TABLES}
        values = chain((getattr(counts, name) for name in NUMBERS), *(table.values() for table in tables.values()))
        if not all(isinstance(number, int) for number in values):
            raise TypeError("a count is a whole number")
        for name, table in tables.items():
            setattr(counts, name, type(getattr(empty, name))(table))
        return counts

    def _date(self, key_id: str, oldest: int, youngest: int) -> None:
        self.oldest[key_id] = min(oldest, self.oldest.get(key_id, oldest))
        self.youngest[key_id] = max(youngest, self.youngest.get(key_id, youngest))

    @property
    def outdated(self) -> int:
        """Tokens that were rotated, or that a dry run found to rotate."""
        return self.rotated + self.to_rotate

    @property
    def tokens(self) -> int:
        """Cells that are tokens, or were meant to be."""
        return self.scanned - self.empty - self.plaintext

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do or to look at, once what is counted as rotated is written."""
        return not (self.plaintext or self.unreadable or self.unsettled or self.nested)
