"""The documents of `check`, `report` and `discover`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

from msgspec import UNSET

from rotation.discovery.result import DerivedKey
from rotation.discovery.token_column import ReadColumn
from rotation.model.counts import CellCounts
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.target import Format
from rotation.output.documents.parts import CommandJson, Document, KeyInUse, Missing, RemarkJson, Status, commands_of

if TYPE_CHECKING:
    from rotation.checks.facts import Result
    from rotation.checks.verdict import Verdict
    from rotation.discovery.result import Discovery
    from rotation.discovery.token_column import TokenColumn


class CheckedKeyJson(KeyInUse):
    """A key in use."""

    service: Annotated[str | Missing, "Whose key it is, if rotation.toml has several key sets."] = UNSET


class CheckResultJson(Document):
    """The result of one check."""

    status: Annotated[Status, "Its most urgent finding."]
    check: Annotated[str, "Its name."]
    off: Annotated[str | None, "Why the policy turned it off."]
    title: Annotated[str, "What a finding of it means."]


class FindingJson(Document):
    """Something to do."""

    status: Annotated[Status, "How urgent it is."]
    check: Annotated[str, "The check that found it."]
    subject: Annotated[str, "The key, target, file or service that it is about."]
    message: Annotated[str, "What was found."]
    remedy: Annotated[str, "What to do about it, a step a line."]
    commands: Annotated[list[CommandJson], "The steps of the remedy that are commands, for a program to run."]


@dataclass(kw_only=True)
class _CheckedColumn:
    name: Annotated[str, "The target's name."]
    column: Annotated[str, "The column."]


@dataclass(kw_only=True)
class CheckedTargetJson(CellCounts, _CheckedColumn):
    """One column of one target."""


class CheckJson(Document):
    """`check`."""

    status: Annotated[Status, "The verdict: the most urgent finding."]
    exit_code: Annotated[int, "The exit code of a monitoring plugin: 0 to 3."]
    checked: Annotated[str, "When it was checked, in ISO 8601."]
    service: Annotated[str, "The name of the service, or of the environment, in the ledger."]
    sample: Annotated[int | None, "About how many rows of each target were read; null: all."]
    replicas: Annotated[list[str], "What to know of the databases that were read on a standby or a replica."]
    keys: Annotated[list[CheckedKeyJson], "The keys in use; empty if they cannot be loaded."]
    checks: Annotated[list[CheckResultJson], "Every check."]
    findings: Annotated[list[FindingJson], "What was found, the most urgent first."]
    ignored: Annotated[list[RemarkJson], "The columns that rotation.toml ignores, and why."]
    targets: Annotated[list[CheckedTargetJson], "One entry for each column that was counted."]

    @classmethod
    def of(cls, verdict: Verdict, invocation: Invocation = PLAIN) -> CheckJson:
        """The document on *verdict*."""
        facts = verdict.facts
        return cls.like(
            facts,
            status=verdict.level.name,
            exit_code=int(verdict.level),
            checked=verdict.now.isoformat(),
            replicas=verdict.replicas,
            keys=[
                CheckedKeyJson(key_id, state, part.facts.service if verdict.parts else UNSET)
                for part in verdict.by_keys
                for key_id, state in (part.facts.keys or {}).items()
            ],
            checks=[CheckResultJson.like(one, status=one.level.name) for one in verdict.results],
            findings=[
                FindingJson.like(
                    one,
                    status=one.level.name,
                    remedy=invocation.text(one.remedy),
                    commands=commands_of(one.remedy, invocation),
                )
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

    check: Annotated[str, "Its name."]
    title: Annotated[str, "What a finding of it means."]
    remedy: Annotated[str, "What to do about it."]
    off: Annotated[str | None, "Why the policy turns it off."]


class CheckListJson(Document):
    """`check --list`."""

    checks: Annotated[list[ListedCheckJson], "Every check."]

    @classmethod
    def of(cls, checks: Iterable[Result]) -> CheckListJson:
        """The document on *checks*."""
        return cls([ListedCheckJson.like(one) for one in checks])


class ReportJson(Document):
    """`report`."""

    complete: Annotated[bool, "True if every token is under the primary key, and no column is uncovered."]
    html: Annotated[str, "The page that was written."]
    findings: Annotated[int, "How many findings need somebody."]
    unreached: Annotated[dict[str, str], "Targets that could not be read, and why."]


class SearchedDatabaseJson(Document):
    """A database that was searched."""

    name: Annotated[str, "The database, without a password."]
    tables: Annotated[int, "How many of its tables were searched."]


@dataclass(kw_only=True)
class TokenColumnJson(ReadColumn):
    """A column that holds tokens. Its numbers count what was read."""

    tokens: Annotated[int, "Cells that are a token and nothing else."]
    embedded: Annotated[int, "Cells that hold a token as part of something else."]
    kinds: Annotated[
        dict[str, int], "Cells for each kind: `token`, `token-in-text`, `encoded-token`, `nested`, `foreign-cipher`."
    ]
    proposed: Annotated[bool, "True if `targets` has an entry for it."]
    format: Annotated[Format | None, "The format of that entry; null: no format fits."]

    @classmethod
    def of(cls, column: TokenColumn) -> TokenColumnJson:
        """The part on one column."""
        shown = {each.name: getattr(column, each.name) for each in fields(cls)}
        others = "leave" if column.envelopes else column.others
        return cls(**shown | {"format": column.format if column.served else None, "others": others})


class DeclaredColumnJson(Document, kw_only=True):
    """An encrypted column of a model."""

    models: Annotated[str | Missing, "The SQLAlchemy models that declare it."] = UNSET
    django: Annotated[str | Missing, "The settings of the Django project that declares it."] = UNSET
    table: Annotated[str, "The table."]
    column: Annotated[str, "The column."]
    context: Annotated[str | None, "What its tokens are bound to."]
    covered: Annotated[bool, "True if a target covers it."]


class IndexValuesJson(Document):
    """A column of a blind index."""

    database: Annotated[str, "The database, without a password."]
    column: Annotated[str, "Table and column, as messages name them."]
    under: Annotated[dict[str, int], "Values for each key id."]


class DiscoverJson(Document, kw_only=True):
    """`discover`."""

    complete: Annotated[bool, "True if no token column is uncovered, and every table could be read."]
    full: Annotated[bool, "True if every row was read."]
    databases: Annotated[list[SearchedDatabaseJson], "The databases that were searched."]
    rows: Annotated[int, "Rows that were read."]
    sampled_tables: Annotated[int, "Tables of which some rows were left out."]
    columns: Annotated[list[TokenColumnJson], "The columns that hold tokens."]
    blind_indexes: Annotated[
        list[IndexValuesJson],
        "The columns with values of a blind index that no target names as its `index`, if every row was read.",
    ]
    remarks: Annotated[list[RemarkJson], "What to know about some tables."]
    unseen: Annotated[list[RemarkJson], "Tables and columns that could not be searched, and why."]
    beyond: Annotated[list[RemarkJson], "What lies outside of the search."]
    unopened: Annotated[
        list[RemarkJson],
        "Columns without a target that were read, with tokens that no key opens: another application's, or bound ones.",
    ]
    gone: Annotated[list[RemarkJson], "Databases and tables that were dropped before they were searched."]
    ignored: Annotated[list[RemarkJson], "The columns that rotation.toml ignores, and why."]
    unsearched_cells: Annotated[int, "Cells of which not all was searched."]
    recognised: Annotated[list[str], "Known applications whose tables are there, with the command that begins."]
    declared: Annotated[list[DeclaredColumnJson] | Missing, "The encrypted columns of models, if any are named."] = (
        UNSET
    )
    derived: Annotated[list[DerivedKey], "The keys that secrets at hand make for such columns."]
    targets: Annotated[str, "The entries to add to rotation.toml, as TOML."]

    @classmethod
    def of(cls, found: Discovery, invocation: Invocation = PLAIN) -> DiscoverJson:
        """The document on what was *found*."""
        remarks = ("remarks", "unseen", "beyond", "unopened", "gone", "ignored")
        uncovered = {id(column) for column in found.without_target}
        declared = [
            DeclaredColumnJson.like(
                each,
                models=each.source.models or UNSET,
                django=each.source.django or UNSET,
                covered=id(each) not in uncovered,
            )
            for each in found.declared
        ]
        return cls.like(
            found,
            complete=found.exit_code == 0,
            databases=[SearchedDatabaseJson(name, tables) for name, tables in found.databases.items()],
            sampled_tables=found.sampled,
            columns=[TokenColumnJson.of(column) for column in found.columns],
            blind_indexes=[
                IndexValuesJson(each.database, each.label, dict(sorted(each.under.items())))
                for each in found.blind_indexes
            ],
            **{name: [RemarkJson(*remark) for remark in getattr(found, name)] for name in remarks},
            recognised=[invocation.line(step) for step in found.recognised],
            declared=declared or UNSET,
            targets=found.entries,
        )
