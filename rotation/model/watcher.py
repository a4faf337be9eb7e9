"""The progress of a run or a search: what its watcher is called with, and the estimate of what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from rotation.model.report import TargetReport
from rotation.model.text import time_left


class SoFar(NamedTuple):
    """The part of a search that is done."""

    database: int
    """The number of the database that is searched."""
    databases: int
    table: int
    """The tables of this database that were begun."""
    tables: int
    """All tables of this database that are searched."""
    percent: int | None = None
    """The share of the bytes of all databases; None if their sizes are unknown, or a sample is read."""
    bytes: int | None = None
    """The bytes of all databases, by their catalogs."""
    seconds_left: int | None = None
    """None: nobody can say yet."""

    @property
    def words(self) -> str:
        """`43 %, about 3 minutes left, database 1 of 3, table 17 of 214`, as far as that is known."""
        parts = [] if self.percent is None else [f"{self.percent} %"]
        parts += [] if self.seconds_left is None else [time_left(self.seconds_left)]
        tables = f"database {self.database:,} of {self.databases:,}, table {self.table:,} of {self.tables:,}"
        return ", ".join([*parts, tables])


class Began(NamedTuple):
    """A pass over a target begins."""

    report: TargetReport
    rows: int
    """About how many the target has."""
    pass_number: int
    done: int = 0
    """Rows that an earlier run has done."""


class Advanced(NamedTuple):
    """More of the pass is done."""

    rows: int
    outdated: int
    """Tokens of these rows that were rotated, or are to be."""
    pace: str = ""
    """In words."""


class AtWork(NamedTuple):
    """Something else is done."""

    words: str
    rows: int = 0
    """Rows that were read for it since the last time."""
    so_far: SoFar | None = None


class Note(NamedTuple):
    """Something begins, or is known already: the words stay to be read."""

    words: str


Progress: TypeAlias = Began | Advanced | AtWork | Note
Watcher: TypeAlias = Callable[[Progress], object]
"""Follows a run or a search: a bar on a terminal, or a log. It is called by one thread at a time."""


@dataclass
class Estimate:
    """The speed of some work, and the time that the rest of it takes."""

    started: float
    """In seconds of any clock."""
    total: float = 0
    """The size of the work; it may be corrected on the way."""
    before: float = 0
    """The part that an earlier run has done."""

    def rate(self, done: float, now: float) -> float:
        """What is done in a second, if by *now* so much is *done*."""
        return (done - self.before) / max(now - self.started, 1e-6)

    def seconds_left(self, done: float, now: float) -> int:
        """The time that the rest takes at this speed."""
        return round(max(self.total - done, 0) / max(self.rate(done, now), 1e-6))
