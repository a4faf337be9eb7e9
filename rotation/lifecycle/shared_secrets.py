"""Keys of other key sets that are made of what holds a key: they change with it, and go with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from keyring_core import Key, KeyConfigError, KeyConfigWarning, KeyState
from keyring_core.environment import Settings
from rotation.context import Context
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.retirement_census import gather
from rotation.lifecycle.transitions import MOVES, Step
from rotation.model.failures import MissingError
from rotation.model.key_sets import Keys, KeySource
from rotation.model.targets import Target
from rotation.retirement.decision import Refusal, refusals


class SharedSecret(NamedTuple):
    """A key of another key set that is read where a key of this one is."""

    context: Context
    """With the keys of the other set."""
    state: KeyState
    source: KeySource
    key: Key

    @property
    def words(self) -> str:
        """Which key it is."""
        return f"{self.key.id}, a {self.state} key of {self.context.keys.words}"

    @property
    def service(self) -> str:
        """What the ledger calls whose key it is."""
        return self.context.service


def sharing(context: Context, keys: EnvironmentKeys, key: Key) -> list[SharedSecret]:
    """The keys of other sets that are made of what holds *key*, one of *keys*. Raises UsageError."""
    environ, place, found = context.read_environ(), keys.source(key).origin(context.read_environ()), []
    for name in (None, *context.key_sets()):
        if name == context.key_set:
            continue
        other = context.with_keys(name)
        for state, source in other.keys.sources(environ):
            # A secret that fits no key there is none: that set does not load.
            with suppress(KeyConfigError), warnings.catch_warnings():
                warnings.simplefilter("ignore", KeyConfigWarning)
                if source.origin(environ) == place:
                    made = source.derivation(environ, str(name)).key(keys.text(key), allow_weak=True)
                    found.append(SharedSecret(other, state, source, made))
    return found


def losses(context: Context, keys: EnvironmentKeys, step: Step, key: Key) -> Iterator[Refusal]:
    """A refusal for each key of another set that would be nowhere in that set, once *step* moved its secret."""
    for move, moved in zip(MOVES[step], (key, keys.settings.primary), strict=False):
        new = _origins(context, context.keys, move.after)
        for one in sharing(context, keys, moved):
            alike = _origins(context, one.context.keys, rule=one.source.rule)
            if new and not new & alike:
                yield Refusal(
                    f"{one.words}, is made of the same secret, which moves to {', '.join(sorted(new))}, and that set "
                    "does not read it there",
                    f"add that to {one.context.keys.words}, with the same derivation, or give it a secret of its own",
                )


def needs(session: Session, shared: Sequence[SharedSecret], targets: Sequence[Target]) -> list[Refusal]:
    """Every reason to keep the secret for the keys of other sets. Errors as `gather`."""
    return [
        Refusal(f"{one.words}, is made of the same secret: {reason}", remedy)
        for one in shared
        for reason, remedy in _needs(session, one, targets)
    ]


def _needs(session: Session, one: SharedSecret, targets: Sequence[Target]) -> Sequence[Refusal]:
    whose = one.context.keys.words
    if one.state is not KeyState.PREVIOUS:
        return [Refusal(f"{whose} would have no {one.state} key", f"give {whose} a secret of its own")]
    own = [target for target in targets if target.keys == one.context.key_set]
    if not own:
        return []
    fault = None
    try:
        settings = _settings(one.context)
        evidence, _ = gather(
            one.context, replace(session, service=one.service), settings, one.key, targets=own, everything=targets
        )
    except KeyConfigError as error:
        # A reason is one line.
        fault = str(error).replace("\n", " ")
    except MissingError:
        if not all(target.optional for target in own):
            raise
        return []
    return [Refusal(fault, "correct that, then run this again")] if fault else refusals(evidence)


def _settings(context: Context) -> Settings:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        return context.load_settings(context.read_environ())


def _origins(
    context: Context, keys: Keys, state: KeyState | None = None, rule: tuple[object, ...] | None = None
) -> set[str]:
    """Where *keys* are read: those of that state, or all that are made by that rule."""
    environ = context.read_environ()
    return {
        source.origin(environ)
        for has, source in keys.sources(environ)
        if state in {None, has} and rule in {None, source.rule}
    }
