"""When tokens were issued: their months, coarsely and cheaply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        """Of these and of others."""
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


KEPT_PROBLEMS = 1000
"""Problems kept for the report of one target; beyond these only their number is."""


PARTS = ("scanned", "current", "to_rotate", "rotated", "empty", "plaintext", "unreadable", "unsettled")
"""The fields of Counts that make up a report: all cells, then the parts that they come to."""


NUMBERS = (*PARTS, "null", "embedded", "nested", "identified", "suspects", "given_up", "unbound", "taken_over")
"""Those that simply add up."""


TABLES = ("under", "oldest", "youngest", "ages", "inner", "other_sets", "formats", "categories")
"""Those that map a key's id, a month or a category to a number."""


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
class Counts:
    """What was found, in cells: `scanned` is the sum of the other PARTS; NULLs stand apart.

    A cell with several tokens is current if all are, and moves as a whole or not at all.
    """

    scanned: int = 0
    current: int = 0
    to_rotate: int = 0
    """Those that a run would rotate; only a dry run counts them."""
    rotated: int = 0
    """Those that were rotated and written."""
    empty: int = 0
    """Those that hold nothing; in another format than `token` those that hold no token."""
    plaintext: int = 0
    unreadable: int = 0
    unsettled: int = 0
    """Cells left unsettled: rewritten meanwhile, refused by the database, or under the staged key."""
    null: int = 0
    embedded: int = 0
    """Tokens in cells of another format than `token`, in which a cell may hold several; those of no known key, too."""
    under: Counter[str] = field(default_factory=Counter)
    """Tokens per key id."""
    oldest: dict[str, int] = field(default_factory=dict)
    """When the oldest token under each key id was issued, in seconds since 1970; a rotation keeps that time."""
    youngest: dict[str, int] = field(default_factory=dict)
    ages: Counter[str] = field(default_factory=Counter)
    """Tokens per month of issue, such as "2026-01"; nine hours off at most."""
    nested: int = 0
    """Tokens whose plaintext holds another token, or may. A run finds them in its next pass, as current tokens."""
    inner: Counter[str] = field(default_factory=Counter)
    """Tokens per key id that are part of something else: of a longer text, of another encoding, of another token."""
    other_sets: Counter[str] = field(default_factory=Counter)
    """Tokens per key id of another key set than the target's."""
    formats: Counter[str] = field(default_factory=Counter)
    """Unreadable cells that a target of another format would rotate, per format."""
    identified: int = 0
    """Unreadable cells that need no key but those which `under`, `inner` and `other_sets` name: every token in them is
    under a known key, though in a form that the target's format does not have, and nothing beside them may hide one; or
    no token is in them at all."""
    suspects: int = 0
    """Cells that may hide a token in a form that is not looked for, as `may_hide` judges them: a person has to look.
    Of the format `token` they are plaintext; of another one they hold no token that was found, or more than that."""
    given_up: int = 0
    """Cells with more in them than could be searched, so that a token may have been missed, under whatever key."""
    unbound: int = 0
    """Tokens that are to be bound to the target's context and are not yet; a dry run alone counts them."""
    taken_over: int = 0
    """Cells, in `to_rotate` or `rotated`, that were no token of this keyring: plaintext, or of another package."""
    samples: list[tuple[RowKey, str]] = field(default_factory=list)
    """Some plaintext cells that become tokens, described without their content; only a dry run has them."""
    lost: list[int] = field(default_factory=list)
    """When the tokens that no key opens say that they were issued; the first KEPT_PROBLEMS."""
    categories: Counter[str] = field(default_factory=Counter)
    """Problems per category, all of them."""
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

    def document(self) -> dict[str, Any]:
        """The numbers, for JSON; no row is in it."""
        return {
            **{name: getattr(self, name) for name in NUMBERS},
            **{name: dict(sorted(getattr(self, name).items())) for name in TABLES},
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Counts:
        """The counts whose `document` that is. Raises TypeError and AttributeError if it is another document."""
        counts = cls(**document)
        numbers = [getattr(counts, name) for name in NUMBERS]
        tables = [getattr(counts, name).values() for name in TABLES]
        if not all(isinstance(number, int) for number in chain(numbers, *tables)):
            raise TypeError("a count is a whole number")
        counts.under, counts.inner = Counter(counts.under), Counter(counts.inner)
        counts.ages, counts.categories = Counter(counts.ages), Counter(counts.categories)
        counts.other_sets, counts.formats = Counter(counts.other_sets), Counter(counts.formats)
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
