"""Keys of other key sets that are made of the secret of a key: they may change with it, and go with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hmac import compare_digest
from typing import NamedTuple

from keyring_core import Key, KeyConfigError, KeyConfigWarning, KeyState
from keyring_core.environment import Settings
from rotation.configuration.key_sets import Keys, KeySource, ReadKey, keys_of_source
from rotation.context import Context
from rotation.discovery.result import Discovery
from rotation.ledger.session import Session
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.retirement_census import count
from rotation.lifecycle.transitions import MOVES, Step
from rotation.model.failures import MissingError
from rotation.model.target import Target
from rotation.retirement.decision import Refusal, refusals
from rotation.retirement.evidence import Evidence

UNCOMPARED = "the secret of {}, {} key, could not be read, so it was not checked that this key has another one"


class SharedSecret(NamedTuple):
    """A key of another key set that is made of the same secret as a key of this one."""

    context: Context
    """With the keys of the other set."""
    state: KeyState
    source: KeySource
    key: Key
    same_place: bool
    """Whether it is read in the same variable or file. Nobody knows what a command reads."""

    @property
    def words(self) -> str:
        """Which key it is."""
        return f"{self.key.id}, a {self.state} key of {self.context.keys.words}"

    @property
    def service(self) -> str:
        """What the ledger calls whose key it is."""
        return self.context.service

    @property
    def may_follow(self) -> bool:
        """Whether an edit of the place may change it."""
        return self.same_place or self.source.command is not None

    @property
    def is_left(self) -> bool:
        """Whether the other set has it now."""
        held = _held(self.context, self.state, self.source)
        return held is not None and self.key in [one.key for one in held]


class Shared(NamedTuple):
    """The keys of other sets that are made of one secret."""

    keys: Sequence[SharedSecret] = ()
    uncompared: Sequence[str] = ()
    """The sources whose secrets could not be read, in words."""


def sharing(context: Context, keys: EnvironmentKeys, key: Key) -> Shared:
    """The keys of other sets that are made of the secret of *key*, one of *keys*, wherever they read it.

    Raises UsageError.
    """
    if not context.key_sets():
        return Shared()
    environ = context.read_environ()
    place, secret = keys.source(key).origin(environ), keys.text(key)
    found, uncompared = [], []
    for name in (None, *context.key_sets()):
        if name == context.key_set:
            continue
        other = context.with_keys(name)
        for state, source in other.keys.sources(environ):
            held, same_place = _held(other, state, source), source.origin(environ) == place
            if held is None and source.command:
                uncompared.append(UNCOMPARED.format(other.keys.words, state))
            for one in held or ():
                if one.key == key or _is_same(one.text, secret, same_place=same_place):
                    found.append(SharedSecret(other, state, source, one.key, same_place))
    return Shared(found, uncompared)


def _held(context: Context, state: KeyState, source: KeySource) -> list[ReadKey] | None:
    """The keys that the set of *context* makes of what *source* leads to now; None if it makes none."""
    with suppress(KeyConfigError), warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        return list(keys_of_source(source, state, context.keys.words, context.read_environ()))
    return None


def _is_same(one: str, other: str, *, same_place: bool) -> bool:
    """Whether two texts are one secret; in the *same_place* also if one is a line of the other."""
    first, second = (text.encode("utf-8", "surrogateescape").strip() for text in (one, other))
    return compare_digest(first, second) or (same_place and (first in second or second in first))


def losses(context: Context, keys: EnvironmentKeys, step: Step, key: Key) -> Iterator[Refusal]:
    """A refusal for each key of another set that would be nowhere in that set, once *step* moved its secret."""
    for move, moved in zip(MOVES[step], (key, keys.settings.primary), strict=False):
        new = _origins(context, context.keys, move.after)
        for one in sharing(context, keys, moved).keys:
            alike = _origins(context, one.context.keys, rule=one.source.rule)
            if one.may_follow and new and not new & alike:
                yield Refusal(
                    f"{one.words}, is made of the same secret, which moves to {', '.join(sorted(new))}, and that set "
                    "does not read it there",
                    f"add that to {one.context.keys.words}, with the same derivation, or give it a secret of its own",
                )


class Need(NamedTuple):
    """What speaks for keeping a secret for a key of another set."""

    shared: SharedSecret
    evidence: Evidence | None = None
    """On that key."""
    against: Sequence[Refusal] = ()
    """The reasons that need no evidence."""

    def refusals(self, search: Discovery | None, fault: str | None) -> list[Refusal]:
        """Every reason, with what a *search* found; or why it failed."""
        of_key = refusals(replace(self.evidence, search=search, search_fault=fault)) if self.evidence else ()
        words = f"{self.shared.words}, is made of the same secret"
        return [Refusal(f"{words}: {reason}", remedy) for reason, remedy in (*self.against, *of_key)]


def count_need(session: Session, one: SharedSecret, targets: Sequence[Target]) -> Need:
    """What a census of the targets of the other set says. Errors as `count`."""
    whose = one.context.keys.words
    if one.state is not KeyState.PREVIOUS:
        lost = f"{whose} would have no {one.state} key" if one.may_follow else f"{whose} has it as its {one.state} key"
        return Need(one, against=[Refusal(lost, f"give {whose} a secret of its own")])
    own = [target for target in targets if target.keys == one.context.key_set]
    if not own:
        return Need(one)
    fault = None
    try:
        settings = _settings(one.context)
        evidence, _ = count(
            one.context, replace(session, service=one.service), settings, one.key, targets=own, everything=targets
        )
    except KeyConfigError as error:
        # A reason is one line.
        fault = str(error).replace("\n", " ")
    except MissingError:
        if not all(target.optional for target in own):
            raise
        return Need(one)
    return Need(one, against=[Refusal(fault, "correct that, then run this again")]) if fault else Need(one, evidence)


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
