"""The documents of `keys list` and of the steps of a key; the certificate is in lifecycle/retirement_files.py."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET

from keyring_core.errors import printable
from rotation.lifecycle.retirement_files import Certificate
from rotation.lifecycle.transitions import KeyStep
from rotation.model.next_steps import PLAIN, Invocation
from rotation.output.documents.parts import CommandJson, Document, Missing, RemarkJson, commands_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rotation.lifecycle.listing import ListedKey
    from rotation.lifecycle.steps import StepResult


class ListedKeyJson(Document):
    """A key in use, a missing or a retired one. Without a ledger it has only its id and its state."""

    id: Annotated[str, "The key's id."]
    state: Annotated[
        Literal["primary", "staged", "previous", "suspended", "missing", "retired"],
        "What the key does; missing: it was primary, is not here now, and was not retired.",
    ]
    first_seen: Annotated[str | Missing | None, "When a command first saw it. All times are in ISO 8601."] = UNSET
    staged: Annotated[str | Missing | None, "When it was staged."] = UNSET
    promoted: Annotated[str | Missing | None, "When it was promoted."] = UNSET
    suspended: Annotated[str | Missing | None, "Since when it has been suspended; null if it is not."] = UNSET
    retired: Annotated[str | Missing | None, "When it was retired."] = UNSET
    forced: Annotated[bool | Missing, "True if a step was forced."] = UNSET
    promoted_before: Annotated[
        str | Missing | None, "If nobody recorded its promotion: the latest time that it can have been."
    ] = UNSET
    promoted_after: Annotated[
        str | Missing | None, "If nobody recorded its promotion: the earliest time that it can have been."
    ] = UNSET
    tokens: Annotated[int | Missing | None, "Tokens under it at the last count; null: nobody counted."] = UNSET
    last_read: Annotated[
        str | Missing | None, "When a service that announces its reads met a token under it last, opened or refused."
    ] = UNSET
    read_by: Annotated[str | Missing | None, "The service and the instance that did."] = UNSET
    refused: Annotated[
        int | Missing, "Tokens that running processes refused, since it was suspended and since the last complete run."
    ] = UNSET
    standing: Annotated[
        Literal["needed", "unproven", "free"] | Missing | None,
        "Of a previous or suspended key: whether anything that the ledger knows needs it.",
    ] = UNSET
    remedy: Annotated[str | Missing | None, "How to remove the first reason that it is needed, a step a line."] = UNSET
    commands: Annotated[
        list[CommandJson] | Missing, "The steps of the remedy that are commands, for a program to run."
    ] = UNSET

    @classmethod
    def of(cls, key: ListedKey, invocation: Invocation, *, dated: bool) -> ListedKeyJson:
        """The part on one key; not *dated*: on its id and its state alone."""
        shown: dict[str, Any] = {
            name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
            for name, value in vars(key).items()
            if name in {"id", "state"} or (dated and name != "use")
        }
        if dated:
            remedy = None if key.remedy is None else invocation.text(key.remedy)
            shown |= {"remedy": remedy, "commands": commands_of(key.remedy, invocation)}
            last, refused = key.use.last, key.use.refused
            shown["last_read"] = last.last.isoformat(timespec="seconds") if last and last.last else None
            shown["read_by"] = printable(f"{last.service} on {last.instance}") if last else None
            shown["refused"] = sum(one.refused for one in refused)
        return cls(**shown)


class KeysListJson(Document):
    """`keys list`."""

    keys: Annotated[list[ListedKeyJson], "The keys in use, and behind them the missing and the retired ones."]

    @classmethod
    def of(cls, keys: Sequence[ListedKey], invocation: Invocation = PLAIN, *, dated: bool) -> KeysListJson:
        """The document on *keys*; not *dated*: on ids and states alone."""
        return cls([ListedKeyJson.of(key, invocation, dated=dated) for key in keys])


class KeysSettingJson(Document):
    """`keys list --format`."""

    complete: Annotated[Literal[True], "Always true."]
    app: Annotated[str, "The application."]
    lines: Annotated[list[str], "The lines of its setting; with --show-key they hold the keys themselves: secrets."]


class ManualEditJson(Document):
    """A value that you have to store, since the command may not write it."""

    variable: Annotated[str, "The variable that holds it."]
    where: Annotated[str, "What holds the variable, or why it was not written."]
    keys: Annotated[list[str], "The ids of the keys that the variable is to hold, in order."]
    value: Annotated[str | Missing, "The value itself: a secret; only with --show-key."] = UNSET


class RefusalJson(Document):
    """A reason why the step was refused."""

    reason: Annotated[str, "The reason."]
    remedy: Annotated[str, "What removes it, a step a line."]
    commands: Annotated[list[CommandJson], "The steps of the remedy that are commands, for a program to run."]


class KeysStepJson(Document):
    """`keys stage`, `keys promote`, `keys suspend`, `keys resume`, `keys retire` and `keys restore`."""

    complete: Annotated[bool, "True if the step is done: neither refused nor left to you."]
    step: Annotated[KeyStep, "The step."]
    key: Annotated[str | None, "The id of the key; null: a new key that exists nowhere."]
    files: Annotated[list[str], "The files that were written."]
    todo: Annotated[list[ManualEditJson], "What you have to store."]
    refused: Annotated[list[RefusalJson], "Why the step was refused."]
    notes: Annotated[list[str], "What could not be checked or recorded."]
    ignored: Annotated[list[RemarkJson], "The columns that rotation.toml ignores, and why."]
    next: Annotated[str | None, "What to do next, a step a line; null if the step was refused."]
    commands: Annotated[list[CommandJson], "The steps of `next` that are commands; empty if the step was refused."]
    certificate: Annotated[Certificate | Missing, "The certificate of `keys retire`."] = UNSET

    @classmethod
    def of(cls, done: StepResult, invocation: Invocation = PLAIN, *, show_key: bool) -> KeysStepJson:
        """The document on a step that was *done*, or refused."""
        manual = done.written.manual
        # A new key that is neither written nor shown exists nowhere.
        dropped = done.step is KeyStep.STAGE and manual and not show_key
        return cls(
            complete=not (done.refused or manual),
            step=done.step,
            key=None if dropped else done.key.id,
            files=[str(path) for path in done.written.files],
            todo=[
                ManualEditJson.like(edit, keys=[key.id for key in edit.keys], value=edit.value() if show_key else UNSET)
                for edit in manual
            ],
            refused=[
                RefusalJson(reason, invocation.text(remedy), commands_of(remedy, invocation))
                for reason, remedy in done.refused
            ],
            notes=done.notes,
            ignored=[RemarkJson(*remark) for remark in done.ignored],
            next=None if done.refused else invocation.text(done.following),
            commands=[] if done.refused else commands_of(done.following, invocation),
            certificate=done.certificate or UNSET,
        )
