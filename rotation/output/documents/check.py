"""The documents of `check` and `report`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from msgspec import UNSET

from rotation.checks.findings import Level, Result
from rotation.checks.verdict import Verdict
from rotation.model.counts import CellCounts
from rotation.output.documents.parts import Document, KeyInUse, Missing, RemarkJson, Status


class CheckedKeyJson(KeyInUse):
    """A key in use."""

    service: str | Missing = UNSET
    """Whose key it is, if rotation.toml has several key sets."""


class CheckResultJson(Document):
    """The result of one check."""

    status: Status
    """Its most urgent finding."""
    check: str
    """Its name."""
    off: str | None
    """Why the policy turned it off."""
    title: str
    """What a finding of it means."""


class FindingJson(Document):
    """Something to do."""

    status: Status
    """How urgent it is."""
    check: str
    """The check that found it."""
    subject: str
    """The key, target, file or service that it is about."""
    message: str
    """What was found."""
    remedy: str
    """What to do about it."""


@dataclass(kw_only=True)
class _Column:
    name: str
    """The target's name."""
    column: str
    """The column."""


@dataclass(kw_only=True)
class CheckedTargetJson(CellCounts, _Column):
    """One column of one target."""


class CheckJson(Document):
    """`check`."""

    status: Status
    """The verdict: the most urgent finding."""
    exit_code: int
    """The exit code of a monitoring plugin: 0 to 3."""
    checked: str
    """When it was checked, in ISO 8601."""
    service: str
    """The name of the service, or of the environment, in the ledger."""
    sample: int | None
    """About how many rows of each target were read; null: all."""
    keys: list[CheckedKeyJson]
    """The keys in use; empty if they cannot be loaded."""
    checks: list[CheckResultJson]
    """Every check."""
    findings: list[FindingJson]
    """What was found, the most urgent first."""
    ignored: list[RemarkJson]
    """The columns that rotation.toml ignores, and why."""
    targets: list[CheckedTargetJson]
    """One entry for each column that was counted."""

    @classmethod
    def of(cls, verdict: Verdict) -> CheckJson:
        """The document on *verdict*."""
        facts = verdict.facts
        return cls(
            status=_status(verdict.level),
            exit_code=int(verdict.level),
            checked=verdict.now.isoformat(),
            service=facts.service,
            sample=facts.sample,
            keys=[
                CheckedKeyJson(key_id, state, part.facts.service if verdict.parts else UNSET)
                for part in verdict.by_keys
                for key_id, state in (part.facts.keys or {}).items()
            ],
            checks=[CheckResultJson(_status(one.level), one.check, one.off, one.title) for one in verdict.results],
            findings=[
                FindingJson(_status(one.level), one.check, one.subject, one.message, one.remedy)
                for one in verdict.findings
            ],
            ignored=[RemarkJson(*remark) for remark in facts.ignored],
            targets=[
                CheckedTargetJson(
                    name=target.census.name, column=target.census.target.column, **target.counts.by_name()
                )
                for part in verdict.by_keys
                for target in part.facts.targets
            ],
        )


class ListedCheckJson(Document):
    """A check that there is."""

    check: str
    """Its name."""
    title: str
    """What a finding of it means."""
    remedy: str
    """What to do about it."""
    off: str | None
    """Why the policy turns it off."""


class CheckListJson(Document):
    """`check --list`."""

    checks: list[ListedCheckJson]
    """Every check."""

    @classmethod
    def of(cls, checks: Iterable[Result]) -> CheckListJson:
        """The document on *checks*."""
        return cls([ListedCheckJson(one.check, one.title, one.remedy, one.off) for one in checks])


class ReportJson(Document):
    """`report`."""

    complete: bool
    """Whether every token is under the primary key, and no column is uncovered."""
    html: str
    """The page that was written."""
    findings: int
    """How many findings need somebody."""
    unreached: dict[str, str]
    """Targets that could not be read, and why."""


def _status(level: Level) -> Status:
    return cast("Status", level.name)
