"""Key sets: `[keys.NAME]` of rotation.toml in, keys out. Each key is read, and derived, in a way of its own."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, NamedTuple

from keyring_core import Key, KeyConfigError, KeyConfigWarning, Keyring, KeyState
from keyring_core.environment import (
    KEY_VARIABLES,
    PREVIOUS,
    PRIMARY,
    STAGED,
    KeyVariables,
    Settings,
    load_settings,
    names_primary,
    settings_in,
    variables_of,
)
from keyring_core.errors import without_frames
from keyring_core.key_commands import keep_from_commands
from rotation.configuration.key_sources import KeySource, ReadKey, SaltColumn, keys_of_source
from rotation.configuration.settings import Section, nearest, said
from rotation.model.failures import UsageError

VARIABLES = {KeyState.PRIMARY: PRIMARY, KeyState.PREVIOUS: PREVIOUS, KeyState.STAGED: STAGED}
"""The variable that holds the environment's own keys of each state."""

_NAME = re.compile(r"\w[\w.-]{0,49}", re.ASCII)


class KeySet(Section, frozen=True):
    """`[keys.NAME]`: the keys of some targets."""

    primary: Annotated[KeySource, said("the key that encrypts", '{ secret = "$NAME" }')]
    staged: Annotated[KeySource | None, said("the next key", '{ secret = "$NEXT_NAME" }')] = None
    previous: Annotated[
        tuple[KeySource, ...], said("a list of older keys, newest first", '[{ secret = "$OLD_NAME" }]')
    ] = ()

    def sources(self) -> Iterator[tuple[KeyState, str, KeySource]]:
        """Each source with the state of its keys, and its place in the set in words."""
        yield KeyState.PRIMARY, "primary", self.primary
        if self.staged:
            yield KeyState.STAGED, "staged", self.staged
        for number, source in enumerate(self.previous, 1):
            yield KeyState.PREVIOUS, f"previous {number}", source

    @property
    def salt_columns(self) -> tuple[str, ...]:
        """The columns of its targets that hold the salts of their keys, each once."""
        salts = [source.salt for _, _, source in self.sources()]
        return tuple(dict.fromkeys(salt.column for salt in salts if isinstance(salt, SaltColumn)))


def keep_from_key_commands(sets: Mapping[str, KeySet | None]) -> None:
    """Key commands do not get the variables of *sets*, which are in force: those of a known application may not be."""
    for keys in filter(None, sets.values()):
        for _, _, source in keys.sources():
            keep_from_commands(*filter(None, (source.variable, source.salt_variable)))


class Keys(NamedTuple):
    """The keys of one job: a key set's, or the environment's own. Holds no secret, so it may be sent to workers."""

    name: str | None = None
    """None: the environment's own."""
    sets: Mapping[str, KeySet | None] = {}
    """All of rotation.toml, and None for each other one: its keys are where services read them."""

    @property
    def words(self) -> str:
        """Whose keys they are, in words."""
        return f"the key set {self.name}" if self.name else "the environment"

    @property
    def written(self) -> KeySet | None:
        """The key set as rotation.toml has it; None if services and this program read the same variables."""
        return None if self.name is None else self.sets[self.name]

    @property
    def variables(self) -> KeyVariables:
        """The variables that services read for these keys. Raises KeyConfigError if no service can have the set."""
        return KEY_VARIABLES if self.name is None else variables_of(self.name)

    def place(self, state: KeyState) -> str:
        """The setting or variable that has the keys of *state*."""
        return self.variables.states[state] if self.written is None else f"[keys.{self.name}] {state}"

    def sources(self, environ: Mapping[str, str]) -> Iterator[tuple[KeyState, KeySource]]:
        """The places where *environ* has the keys of each state; no key is read."""
        if self.written is not None:
            yield from ((state, source) for state, _, source in self.written.sources())
            return
        for state in VARIABLES:
            name = self.variables.states[state]
            file, command = environ.get(f"{name}_FILE"), environ.get(f"{name}_COMMAND")
            yield state, KeySource(None if file or command else f"${name}", file, command)

    @without_frames
    def keyring(self, environ: Mapping[str, str]) -> Keyring:
        """The keyring that *environ* has for these keys. Raises KeyConfigError."""
        return Keyring(*self.settings(environ))

    @without_frames
    def settings(self, environ: Mapping[str, str]) -> Settings:
        """The keys themselves. Raises KeyConfigError."""
        # A worker gets the sets without rotation.toml.
        keep_from_key_commands(self.sets)
        if self.written is None:
            return load_settings(environ, self.variables)
        return settings_of_read(self.read(environ))

    @without_frames
    def read(self, environ: Mapping[str, str]) -> list[ReadKey]:
        """The keys of a set that rotation.toml has, one by one. Raises KeyConfigError, and gives warnings."""
        return [
            each
            for state, place, source in (self.written.sources() if self.written else ())
            for each in keys_of_source(source, state, f"[keys.{self.name}] {place} ({source.place})", environ)
        ]

    def every(self, environ: Mapping[str, str], loaded: dict[str | None, Keyring | None]) -> dict[str | None, Keyring]:
        """The keyring of each set, the environment's own first; without those that cannot be loaded.

        What is in *loaded* is not read again, since a key may come from a command; the rest is added to it.
        """
        with warnings.catch_warnings():
            # Their own commands print them.
            warnings.simplefilter("ignore", KeyConfigWarning)
            for name in (None, *self.sets):
                if name not in loaded:
                    loaded[name] = None
                    with suppress(KeyConfigError):
                        loaded[name] = Keys(name, self.sets).keyring(environ)
        return {name: keyring for name in (None, *self.sets) if (keyring := loaded[name])}

    def others(self, environ: Mapping[str, str], loaded: dict[str | None, Keyring | None]) -> list[tuple[str, Keyring]]:
        """All keyrings but this one, each with its name in words, as `every` has them."""
        if not self.sets:
            return []
        found = self.every(environ, loaded)
        return [(Keys(name, self.sets).words, keyring) for name, keyring in found.items() if name != self.name]


ENVIRONMENT = Keys()
"""The environment's own keys, if there is no rotation.toml."""


def check_set(name: str, keys: KeySet) -> None:
    """Raises UsageError if the name cannot be typed as it is, or a source of *keys* does not fit."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"[keys.{name!r}]: a name has up to 50 letters, digits, dots, hyphens and underscores")
    for _, place, source in keys.sources():
        for fault in source.faults():
            raise UsageError(f"[keys.{name}] {place}: {fault}")


def check_name(name: str, sets: Iterable[str], environ: Mapping[str, str], whose: str) -> None:
    """Raises UsageError if neither *sets* nor *environ* have a key set *name*; *whose* setting names it."""
    known = list(sets)
    if name in known:
        return
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
    fault = f"{whose}: rotation.toml has no [keys.{name}]"
    with suppress(KeyConfigError):
        variables = variables_of(name)
        if names_primary(environ, variables):
            return
        fault += f", and {variables.primary} is not set"
    raise UsageError(f"{fault}; {hint}")


def settings_of_read(read: Iterable[ReadKey]) -> Settings:
    """The settings that the keys of a set make. Warnings and errors as for `keyring_core.config.load_settings`."""
    found: dict[KeyState, list[tuple[Key, str]]] = {state: [] for state in KeyState}
    for each in read:
        found[each.state].append((each.key, each.place))
    return settings_in(found)
