"""The documents of `keys list` and of the steps of a key; of these, lifecycle/certificate.py has the certificate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from rotation.lifecycle.certificate import Certificate
from rotation.lifecycle.environment_keys import ManualEdit
from rotation.lifecycle.listing import ListedKey
from rotation.lifecycle.operations import StepResult
from rotation.lifecycle.transitions import Step
from rotation.output.documents.parts import Document, Missing, RemarkJson


class ListedKeyJson(Document):
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


class KeysListJson(Document):
    """`keys list`."""

    keys: list[ListedKeyJson]
    """The keys in use, and behind them the retired ones."""

    @classmethod
    def of(cls, keys: Sequence[ListedKey], *, dated: bool) -> KeysListJson:
        """The document on *keys*; not *dated*: on ids and states alone."""
        names = ListedKeyJson.__struct_fields__ if dated else ("id", "state")
        shown = [{name: _iso(getattr(key, name)) for name in names} for key in keys]
        return cls(msgspec.convert(shown, list[ListedKeyJson]))


def _iso(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


class KeysSettingJson(Document):
    """`keys list --format`."""

    complete: Literal[True]
    """Always true."""
    app: str
    """The application."""
    lines: list[str]
    """The lines of its setting; with --show-key they hold the keys themselves: secrets."""


class ManualEditJson(Document):
    """A value that you have to store, since the command may not write it."""

    variable: str
    """The variable that holds it."""
    where: str
    """What holds the variable, or why it was not written."""
    keys: list[str]
    """The ids of the keys that the variable is to hold, in order."""
    value: str | Missing = UNSET
    """The value itself: a secret; only with --show-key."""

    @classmethod
    def of(cls, edit: ManualEdit, *, show_key: bool) -> ManualEditJson:
        """The part on one variable."""
        keys = [key.id for key in edit.keys]
        return cls(edit.variable, edit.where, keys, edit.value() if show_key else UNSET)


class RefusalJson(Document):
    """A reason why the step was refused."""

    reason: str
    """The reason."""
    remedy: str
    """What removes it."""


class KeysStepJson(Document):
    """`keys stage`, `keys promote`, `keys retire` and `keys restore`."""

    complete: bool
    """Whether the step is done: neither refused nor left to you."""
    step: Step
    """The step."""
    key: str | None
    """The id of the key; null: a new key that exists nowhere."""
    files: list[str]
    """The files that were written."""
    todo: list[ManualEditJson]
    """What you have to store."""
    refused: list[RefusalJson]
    """Why the step was refused."""
    notes: list[str]
    """What could not be checked or recorded."""
    ignored: list[RemarkJson]
    """The columns that rotation.toml ignores, and why."""
    next: str | None
    """What to do next; null if the step was refused."""
    certificate: Certificate | Missing = UNSET
    """The certificate of `keys retire`."""

    @classmethod
    def of(cls, done: StepResult, *, show_key: bool) -> KeysStepJson:
        """The document on a step that was *done*, or refused."""
        manual = done.written.manual
        # A new key that is neither written nor shown exists nowhere.
        dropped = done.step is Step.STAGE and manual and not show_key
        return cls(
            complete=not (done.refused or manual),
            step=done.step,
            key=None if dropped else done.key.id,
            files=[str(path) for path in done.written.files],
            todo=[ManualEditJson.of(edit, show_key=show_key) for edit in manual],
            refused=[RefusalJson(*refusal) for refusal in done.refused],
            notes=done.notes,
            ignored=[RemarkJson(*remark) for remark in done.ignored],
            next=None if done.refused else str(done.following),
            certificate=done.certificate or UNSET,
        )
