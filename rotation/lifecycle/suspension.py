"""Suspend and resume: the trial of a retirement. Services hold a suspended key, refuse its tokens, and report that.

Against a suspension are stored tokens that services would refuse, and counts that say nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keyring_core import Key, KeyConfigError, KeyState
from keyring_core.environment import Settings
from keyring_core.keyring import RotationKeyring
from rotation.context import Context
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.records import CensusRecord, place_of, took_over
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.other_sets import SharedSecret, losses, sharing, wrapped_under
from rotation.lifecycle.steps import (
    CUT_SHORT,
    DISTRIBUTE,
    NO_LEDGER,
    StepResult,
    check_force,
    open_session,
    take,
    unchecked,
)
from rotation.lifecycle.transitions import KeyStep, check_order, find_key
from rotation.model.key_use import in_words, trial
from rotation.model.next_steps import CHECK, RUN, Next, Refusal, Steps, retire_step
from rotation.retirement import words
from rotation.retirement.evidence import of_censuses
from rotation.retirement.reasons import suspension_refusals
from rotation.retirement.words import LOOK_ELSEWHERE
from rotation.stores.databases import identify

NO_COUNT = "the ledger has no count of the targets"
LEFT_OUT = "rows that a `where` leaves out were not counted: services would refuse their tokens"
NOBODY = "no service has announced a read with it (rotation.fleet.announce)"


def suspend(context: Context, key_id: str, force: str | None = None) -> StepResult:
    """Makes services refuse the tokens under the previous key *key_id*. *force*: the key's id again.

    An interrupted suspension is finished; if the key is suspended already, nothing is changed. Raises UsageError for a
    wrong key or order, StoreError, and LedgerError.
    """
    keys = EnvironmentKeys(context)
    key = find_key(keys.settings, key_id)
    check_force(force, key)
    last_step = retire_step(key_id, context.key_set, salted=[key_id] if key.salt_column is not None else ())
    following = Steps(
        CHECK.after("see what is refused:"),
        Next(("keys", "resume", key_id), "if something needs it:", context.key_set),
        last_step.after(f"if nothing does for {trial(context.inputs.any_policy().suspend_days)}:"),
        when=f"{DISTRIBUTE} Then:",
    )
    if keys.states[key_id] is KeyState.SUSPENDED:
        with open_session(context, keys.states) as session:
            done = StepResult(KeyStep.SUSPEND, key, f"{key_id} is suspended already", following)
            # The process of that suspension died between two files.
            if left := keys.left_behind([KeyState.PREVIOUS], key):
                done.said, done.written = f"Suspended {key_id}: {CUT_SHORT}", keys.finish(left, key)
        return done
    check_order(keys.settings, KeyStep.SUSPEND, key, keys.keys)
    with open_session(context, keys.states) as session:
        known = KeyUses.in_session(session, keys.states)
        use = known.of_key(key_id, keys.states)
        done = StepResult(KeyStep.SUSPEND, key, f"Suspended {key_id}: services refuse its tokens now", following)
        last = [f"last read: {in_words([use.last])}"] if use.last else [NOBODY]
        late = [f"{in_words(use.late, use.since)}: it will be refused from now on"] if use.late else last
        done.notes = [*unchecked(context, session, known.fleet), *late]
        against, missing = _against(context, session, keys, key, known)
        done.notes += missing
        return take(session, keys, done, against, force)


def resume(context: Context, key_id: str) -> StepResult:
    """Makes the suspended key *key_id* a previous key again, and says who was refused meanwhile.

    Raises UsageError for a wrong key or order, StoreError, and LedgerError.
    """
    keys = EnvironmentKeys(context)
    key = find_key(keys.settings, key_id)
    check_order(keys.settings, KeyStep.RESUME, key, keys.keys)
    with open_session(context, keys.states) as session:
        use = KeyUses.in_session(session, keys.states).of_key(key_id, keys.states)
        last = retire_step(key_id, context.key_set).after("when nothing reads with it any more:")
        # After a complete run no earlier read counts: whatever was refused has to be found before that.
        refused = replace(use, since=None).refused
        elsewhere = [LOOK_ELSEWHERE] if refused else []
        following = Steps(*elsewhere, RUN, last, when=f"{DISTRIBUTE} Then:")
        done = StepResult(KeyStep.RESUME, key, f"Resumed {key_id}: services open its tokens again", following)
        against = [*losses(context, keys, KeyStep.RESUME, key)]
        if not against:
            nothing = "nothing was refused, as far as services announced it"
            meanwhile = f"meanwhile {in_words(refused, use.suspended) if refused else nothing}"
            done.notes = [NO_LEDGER] if session.ledger is None else [meanwhile]
        return take(session, keys, done, against)


def _against(
    context: Context, session: Session, keys: EnvironmentKeys, key: Key, known: KeyUses
) -> tuple[list[Refusal], list[str]]:
    """Every reason not to suspend *key*, one of *keys*, and notes on what was not counted. Reads keys in cells.

    Raises UsageError, and StoppedError.
    """
    against = _refusals(context, session, keys.settings, key, known)
    for one in sharing(context, keys, key).keys:
        if one.may_follow and one.state is KeyState.PREVIOUS:
            with_it = f"{one.words}, is made of the same secret, and is suspended with it"
            against += [Refusal(f"{with_it}: {reason}", remedy) for reason, remedy in _of_shared(session, one)]
    against += losses(context, keys, KeyStep.SUSPEND, key)
    partial = any(census.target.where for census in session.censuses() if census.service == context.service)
    return against, [LEFT_OUT] if partial else []


def _refusals(context: Context, session: Session, settings: Settings, key: Key, known: KeyUses) -> list[Refusal]:
    keyring = RotationKeyring(*settings)
    states = keyring.states_by_id
    censuses = [census for census in session.censuses() if census.service == context.service]
    titled = [(census.label, census) for census in censuses]
    evidence = replace(
        of_censuses(key.id, states, titled, censuses, context.service),
        fleet=known.fleet,
        wrapped=[*wrapped_under(context, keyring, key)],
    )
    uncounted = _uncounted(context, session, states, censuses, known)
    return suspension_refusals(evidence, uncounted, has_ledger=session.ledger is not None)


def _of_shared(session: Session, one: SharedSecret) -> list[Refusal]:
    """The reasons not to suspend the key of another set that changes with this one."""
    context = one.context
    try:
        settings = one.settings()
    except KeyConfigError as error:
        return [words.not_loaded(str(error))]
    states = RotationKeyring(*settings).states_by_id
    known = KeyUses.in_session(session, states, context.service)
    return _refusals(context, session, settings, one.key, known)


def _uncounted(
    context: Context,
    session: Session,
    states: Mapping[str, KeyState],
    censuses: Sequence[CensusRecord],
    known: KeyUses,
) -> list[str]:
    """The targets without a count of every row since the primary key took over, each with what is wrong.

    A sample may miss a token, and before that time services may have written under any other key.
    """
    if session.ledger is None:
        return ["there is no ledger with a count"]
    named = context.targets(needed=False) if context.inputs.is_configured or context.declares else []
    own = [target for target in named if target.keys == context.key_set]
    if named and not own and any(context.keys.cells_under({})):
        # A set that only wraps keys has no target.
        return []
    places = {census.place: census for census in censuses}
    if not places:
        return [NO_COUNT]
    # A version of an application may lack an optional one. What is no target any more is counted by no run.
    at = {place_of(context.service, identify(target)): target for target in own}
    judged = {place: target.label for place, target in at.items() if place in places or not target.optional}
    older = [each for each, state in states.items() if state.is_superseded]
    primary = next(each for each, state in states.items() if state is KeyState.PRIMARY)
    promoted = took_over(primary, older, known.records, context.service)
    whole, found = {census.place: census for census in session.censuses(whole=True)}, []
    for place, label in (judged or {place: census.label for place, census in places.items()}).items():
        if place not in places:
            found.append(f"{label}: the ledger has no count of it")
        elif place not in whole:
            found.append(f"{label}: only a sample of it was counted")
        elif promoted and whole[place].taken < promoted.latest and not known.is_late(promoted.latest):
            found.append(f"{label}: its last count is from before {primary} became the primary key")
    return found
