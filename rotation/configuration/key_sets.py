"""Key sets: `[keys.NAME]` of rotation.toml in, keys out. Each key is read, and derived, in a way of its own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, NamedTuple

import msgspec

from keyring_core import KeyConfigError, KeyState
from keyring_core.environment import KEY_VARIABLES, PRIMARY, KeyVariables, names_primary, variables_of
from keyring_core.key_commands import keep_from_commands
from keyring_core.key_text import may_be_secret
from keyring_core.sources import read_source
from rotation.configuration.key_sources import KeyCell, KeySource, SaltColumn
from rotation.configuration.settings import Section, hint, said
from rotation.model.failures import UsageError

_NAME = re.compile(r"\w[\w.-]{0,49}", re.ASCII)


class KeySet(Section, frozen=True):
    """`[keys.NAME]`: the keys of some targets."""

    primary: Annotated[KeySource, said("the key that encrypts", '{ secret = "$NAME" }')]
    staged: Annotated[KeySource | None, said("the next key", '{ secret = "$NEXT_NAME" }')] = None
    previous: Annotated[
        tuple[KeySource, ...], said("a list of older keys, newest first", '[{ secret = "$OLD_NAME" }]')
    ] = ()
    suspended: Annotated[
        tuple[KeySource, ...],
        said(
            "a list of previous keys that services hold and refuse to open tokens with", '[{ secret = "$TRIED_NAME" }]'
        ),
    ] = ()

    def sources(self) -> Iterator[tuple[KeyState, str, KeySource]]:
        """Each source with the state of its keys, and its place in the set in words."""
        yield KeyState.PRIMARY, "primary", self.primary
        if self.staged:
            yield KeyState.STAGED, "staged", self.staged
        for number, source in enumerate(self.previous, 1):
            yield KeyState.PREVIOUS, f"previous {number}", source
        for number, source in enumerate(self.suspended, 1):
            yield KeyState.SUSPENDED, f"suspended {number}", source

    @property
    def salt_columns(self) -> tuple[str, ...]:
        """The columns of its targets that hold the salts of their keys, each once."""
        salts = [source.salt for _, _, source in self.sources()]
        return tuple(dict.fromkeys(salt.column for salt in salts if isinstance(salt, SaltColumn)))

    def at(self, urls: Collection[str]) -> KeySet:
        """The same with a url for each cell that names none: the only one of *urls*, those of the set's targets."""
        if len(urls) != 1:
            return self
        [url] = urls

        def located(source: KeySource) -> KeySource:
            is_open = source.cell is not None and source.url is None
            return msgspec.structs.replace(source, url=url) if is_open else source

        staged = self.staged and located(self.staged)
        previous, suspended = (tuple(map(located, those)) for those in (self.previous, self.suspended))
        return KeySet(located(self.primary), staged, previous, suspended)


def keep_from_key_commands(sets: Mapping[str, KeySet | None]) -> None:
    """Key commands do not get the variables of *sets*, which are in force: those of a known application may not be."""
    for keys in filter(None, sets.values()):
        for _, _, source in keys.sources():
            keep_from_commands(*filter(None, (source.variable, source.salt_variable)))


class KeyPlaces(NamedTuple):
    """The places of the keys of one job: a key set's, or the environment's own.

    It holds no secret, so it may travel to workers.
    """

    name: str | None = None
    """None: the environment's own."""
    sets: Mapping[str, KeySet | None] = {}
    """All of rotation.toml, and None for each other one: its keys are where services read them."""
    folder: str = ""
    """The folder of rotation.toml, from which a relative path in the url of a cell counts."""

    def of(self, name: str | None) -> KeyPlaces:
        """The places of another set's keys."""
        return self._replace(name=name)

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
        names = self.variables.states
        for state in KeyState:
            name = names[state]
            file, command = environ.get(f"{name}_FILE"), environ.get(f"{name}_COMMAND")
            yield state, KeySource(None if file or command else f"${name}", file, command)

    def cells_under(self, environ: Mapping[str, str]) -> Iterator[KeyCell]:
        """The cells in which any set has keys that the keys of this set open; none is read."""
        for name, keys in self.sets.items():
            for state, place, source in keys.sources() if keys else ():
                if source.cell and source.keys == self.name:
                    yield KeyCell(source, state, f"[keys.{name}] {place} ({source.place})", environ, self.folder)


ENVIRONMENT = KeyPlaces()
"""The environment's own keys, if there is no rotation.toml."""


def check_sets(sets: Mapping[str, KeySet]) -> None:
    """Raises UsageError if a name cannot be typed as it is, or a source does not fit.

    Also for a key in a cell, if that is under a set that is missing or has keys of rows, or in the end under itself.
    """
    for name, keys in sets.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"[keys.{name!r}]: a name has up to 50 letters, digits, dots, hyphens and underscores")
        for _, place, source in keys.sources():
            for fault in source.faults():
                raise UsageError(f"[keys.{name}] {place}: {fault}")
    under: dict[str, set[str]] = {}
    for name, keys in sets.items():
        for _, place, source in keys.sources():
            if source.keys is None:
                continue
            if source.keys not in sets:
                fault = f"rotation.toml has no [keys.{source.keys}]; {hint(source.keys, sets)}"
                raise UsageError(f"[keys.{name}] {place}: keys: {fault}")
            if isinstance(sets[source.keys].primary.salt, SaltColumn):
                raise UsageError(
                    f"[keys.{name}] {place}: keys: [keys.{source.keys}] makes a key for each row, and none for a cell; "
                    "name another key set"
                )
            under.setdefault(name, set()).add(source.keys)
    try:
        TopologicalSorter(under).prepare()
        return
    except CycleError as error:
        circle = [f"[keys.{name}]" for name in reversed(error.args[1])]
    raise UsageError(
        f"{' is in a cell under '.join(circle)}: so no key opens the first of them. Give one of them a `secret`, a "
        "`file` or a `command`"
    )


def check_name(name: str, sets: Iterable[str], environ: Mapping[str, str], whose: str) -> None:
    """Raises UsageError if neither *sets* nor *environ* have a key set *name*; *whose* setting names it."""
    known = list(sets)
    if name in known:
        return
    fault = f"{whose}: rotation.toml has no [keys.{name}]"
    with suppress(KeyConfigError):
        variables = variables_of(name)
        if names_primary(environ, variables):
            return
        fault += f", and {variables.primary} is not set"
    raise UsageError(f"{fault}; {hint(name, known)}")


def held_passphrase(environ: Mapping[str, str]) -> str | bytes | None:
    """The text that ENCRYPTION_KEY holds in place of a key, if an application may make its key of it.

    None if it is a key, or is not set, or if a command prints it: that is not run for this. Raises KeyConfigError.
    """
    if environ.get(f"{PRIMARY}_COMMAND"):
        return None
    found = read_source(PRIMARY, environ, comments=False)
    return found.text if found and may_be_secret(found.text) else None
