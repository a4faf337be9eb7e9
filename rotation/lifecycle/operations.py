"""Stage, promote, retire, restore: checks order and refusals, writes the keys, records the date. Prints nothing.

Each step raises KeyConfigError if the environment's keys do not load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keyring_core import Key, KeyState
from keyring_core.keyring import RotationKeyring
from rotation.configuration.targets import own_targets, scope_of
from rotation.context import Context
from rotation.kept_files import outputs_of
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import history_of
from rotation.ledger.session import OnFailure, Session
from rotation.lifecycle.archived_keys import find_archived
from rotation.lifecycle.environment_keys import EnvironmentKeys, WrittenKeys
from rotation.lifecycle.gathering import Asked, Case, gather
from rotation.lifecycle.other_sets import losses
from rotation.lifecycle.retirement_files import (
    ARCHIVE,
    Certificate,
    certificate,
    certificate_of,
    check_archived,
    keep_files,
)
from rotation.lifecycle.signatures import Signer
from rotation.lifecycle.steps import (
    CUT_SHORT,
    DISTRIBUTE,
    NO_LEDGER,
    GoneKey,
    StepResult,
    check_force,
    finished,
    open_session,
    record_date,
    take,
    then_run,
    unchecked,
)
from rotation.lifecycle.transitions import KeyStep, check_order, find_key, promotion_refusals
from rotation.model.failures import StoppedError, UsageError
from rotation.model.key_use import named
from rotation.model.next_steps import CHECK, RUN, Next, Refusal, Steps, demotion_steps, retire_step
from rotation.model.target import Target
from rotation.model.text import many, to_second
from rotation.retirement.reasons import refusals
from rotation.world.atomic_file import legible_to_others, read_whole, write_refusal
from rotation.world.outputs import Output

UNDATED = "the ledger does not know when {} was promoted"
NEWER = "by the ledger {} was promoted ({}) later than the primary key {}"
NOT_COMPARED = "so it was not checked whether older keys still make tokens"
NOT_ARCHIVED = "This key is not archived. Without it, backups from before today cannot be read"
NOT_SEARCHED = (
    "more reasons may follow: of all other columns only a sample was searched; every row, in every database that this "
    "user may enter, is searched once nothing refuses any more"
)


def stage(context: Context) -> StepResult:
    """Makes a key and writes it as staged. Raises UsageError if one is staged, StoreError, and LedgerError."""
    keys = EnvironmentKeys(context)
    key = keys.new_key()
    check_order(keys.settings, KeyStep.STAGE, key, keys.keys)
    with open_session(context, keys.states) as session:
        following = Steps(Next(("keys", "promote"), keys=context.key_set), when=f"{DISTRIBUTE} When all have it:")
        notes = [] if session.ledger else [NO_LEDGER]
        return take(session, keys, StepResult(KeyStep.STAGE, key, f"Staged {key.id}", following, notes=notes))


def promote(context: Context, key_id: str | None, force: str | None) -> StepResult:
    """Makes the staged key primary, or the previous key *key_id*. *force*: the key's id again, to override refusals.

    An interrupted promotion is finished; if the key is primary already, nothing is changed. Raises UsageError for a
    wrong key or order, StoreError, and LedgerError.
    """
    keys = EnvironmentKeys(context)
    primary, was = keys.settings.primary, keys.settings.primary.id
    # The states that the key of this promotion had, if it is primary already.
    before = [KeyState.STAGED, *([KeyState.PREVIOUS] if key_id == was else [])]
    may_be_done = key_id == was or (key_id is None and not keys.settings.staged)
    if may_be_done and (left := keys.left_behind(before)):
        # The process of that promotion died between two files.
        with open_session(context, keys.states) as session:
            return finished(session, KeyStep.PROMOTE, primary, then_run(), keys.finish(left))
    if {key_id or force, force or key_id} == {was}:
        # An admin who types it again wants to see that it is done.
        done = StepResult(KeyStep.PROMOTE, primary, f"{was} is the primary key already", RUN)
        with open_session(context, keys.states) as session:
            records = session.attempt(Ledger.keys) or ()
            own = {record.id: record for record in records if record.service == session.service}
            if history_of(was, [*keys.states], own.values(), session.service).newer:
                # The process that went back to it died before it recorded that: a run would go forward again.
                done = finished(session, KeyStep.PROMOTE, primary, then_run(), WrittenKeys())
            elif was in own and own[was].promotion is None:
                # It was a previous key when the ledger met it, and somebody made it primary by hand.
                session.attempt(lambda ledger: ledger.mark_newest(was, session.service))
                done.notes = [f"the ledger did not know when {was} was promoted: it has that as before now"]
        return done
    key = find_key(keys.settings, key_id or keys.staged().id)
    step = KeyStep.PROMOTE if key == keys.settings.staged else KeyStep.GO_BACK
    check_order(keys.settings, step, key, keys.keys)
    check_force(force, key)
    with open_session(context, keys.states) as session:
        fleet = session.fleet(keys.states)
        said = f"Promoted {key.id}; {was} is a previous key now"
        done = StepResult(step, key, said, then_run(), notes=unchecked(context, session, fleet))
        if step is KeyStep.GO_BACK:
            done.notes.append(f"this goes back from {was} to {key.id}; do not go back to a key that leaked")
            back = Next(("keys", "promote", was, "--force", was), f"if {key.id} leaked, return:", context.key_set)
            done.following = Steps(back, RUN.after("otherwise:"), when=f"{DISTRIBUTE} Then:")
        against = [*promotion_refusals(fleet, key.id, session.time()), *losses(context, keys, step, key)]
        return take(session, keys, done, against, force)


def retire(  # noqa: PLR0913 - what a retirement needs
    context: Context,
    key_id: str,
    targets: Sequence[Target],
    *,
    proof: Path | None = None,
    archive: Path | None = None,
    force: str | None = None,
    full_speed: bool = False,
    sign_with: Path | None = None,
    wait: bool = True,
) -> StepResult:
    """Removes the previous key *key_id* if nothing needs it. *force*: the key's id again, to override refusals.

    Counts the *targets* that have these keys, and searches all other columns of their servers. *proof* and
    *archive* are files to write: the certificate, and the key for old backups, which nothing else keeps. *sign_with*
    is the file of the key that signs the certificate. *wait*: for one more announcement of each running service.
    """
    if sign_with and not proof:
        raise UsageError("--sign-with signs a certificate; name its file with --certificate")
    signer = Signer.load(sign_with, f"--sign-with {sign_with}") if sign_with else None
    own, keys = own_targets(targets, context.key_set), EnvironmentKeys(context)
    if cut_short := _finish_retirement(context, keys, key_id):
        return cut_short
    key = find_key(keys.settings, key_id)
    check_order(keys.settings, KeyStep.RETIRE, key, keys.keys)
    check_force(force, key)
    outputs = _take_outputs(context, key, targets, proof, archive)
    with open_session(context, keys.states) as session:
        asked = Asked(context, session, key, RotationKeyring(*keys.settings), own, targets)
        case = gather(asked, keys, whatever=bool(force), full_speed=full_speed, wait=wait)
        evidence, against = case.evidence, refusals(case.evidence)
        if context.streams.stopping:
            # Even with --force: a retirement never rests on half a census.
            raise StoppedError("stopped on request. Nothing was changed.")
        # The keys may have changed during the census, and a certificate must not describe a retirement that then fails.
        keys.check_unchanged()
        missing = [*unchecked(context, session, evidence.fleet), *case.unchecked, *evidence.use.unheard]
        if session.ledger and evidence.promoted is None:
            missing.append(_undated(session, keys, evidence.primary))
        done = StepResult(KeyStep.RETIRE, key, "", _after(archive), notes=missing, search=evidence.search)
        if against and not force:
            done.refused = against
            done.notes += [NOT_SEARCHED] if evidence.search and not evidence.search.full else []
            return done
        made = _certify(session, case, done, against, archive)
        # Before the key is removed: if the proof or the archive cannot be written, it stays.
        for output in outputs:
            output.check()
        kept = dict.fromkeys((key, *(one.key for one in case.shared))) if archive else {}
        for each in kept:
            check_archived(each)
        done.certificate = keep_files(session, made, [*kept], proof=proof, archive=archive, signer=signer)
        done.kept = [path for path in (proof, archive) if path]
        done.written = keys.take(KeyStep.RETIRE, key)
        done.notes += record_date(session, key, "retired", forced=bool(against))
        done.notes += _of_shared(session, case, forced=bool(against))
    return done


def _certify(
    session: Session, case: Case, done: StepResult, against: Sequence[Refusal], archive: Path | None
) -> Certificate:
    """The certificate of what is *done*, to which it adds its sentence and its notes; they are so far what is missing.

    *against*: the reasons that are overridden.
    """
    made = certificate(case.evidence, case.census, session, against, unchecked=done.notes)
    asked = case.evidence.use.asked
    done.notes += [f"reads are known of {named(asked, '; ')}"] if asked else []
    done.said = f"Retired {done.key.id}: forced"
    if not against:
        cells, columns = many(made.cells, "cell"), scope_of([part.target for part in case.census.targets])
        whole = f"{cells} of {columns}, and all other columns that this database user can read"
        done.said = f"Retired {done.key.id}: no token that was read needs it ({whole})"
    done.notes += [f"forced, though {reason}" for reason, _ in against]
    done.notes += made.others
    if not archive:
        done.notes.append(NOT_ARCHIVED)
    else:
        # `check` watches the mode of the archive, as long as it stays there.
        made.archive = str(archive.resolve())
    return made


def restore(context: Context, key_id: str, archive: Path) -> StepResult:
    """Puts a retired or lost key back among the previous ones. *archive* is any file that holds it.

    Raises UsageError, StoreError, and LedgerError.
    """
    if warning := legible_to_others(archive):
        context.streams.warn(f"Warning: {warning}")
    keys = EnvironmentKeys(context)
    key = find_archived(archive, key_id, keys.made_of)
    with open_session(context, keys.states) as session:
        last = (session.attempt(lambda ledger: ledger.last_events(session.service)) or {}).get(key.id)
        if key.id in keys.states and last and last.event == "retired":
            # The process of that restoration died before it recorded it.
            following = then_run(retire_step(key.id, context.key_set))
            return finished(session, KeyStep.RESTORE, key, following, WrittenKeys())
        check_order(keys.settings, KeyStep.RESTORE, key, keys.keys)
        following = then_run(retire_step(key.id, context.key_set))
        primary, records = keys.settings.primary.id, session.attempt(Ledger.keys) or ()
        if key.id in history_of(primary, [key.id], records, context.service).newer:
            # A key that was lost, or an older file of keys: a run would leave its tokens alone.
            later = f"{DISTRIBUTE} {key.id} was promoted later than the primary key {primary}:"
            following = Steps(demotion_steps(key.id, context.key_set), when=later)
        said, notes = f"Restored {key.id} as a previous key", [] if session.ledger else [NO_LEDGER]
        return take(session, keys, StepResult(KeyStep.RESTORE, key, said, following, notes=notes))


def _take_outputs(
    context: Context, key: Key, targets: Sequence[Target], proof: Path | None, archive: Path | None
) -> list[Output]:
    """Proof and archive. Raises UsageError if one cannot be written, or would destroy something else."""
    outputs, taken = outputs_of(context, (target.url for target in targets)), []
    for path, option, kind in (proof, "--certificate", certificate_of(key.id)), (archive, "--archive", ARCHIVE):
        if path is None:
            continue
        if fault := write_refusal(path):
            raise UsageError(f"{option} {path}: {fault}")
        taken.append(outputs.take(path, f"{option} {path}", kind))
        # It cannot keep the other names of a file that has several.
        read_whole(path)
    if archive:
        check_archived(key)
    if archive and (fault := legible_to_others(archive)):
        raise UsageError(fault)
    return taken


def _of_shared(session: Session, case: Case, *, forced: bool) -> list[str]:
    """Notes on the keys of other sets that were made of the retired key's secret; dates those that went with it."""
    notes = []
    for one in case.shared:
        if one.same_place or not one.is_left:
            notes.append(f"{one.words}, was made of the same secret, and is gone with it")
            notes += record_date(replace(session, service=one.context.service), one.key, "retired", forced=forced)
        else:
            notes.append(f"{one.words}, is made of the same secret, and stays: it has a place of its own there")
    return notes


def _undated(session: Session, keys: EnvironmentKeys, primary: str) -> str:
    """A note on a primary key of which the ledger does not know when it took over."""
    newer = history_of(primary, [*keys.states], session.attempt(Ledger.keys) or (), session.service).newer
    if not newer:
        step = f"if it is the right one, `keyring-rotate keys promote {primary}` records that"
        return f"{UNDATED.format(primary)}, {NOT_COMPARED}; {step}"
    newest, promotion = max(newer.items(), key=lambda item: item[1].latest)
    return f"{NEWER.format(newest, promotion.words(), primary)}, {NOT_COMPARED}"


def _after(archive: Path | str | None) -> Steps:
    """The steps after a retirement that has kept the key in *archive*."""
    store = f"move {archive}, which holds the key, to the place of your backups' keys"
    return Steps(store if archive else CHECK, when=f"{DISTRIBUTE} Then:")


def _finish_retirement(context: Context, keys: EnvironmentKeys, key_id: str) -> StepResult | None:
    """Records a retirement whose process died when it had removed the key. None if the ledger knows of none.

    Raises UsageError if the ledger knows that the key was retired, and the environment does not have it.
    """
    if key_id in keys.states:
        return None
    with Session.open(lambda: context.open_ledger(make=False), context.service, OnFailure.NOTE) as session:
        records = session.attempt(Ledger.keys) or ()
        cut_short = session.attempt(lambda ledger: ledger.cut_short(session.service, keys.states)) or {}
    certified = cut_short.get(key_id)
    if certified is None:
        own = (one for one in records if (one.id, one.service) == (key_id, context.service))
        if retired := next((one.retired for one in own if one.retired), None):
            raise UsageError(f"{key_id} was retired at {to_second(retired)}.", Steps(CHECK))
        return None
    archive = certified.get("archive")
    notes = [] if archive else [NOT_ARCHIVED]
    done = StepResult(KeyStep.RETIRE, GoneKey(key_id), "", _after(archive), notes=notes)
    done.said = f"Retired {key_id}: {CUT_SHORT}; its certificate is of {certified.get('retired')}"
    with open_session(context, keys.states) as session:
        done.notes += record_date(session, done.key, "retired", forced=certified.get("forced") is True)
    return done
