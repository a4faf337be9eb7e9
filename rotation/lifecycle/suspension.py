"""Suspend and resume: the trial of a retirement. Services hold a suspended key, refuse its tokens, and report that."""

from __future__ import annotations

from dataclasses import replace

from keyring_core import KeyState
from keyring_core.environment import PREVIOUS
from rotation.context import Context
from rotation.ledger.key_uses import KnownUse
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.other_sets import losses
from rotation.lifecycle.steps import (
    DISTRIBUTE,
    NO_LEDGER,
    StepResult,
    check_force,
    mark,
    open_session,
    unchecked,
)
from rotation.lifecycle.suspension_case import examine
from rotation.lifecycle.transitions import KeyStep, check_order, find_key
from rotation.model.key_use import KeyUse, ReadRecord, in_words, trial
from rotation.model.next_steps import CHECK, RUN, Next, Steps, retire_step
from rotation.retirement.words import LOOK_ELSEWHERE

NOBODY = "no service has announced a read with it (rotation.fleet.announce)"


def suspend(context: Context, key_id: str, force: str | None = None) -> StepResult:
    """Makes services refuse the tokens under the previous key *key_id*. *force*: the key's id again.

    An interrupted suspension is finished; if the key is suspended already, nothing is changed. Raises UsageError for a
    wrong key or order, StoreError, and LedgerError.
    """
    keys = EnvironmentKeys(context)
    key = find_key(keys.settings, key_id)
    check_force(force, key)
    following = _watch(context, key_id, salted=key.salt_column is not None)
    if keys.states[key_id] is KeyState.SUSPENDED:
        with open_session(context, keys.states) as session:
            done = StepResult(KeyStep.SUSPEND, key, f"{key_id} is suspended already", following)
            # The process of that suspension died between two files.
            if left := keys.left_behind([PREVIOUS], key):
                done.said, done.written = f"Suspended {key_id}: finished what was cut short", keys.finish(left, key)
        return done
    check_order(keys.settings, KeyStep.SUSPEND, key, keys.keys)
    with open_session(context, keys.states) as session:
        known = _known(session, keys)
        use = known.use(key_id, keys.states)
        done = StepResult(KeyStep.SUSPEND, key, f"Suspended {key_id}: services refuse its tokens now", following)
        done.notes = [*unchecked(context, session, known.fleet), *_readers(use)]
        against, missing = examine(context, session, keys, key, known)
        done.notes += missing
        if against and not force:
            done.refused = against
            return done
        done.notes += [f"forced, though {reason}" for reason, _ in against]
        done.written = keys.take(KeyStep.SUSPEND, key)
        done.notes += mark(session, done)
    return done


def resume(context: Context, key_id: str) -> StepResult:
    """Makes the suspended key *key_id* a previous key again, and says who was refused meanwhile.

    Raises UsageError for a wrong key or order, StoreError, and LedgerError.
    """
    keys = EnvironmentKeys(context)
    key = find_key(keys.settings, key_id)
    check_order(keys.settings, KeyStep.RESUME, key, keys.keys)
    with open_session(context, keys.states) as session:
        use = _known(session, keys).use(key_id, keys.states)
        last = retire_step(key_id, context.key_set).after("when nothing reads with it any more:")
        # After a complete run no earlier read counts: whatever was refused has to be found before that.
        elsewhere = [LOOK_ELSEWHERE] if _refused(use) else []
        following = Steps(*elsewhere, RUN, last, when=f"{DISTRIBUTE} Then:")
        done = StepResult(KeyStep.RESUME, key, f"Resumed {key_id}: services open its tokens again", following)
        done.refused = [*losses(context, keys, KeyStep.RESUME, key)]
        if done.refused:
            return done
        done.notes = [NO_LEDGER] if session.ledger is None else [_meanwhile(use)]
        done.written = keys.take(KeyStep.RESUME, key)
        done.notes += mark(session, done)
    return done


def _known(session: Session, keys: EnvironmentKeys) -> KnownUse:
    states = keys.states
    return session.attempt(lambda ledger: KnownUse.of(ledger, states, session.service)) or KnownUse()


def _readers(use: KeyUse) -> list[str]:
    """Notes on who read with the key last."""
    if use.late:
        return [f"{in_words(use.late, use.since)}: it will be refused from now on"]
    return [f"last read: {in_words([use.last])}"] if use.last else [NOBODY]


def _meanwhile(use: KeyUse) -> str:
    """Who was refused since the key was suspended."""
    refused = _refused(use)
    if not refused:
        return "meanwhile nothing was refused, as far as services announced it"
    return f"meanwhile {in_words(refused, use.suspended)}"


def _refused(use: KeyUse) -> list[ReadRecord]:
    return replace(use, since=None).refused


def _watch(context: Context, key_id: str, *, salted: bool) -> Steps:
    last = retire_step(key_id, context.key_set, salted=[key_id] if salted else ())
    return Steps(
        CHECK.after("see what is refused:"),
        Next(("keys", "resume", key_id), "if something needs it:", context.key_set),
        last.after(f"if nothing does for {trial(context.suspend_days())}:"),
        when=f"{DISTRIBUTE} Then:",
    )
