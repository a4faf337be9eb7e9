"""Key sets: `[keys.NAME]` of rotation.toml in, keys out. Each key is read, and derived, in a way of its own."""

from __future__ import annotations

import re
import secrets
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, NamedTuple

from keyring_core import Key, KeyConfigError, KeyConfigWarning, Keyring, KeyState
from keyring_core.derivation import KINDS, Derivation, protect
from keyring_core.environment import (
    ALLOW_WEAK_PREVIOUS,
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
from keyring_core.errors import WeakKeyError, without_frames
from keyring_core.key_commands import keep_from_commands
from keyring_core.key_files import is_missing, key_path
from keyring_core.key_text import split_key_list
from keyring_core.sources import COMMAND_SECONDS, FoundText, KeyOrigin, SourceKind, read_named, variable_in
from rotation.configuration.settings import Section, nearest, said
from rotation.model.failures import UsageError

LISTED = ("raw", "hex")
"""Derivations whose text may be a list of keys; a passphrase may hold a comma."""

VARIABLES = {KeyState.PRIMARY: PRIMARY, KeyState.PREVIOUS: PREVIOUS, KeyState.STAGED: STAGED}
"""The variable that holds the environment's own keys of each state."""

_NAME = re.compile(r"\w[\w.-]{0,49}", re.ASCII)
_FORMS = ("secret", "file", "command")


class KeySource(Section, frozen=True):
    """The origin of one key, or of several previous ones, and the derivation from the secret that is read there."""

    secret: Annotated[
        str | None,
        said(
            "`$NAME` of the variable that holds the secret",
            '"$NAME"',
            "this, `file` or `command` is needed",
            pattern=r"^\$(\w+|\{\w+\})$",
        ),
    ] = None
    file: Annotated[
        str | None,
        said("the file that holds the secret", '"/run/secrets/key"', "this, `secret` or `command` is needed"),
    ] = None
    command: Annotated[
        str | None,
        said(
            "the command that prints the secret, run without a shell",
            '"vault kv get -field=key app"',
            "this, `secret` or `file` is needed",
        ),
    ] = None
    derive: Annotated[
        str,
        said(
            f"how the application makes its key of the secret: {', '.join(f'`{kind}`' for kind in KINDS)}",
            '"sha256"',
            enum=list(KINDS),
        ),
    ] = "raw"
    salt: Annotated[
        str | None, said("of `pbkdf2-sha256` and `hkdf-sha256`: a text, or `$NAME` of a variable", '"$SALT"')
    ] = None
    info: Annotated[str | None, said("of `hkdf-sha256`", '"app/encryption"')] = None
    iterations: Annotated[int | None, said("of `pbkdf2-sha256`", "600000", minimum=1)] = None

    @property
    def variable(self) -> str | None:
        """The variable that holds the secret."""
        return variable_in(self.secret or "")

    @property
    def place(self) -> str:
        """The place of the secret, in words."""
        return self.secret or self.file or "command"

    @property
    def rule(self) -> tuple[object, ...]:
        """The rule of derivation: two sources with the same rule make the same key of a secret."""
        return self.derive, self.salt, self.info, self.iterations

    def origin(self, environ: Mapping[str, str]) -> str:
        """The holder of the secret: equal for all sources that read the same variable, file or command."""
        if self.file is not None:
            return str(key_path(self.file, environ, "file").resolve())
        return f"${self.variable}" if self.variable else f"`{self.command}`"

    def derivation(self, environ: Mapping[str, str], where: str) -> Derivation:
        """The derivation of the key from the secret. Raises KeyConfigError."""
        salt = self.salt
        if salt is not None and (name := variable_in(salt)):
            salt = environ.get(name)
            if salt is None:
                raise KeyConfigError(f"{where}: its salt is {self.salt}, and that variable is not set")
            # In a variable it may be secret: Mathesar's is its SECRET_KEY.
            protect(salt, "salt")
        return Derivation(self.derive, salt=salt, info=self.info, iterations=self.iterations)

    def new_text(self) -> str:
        """A new secret for a key of this kind, of 192 random bits or more."""
        if self.derive == "hex":
            return secrets.token_hex(32)
        if self.derive.startswith("raw"):
            return Key.generate().reveal().removesuffix("=" if self.derive == "raw-unpadded" else "")
        # 32 characters, which is what `text32` takes.
        return secrets.token_urlsafe(24)

    def faults(self) -> Iterator[str]:
        """The faults in its settings, in words that hold no value."""
        given = [name for name in _FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            yield f"takes one of {', '.join(_FORMS)}, and has {' and '.join(given) or 'none'}"
        if self.secret is not None and self.variable is None:
            yield 'secret is "$NAME" of a variable; a secret does not belong into this file'
        try:
            # Whatever a variable holds, it is a salt.
            Derivation(self.derive, salt=self.salt, info=self.info, iterations=self.iterations)
        except KeyConfigError as error:
            yield str(error)


KEY_ITSELF = KeySource()
"""The source of a key that is its own text."""


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


def keep_from_key_commands(sets: Mapping[str, KeySet | None]) -> None:
    """Key commands do not get the variables of *sets*, which are in force: those of a known application may not be."""
    for keys in filter(None, sets.values()):
        for _, _, source in keys.sources():
            keep_from_commands(*filter(None, (source.variable, variable_in(source.salt or ""))))


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


class ReadKey(NamedTuple):
    """A key, where it was read, and the text that it was made of."""

    state: KeyState
    key: Key
    place: str
    source: KeySource
    text: str

    def __repr__(self) -> str:
        return f"<ReadKey {self.key.id} {self.state} {self.place}>"


def settings_of_read(read: Iterable[ReadKey]) -> Settings:
    """The settings that the keys of a set make. Warnings and errors as for `keyring_core.config.load_settings`."""
    found: dict[KeyState, list[tuple[Key, str]]] = {state: [] for state in KeyState}
    for each in read:
        found[each.state].append((each.key, each.place))
    return settings_in(found)


def keys_of_source(source: KeySource, state: KeyState, where: str, environ: Mapping[str, str]) -> Iterator[ReadKey]:
    """The keys that *source* leads to now; *where* names it in messages. Raises KeyConfigError, and gives warnings."""
    found = _read(source, state, where, environ)
    if found is None or not found.text.strip():
        if state is KeyState.PRIMARY and source.derive in LISTED:
            Key.parse(None if found is None else found.text, where)
        if state is KeyState.PRIMARY:
            fault = "not set" if found is None else "empty"
            raise KeyConfigError(
                f"{where}: {fault}. Set the secret that the application uses, or name its dotenv file with --env-file."
            )
        # A deployment that has nothing to stage, or no older key, leaves the variable unset or empty.
        return
    derivation, whole = source.derivation(environ, where), found.text
    text = whole if isinstance(whole, str) else whole.decode("utf-8", "surrogateescape")
    listed = state is KeyState.PREVIOUS and source.derive in LISTED
    for item, place in split_key_list(text, where) if listed else [(text, where)]:
        yield ReadKey(state, _made(derivation, item, place, state, environ), place, source, item)


def _made(derivation: Derivation, text: str, place: str, state: KeyState, environ: Mapping[str, str]) -> Key:
    if state is not KeyState.PREVIOUS:
        return derivation.key(text, place)
    try:
        return derivation.key(text, place, allow_weak=environ.get(ALLOW_WEAK_PREVIOUS) == "1")
    except WeakKeyError as error:
        refusal = str(error)
    raise WeakKeyError(f"{refusal}\nIf data is stored under it, {ALLOW_WEAK_PREVIOUS}=1 admits it.")


def _read(source: KeySource, state: KeyState, where: str, environ: Mapping[str, str]) -> FoundText | None:
    if source.variable:
        text = environ.get(source.variable)
        return None if text is None else FoundText(text, where, KeyOrigin(SourceKind.VARIABLE))
    kind, value = (SourceKind.COMMAND, source.command) if source.file is None else (SourceKind.FILE, source.file)
    if kind is SourceKind.FILE and state is KeyState.STAGED and is_missing(key_path(source.file or "", environ, where)):
        # `keys stage` makes the file.
        return None
    return read_named(kind, value or "", where, environ, COMMAND_SECONDS, comments=source.derive in LISTED)
