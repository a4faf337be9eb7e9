"""Keys of other key sets that need a key: made of the same secret, or stored as tokens under it.

The first may change with it, and go with it; without it nothing opens the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import NamedTuple

from keyring_core import Key, KeyConfigError, KeyConfigWarning, Keyring, KeyState
from keyring_core.environment import Settings
from keyring_core.errors import InvalidToken, UndecryptableToken
from rotation.configuration.key_sets import KeyPlaces
from rotation.configuration.key_sources import KeySource, ReadKey
from rotation.context import Context
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.transitions import MOVES, KeyStep
from rotation.model.failures import StoreError
from rotation.model.next_steps import Refusal
from rotation.retirement import words
from rotation.stores.key_cells import token_in


class SharedSecret(NamedTuple):
    """A key of another key set that is made of the same secret as a key of this one."""

    context: Context
    """With the keys of the other set."""
    state: KeyState
    source: KeySource
    key: Key
    same_place: bool
    """True if it is read in the same variable or file. The place that a command reads is not known."""

    @property
    def words(self) -> str:
        """The key, its state and its key set."""
        return f"{self.key.id}, a {self.state} key of {self.context.keys.words}"

    @property
    def may_follow(self) -> bool:
        """True if an edit of the place may change it."""
        return self.same_place or self.source.command is not None

    @property
    def lost(self) -> Refusal | None:
        """The refusal for a key that the other set has as its primary or staged key."""
        if self.state.is_superseded:
            return None
        return words.lost(self.context.keys.words, self.state, may_follow=self.may_follow)

    def settings(self) -> Settings:
        """The keys of the other set as they are now. Raises KeyConfigError."""
        with warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
            return self.context.load_settings(self.context.inputs.read_environ())

    @property
    def is_left(self) -> bool:
        """True if the other set has it now."""
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
    environ = context.inputs.read_environ()
    place, secret = keys.source(key).origin(environ), keys.text(key)
    found, uncompared = [], []
    for name in (None, *context.key_sets()):
        if name == context.key_set:
            continue
        other = context.with_keys(name)
        for state, source in other.keys.sources(environ):
            held, same_place = _held(other, state, source), source.origin(environ) == place
            if held is None and (source.command or source.cell):
                uncompared.append(
                    f"the secret of {other.keys.words}, {state} key, could not be read, so it was not checked that "
                    "this key has another one"
                )
            for one in held or ():
                if one.key == key or _is_same(one.text, secret, same_place=same_place):
                    found.append(SharedSecret(other, state, source, one.key, same_place))
    return Shared(found, uncompared)


def _held(context: Context, state: KeyState, source: KeySource) -> list[ReadKey] | None:
    """The keys that the set of *context* makes of what *source* leads to now; None if it makes none."""
    rings = context.key_rings(context.inputs.read_environ())
    with suppress(KeyConfigError, StoreError), warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
        return list(rings.keys_of(source, state, rings.keys.words))
    return None


def _is_same(one: str, other: str, *, same_place: bool) -> bool:
    """True if two texts are one secret; in the *same_place* also if one is a line of the other."""
    first, second = (text.encode("utf-8", "surrogateescape").strip() for text in (one, other))
    return compare_digest(first, second) or (same_place and (first in second or second in first))


def losses(context: Context, keys: EnvironmentKeys, step: KeyStep, key: Key) -> Iterator[Refusal]:
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


def _origins(
    context: Context, keys: KeyPlaces, state: KeyState | None = None, rule: tuple[object, ...] | None = None
) -> set[str]:
    """The places where *keys* are read: the keys of that state, or all that are made by that rule."""
    environ = context.inputs.read_environ()
    return {
        source.origin(environ)
        for has, source in keys.sources(environ)
        if state in {None, has} and rule in {None, source.rule}
    }


def wrapped_under(context: Context, keyring: Keyring, key: Key) -> Iterator[Refusal]:
    """A refusal for each cell with a key that is under *key*, one of *keyring*, or that cannot be read.

    A search would not find a cell in a database that no target is in. Raises StoppedError.
    """
    for cell in context.keys.cells_under(context.inputs.read_environ()):
        fault = None
        try:
            found = token_in(cell, wait=context.streams.wait, links=context.links)
            # A token that no key here opens is under another key. Whatever does not read as a token may be one that
            # the application reads in a way of its own.
            with suppress(UndecryptableToken):
                if found and keyring.key_for(found.content) == key:
                    yield words.wraps_key(f"{found.words}: {cell.place}", context.keys.name)
        except InvalidToken as error:
            fault = f"{cell.place}: {found.words if found else ''}: {error}."
        except (KeyConfigError, StoreError) as error:
            fault = str(error)
        if fault:
            yield words.may_wrap_key(fault, key.id)
