"""`keys stage`, `promote` and `retire`: in order, not refused, done, dated. What is told of it is the caller's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyring_core import Key, KeyState
from keyring_core.config import LEDGER_URL, PREVIOUS, STAGED
from rotation.context import Context
from rotation.ledger.database import LedgerError
from rotation.ledger.key_tables import Event
from rotation.ledger.ledger import service_name, utc_now
from rotation.ledger.records import InstanceRecord
from rotation.ledger.session import OnFailure, Session
from rotation.lifecycle.archive import archive_key, archived, find_archived
from rotation.lifecycle.certificate import cells_of, certificate, may_hold_certificate
from rotation.lifecycle.environment_keys import KeyDesk, Written
from rotation.lifecycle.retirement_census import gather
from rotation.lifecycle.transitions import Edit, Step, check_order, find_key, promotion_refusals
from rotation.model.atomic_file import legible_to_others, mode_for_others, read_whole, refusal, replace_whole
from rotation.model.failures import StoppedError, UsageError
from rotation.model.report import Report
from rotation.model.targets import Target, columns_of
from rotation.model.text import many, retire_command
from rotation.retirement.decision import Refusal, not_looked_at, refusals

NO_LEDGER = (
    "no ledger counts here (a rotation.toml, or ROTATION_LEDGER_URL): no date was written down, and no service asked"
)
UNDATED = "the ledger does not know when {} was promoted, so it was not checked whether older keys still make tokens"
NO_FLEET = (
    "no service announces its keys in the {} (rotation.fleet.announce), so it was not checked that all have them; "
    f"where they announce elsewhere, set {LEDGER_URL}"
)
DISTRIBUTE = "give this to every service, and restart those that do not reload"
THEN_RUN = f"{DISTRIBUTE}. Then: rotate.py run"


@dataclass
class Done:
    """What a step came to."""

    step: Step
    key: Key
    said: str
    following: str
    """The next thing to do."""
    written: Written = field(default_factory=Written)
    notes: list[str] = field(default_factory=list)
    refused: Sequence[Refusal] = ()
    """Why it was refused; then nothing was changed."""
    certificate: dict[str, Any] | None = None
    not_looked_at: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What lies out of reach, by name, per database."""


def stage(context: Context) -> Done:
    """Makes a key and writes it as staged."""
    desk, key = KeyDesk(context), Key.generate()
    check_order(desk.settings, Step.STAGE, key)
    with _session(context, desk.states) as session:
        following = f"{DISTRIBUTE}. When all have it: rotate.py keys promote"
        done = Done(Step.STAGE, key, f"Staged {key.id}", following)
        done.written = desk.take(Step.STAGE, key)
        done.notes = _mark(session, done) if session.ledger else [NO_LEDGER]
    return done


def promote(context: Context, key_id: str | None, force: str | None) -> Done:
    """Makes the staged key primary, or a previous one where its id is given."""
    desk = KeyDesk(context)
    if left := desk.left_behind(_old_places(desk, key_id)):
        return _finish(context, desk, left)
    key = find_key(desk.settings, key_id or desk.staged().id)
    step = Step.PROMOTE if key == desk.settings.staged else Step.GO_BACK
    check_order(desk.settings, step, key)
    _check_force(force, key)
    was = desk.settings.primary.id
    with _session(context, desk.states) as session:
        fleet = session.fleet(desk.states)
        said = f"Promoted {key.id}; {was} is a previous key now"
        done = Done(step, key, said, THEN_RUN, notes=_unchecked(session, fleet))
        against = promotion_refusals(fleet, key.id)
        if against and not force:
            done.refused = against
            return done
        done.notes += [f"forced, though {reason}" for reason, _ in against]
        done.written = desk.take(step, key)
        done.notes += _mark(session, done)
    return done


def retire(  # noqa: PLR0913 - what a retirement needs
    context: Context,
    key_id: str,
    targets: Sequence[Target],
    *,
    proof: Path | None = None,
    archive: Path | None = None,
    force: str | None = None,
) -> Done:
    """Takes a previous key out, once nothing needs it. *proof* and *archive* are files to write."""
    desk = KeyDesk(context)
    key = find_key(desk.settings, key_id)
    check_order(desk.settings, Step.RETIRE, key)
    _check_force(force, key)
    _check_kept(desk, proof, archive)
    with _session(context, desk.states) as session:
        evidence, census = gather(context, session, desk.settings, key, targets)
        if context.streams.stopping:
            # Not even with --force: who asked to stop did not mean half a census.
            raise StoppedError("stopped on request. Nothing was changed.")
        # A census takes its time; and a certificate must not tell of a retirement that then fails.
        desk.check_unchanged()
        against, unchecked = refusals(evidence), _unchecked(session, evidence.fleet)
        if session.ledger and evidence.promoted is None:
            unchecked.append(UNDATED.format(evidence.primary))
        done = Done(Step.RETIRE, key, "", f"{DISTRIBUTE}. {_whereabouts(archive)}", notes=list(unchecked))
        if against and not force:
            done.refused = against
            return done
        done.certificate = certificate(
            evidence, census, session.service, utc_now(), overridden=against, unchecked=unchecked
        )
        done.said = f"Retired {key.id}: " + ("forced" if against else _proven(census))
        done.not_looked_at = not_looked_at(evidence)
        done.notes += [f"forced, though {reason}" for reason, _ in against]
        if archive:
            # The check looks at the mode of the file there, as long as it stays.
            done.certificate["archive"] = str(archive.resolve())
        # Before the key goes: where the proof or the key itself cannot be kept, it stays.
        if proof:
            replace_whole(read_whole(proof), f"{json.dumps(done.certificate, indent=2)}\n".encode())
        if archive:
            archive_key(archive, key, utc_now())
        certified = done.certificate
        session.attempt(lambda ledger: ledger.keep_certificate(certified))
        done.written = desk.take(Step.RETIRE, key)
        done.notes += _date(session, key, "retired", forced=bool(against))
    return done


def restore(context: Context, key_id: str, archive: Path) -> Done:
    """Puts a retired key back among the previous ones, for the tokens of a backup."""
    if mode := mode_for_others(archive):
        context.streams.warn(f"Warning: {legible_to_others(archive, mode)}")
    desk, key = KeyDesk(context), find_archived(archive, key_id)
    check_order(desk.settings, Step.RESTORE, key)
    with _session(context, desk.states) as session:
        following = f"{DISTRIBUTE}. Then: rotate.py run, and {retire_command(key.id)}"
        done = Done(Step.RESTORE, key, f"Restored {key.id} as a previous key", following)
        done.written = desk.take(Step.RESTORE, key)
        done.notes = [] if session.ledger else [NO_LEDGER]
    return done


def _old_places(desk: KeyDesk, key_id: str | None) -> tuple[str, ...]:
    """Where the key of this promotion stood before it became primary, if it has become so already."""
    if key_id is None:
        return () if desk.settings.staged else (STAGED,)
    return (STAGED, PREVIOUS) if key_id == desk.settings.primary.id else ()


def _finish(context: Context, desk: KeyDesk, left: Sequence[Edit]) -> Done:
    """The end of a promotion in which a process died between two files."""
    primary = desk.settings.primary
    with _session(context, desk.states) as session:
        done = Done(Step.PROMOTE, primary, f"Promoted {primary.id}: finished what was cut short", THEN_RUN)
        done.written = desk.finish(left)
        done.notes = _mark(session, done)
    return done


@contextmanager
def _session(context: Context, states: Mapping[str, KeyState]) -> Iterator[Session]:
    """The ledger, opened before anything is changed, with the keys as they are now."""
    service = service_name(context.environ)
    with Session.open(context.open_ledger, service, OnFailure.RAISE, context.streams.warn) as session:
        session.see_keys(states, context.clock_skew())
        yield session


def _unchecked(session: Session, fleet: Sequence[InstanceRecord]) -> list[str]:
    """What could not be looked at."""
    if session.ledger is None:
        return [NO_LEDGER]
    return [] if fleet else [NO_FLEET.format(session.ledger.name)]


def _mark(session: Session, done: Done) -> list[str]:
    # What somebody has yet to put in place is dated when it is seen there.
    return [] if done.written.todo else _date(session, done.key, "staged" if done.step is Step.STAGE else "promoted")


def _date(session: Session, key: Key, event: Event, *, forced: bool = False) -> list[str]:
    """Dates a step that is done; if that fails a note, since the step stays done."""
    try:
        session.attempt(lambda ledger: ledger.mark(key.id, event, session.service, forced=forced))
    except LedgerError as error:
        return [f"the step is done, but its date was not written down: {error}"]
    return []


def _check_force(force: str | None, key: Key) -> None:
    if force and force != key.id:
        raise UsageError(f"--force names {force}, and the key is {key.id}; type the id of the key that you mean")


def _check_kept(desk: KeyDesk, proof: Path | None, archive: Path | None) -> None:
    """Raises UsageError where proof or archive cannot be written, or would spoil what stands there already."""
    taken = desk.files()
    for path in (proof, archive):
        if path is None:
            continue
        if fault := refusal(path):
            raise UsageError(f"{path}: {fault}")
        if path.resolve() in taken:
            raise UsageError(f"{path}: keys of this environment are kept there; name a file of its own")
        taken.add(path.resolve())
    if proof and not may_hold_certificate(read_whole(proof).data):
        raise UsageError(f"{proof}: holds something else than a certificate, which would be lost; name another file")
    if archive:
        archived(archive)
        if mode := mode_for_others(archive):
            raise UsageError(legible_to_others(archive, mode))


def _proven(census: Report) -> str:
    cells, columns = many(cells_of(census), "cell"), columns_of([part.target for part in census.targets])
    return f"nothing that was looked at needs it ({cells} of {columns}, and every other column that its user can see)"


def _whereabouts(archive: Path | None) -> str:
    if archive:
        return f"The key is kept in {archive}; move that to where your backups' keys are"
    return "Nothing here keeps the key: have it in an archive of yours as long as you keep backups of its time"
