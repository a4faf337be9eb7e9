"""The document of `run`, `status` and `adopt`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET

from rotation.model.counts import CellCounts
from rotation.model.next_steps import PLAIN, Invocation, Steps
from rotation.model.report import Report, TargetReport, legible_key
from rotation.model.target import Format
from rotation.output.documents.parts import CommandJson, Document, KeyInUse, Missing, commands_of
from rotation.output.run_text import verdict


class KeyJson(KeyInUse):
    """A key in use."""

    set: Annotated[str | Missing, "The key set of rotation.toml that has it, if there are several."] = UNSET


class ProblemJson(Document):
    """A cell that somebody should look at."""

    key: Annotated[dict[str, Any], "The key of the row: each key column with its value."]
    category: Annotated[str, "What is wrong, in a word: `truncated`, `unknown-key`, `plaintext`."]
    detail: Annotated[str, "What is wrong, in words that hold nothing of the cell."]


class SampleJson(Document):
    """A cell that would become a token."""

    key: Annotated[dict[str, Any], "The key of the row."]
    holds: Annotated[str, "What the cell holds, described without its content."]


@dataclass(kw_only=True)
class _ReportedColumn:
    name: Annotated[str, "The target's name; by default its table."]
    column: Annotated[str, "The column."]
    format: Annotated[Format, "How a cell holds its tokens."]
    keys: Annotated[str | None, "The target's key set; null: the environment's own keys."]


@dataclass(kw_only=True)
class TargetReportJson(CellCounts, _ReportedColumn):
    """One column of one target."""

    passes: Annotated[int, "How often the column was read."]
    proof: Annotated[
        Literal["pass", "unchanged", "versions"] | None,
        "Why nothing can be left: a whole pass found nothing, nobody else wrote, or what others wrote was read.",
    ]
    read_from: Annotated[str | None, "When the last whole pass began, in ISO 8601; null: none has ended."]
    read_to: Annotated[
        str | None,
        "When it ended. With `unchanged` and `versions` all rows are as they were then; otherwise each as it was read.",
    ]
    seconds: Annotated[float, "How long it took."]
    retries: Annotated[int, "Transactions that were repeated."]
    warnings: Annotated[list[str], "What to know about this column."]
    hides_rows: Annotated[
        bool, "True if row level security may hide rows from this user: then all that is said is of the others."
    ]
    stopped: Annotated[str | None, "Why the command left the column alone, or stopped in it."]
    problems: Annotated[list[ProblemJson], "The first 1,000 problems."]
    samples: Annotated[list[SampleJson], "Some cells that adopt would encrypt."]
    problems_total: Annotated[int, "How many problems there are."]

    @classmethod
    def of(cls, report: TargetReport) -> TargetReportJson:
        """The part on one target."""
        target, counts = report.target, report.counts
        names = ("passes", "proof", "retries", "warnings", "hides_rows", "stopped")
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

    complete: Annotated[
        bool,
        "True if every token is under its primary key, and no cell needs a person; of the rows that this user sees.",
    ]
    dry_run: Annotated[bool, "True if nothing was written: true for status."]
    primary: Annotated[str, "The id of the primary key; if there are several key sets, of the first one."]
    keys: Annotated[list[KeyJson], "The keys in use, the primary first."]
    newer: Annotated[
        dict[str, str],
        "Previous keys that were promoted later than the primary key, each with that time; their tokens were left.",
    ]
    shard: Annotated[str | None, "The shard that was done, such as `0/3`; null: all rows."]
    fault: Annotated[str | None, "Why the file of --problems is incomplete."]
    left_out: Annotated[
        list[str],
        "Targets that were left out, and why: optional ones that are missing; for `adopt`, those that it cannot take.",
    ]
    uncovered: Annotated[
        list[str] | None,
        "In the databases of known applications (`[[app]]`), the columns with tokens that no target covers; null: not "
        "searched. The exit code does not depend on it.",
    ]
    targets: Annotated[list[TargetReportJson], "One entry for each column."]
    commands: Annotated[list[CommandJson], "The commands that the screen proposes next, for a program to run."]

    @classmethod
    def of(cls, report: Report, invocation: Invocation = PLAIN) -> RunJson:
        """The document on *report*."""
        steps = [part for part in verdict(report) if isinstance(part, Steps)]
        return cls.like(
            report,
            keys=msgspec.convert(report.keys, list[KeyJson]),
            newer={key_id: promoted.latest.isoformat() for key_id, promoted in report.newer.items()},
            targets=[TargetReportJson.of(target) for target in report.targets],
            commands=[command for some in steps for command in commands_of(some, invocation)],
        )
