"""The keys of an environment: loaded, checked, and written to the files that hold them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keyring_core import Key, KeyConfigWarning, Keyring, KeyState
from keyring_core.environment import PREVIOUS, PRIMARY, STAGED, Settings
from keyring_core.key_files import is_missing, key_path
from keyring_core.keys import check_told_apart
from rotation.configuration.key_sets import ENVIRONMENT, KEY_ITSELF, KeySet, KeySource, read_key_set, settings_of_read
from rotation.context import Context
from rotation.lifecycle.key_locations import (
    KeyLocation,
    Variables,
    check_unchanged,
    locations_of_environment,
    locations_of_set,
    write_edits,
)
from rotation.lifecycle.transitions import Edit, KeyStep, after, edits, held
from rotation.model.atomic_file import legible_to_others, mode_for_others
from rotation.model.failures import UsageError
from rotation.model.next_steps import RUN, Next, Steps


@dataclass
class WrittenKeys:
    """The outcome of a step's edits."""

    files: list[Path] = field(default_factory=list)
    """The files that were written."""
    manual: list[ManualEdit] = field(default_factory=list)
    """The values that an operator has to store, if this command may not write every file."""


@dataclass(frozen=True)
class ManualEdit:
    """A value that an operator has to store in one variable."""

    variable: str
    where: str
    """The place that holds its keys now."""
    keys: tuple[Key, ...]
    origins: tuple[str, ...]
    """The variable that holds each of the keys now; empty for a new key."""
    texts: tuple[str, ...] = field(repr=False)
    """The text of each of the keys there."""

    def words(self) -> str:
        """The keys to store in the variable, by their ids."""
        # Not as `NAME: id`: the redactor of a log would mask the id as a key.
        origins = zip(self.keys, self.origins, strict=True)
        named = ", ".join(f"{key.id} ({origin})" if origin else "a new key" for key, origin in origins)
        return f"{named or 'nothing'} -> {self.variable}, {self.where}"

    def value(self) -> str:
        """The keys themselves, as the variable's value."""
        return ",".join(self.texts)


class EnvironmentKeys:
    """The keys of one environment."""

    def __init__(self, context: Context) -> None:
        """Loads the keys, and prints warnings on stderr. Raises KeyConfigError."""
        self._context = context
        self._secrets: dict[Key, tuple[KeySource, str]] = {}
        with context.reporting_warnings():
            environ = self._environ()
            if self._set is None:
                self.settings = context.load_settings(environ)
            else:
                read = read_key_set(self._name, self._set, environ)
                self.settings = settings_of_read(read)
                self._secrets = {each.key: (each.source, each.text) for each in read}

    @property
    def states(self) -> dict[str, KeyState]:
        """Every key's state, by id."""
        return Keyring(*self.settings).states_by_id

    def staged(self) -> Key:
        """The staged key. Raises UsageError without one."""
        if self.settings.staged is None:
            primary = self.settings.primary.id
            following = Steps(
                RUN.after(f"if {primary} was promoted just now:"),
                Next(("keys", "stage"), "to begin a rotation:", self._context.key_set),
            )
            raise UsageError(f"no key is staged; {primary} is primary.", following)
        return self.settings.staged

    def text(self, key: Key) -> str:
        """The text of *key* for an application: the secret that it is made of, or its own text."""
        return self._secrets[key][1] if key in self._secrets else key.reveal()

    def source(self, key: Key) -> KeySource:
        """The source of *key*, one of these."""
        if key in self._secrets:
            return self._secrets[key][0]
        return dict(self._context.keys.sources(self._environ()))[self.states[key.id]]

    def new_key(self) -> Key:
        """A new key, to be staged; in a key set one that is derived as its staged key is."""
        if self._set is None:
            return Key.generate()
        source = self._set.staged or KEY_ITSELF
        text = source.new_text()
        key = source.derivation(self._environ(), f"[keys.{self._name}] staged").key(text)
        self._secrets[key] = source, text
        return key

    def check_unchanged(self) -> None:
        """Raises FileChangedError if the keys are no longer those that were loaded."""
        check_unchanged(self._load, self.settings)

    def take(self, step: KeyStep, key: Key) -> WrittenKeys:
        """Writes what *step* changes. If one of the files may not be written, writes none and returns manual edits.

        Raises KeyConfigError, and writes nothing, if two keys would sign alike.
        """
        # A primary key that is left in the staged variable would be staged once another key is primary.
        changes = [*self.left_behind([STAGED]), *edits(self.settings, step, key)]
        done = after(self.settings, step, key)
        # Checked before any file is written: an archive may hold a mistyped copy of a key, which nothing would load.
        check_told_apart({each: variable for variable, keys in held(done).items() for each in keys})
        locations = self._locations(key)
        if any(locations[change.variable].path is None for change in changes):
            return WrittenKeys(manual=[self._manual_edit(change, locations[change.variable]) for change in changes])
        written = self._write(changes, locations, done)
        self.settings = done
        return WrittenKeys(written)

    def left_behind(self, variables: Iterable[str]) -> list[Edit]:
        """The edits that remove the primary key from those *variables*, if a promotion was interrupted before."""
        locations = self._locations(self.settings.primary)
        return [Edit(name, held(self.settings)[name]) for name in variables if self._lingers(locations[name])]

    def finish(self, changes: Sequence[Edit]) -> WrittenKeys:
        """Writes the edits of `left_behind`; no key changes its state."""
        return WrittenKeys(self._write(changes, self._locations(self.settings.primary), self.settings))

    def _write(self, changes: Sequence[Edit], locations: Mapping[str, KeyLocation], done: Settings) -> list[Path]:
        """Writes the changes and returns the files; warns of each that other users can read. Raises UsageError."""
        self._check_apart()
        for path in dict.fromkeys(locations[change.variable].path for change in changes):
            if path and (mode := mode_for_others(path)):
                self._context.streams.warn(f"Warning: {legible_to_others(path, mode)}")
        return write_edits(changes, locations, self._load, self.settings, done)

    def _check_apart(self) -> None:
        """Raises UsageError if one file or variable is read for keys of two states: one would replace the other."""
        environ, dotenv = self._context.read_environ(), self._context.dotenv
        # The environment's own keys need no rotation.toml.
        keys = self._context.keys if self._name else ENVIRONMENT
        seen = {str(dotenv.path.resolve()): "variables"} if dotenv else {}
        for state, source in keys.sources(environ):
            words = f"{state} keys"
            if (first := seen.setdefault(source.origin(environ), words)) != words:
                raise UsageError(
                    f"{source.place} is read for {first} and for {words}, and one would take the place of the other; "
                    "name a place of its own for each"
                )

    def _lingers(self, location: KeyLocation) -> bool:
        """True if the primary key is stored there, too."""
        if location.path is None or not location.path.is_file():
            return False
        return self.settings.primary in [key for _, key in location.keys(location.path.read_bytes())]

    def _environ(self) -> Mapping[str, str]:
        environ = self._context.read_environ()
        form = f"{STAGED}_FILE"
        if (named := environ.get(form)) and is_missing(key_path(named, environ, form)):
            # No key is staged yet; `keys stage` makes the file.
            del environ[form]
        return environ

    def _load(self) -> Settings:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KeyConfigWarning)
            return self._context.load_settings(self._environ())

    def _locations(self, key: Key | None = None) -> dict[str, KeyLocation]:
        """The locations; of several entries of previous keys the one that holds *key*, otherwise the first."""
        dotenv = self._context.dotenv
        variables = Variables(self._context.read_environ(), dotenv and dotenv.path, self._context.read_env_file())
        if self._set is None:
            return locations_of_environment(variables)
        entries = self._set.previous
        holding = [entry for entry in entries if key in self._secrets and entry == self._secrets[key][0]]
        sources = {
            PRIMARY: self._set.primary,
            PREVIOUS: next(iter((*holding, *entries)), None),
            STAGED: self._set.staged,
        }
        return locations_of_set(self._name, sources, self._secrets, variables)

    @property
    def _name(self) -> str:
        return self._context.key_set or ""

    @property
    def _set(self) -> KeySet | None:
        return self._context.keys.sets[self._name] if self._name else None

    def _manual_edit(self, change: Edit, location: KeyLocation) -> ManualEdit:
        origins = tuple(self._origin(key, change.variable) for key in change.keys)
        texts = tuple(location.form.text(key) for key in change.keys)
        return ManualEdit(location.variable, location.why_not or str(location.path), change.keys, origins, texts)

    def _origin(self, key: Key, variable: str) -> str:
        now = next((name for name, keys in held(self.settings).items() if key in keys), "")
        return "as now" if now == variable else now and f"now in {self._locations()[now].variable}"
