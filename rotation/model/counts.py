"""Counts of cells, of a pass and of all passes, and the months in which their tokens were issued, cheaply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Annotated, Any, NamedTuple

from keyring_core.tokens import timestamp_of
from rotation.model.text import LAST, issued

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
    return f"{issued(middle) or LAST:%Y-%m}"


@dataclass
class CellCounts:
    """Numbers of cells and of tokens. The seven numbers from `current` to `unsettled` add up to `scanned`."""

    # JSON documents have these fields, too, with the texts beside them as descriptions.
    scanned: Annotated[int, "Cells that were read, without NULLs."] = 0
    current: Annotated[int, "Cells that are under the primary key already."] = 0
    to_rotate: Annotated[int, "Cells that a run would rotate; only of a command that writes nothing."] = 0
    rotated: Annotated[int, "Cells that were rotated and written."] = 0
    empty: Annotated[int, "Cells that hold nothing; in another format than `token` those that hold no token."] = 0
    plaintext: Annotated[int, "Cells that are no token, but legible text."] = 0
    unreadable: Annotated[int, "Cells that no key opens."] = 0
    unsettled: Annotated[
        int, "Cells that the run could not decide, such as those that a service rewrote meanwhile."
    ] = 0
    null: Annotated[int, "Cells that are NULL."] = 0
    embedded: Annotated[int, "Tokens in cells of another format than `token`."] = 0
    # Of cells that stay for another reason none is counted.
    others: Annotated[
        int,
        'Tokens of keys that are not here, beside tokens of the target\'s keys, that `others = "leave"` leaves.',
    ] = 0
    # A run finds these in its next pass, as current tokens.
    nested: Annotated[int, "Tokens whose plaintext holds another token, or may."] = 0
    nested_unknown: Annotated[int, "Tokens in these plaintexts that no key opens."] = 0
    # Every token in them is under a key that `under`, `inner` or `other_sets` names, though in a form that the target's
    # format does not have, and nothing beside them may hide one; or no token is in them at all.
    identified: Annotated[int, "Unreadable cells that need no other key than those that are named here."] = 0
    # As `may_hide` judges them. Of the format `token` they are plaintext; of another one they hold no token that was
    # found, or more than that.
    suspects: Annotated[
        int, "Cells that may hide a token in a form that is not looked for: long plaintext, or text that looks random."
    ] = 0
    given_up: Annotated[int, "Cells with more in them than could be searched."] = 0
    unbound: Annotated[
        int, "Tokens that are to be bound to the target's context; only of a command that writes nothing."
    ] = 0
    taken_over: Annotated[int, "Cells, of to_rotate or rotated, that were no tokens of these keys."] = 0
    # Not those whose index only follows its token to another key.
    reindexed: Annotated[
        int,
        "Cells, of to_rotate or rotated, whose blind index is made of another text than before: their normal form is "
        "another one, or the index was of another value.",
    ] = 0
    under: Annotated[Counter[str], "Tokens for each key id."] = field(default_factory=Counter)
    # A rotation keeps the time of a token.
    oldest: Annotated[dict[str, int], "When the oldest token under each key id was issued, in seconds since 1970."] = (
        field(default_factory=dict)
    )
    youngest: Annotated[
        dict[str, int], "When the youngest token under each key id was issued, in seconds since 1970."
    ] = field(default_factory=dict)
    # In UTC; nine hours off at most.
    ages: Annotated[Counter[str], "Tokens for each month of issue, such as `2026-01`."] = field(default_factory=Counter)
    inner: Annotated[Counter[str], "Tokens for each key id that are part of something else."] = field(
        default_factory=Counter
    )
    other_sets: Annotated[Counter[str], "Tokens for each key id of another key set than the target's."] = field(
        default_factory=Counter
    )
    formats: Annotated[
        Counter[str], "Unreadable cells that a target of another format would rotate, for each format."
    ] = field(default_factory=Counter)
    categories: Annotated[Counter[str], "Problems for each category; all of them, also those that are not listed."] = (
        field(default_factory=Counter)
    )


NUMBERS = tuple(each.name for each in fields(CellCounts) if each.default == 0)
"""The fields that simply add up."""
TABLES = tuple(each.name for each in fields(CellCounts) if each.name not in NUMBERS)
"""The fields that map a key's id, a month or a category to a number."""
_COUNTERS = ("under", "inner", "other_sets", "formats", "ages", "categories")
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
    """The numbers of a target, and some of its rows.

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
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for key_id, oldest in other.oldest.items():
            self._date(key_id, oldest, other.youngest[key_id])
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
        """True if nothing is left to do or to look at, once what is counted as rotated is written."""
        return not (self.plaintext or self.unreadable or self.unsettled or self.nested)


@dataclass
class Moved:
    """The number of cells that a run has written to a target so far, and that a server has not lost since."""

    cells: int = 0
    taken_over: int = 0
    """Cells that were no token before."""
    reindexed: int = 0
    """Cells whose index is of another text than before."""

    def add(self, counts: Counts, *, server_changed: bool) -> Counts:
        """Adds what a pass has written; returns its *counts*, with what earlier passes moved as rotated.

        Otherwise that would count as already current. Should a service have rewritten or deleted some of these cells
        since, fewer are left to count. If the server changed since the last pass began, it lost what this one wrote.
        """
        if server_changed:
            self.cells = max(0, self.cells - counts.rotated)
            self.taken_over = max(0, self.taken_over - counts.taken_over)
            self.reindexed = max(0, self.reindexed - counts.reindexed)
        still_there = min(self.cells, counts.current)
        rotated = counts.rotated + still_there
        seen = replace(
            counts,
            current=counts.current - still_there,
            rotated=rotated,
            taken_over=min(counts.taken_over + self.taken_over, rotated + counts.to_rotate),
            reindexed=min(counts.reindexed + self.reindexed, rotated + counts.to_rotate),
        )
        self.cells += counts.rotated
        self.taken_over += counts.taken_over
        self.reindexed += counts.reindexed
        return seen
