"""The documents of the commands with which you begin: `init`, `demo`, `ledger init`, `keys generate`, `keys derive`."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET

from rotation.output.documents.parts import Document, Missing, RemarkJson, StepJson


class NewKeyJson(Document):
    """`keys generate` and `keys derive`: a secret."""

    id: str
    """The key's id."""
    key: str
    """The key itself: a secret."""


class LedgerInitJson(Document):
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


class LedgerSqlJson(Document):
    """`ledger init --sql`."""

    complete: Literal[True]
    """Always true."""
    statements: list[str]
    """The statements that make the tables, in order."""


class FoundTargetJson(msgspec.Struct):
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


class InitJson(msgspec.Struct):
    """`init`; further fields may follow."""

    complete: bool
    """Whether it is done, and nothing needs a look."""
    app: str | Missing = UNSET
    """The known application."""
    files: list[str] | Missing = UNSET
    """The files that were written."""
    steps: list[StepJson] | Missing = UNSET
    """What to do from there."""
    apps: list[str] | Missing = UNSET
    """The known applications, if none is named."""
    targets: list[FoundTargetJson] | Missing = UNSET
    """Without an application: the columns whose entries were written."""
    new_key: str | Missing | None = UNSET
    """The id of the key that was made; null if none was."""
    needs: list[str] | Missing = UNSET
    """What needs a look, in sentences."""
    left_out: list[RemarkJson] | Missing = UNSET
    """Databases that `[policy]` leaves out of the search."""
    gitignore: list[str] | Missing = UNSET
    """Lines for .gitignore that git does not follow yet."""
    next: str | Missing = UNSET
    """The command to type next."""


class DemoJson(msgspec.Struct):
    """`demo`; further fields may follow."""

    complete: bool
    """Whether the proof at its end holds; with --keep, whether the folder is there."""
    folder: str | Missing = UNSET
    """With --keep: the folder to practise in."""
    files: list[str] | Missing = UNSET
    """With --keep: the files that were written."""
    steps: list[StepJson] | Missing = UNSET
    """With --keep: what to do, with the commands to type."""
