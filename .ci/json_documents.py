"""Every JSON document that a command prints or writes, as types. A field's docstring is its description.

.ci/schemas.py makes rotation/schemas/*.schema.json of them; a test compares these with what the commands print.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Missing = UnsetType
"""The type of a field that may be left out."""

State = Literal["primary", "staged", "previous"]
Format = Literal["token", "embedded", "base64", "hex"]
Status = Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """A table that has these fields and no other."""


class Key(Document):
    """A key in use."""

    id: str
    """The key's id: 8 hexadecimal digits."""
    state: State
    """What the key does: `primary` encrypts, the others decrypt."""


class Counts(Document):
    """What was counted. In cells, `scanned` is the sum of the seven numbers from `current` to `unsettled`."""

    scanned: int
    """Cells that were read, without NULLs."""
    current: int
    """Cells that are under the primary key already."""
    to_rotate: int
    """Cells that a run would rotate; only of a command that writes nothing."""
    rotated: int
    """Cells that were rotated and written."""
    empty: int
    """Cells that hold nothing; in another format than `token` those that hold no token."""
    plaintext: int
    """Cells that are no token, but legible text."""
    unreadable: int
    """Cells that no key opens."""
    unsettled: int
    """Cells that the run could not decide, such as those that a service rewrote meanwhile."""
    null: int
    """Cells that are NULL."""
    embedded: int
    """Tokens in cells of another format than `token`."""
    nested: int
    """Tokens whose plaintext holds another token, or may."""
    identified: int
    """Unreadable cells that need no other key than those that are named here."""
    suspects: int
    """Cells that may hide a token in a form that is not looked for: long plaintext, or text that looks random."""
    given_up: int
    """Cells with more in them than could be searched."""
    unbound: int
    """Tokens that are to be bound to the target's context; only of a command that writes nothing."""
    taken_over: int
    """Cells, of to_rotate or rotated, that were no tokens of these keys."""
    under: dict[str, int]
    """Tokens for each key id."""
    oldest: dict[str, int]
    """When the oldest token under each key id was issued, in seconds since 1970."""
    youngest: dict[str, int]
    """When the youngest token under each key id was issued, in seconds since 1970."""
    ages: dict[str, int]
    """Tokens for each month of issue, such as `2026-01`."""
    inner: dict[str, int]
    """Tokens for each key id that are part of something else."""
    other_sets: dict[str, int]
    """Tokens for each key id of another key set than the target's."""
    formats: dict[str, int]
    """Unreadable cells that a target of another format would rotate, for each format."""
    categories: dict[str, int]
    """Problems for each category; all of them, also those that are not listed."""


class Problem(Document):
    """A cell that somebody should look at."""

    key: dict[str, Any]
    """The key of the row: each key column with its value."""
    category: str
    """What is wrong, in a word: `truncated`, `unknown-key`, `plaintext`."""
    detail: str
    """What is wrong, in words that hold nothing of the cell."""


class Sample(Document):
    """A cell that would become a token."""

    key: dict[str, Any]
    """The key of the row."""
    holds: str
    """What the cell holds, described without its content."""


class TargetReport(Counts):
    """One column of one target."""

    name: str
    """The target's name; by default its table."""
    column: str
    """The column."""
    format: Format
    """How a cell holds its tokens."""
    keys: str | None
    """The target's key set; null: the environment's own keys."""
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
    problems: list[Problem]
    """The first 1,000 problems."""
    samples: list[Sample]
    """Some cells that adopt would encrypt."""
    problems_total: int
    """How many problems there are."""


class Run(Document):
    """`run`, `status` and `adopt`."""

    complete: bool
    """Whether every token is under its primary key, and no cell needs a person."""
    dry_run: bool
    """Whether nothing was written: true for status."""
    primary: str
    """The id of the primary key; if there are several key sets, of the first one."""
    keys: list[Key]
    """The keys in use, the primary first."""
    newer: dict[str, str]
    """Previous keys that were promoted later than the primary key, each with that time; their tokens were left."""
    shard: str | None
    """The shard that was done, such as `0/3`; null: all rows."""
    fault: str | None
    """Why the file of --problems is incomplete."""
    left_out: list[str]
    """Targets that were left out, and why: optional ones that are not there; for `adopt`, those that it cannot take."""
    targets: list[TargetReport]
    """One entry for each column."""


class ProblemLine(Document):
    """A line of the file of `run --problems`."""

    table: str
    """The table."""
    column: str
    """The column."""
    key: dict[str, Any]
    """The key of the row: each key column with its value."""
    category: str
    """What is wrong, in a word."""
    detail: str
    """What is wrong, in words that hold nothing of the cell."""


class CheckedKey(Key):
    """A key in use."""

    service: str | Missing = UNSET
    """Whose key it is, if rotation.toml has several key sets."""


class CheckResult(Document):
    """The result of one check."""

    status: Status
    """Its most urgent finding."""
    check: str
    """Its name."""
    off: str | None
    """Why the policy turned it off."""
    title: str
    """What a finding of it means."""


class Finding(Document):
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


class Remark(Document):
    """A remark on a table or a column."""

    database: str
    """The database, without a password."""
    subject: str
    """The table or the column."""
    words: str
    """What is said of it."""


class CheckedTarget(Counts):
    """One column of one target."""

    name: str
    """The target's name."""
    column: str
    """The column."""


class Check(Document):
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
    keys: list[CheckedKey]
    """The keys in use; empty if they cannot be loaded."""
    checks: list[CheckResult]
    """Every check."""
    findings: list[Finding]
    """What was found, the most urgent first."""
    ignored: list[Remark]
    """The columns that rotation.toml ignores, and why."""
    targets: list[CheckedTarget]
    """One entry for each column that was counted."""


class CheckError(Document):
    """`check`, if it cannot begin."""

    status: Literal["UNKNOWN"]
    """Always UNKNOWN."""
    exit_code: Literal[3]
    """Always 3."""
    error: str
    """What is wrong, and what to do."""


class ListedCheck(Document):
    """A check that there is."""

    check: str
    """Its name."""
    title: str
    """What a finding of it means."""
    remedy: str
    """What to do about it."""
    off: str | None
    """Why the policy turns it off."""


class CheckList(Document):
    """`check --list`."""

    checks: list[ListedCheck]
    """Every check."""


class SearchedDatabase(Document):
    """A database that was searched."""

    name: str
    """The database, without a password."""
    tables: int
    """How many of its tables were searched."""


class TokenColumn(Document):
    """A column that holds tokens. Its numbers count what was read."""

    database: str
    """The database, without a password."""
    table: str
    """`table`, or `schema.table`."""
    column: str
    """The column."""
    covered: bool
    """Whether a target covers it."""
    ignored: str | None
    """Why rotation.toml ignores it."""
    key_sets: list[str | None]
    """The key sets of the targets that cover it; null: the environment's own keys."""
    formats: list[Format]
    """The formats of the targets that cover it."""
    keys: str | None
    """The key set that opens most of its tokens; null: the environment's own keys."""
    where: str | None
    """The condition of a target that covers it, if none takes every row."""
    rows: int
    """Rows that were read."""
    sampled: bool
    """Whether there are more rows."""
    under: dict[str, int]
    """Tokens for each key id."""
    unknown: int
    """Tokens that no key opens."""
    inner: dict[str, int]
    """The part of `under` that is inside text, encoded again, or inside another token."""
    inner_unknown: int
    """The part of `unknown` that is so."""
    large: int
    """Cells that are too large to be searched."""
    given_up: int
    """Cells with so much in them that a token may have been missed."""
    key_columns: list[str]
    """What a target has to name as key_columns."""
    hint: str | None
    """Why a target for it would be refused."""
    elsewhere: bool
    """Whether it is in another schema or database than the targets."""
    has_history: bool
    """Whether rows of the past were read, too."""
    tokens: int
    """Cells that are a token and nothing else."""
    embedded: int
    """Cells that hold a token as part of something else."""
    kinds: dict[str, int]
    """Cells for each kind: `token`, `token-in-text`, `encoded-token`, `nested`, `foreign-cipher`."""
    proposed: bool
    """Whether `targets` has an entry for it."""
    format: Format | None
    """The format of that entry; null: no format fits."""


class DeclaredColumn(Document):
    """An encrypted column of a model."""

    table: str
    """The table."""
    column: str
    """The column."""
    context: str | None
    """What its tokens are bound to."""
    covered: bool
    """Whether a target covers it."""
    models: str | Missing = UNSET
    """The SQLAlchemy models that declare it."""
    django: str | Missing = UNSET
    """The settings of the Django project that declares it."""


class IndexValues(Document):
    """A column of a blind index."""

    database: str
    """The database, without a password."""
    column: str
    """Table and column, as messages name them."""
    under: dict[str, int]
    """Values for each key id."""


class Discover(Document):
    """`discover`."""

    complete: bool
    """Whether no token column is uncovered, and every table could be read."""
    full: bool
    """Whether every row was read."""
    databases: list[SearchedDatabase]
    """The databases that were searched."""
    rows: int
    """Rows that were read."""
    sampled_tables: int
    """Tables of which some rows were left out."""
    columns: list[TokenColumn]
    """The columns that hold tokens."""
    blind_indexes: list[IndexValues]
    """The columns with values of a blind index that no target names as its `index`, if every row was read."""
    remarks: list[Remark]
    """What to know about some tables."""
    unseen: list[Remark]
    """Tables and columns that could not be searched, and why."""
    beyond: list[Remark]
    """What lies outside of the search."""
    unopened: list[Remark]
    """Columns elsewhere that were read, with tokens that no key opens: another application's, or bound ones."""
    gone: list[Remark]
    """Databases and tables that were dropped before they were searched."""
    ignored: list[Remark]
    """The columns that rotation.toml ignores, and why."""
    unsearched_cells: int
    """Cells of which not all was searched."""
    recognised: list[str]
    """Known applications whose tables are there, with the command that begins."""
    targets: str
    """The entries to add to rotation.toml, as TOML."""
    declared: list[DeclaredColumn] | Missing = UNSET
    """The encrypted columns of models, if any are named."""


class Report(Document):
    """`report`."""

    complete: bool
    """Whether every token is under the primary key, and no column is uncovered."""
    html: str
    """The page that was written."""
    findings: int
    """How many findings need somebody."""
    unreached: dict[str, str]
    """Targets that could not be read, and why."""


class NewKey(Document):
    """`keys generate` and `keys derive`: a secret."""

    id: str
    """The key's id."""
    key: str
    """The key itself: a secret."""


class ListedKey(Document):
    """A key in use, or a retired one. Without a ledger it has only its id and its state."""

    id: str
    """The key's id."""
    state: Literal["primary", "staged", "previous", "retired"]
    """What the key does."""
    first_seen: str | Missing | None = UNSET
    """When a command first saw it. All times are in ISO 8601."""
    staged: str | Missing | None = UNSET
    """When it was staged."""
    promoted: str | Missing | None = UNSET
    """When it was promoted."""
    retired: str | Missing | None = UNSET
    """When it was retired."""
    forced: bool | Missing = UNSET
    """Whether a step was forced."""
    promoted_before: str | Missing | None = UNSET
    """If nobody recorded its promotion: the latest time that it can have been."""
    promoted_after: str | Missing | None = UNSET
    """If nobody recorded its promotion: the earliest time that it can have been."""
    tokens: int | Missing | None = UNSET
    """Tokens under it at the last count; null: nobody counted."""
    standing: Literal["needed", "unproven", "free"] | Missing | None = UNSET
    """Of a previous key: whether anything that the ledger knows needs it."""
    remedy: str | Missing | None = UNSET
    """How to remove the first reason that it is needed."""


class KeysList(Document):
    """`keys list`."""

    keys: list[ListedKey]
    """The keys in use, and behind them the retired ones."""


class ManualEdit(Document):
    """A value that you have to store, since the command may not write it."""

    variable: str
    """The variable that holds it."""
    where: str
    """What holds the variable, or why it was not written."""
    keys: list[str]
    """The ids of the keys that the variable is to hold, in order."""
    value: str | Missing = UNSET
    """The value itself: a secret; only with --show-key."""


class Refusal(Document):
    """A reason why the step was refused."""

    reason: str
    """The reason."""
    remedy: str
    """What removes it."""


class CertifiedTarget(Counts):
    """What was counted in one column."""

    name: str
    """The target's name."""
    database: str
    """The database, without a password."""
    table: str
    """The table."""
    column: str
    """The column."""
    where: str | None
    """The condition on the rows."""
    context: str | None
    """What its tokens are bound to."""
    rows: int
    """Rows that were counted."""
    read_from: str | None
    """When the count began, in ISO 8601."""
    read_to: str | None
    """When it ended; each row is as it was when it was read, between the two."""


class CertifiedSearch(Document):
    """A database whose other columns were searched."""

    database: str
    """The database, without a password."""
    tables: int
    """How many of its tables were searched."""


class Certificate(Document):
    """The certificate of a retirement: what `keys retire --certificate` writes."""

    certificate: Literal[1]
    """The version of this form."""
    key: str
    """The id of the key that was retired."""
    service: str
    """Whose key it was."""
    retired: str
    """When it was retired, in ISO 8601."""
    primary: str
    """The id of the primary key."""
    promoted: str | None
    """When the primary key was promoted."""
    promoted_after: str | None
    """If nobody recorded that: the earliest time that it can have been."""
    promoted_before: str | None
    """If nobody recorded that: the latest time that it can have been."""
    tool: str
    """The program and its version."""
    forced: bool
    """Whether refusals were overridden."""
    overridden: list[str]
    """The reasons that were overridden."""
    unchecked: list[str]
    """What could not be checked."""
    not_looked_at: list[str]
    """What was not read, by name: out of reach, or left out by the policy."""
    unopened: list[str]
    """Columns elsewhere that were read, with tokens that no key opens: another application's, or bound ones."""
    gone: list[str]
    """Databases and tables that were dropped before they were searched."""
    ignored: list[str]
    """The columns that rotation.toml ignores, and why."""
    instances: list[str]
    """The running services that were asked."""
    rows: int
    """Rows that were counted."""
    cells: int
    """Cells that hold something, as `run` counts them: without NULLs."""
    targets: list[CertifiedTarget]
    """What was counted, column by column."""
    searched: list[CertifiedSearch]
    """The databases whose other columns were searched."""
    archive: str | Missing = UNSET
    """The file that keeps the key, if one was named."""


class KeysStep(Document):
    """`keys stage`, `keys promote`, `keys retire` and `keys restore`."""

    complete: bool
    """Whether the step is done: neither refused nor left to you."""
    step: Literal["stage", "promote", "retire", "restore"]
    """The step."""
    key: str | None
    """The id of the key; null: a new key that exists nowhere."""
    files: list[str]
    """The files that were written."""
    todo: list[ManualEdit]
    """What you have to store."""
    refused: list[Refusal]
    """Why the step was refused."""
    notes: list[str]
    """What could not be checked or recorded."""
    ignored: list[Remark]
    """The columns that rotation.toml ignores, and why."""
    next: str | None
    """What to do next; null if the step was refused."""
    certificate: Certificate | Missing = UNSET
    """The certificate of `keys retire`."""


class LedgerInit(Document):
    """`ledger init`."""

    complete: Literal[True]
    """Always true."""
    ledger: str
    """The ledger, without a password."""
    version: int
    """The version of its tables."""
    made: bool
    """Whether the tables were made or migrated just now."""
    tables: list[str]
    """Its tables."""


class LedgerSql(Document):
    """`ledger init --sql`."""

    complete: Literal[True]
    """Always true."""
    statements: list[str]
    """The statements that make the tables, in order."""


class Step(msgspec.Struct):
    """A step."""

    do: str
    """What to do, in words."""
    run: str
    """What to type; empty if there is nothing to type."""


class FoundTarget(msgspec.Struct):
    """A column that `init` found."""

    table: str
    """The table, as a target names it."""
    column: str
    """The column."""
    format: str
    """How its cells hold tokens."""
    cells: int
    """Cells with tokens, of those that were read."""
    under: dict[str, int]
    """Tokens per key id."""
    unknown: int
    """Tokens that no key opens."""


class Init(msgspec.Struct):
    """`init`; further fields may follow."""

    complete: bool
    """Whether it is done, and nothing needs a look."""
    app: str | Missing = UNSET
    """The known application."""
    files: list[str] | Missing = UNSET
    """The files that were written."""
    steps: list[Step] | Missing = UNSET
    """What to do from there."""
    apps: list[str] | Missing = UNSET
    """The known applications, if none is named."""
    targets: list[FoundTarget] | Missing = UNSET
    """Without an application: the columns whose entries were written."""
    new_key: str | Missing | None = UNSET
    """The id of the key that was made; null if none was."""
    needs: list[str] | Missing = UNSET
    """What needs a look, in sentences."""
    left_out: list[Remark] | Missing = UNSET
    """Databases that `[policy]` leaves out of the search."""
    gitignore: list[str] | Missing = UNSET
    """Lines for .gitignore that git does not follow yet."""
    next: str | Missing = UNSET
    """The command to type next."""


class Demo(msgspec.Struct):
    """`demo`; further fields may follow."""

    complete: bool
    """Whether the proof at its end holds; with --keep, whether the folder is there."""
    folder: str | Missing = UNSET
    """With --keep: the folder to practise in."""
    files: list[str] | Missing = UNSET
    """With --keep: the files that were written."""
    steps: list[Step] | Missing = UNSET
    """With --keep: what to do, with the commands to type."""


class Error(Document):
    """Any command but `check`, if it fails."""

    complete: Literal[False]
    """Always false."""
    error: str
    """What is wrong, and what to do."""


DOCUMENTS: dict[str, type[msgspec.Struct]] = {
    "run": Run,
    "problems": ProblemLine,
    "check": Check,
    "check-list": CheckList,
    "check-error": CheckError,
    "discover": Discover,
    "report": Report,
    "keys-list": KeysList,
    "keys-step": KeysStep,
    "keys-key": NewKey,
    "certificate": Certificate,
    "ledger-init": LedgerInit,
    "ledger-sql": LedgerSql,
    "init": Init,
    "demo": Demo,
    "error": Error,
}
"""The documents, by the names of their schemas."""
