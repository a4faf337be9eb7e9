"""The case against a suspension: stored tokens that services would refuse, and counts that say nothing of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keyring_core import Key, KeyConfigError, KeyState
from keyring_core.environment import Settings
from keyring_core.keyring import RotationKeyring
from rotation.context import Context
from rotation.ledger.key_uses import KnownUse
from rotation.ledger.records import CensusRecord, place_of, took_over
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.other_sets import SharedSecret, losses, sharing, wrapped_under
from rotation.lifecycle.transitions import KeyStep
from rotation.model.next_steps import Refusal
from rotation.retirement import words
from rotation.retirement.evidence import of_censuses
from rotation.retirement.reasons import suspension_refusals
from rotation.stores.databases import identify

NO_COUNT = "the ledger has no count of the targets"
LEFT_OUT = "rows that a `where` leaves out were not counted: services would refuse their tokens"


def examine(
    context: Context, session: Session, keys: EnvironmentKeys, key: Key, known: KnownUse
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


def _refusals(context: Context, session: Session, settings: Settings, key: Key, known: KnownUse) -> list[Refusal]:
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
    known = session.attempt(lambda ledger: KnownUse.of(ledger, states, context.service)) or KnownUse()
    return _refusals(context, session, settings, one.key, known)


def _uncounted(
    context: Context,
    session: Session,
    states: Mapping[str, KeyState],
    censuses: Sequence[CensusRecord],
    known: KnownUse,
) -> list[str]:
    """The targets without a count of every row since the primary key took over, each with what is wrong.

    A sample may miss a token, and before that time services may have written under any other key.
    """
    if session.ledger is None:
        return ["there is no ledger with a count"]
    named = context.targets(needed=False) if context.is_configured or context.declares else []
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
