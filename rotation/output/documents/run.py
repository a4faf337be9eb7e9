"""The document of `run`, `status` and `adopt`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from rotation.model.counts import CellCounts
from rotation.model.formats import Format
from rotation.model.report import Report, TargetReport, legible_key
from rotation.output.documents.parts import Document, KeyInUse, Missing


class KeyJson(KeyInUse):
    """A key in use."""

    set: str | Missing = UNSET
    """The key set of rotation.toml that has it, if there are several."""


class ProblemJson(Document):
    """A cell that somebody should look at."""

    key: dict[str, Any]
    """The key of the row: each key column with its value."""
    category: str
    """What is wrong, in a word: `truncated`, `unknown-key`, `plaintext`."""
    detail: str
    """What is wrong, in words that hold nothing of the cell."""


class SampleJson(Document):
    """A cell that would become a token."""

    key: dict[str, Any]
    """The key of the row."""
    holds: str
    """What the cell holds, described without its content."""


@dataclass(kw_only=True)
class _Column:
    name: str
    """The target's name; by default its table."""
    column: str
    """The column."""
    format: Format
    """How a cell holds its tokens."""
    keys: str | None
    """The target's key set; null: the environment's own keys."""


@dataclass(kw_only=True)
class TargetReportJson(CellCounts, _Column):
    """One column of one target."""

    passes: int
    """How often the column was read."""
    proof: Literal["pass", "unchanged", "versions"] | None
    """Why nothing can be left: a whole pass found nothing, nobody else wrote, or what others wrote was read."""
    read_from: str | None
    """When the last whole pass began, in ISO 8601; null: none has ended."""
    read_to: str | None
    """When it ended. With `unchanged` and `versions` all rows are as they were then; otherwise each as it was read."""
    seconds: float
    """How long it took."""
    retries: int
    """Transactions that were repeated."""
    warnings: list[str]
    """What to know about this column."""
    stopped: str | None
    """Why the command left the column alone, or stopped in it."""
    problems: list[ProblemJson]
    """The first 1,000 problems."""
    samples: list[SampleJson]
    """Some cells that adopt would encrypt."""
    problems_total: int
    """How many problems there are."""

    @classmethod
    def of(cls, report: TargetReport) -> TargetReportJson:
        """The part on one target."""
        target, counts = report.target, report.counts
        names = ("passes", "proof", "retries", "warnings", "stopped")
        return cls(
            **{name: getattr(target, name) for name in ("name", "column", "format", "keys")},
            **counts.by_name(),
            **{name: getattr(report, name) for name in names},
            **report.span(),
            seconds=round(report.seconds, 3),
            problems=[ProblemJson(legible_key(report.key_names, key), *words) for key, *words in counts.problems],
            samples=[SampleJson(legible_key(report.key_names, key), words) for key, words in counts.samples],
            problems_total=counts.categories.total(),
        )


class RunJson(Document):
    """`run`, `status` and `adopt`."""

    complete: bool
    """Whether every token is under its primary key, and no cell needs a person."""
    dry_run: bool
    """Whether nothing was written: true for status."""
    primary: str
    """The id of the primary key; if there are several key sets, of the first one."""
    keys: list[KeyJson]
    """The keys in use, the primary first."""
    newer: dict[str, str]
    """Previous keys that were promoted later than the primary key, each with that time; their tokens were left."""
    shard: str | None
    """The shard that was done, such as `0/3`; null: all rows."""
    fault: str | None
    """Why the file of --problems is incomplete."""
    left_out: list[str]
    """Targets that were left out, and why: optional ones that are not there; for `adopt`, those that it cannot take."""
    targets: list[TargetReportJson]
    """One entry for each column."""

    @classmethod
    def of(cls, report: Report) -> RunJson:
        """The document on *report*."""
        return cls(
            complete=report.complete,
            dry_run=report.dry_run,
            primary=report.primary,
            keys=msgspec.convert(report.keys, list[KeyJson]),
            newer={key_id: promoted.latest.isoformat() for key_id, promoted in report.newer.items()},
            shard=report.shard,
            fault=report.fault,
            left_out=report.left_out,
            targets=[TargetReportJson.of(target) for target in report.targets],
        )
