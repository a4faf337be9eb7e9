"""The parts that all steps with a key share: the session with the ledger, dates, notes and the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keyring_core import Key, KeyState
from keyring_core.environment import LEDGER_URL
from rotation.context import Context
from rotation.discovery.result import Discovery, Remark
from rotation.ledger.database import LedgerError
from rotation.ledger.events import Event
from rotation.ledger.records import InstanceRecord
from rotation.ledger.session import OnFailure, Session
from rotation.lifecycle.environment_keys import EnvironmentKeys, WrittenKeys
from rotation.lifecycle.retirement_files import Certificate
from rotation.lifecycle.transitions import KeyStep
from rotation.model.failures import UsageError
from rotation.model.next_steps import RUN, Next, Refusal, Remedy, Steps
from rotation.world.process import operator

NO_LEDGER = "there is no ledger (no rotation.toml, no ROTATION_LEDGER_URL): no date was recorded, no service was asked"
NO_FLEET = (
    "no service announces its keys in the {} (rotation.fleet.announce), so it was not checked that all have them; "
    f"if they announce them in another ledger, set {LEDGER_URL}"
)
NO_ANNOUNCEMENTS = (
    "no service announces the keys of the key set {} (a service of yours: announce(keys=...)), so it was not checked "
    "that every process that uses it has them"
)
DISTRIBUTE = "Give this to every service, and restart those that do not reload."
CUT_SHORT = "finished what was cut short"
EVENTS: Mapping[KeyStep, Event] = {
    KeyStep.STAGE: "staged",
    KeyStep.PROMOTE: "promoted",
    KeyStep.GO_BACK: "promoted",
    KeyStep.SUSPEND: "suspended",
    KeyStep.RESUME: "resumed",
    KeyStep.RETIRE: "retired",
    KeyStep.RESTORE: "restored",
}
"""The event of each step in the ledger."""


class GoneKey(NamedTuple):
    """A key that is not here any more: all that is known of it."""

    id: str


@dataclass
class StepResult:
    """The result of one step."""

    step: KeyStep
    key: Key | GoneKey
    said: str
    following: Remedy
    written: WrittenKeys = field(default_factory=WrittenKeys)
    notes: list[str] = field(default_factory=list)
    refused: Sequence[Refusal] = ()
    """The reasons, if it was refused; then nothing was changed."""
    certificate: Certificate | None = None
    kept: Sequence[Path] = ()
    """The files that were written beside the keys: the certificate, and the archive of the key."""
    search: Discovery | None = None
    """The search of all other columns, for a retirement."""

    @property
    def ignored(self) -> Sequence[Remark]:
        """The columns that rotation.toml ignores, and why."""
        return self.search.ignored if self.search else ()


@contextmanager
def open_session(context: Context, states: Mapping[str, KeyState]) -> Iterator[Session]:
    """The ledger, opened before anything is changed; it records the keys as they are now."""
    with Session.open(context.open_ledger, context.service, OnFailure.RAISE, context.streams.warn) as session:
        session.by = operator(context.by, context.inputs.process_environ)
        session.see_keys(states, context.inputs.any_policy().max_clock_skew)
        yield session


def unchecked(context: Context, session: Session, fleet: Sequence[InstanceRecord]) -> list[str]:
    """The notes on checks that could not be made."""
    if session.ledger is None:
        return [NO_LEDGER]
    if fleet:
        return []
    if context.key_set is not None:
        return [NO_ANNOUNCEMENTS.format(context.key_set)]
    return [NO_FLEET.format(session.ledger.name)]


def take(
    session: Session, keys: EnvironmentKeys, done: StepResult, against: Sequence[Refusal] = (), force: str | None = None
) -> StepResult:
    """Takes the step that *done* is to be the result of, and records its date; unless reasons are *against* it.

    Not refused is what an operator wants to *force*. Raises as `EnvironmentKeys.take`.
    """
    if against and not force:
        done.refused = against
        return done
    done.notes += [f"forced, though {reason}" for reason, _ in against]
    assert isinstance(done.key, Key)  # noqa: S101 - for the type checker
    done.written = keys.take(done.step, done.key)
    if not done.written.manual:
        # A key that an operator has yet to store gets its date when it is found there.
        done.notes += record_date(session, done.key, EVENTS[done.step])
    return done


def finished(session: Session, step: KeyStep, key: Key, following: Remedy, written: WrittenKeys) -> StepResult:
    """The result of a *step* whose process had died before it wrote all files, or recorded the date."""
    said = f"{EVENTS[step].capitalize()} {key.id}: {CUT_SHORT}"
    return StepResult(step, key, said, following, written, record_date(session, key, EVENTS[step]))


def record_date(session: Session, key: Key | GoneKey, event: Event, *, forced: bool = False) -> list[str]:
    """Records the date of what was done; returns a note if that fails, since the step stays done."""
    try:
        session.attempt(lambda ledger: ledger.mark(key.id, event, session.service, forced=forced, by=session.by))
    except LedgerError as error:
        return [f"the step is done, but its date was not recorded: {str(error).rstrip('.')}"]
    return []


def check_force(force: str | None, key: Key) -> None:
    """Raises UsageError if *force*, the id that was typed again, is of another key than *key*."""
    if force and force != key.id:
        raise UsageError(f"--force names {force}, and the key is {key.id}; type the id of the key that you mean")


def then_run(*afterwards: Next) -> Steps:
    """The next steps after the keys have changed."""
    return Steps(RUN, *afterwards, when=f"{DISTRIBUTE} Then:")
