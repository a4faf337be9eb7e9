"""The states of a key and the steps between them, as one table of allowed moves. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from keyring_core import Key, KeyState
from keyring_core.environment import Settings
from rotation.configuration.key_sets import ENVIRONMENT, KeyPlaces
from rotation.ledger.records import InstanceRecord, lacking
from rotation.model.failures import UsageError
from rotation.model.next_steps import RUN, STATUS, Next, Refusal, Steps
from rotation.retirement.words import restart


class KeyStep(StrEnum):
    """A step that an operator takes with a key."""

    STAGE = "stage"
    PROMOTE = "promote"
    GO_BACK = "go back"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETIRE = "retire"
    RESTORE = "restore"


class Move(NamedTuple):
    """From one of several states to another; None is outside the environment."""

    before: Collection[KeyState | None]
    after: KeyState | None


MOVES: Mapping[KeyStep, tuple[Move, ...]] = {
    KeyStep.STAGE: (Move([None], KeyState.STAGED),),
    KeyStep.PROMOTE: (Move([KeyState.STAGED], KeyState.PRIMARY), Move([KeyState.PRIMARY], KeyState.PREVIOUS)),
    KeyStep.GO_BACK: (Move([KeyState.PREVIOUS], KeyState.PRIMARY), Move([KeyState.PRIMARY], KeyState.PREVIOUS)),
    KeyStep.SUSPEND: (Move([KeyState.PREVIOUS], KeyState.SUSPENDED),),
    KeyStep.RESUME: (Move([KeyState.SUSPENDED], KeyState.PREVIOUS),),
    KeyStep.RETIRE: (Move([KeyState.PREVIOUS, KeyState.SUSPENDED], None),),
    KeyStep.RESTORE: (Move([None], KeyState.PREVIOUS),),
}
"""The moves of each step: first of the step's own key, then of the key that it displaces."""

WRITES = (
    (KeyState.PREVIOUS, True, False),
    (KeyState.SUSPENDED, True, False),
    (KeyState.STAGED, True, False),
    (KeyState.PRIMARY, True, True),
    (KeyState.PREVIOUS, False, True),
    (KeyState.SUSPENDED, False, True),
    (KeyState.STAGED, False, True),
)
"""The order of writes: a variable's state, and whether keys are added and removed then. Each variable may have its own
file. A key is added to its new variable before it is removed from the old one, so that a process that dies in between
loses no key, and the same command finishes the work."""


class Edit(NamedTuple):
    """The new keys of one state. Added keys come before all others."""

    state: KeyState
    keys: tuple[Key, ...]
    added: tuple[Key, ...] = ()


def find_key(settings: Settings, key_id: str) -> Key:
    """The key with that id. Raises UsageError, which lists the known ids or the nearest one."""
    known = {key.id: key for key in all_keys(settings)}
    if key_id in known:
        return known[key_id]
    near = difflib.get_close_matches(key_id, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UsageError(f"no key {key_id} in this environment; {hint}")


def check_order(settings: Settings, step: KeyStep, key: Key, keys: KeyPlaces = ENVIRONMENT) -> None:
    """Raises UsageError if *step* is out of order for *key*; the message has the step that comes first."""
    state = state_of(settings, key)
    if state not in MOVES[step][0].before:
        fault = _OUT_OF_ORDER[step].format(id=key.id, state=state)
        if step in {KeyStep.RETIRE, KeyStep.SUSPEND} and settings.previous:
            fault += f" Here that is {' or '.join(each.id for each in settings.previous)}."
        raise UsageError(fault, *_steps_before(settings, step, key, state, keys))
    if step is KeyStep.STAGE and settings.staged:
        raise UsageError(
            f"{settings.staged.id} is staged already; two at once would leave services with different ones.",
            Steps(Next(("keys", "promote"), keys=keys.name)),
        )


def edits(settings: Settings, step: KeyStep, key: Key) -> list[Edit]:
    """The changes of *step*, state by state, in the order in which it is safe to write them."""
    moved = zip(MOVES[step], (key, settings.primary), strict=False)
    moves = [(state_of(settings, each), move.after, each) for move, each in moved]
    now, found = held(settings), []
    for state, coming, going in WRITES:
        added = tuple(each for _, after, each in moves if coming and after is state)
        gone = tuple(each for before, _, each in moves if going and before is state)
        if gone or added:
            now[state] = (*added, *(other for other in now[state] if other not in (*gone, *added)))
            found.append(Edit(state, now[state], added))
    return found


def after(settings: Settings, step: KeyStep, key: Key) -> Settings:
    """The keys after *step*."""
    found = held(settings) | {change.state: change.keys for change in edits(settings, step, key)}
    primary, previous, staged, suspended = (found[state] for state in KeyState)
    return Settings(primary[0], previous, next(iter(staged), None), suspended)


def held(settings: Settings) -> dict[KeyState, tuple[Key, ...]]:
    """The keys of each state."""
    return {
        KeyState.PRIMARY: (settings.primary,),
        KeyState.PREVIOUS: settings.previous,
        KeyState.STAGED: (settings.staged,) if settings.staged else (),
        KeyState.SUSPENDED: settings.suspended,
    }


def all_keys(settings: Settings) -> list[Key]:
    """The keys of all states, the primary one first."""
    return [key for keys in held(settings).values() for key in keys]


def state_of(settings: Settings, key: Key) -> KeyState | None:
    """The state of *key*; None if it is not there."""
    return next((state for state, keys in held(settings).items() if key in keys), None)


def promotion_refusals(fleet: Sequence[InstanceRecord], key_id: str, now: datetime) -> list[Refusal]:
    """A refusal for each live instance that could not read what is written under the key *key_id*."""
    return [
        Refusal(f"{one.words} does not have {key_id}", restart(one, "give it the key", now))
        for one in lacking(fleet, key_id)
    ]


_OUT_OF_ORDER = {
    KeyStep.STAGE: "{id} is {state} already",
    KeyStep.PROMOTE: "{id} is {state}, not staged",
    KeyStep.GO_BACK: "{id} is {state}; what goes back to being primary is a previous key",
    KeyStep.RESTORE: "{id} is {state} already",
    KeyStep.SUSPEND: "{id} is {state}, and only a previous key can be suspended.",
    KeyStep.RESUME: "{id} is {state}, not suspended",
    KeyStep.RETIRE: "{id} is {state}, and only a previous key can be retired.",
}


def _steps_before(
    settings: Settings, step: KeyStep, key: Key, state: KeyState | None, keys: KeyPlaces
) -> Iterator[Steps]:
    if step is KeyStep.GO_BACK and state is KeyState.SUSPENDED:
        yield Steps(Next(("keys", "resume", key.id), "resume it first:", keys.name))
    elif step in {KeyStep.RETIRE, KeyStep.SUSPEND} and state is KeyState.PRIMARY:
        left = ["promote"] if settings.staged else ["stage", "promote"]
        yield Steps(*(Next(("keys", word), keys=keys.name) for word in left), RUN)
    elif step in {KeyStep.RETIRE, KeyStep.SUSPEND}:
        place = keys.place(KeyState.STAGED)
        yield Steps(STATUS.after("see that no token is under it:"), f"take it out of {place} everywhere")
