"""List, stage, promote, retire, restore: checks order and refusals, writes the keys, records the date. Prints nothing.

Each step raises KeyConfigError if the environment's keys do not load.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from keyring_core import Key, KeyState
from keyring_core.environment import LEDGER_URL, PREVIOUS, STAGED
from rotation.configuration.targets import columns_of, own_targets
from rotation.context import Context
from rotation.discovery.result import Discovery, Remark
from rotation.kept_files import outputs_of
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Event, Ledger, utc_now
from rotation.ledger.records import LIVE, InstanceRecord, KeyDates, history_of, in_fleet, missing
from rotation.ledger.session import OnFailure, Session
from rotation.lifecycle.environment_keys import EnvironmentKeys, WrittenKeys
from rotation.lifecycle.retirement_case import Case, examine
from rotation.lifecycle.retirement_files import (
    ARCHIVE,
    Certificate,
    certificate,
    certificate_of,
    check_archived,
    find_archived,
    keep_files,
)
from rotation.lifecycle.shared_secrets import losses
from rotation.lifecycle.signatures import Signer
from rotation.lifecycle.transitions import KeyStep, check_order, find_key, promotion_refusals
from rotation.model.atomic_file import legible_to_others, read_whole, refusal
from rotation.model.failures import StoppedError, UsageError
from rotation.model.next_steps import CHECK, RUN, Next, Remedy, Steps, demotion_steps, read_the_rest, retire_step
from rotation.model.operator import operator
from rotation.model.outputs import Output
from rotation.model.target import Target
from rotation.model.text import many, to_second
from rotation.retirement import Refusal, Standing, of_censuses, refusals, standing

NO_LEDGER = "there is no ledger (no rotation.toml, no ROTATION_LEDGER_URL): no date was recorded, no service was asked"
UNDATED = "the ledger does not know when {} was promoted, so it was not checked whether older keys still make tokens"
NO_FLEET = (
    "no service announces its keys in the {} (rotation.fleet.announce), so it was not checked that all have them; "
    f"if they announce them in another ledger, set {LEDGER_URL}"
)
NO_ANNOUNCEMENTS = (
    "no service announces the keys of the key set {} (a service of yours: announce(keys=...)), so it was not checked "
    "that every process that uses it has them"
)
NOT_ARCHIVED = "This key is not archived. Without it, backups from before today cannot be read"
NOT_SEARCHED = (
    "more reasons may follow: of all other columns only a sample was searched; every row, in every database that this "
    "user may enter, is searched once nothing refuses any more"
)
DISTRIBUTE = "Give this to every service, and restart those that do not reload."


@dataclass(frozen=True)
class ListedKey(KeyDates):
    """One key of the environment, or one that was retired."""

    id: str
    state: str
    first_seen: datetime | None = None
    tokens: int | None = None
    """By the last census of each target; None without one."""
    standing: str | None = None
    """Of a previous key, by those censuses: `needed`, or `unproven`, since only `keys retire` reads everything."""
    remedy: Remedy | None = None
    """The remedy for the first reason to keep it."""


def list_keys(states: Mapping[str, KeyState], ledger: Ledger | None, service: str) -> list[ListedKey]:
    """The keys of *service* in their order, then missing and retired ones. Closes *ledger*. Raises LedgerError."""
    if ledger is None:
        return [ListedKey(key_id, str(state)) for key_id, state in states.items()]
    with ledger:
        known = ledger.keys()
        records = {key.id: key for key in known if key.service == service}
        censuses = [census for census in ledger.censuses() if census.service == service]
        fleet = in_fleet(ledger.instances(LIVE), states, service)
    retired = [key.id for key in records.values() if key.id not in states and key.retired]
    gone = dict.fromkeys((key.id for key in missing(states, known, service)), "missing") | dict.fromkeys(
        retired, "retired"
    )
    found = []
    for key_id in (*states, *gone):
        dates = asdict(records[key_id]) if key_id in records else {"id": key_id}
        for name in ("service", "event"):
            dates.pop(name, None)
        tokens = sum(census.counts.under.get(key_id, 0) for census in censuses) if censuses else None
        state = states.get(key_id) or gone[key_id]
        if state is KeyState.PREVIOUS:
            evidence = replace(
                of_censuses(key_id, states, [(census.label, census) for census in censuses], censuses, service),
                since=min((census.taken for census in censuses), default=None),
                fleet=fleet,
            )
            dates |= {"standing": str(standing(evidence)), "remedy": next((way for _, way in refusals(evidence)), None)}
        found.append(ListedKey(state=str(state), tokens=tokens, **dates))
    return found


def after_listing(keys: Sequence[ListedKey], key_set: str | None = None, *, salted: Collection[str] = ()) -> Steps:
    """The next steps with these keys; *salted* as for `retire_step`."""
    in_state = {state: [key.id for key in keys if key.state == state] for state in KeyState}
    if staged := in_state[KeyState.STAGED]:
        return Steps(Next(("keys", "promote"), keys=key_set), when=f"When every service has {staged[0]}:")
    if unneeded := [key.id for key in keys if key.standing == Standing.UNPROVEN and key.tokens is not None]:
        return read_the_rest(unneeded[-1], key_set, salted=salted)
    if previous := in_state[KeyState.PREVIOUS]:
        remedy = next((key.remedy for key in keys if key.id == previous[-1]), None) or RUN
        last = retire_step(previous[-1], key_set, salted=salted).after(f"when nothing needs {previous[-1]}:")
        return Steps(remedy, last)
    return Steps(Next(("keys", "stage"), keys=key_set), when="When the key is to change:")


@dataclass
class StepResult:
    """The result of one step."""

    step: KeyStep
    key: Key
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


def stage(context: Context) -> StepResult:
    """Makes a key and writes it as staged. Raises UsageError if one is staged, StoreError, and LedgerError."""
    keys = EnvironmentKeys(context)
    key = keys.new_key()
    check_order(keys.settings, KeyStep.STAGE, key, keys.keys)
    with _session(context, keys.states) as session:
        following = Steps(Next(("keys", "promote"), keys=context.key_set), when=f"{DISTRIBUTE} When all have it:")
        written = keys.take(KeyStep.STAGE, key)
        done = StepResult(KeyStep.STAGE, key, f"Staged {key.id}", following, written)
        done.notes = _mark(session, done) if session.ledger else [NO_LEDGER]
    return done


def promote(context: Context, key_id: str | None, force: str | None) -> StepResult:
    """Makes the staged key primary, or the previous key *key_id*. *force*: the key's id again, to override refusals.

    An interrupted promotion is finished; if the key is primary already, nothing is changed. Raises UsageError for a
    wrong key or order, StoreError, and LedgerError.
    """
    keys = EnvironmentKeys(context)
    primary, was = keys.settings.primary, keys.settings.primary.id
    # The variables that held the key of this promotion, if it is primary already.
    places = (STAGED, PREVIOUS) if key_id == was else (STAGED,) if key_id is None and not keys.settings.staged else ()
    if left := keys.left_behind(places):
        # The process of that promotion died between two files.
        with _session(context, keys.states) as session:
            said = f"Promoted {was}: finished what was cut short"
            done = StepResult(KeyStep.PROMOTE, primary, said, _then_run(), keys.finish(left))
            done.notes = _mark(session, done)
        return done
    if {key_id or force, force or key_id} == {was}:
        # An admin who types it again wants to see that it is done.
        return StepResult(KeyStep.PROMOTE, primary, f"{was} is the primary key already", RUN)
    key = find_key(keys.settings, key_id or keys.staged().id)
    step = KeyStep.PROMOTE if key == keys.settings.staged else KeyStep.GO_BACK
    check_order(keys.settings, step, key, keys.keys)
    _check_force(force, key)
    with _session(context, keys.states) as session:
        fleet = session.fleet(keys.states)
        said = f"Promoted {key.id}; {was} is a previous key now"
        done = StepResult(step, key, said, _then_run(), notes=_unchecked(context, session, fleet))
        if step is KeyStep.GO_BACK:
            done.notes.append(f"this goes back from {was} to {key.id}; do not go back to a key that leaked")
            back = Next(("keys", "promote", was, "--force", was), f"if {key.id} leaked, return:", context.key_set)
            done.following = Steps(back, RUN.after("otherwise:"), when=f"{DISTRIBUTE} Then:")
        against = [*promotion_refusals(fleet, key.id), *losses(context, keys, step, key)]
        if against and not force:
            done.refused = against
            return done
        done.notes += [f"forced, though {reason}" for reason, _ in against]
        done.written = keys.take(step, key)
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
    full_speed: bool = False,
    sign_with: Path | None = None,
) -> StepResult:
    """Removes the previous key *key_id* if nothing needs it. *force*: the key's id again, to override refusals.

    Counts the *targets* that have these keys, and searches all other columns of their servers. *proof* and
    *archive* are files to write: the certificate, and the key for old backups, which nothing else keeps. *sign_with*
    is the file of the key that signs the certificate.
    """
    if sign_with and not proof:
        raise UsageError("--sign-with signs a certificate; name its file with --certificate")
    signer = Signer.load(sign_with, f"--sign-with {sign_with}") if sign_with else None
    own, keys = own_targets(targets, context.key_set), EnvironmentKeys(context)
    _check_not_retired(context, keys, key_id)
    key = find_key(keys.settings, key_id)
    check_order(keys.settings, KeyStep.RETIRE, key, keys.keys)
    _check_force(force, key)
    outputs = _take_outputs(context, key, targets, proof, archive)
    with _session(context, keys.states) as session:
        case = examine(
            context,
            session,
            keys,
            key,
            targets=own,
            everything=targets,
            whatever=bool(force),
            full_speed=full_speed,
        )
        evidence, census, against = case.evidence, case.census, case.against
        if context.streams.stopping:
            # Even with --force: a retirement never rests on half a census.
            raise StoppedError("stopped on request. Nothing was changed.")
        # The keys may have changed during the census, and a certificate must not describe a retirement that then fails.
        keys.check_unchanged()
        unchecked = [*_unchecked(context, session, evidence.fleet), *case.unchecked]
        if session.ledger and evidence.promoted is None:
            unchecked.append(UNDATED.format(evidence.primary))
        store = f"move {archive}, which holds the key, to the place of your backups' keys"
        following = Steps(store if archive else CHECK, when=f"{DISTRIBUTE} Then:")
        done = StepResult(KeyStep.RETIRE, key, "", following, notes=list(unchecked), search=evidence.search)
        if against and not force:
            done.refused = against
            done.notes += [] if case.is_searched else [NOT_SEARCHED]
            return done
        done.certificate = certificate(
            evidence, census, session.service, utc_now(), overridden=against, unchecked=unchecked, by=session.by
        )
        done.said = f"Retired {key.id}: forced"
        if not against:
            cells, columns = many(done.certificate.cells, "cell"), columns_of([part.target for part in census.targets])
            whole = f"{cells} of {columns}, and all other columns that this database user can read"
            done.said = f"Retired {key.id}: no token that was read needs it ({whole})"
        done.notes += [f"forced, though {reason}" for reason, _ in against]
        done.notes += done.certificate.others
        if not archive:
            done.notes.append(NOT_ARCHIVED)
        else:
            # `check` watches the mode of the archive, as long as it stays there.
            done.certificate.archive = str(archive.resolve())
        # Before the key is removed: if the proof or the archive cannot be written, it stays.
        for output in outputs:
            output.check()
        kept = dict.fromkeys((key, *(need.shared.key for need in case.needs))) if archive else {}
        for each in kept:
            check_archived(each)
        done.certificate = keep_files(session, done.certificate, [*kept], proof=proof, archive=archive, signer=signer)
        done.kept = [path for path in (proof, archive) if path]
        done.written = keys.take(KeyStep.RETIRE, key)
        done.notes += _date(session, key, "retired", forced=bool(against))
        done.notes += _of_shared(session, case, forced=bool(against))
    return done


def restore(context: Context, key_id: str, archive: Path) -> StepResult:
    """Puts a retired key from *archive* back among the previous ones, for the tokens of a backup.

    Raises UsageError, StoreError, and LedgerError.
    """
    if warning := legible_to_others(archive):
        context.streams.warn(f"Warning: {warning}")
    keys, key = EnvironmentKeys(context), find_archived(archive, key_id)
    check_order(keys.settings, KeyStep.RESTORE, key, keys.keys)
    with _session(context, keys.states) as session:
        following = _then_run(retire_step(key.id, context.key_set))
        primary, records = keys.settings.primary.id, session.attempt(Ledger.keys) or ()
        if key.id in history_of(primary, [key.id], records, context.service).newer:
            # A key that was lost, or an older file of keys: a run would leave its tokens alone.
            later = f"{DISTRIBUTE} {key.id} was promoted later than the primary key {primary}:"
            following = Steps(demotion_steps(key.id, context.key_set), when=later)
        written, notes = keys.take(KeyStep.RESTORE, key), [] if session.ledger else [NO_LEDGER]
        notes += _date(session, key, "restored")
        return StepResult(KeyStep.RESTORE, key, f"Restored {key.id} as a previous key", following, written, notes)


def _then_run(*afterwards: Next) -> Steps:
    return Steps(RUN, *afterwards, when=f"{DISTRIBUTE} Then:")


@contextmanager
def _session(context: Context, states: Mapping[str, KeyState]) -> Iterator[Session]:
    """The ledger, opened before anything is changed; it records the keys as they are now."""
    with Session.open(context.open_ledger, context.service, OnFailure.RAISE, context.streams.warn) as session:
        session.by = operator(context.by, context.process_environ)
        session.see_keys(states, context.clock_skew())
        yield session


def _unchecked(context: Context, session: Session, fleet: Sequence[InstanceRecord]) -> list[str]:
    """The notes on checks that could not be made."""
    if session.ledger is None:
        return [NO_LEDGER]
    if fleet:
        return []
    if context.key_set is not None:
        return [NO_ANNOUNCEMENTS.format(context.key_set)]
    return [NO_FLEET.format(session.ledger.name)]


def _mark(session: Session, done: StepResult) -> list[str]:
    if done.written.manual:
        # A key that an operator has yet to store gets its date when it is found there.
        return []
    return _date(session, done.key, "staged" if done.step is KeyStep.STAGE else "promoted")


def _date(session: Session, key: Key, event: Event, *, forced: bool = False) -> list[str]:
    """Records the date of a step; returns a note if that fails, since the step stays done."""
    try:
        session.attempt(lambda ledger: ledger.mark(key.id, event, session.service, forced=forced, by=session.by))
    except LedgerError as error:
        return [f"the step is done, but its date was not recorded: {error}"]
    return []


def _check_force(force: str | None, key: Key) -> None:
    if force and force != key.id:
        raise UsageError(f"--force names {force}, and the key is {key.id}; type the id of the key that you mean")


def _take_outputs(
    context: Context, key: Key, targets: Sequence[Target], proof: Path | None, archive: Path | None
) -> list[Output]:
    """Proof and archive. Raises UsageError if one cannot be written, or would destroy something else."""
    outputs, taken = outputs_of(context, (target.url for target in targets)), []
    for path, option, kind in (proof, "--certificate", certificate_of(key.id)), (archive, "--archive", ARCHIVE):
        if path is None:
            continue
        if fault := refusal(path):
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
    for one, *_ in case.needs:
        if one.same_place or not one.is_left:
            notes.append(f"{one.words}, was made of the same secret, and is gone with it")
            notes += _date(replace(session, service=one.context.service), one.key, "retired", forced=forced)
        else:
            notes.append(f"{one.words}, is made of the same secret, and stays: it has a place of its own there")
    return notes


def _check_not_retired(context: Context, keys: EnvironmentKeys, key_id: str) -> None:
    """Raises UsageError if the ledger knows that the key was retired, and the environment does not have it."""
    if key_id in keys.states:
        return
    with Session.open(lambda: context.open_ledger(make=False), context.service, OnFailure.NOTE) as session:
        records = session.attempt(Ledger.keys) or ()
        own = (one for one in records if (one.id, one.service) == (key_id, session.service))
        if retired := next((one.retired for one in own if one.retired), None):
            raise UsageError(f"{key_id} was retired at {to_second(retired)}.", Steps(CHECK))
