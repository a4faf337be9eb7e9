"""The table of `keys list`; the result of a key step as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from keyring_core import KeyState
from rotation.discovery.result import Discovery, by_database
from rotation.ledger.clock import utc_now
from rotation.lifecycle.listing import ListedKey
from rotation.lifecycle.steps import StepResult
from rotation.lifecycle.transitions import KeyStep
from rotation.model.key_use import last_read
from rotation.model.next_steps import PLAIN, Invocation
from rotation.model.text import GONE, MINUTE, UNCHANGED, UNOPENED
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
        yield from _outside(done.search)
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


def _outside(search: Discovery) -> Iterator[Text]:
    """What *search* did not read, or not again, under a heading for each reason, a line for each database."""
    outside = (("Not looked at", search.beyond), (UNOPENED, search.unopened), (GONE, search.gone))
    for heading, found in (*outside, (UNCHANGED, search.unchanged)):
        if found:
            yield Text(f"{heading}:")
        for database, subjects in by_database(found).items():
            yield Text(f"  - {database}: {'; '.join(subjects)}")


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
