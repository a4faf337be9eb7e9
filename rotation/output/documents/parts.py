"""The base of the types of JSON documents, parts that several have, and the documents that no domain value is behind.

The text beside a field is its description in rotation/schemas, and the name of a class without `Json` its name there.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from keyring_core import KeyState
from rotation.model.next_steps import Invocation, Next, Remedy, Steps, lines_of

Missing = UnsetType
"""The type of a field that may be left out."""

Status = Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object that has these fields and no other."""

    @classmethod
    def like(cls, value: object, /, **others: Any) -> Self:
        """The document whose fields are those of *value* by the same names, and *others*."""
        names = (name for name in cls.__struct_fields__ if name not in others)
        return cls(**{name: getattr(value, name) for name in names}, **others)


def json_text(document: object) -> str:
    """*document* as text, in ASCII."""
    return json.dumps(msgspec.to_builtins(document))


class CommandJson(Document):
    """A command to run next."""

    arguments: Annotated[list[str], "Behind the program's name; what may hold a secret is a placeholder, such as URL."]
    when: Annotated[str, "The words that lead to it; empty if there are none."]


def commands_of(remedy: Remedy | None, invocation: Invocation) -> list[CommandJson]:
    """The steps of *remedy* that are commands, in order."""
    steps = (step for step in lines_of(remedy or Steps()) if isinstance(step, Next))
    return [CommandJson(words, step.when) for step in steps if (words := invocation.arguments(step))]


class KeyInUse(Document):
    """A key in use."""

    id: Annotated[str, "The key's id: 8 hexadecimal digits."]
    state: Annotated[KeyState, "What the key does: `primary` encrypts, the others decrypt."]


class RemarkJson(Document):
    """A remark on a table or a column."""

    database: Annotated[str, "The database, without a password."]
    subject: Annotated[str, "The table or the column."]
    words: Annotated[str, "What is said of it."]


class StepJson(msgspec.Struct):
    """A step."""

    do: Annotated[str, "What to do, in words."]
    run: Annotated[str, "What to type; empty if there is nothing to type."]


class ErrorJson(Document):
    """Any command but `check`, if it fails."""

    complete: Annotated[Literal[False], "Always false."]
    error: Annotated[str, "What is wrong, and what to do."]


class CheckErrorJson(Document):
    """`check`, if it cannot begin."""

    status: Annotated[Literal["UNKNOWN"], "Always UNKNOWN."]
    exit_code: Annotated[Literal[3], "Always 3."]
    error: Annotated[str, "What is wrong, and what to do."]


class NewKeyJson(Document):
    """`keys generate` and `keys derive`: a secret."""

    id: Annotated[str, "The key's id."]
    key: Annotated[str, "The key itself: a secret."]


class LedgerInitJson(Document):
    """`ledger init`."""

    complete: Annotated[Literal[True], "Always true."]
    ledger: Annotated[str, "The ledger, without a password."]
    version: Annotated[int, "The version of its tables."]
    made: Annotated[bool, "True if the tables were made or migrated just now."]
    tables: Annotated[list[str], "Its tables."]


class LedgerSqlJson(Document):
    """`ledger init --sql`."""

    complete: Annotated[Literal[True], "Always true."]
    statements: Annotated[list[str], "The statements that make the tables, in order."]


class LedgerKeygenJson(Document):
    """`ledger keygen`."""

    complete: Annotated[Literal[True], "Always true."]
    key: Annotated[str, "The id of the key, as signatures name it."]
    file: Annotated[str, "The file of the private key: a secret."]
    public: Annotated[str, "The file of the public key."]


class FoundTargetJson(msgspec.Struct):
    """A column that `init` found."""

    table: Annotated[str, "The table, as a target names it."]
    column: Annotated[str, "The column."]
    format: Annotated[str, "How its cells hold tokens."]
    cells: Annotated[int, "Cells with tokens, of those that were read."]
    under: Annotated[dict[str, int], "Tokens per key id."]
    unknown: Annotated[int, "Tokens that no key opens."]


class InitJson(msgspec.Struct):
    """`init`; further fields may follow."""

    complete: Annotated[bool, "True if it is done, and nothing needs a look."]
    app: Annotated[str | Missing, "The known application."] = UNSET
    files: Annotated[list[str] | Missing, "The files that were written."] = UNSET
    steps: Annotated[list[StepJson] | Missing, "What to do from there."] = UNSET
    apps: Annotated[list[str] | Missing, "The known applications, if none is named."] = UNSET
    targets: Annotated[
        list[FoundTargetJson] | Missing, "Without an application: the columns whose entries were written."
    ] = UNSET
    new_key: Annotated[str | Missing | None, "The id of the key that was made; null if none was."] = UNSET
    needs: Annotated[list[str] | Missing, "What needs a look, in sentences."] = UNSET
    left_out: Annotated[list[RemarkJson] | Missing, "Databases that `[policy]` leaves out of the search."] = UNSET
    gitignore: Annotated[list[str] | Missing, "Lines for .gitignore that git does not follow yet."] = UNSET
    next: Annotated[str | Missing, "The command to type next."] = UNSET
    commands: Annotated[list[CommandJson] | Missing, "The same command, for a program to run."] = UNSET


class DemoJson(msgspec.Struct):
    """`demo`; further fields may follow."""

    complete: Annotated[bool, "True if the proof at its end holds; with --keep, if the folder is there."]
    folder: Annotated[str | Missing, "With --keep: the folder to practise in."] = UNSET
    files: Annotated[list[str] | Missing, "With --keep: the files that were written."] = UNSET
    steps: Annotated[list[StepJson] | Missing, "With --keep: what to do, with the commands to type."] = UNSET
