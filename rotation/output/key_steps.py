"""`keys list` and the steps of a key, as text and JSON; the certificate is in lifecycle/retirement_files.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET
from rich.console import RenderableType
from rich.text import Text

from keyring_core import KeyState
from keyring_core.errors import printable
from rotation.discovery.result import by_database
from rotation.ledger.clock import utc_now
from rotation.lifecycle.listing import ListedKey
from rotation.lifecycle.retirement_files import Certificate
from rotation.lifecycle.steps import StepResult
from rotation.lifecycle.transitions import KeyStep
from rotation.model.key_use import last_read
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import GONE, MINUTE, UNCHANGED, UNOPENED
from rotation.output.documents.parts import CommandJson, Document, Missing, RemarkJson, commands_of
from rotation.output.terminal import Fitting, following, rows_table
from rotation.retirement.reasons import Standing

_NEEDED: Mapping[str | None, str] = {None: "", Standing.NEEDED: "yes", Standing.UNPROVEN: "not proven"}


class Unmasked(str):
    """A line with a key that --show-key asked for: to be printed without redaction."""

    __slots__ = ()


def render_list(keys: Sequence[ListedKey]) -> Fitting:
    """A table of keys, dates and tokens."""
    judged = any(key.standing for key in keys)
    # The primary key is read with all the time.
    reads, now = {key.id: key.use for key in keys if key.use.reads and key.state != KeyState.PRIMARY}, utc_now()
    headings = ["key", "state", "first seen", "staged", "promoted", "retired", "#tokens"]
    rows: list[list[RenderableType]] = []
    for key in keys:
        dates = (key.first_seen, key.staged, key.retired)
        first_seen, staged, retired = ("" if date is None else f"{date:{MINUTE}}" for date in dates)
        promoted = key.promotion.words(MINUTE) if key.promotion else ""
        retired += " (forced)" if key.forced and key.retired else ""
        tokens = "" if key.tokens is None else f"{key.tokens:,}"
        state = key.state
        if state == KeyState.SUSPENDED and key.suspended:
            state += f" since {key.suspended:{MINUTE}}"
        last = [last_read(reads[key.id], now) if key.id in reads else ""] if reads else []
        needed = [_NEEDED[key.standing]] if judged else []
        rows.append([key.id, state, first_seen, staged, promoted, retired, tokens, *last, *needed])
    more = [*(["last read"] if reads else []), *(["needed"] if judged else [])]
    return rows_table([*headings, *more], rows, always="#tokens")


def render(done: StepResult, invocation: Invocation = PLAIN, *, show_key: bool) -> Iterator[Text | Unmasked]:
    """The lines of a screen."""
    yield from (Text(f"Note: {note}.") for note in done.notes)
    if done.search and not done.refused:
        # What the search did not read, or not again: under a heading for each reason, a line for each database.
        search = done.search
        outside = (("Not looked at", search.beyond), (UNOPENED, search.unopened), (GONE, search.gone))
        for heading, found in (*outside, (UNCHANGED, search.unchanged)):
            if found:
                yield Text(f"{heading}:")
            for database, subjects in by_database(found).items():
                yield Text(f"  - {database}: {'; '.join(subjects)}")
    yield from (Text(f"Ignored: {one.subject}: {one.words}") for one in done.ignored)
    if done.refused:
        verb = "go back to" if done.step is KeyStep.GO_BACK else done.step
        yield Text(f"Refused to {verb} {done.key.id}; nothing was changed:", "bold yellow")
        for reason, remedy in done.refused:
            yield Text(f"  - {reason}.")
            yield from following(remedy, invocation, indent="    ")
        return
    if done.written.manual:
        yield from _todo(done, invocation.program, show_key=show_key)
    else:
        written = f" Written: {', '.join(map(str, done.written.files))}" if done.written.files else ""
        yield Text(f"{done.said}.{written}", "bold green")
    yield from following(done.following, invocation)


def _todo(done: StepResult, program: str, *, show_key: bool) -> Iterator[Text | Unmasked]:
    kept = f" Written: {', '.join(map(str, done.kept))}." if done.kept else ""
    yield Text(
        "No file that this command may write holds these keys, so they are as before."
        f"{kept} Store the keys yourself, in order:",
        "bold yellow",
    )
    yield from (Text(f"  {todo.words()}") for todo in done.written.manual)
    if show_key:
        yield from (Unmasked(f"{todo.variable}={todo.value()}") for todo in done.written.manual)
    elif done.step is KeyStep.STAGE:
        # A derived key has a secret, which no other command makes.
        first = done.written.manual[0]
        if [key.reveal() for key in first.keys] == [first.value()]:
            yield Text(f"This command prints a new key with --show-key. So does: {program} keys generate")
        else:
            yield Text("With --show-key this command prints what to store, a secret unless it is a token for a cell.")
    else:
        yield Text("With --show-key this command prints the values (secrets!).")


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
        return cls.like(
            done,
            complete=not (done.refused or manual),
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
            ignored=[RemarkJson(*remark) for remark in done.ignored],
            next=None if done.refused else invocation.text(done.following),
            commands=[] if done.refused else commands_of(done.following, invocation),
            certificate=done.certificate or UNSET,
        )
