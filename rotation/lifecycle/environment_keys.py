"""The keys of an environment: loaded, checked, and written to the files that hold them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, product
from pathlib import Path

from keyring_core import Key, KeyConfigError, KeyConfigWarning, KeyState
from keyring_core.environment import KEY_VARIABLES, Settings
from keyring_core.keyring import RotationKeyring
from keyring_core.keys import check_told_apart
from keyring_core.sources import is_missing, key_path
from rotation.configuration.key_sets import ENVIRONMENT
from rotation.configuration.key_sources import KEY_ITSELF, LISTED, KeySource
from rotation.context import Context
from rotation.lifecycle.key_file_edits import KeyLocation, items_of
from rotation.lifecycle.transitions import Edit, KeyStep, after, edits, held, state_of
from rotation.model.failures import StoreError, UsageError
from rotation.model.next_steps import RUN, THIS_AGAIN, Next, Steps
from rotation.world.atomic_file import FileChangedError, legible_to_others, read_whole, replace_whole, write_refusal
from rotation.world.key_rings import settings_of_read


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
        # The environment's own keys need no rotation.toml.
        self.keys = ENVIRONMENT if context.key_set is None else context.keys
        """The keys' set, and where they are."""
        self._secrets: dict[Key, tuple[KeySource, str]] = {}
        with context.reporting_warnings():
            environ = self._environ()
            if self.keys.written is None:
                self.settings = context.load_settings(environ)
            else:
                read = context.key_rings(environ).read()
                self.settings = settings_of_read(read)
                self._secrets = {each.key: (each.source, each.text) for each in read}

    @property
    def states(self) -> dict[str, KeyState]:
        """Every key's state, by id."""
        return RotationKeyring(*self.settings).states_by_id

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
        return dict(self.keys.sources(self._environ()))[self.states[key.id]]

    def new_key(self) -> Key:
        """A new key, to be staged; in a key set one that is derived as its staged key is."""
        if self.keys.written is None:
            return Key.generate()
        source = self.keys.written.staged or KEY_ITSELF
        if self.keys.written.staged is None and self.keys.written.primary.cell:
            raise UsageError(
                f"[keys.{self.keys.name}] has its primary key in a cell, and no `staged`: add one, with a `where` that "
                "chooses a new row, which is not there yet: docs/how-to/keys/key-in-a-cell.md"
            )
        text = source.new_text()
        key = source.derivation(self._environ(), self.keys.place(KeyState.STAGED)).key(text)
        self._secrets[key] = source, text
        return key

    def made_of(self, variables: Iterable[tuple[str, str]]) -> Iterator[Key]:
        """The keys that this set makes, by its rules of today, of the secrets in *variables*: those of an old file."""
        environ = self._environ()
        sources = [source for _, source in self.keys.sources(environ)] if self.keys.written else []
        names = {source.variable for source in sources}
        for source, (name, value) in product(sources, variables):
            for text in items_of(value) if source.derive in LISTED else [value]:
                with suppress(KeyConfigError), warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
                    if name in names and text:
                        key = source.derivation(environ, name).key(text, allow_weak=True)
                        self._secrets.setdefault(key, (source, text))
                        yield key

    def check_unchanged(self) -> None:
        """Raises FileChangedError if the keys are no longer those that were loaded."""
        if self._load() != self.settings:
            raise FileChangedError("the keys were changed while this command ran. Nothing was written; run it again.")

    def take(self, step: KeyStep, key: Key) -> WrittenKeys:
        """Writes what *step* changes. If one of the files may not be written, writes none and returns manual edits.

        Raises KeyConfigError, and writes nothing, if two keys would sign alike.
        """
        # A primary key that is left in the staged or the suspended variable would have that state once another key is
        # primary; a retired one that is left in the previous variable would be a previous key again.
        copies = self.left_behind([KeyState.PREVIOUS], key) if step is KeyStep.RETIRE else []
        changes = [*self.left_behind([KeyState.STAGED, KeyState.SUSPENDED]), *copies, *edits(self.settings, step, key)]
        done = after(self.settings, step, key)
        # Checked before any file is written: an archive may hold a mistyped copy of a key, which nothing would load.
        check_told_apart({each: KEY_VARIABLES.states[state] for state, keys in held(done).items() for each in keys})
        locations = self._locations([change.state for change in changes], key)
        if step is KeyStep.SUSPEND and self.keys.written and not self.keys.written.suspended:
            raise UsageError(
                f"[keys.{self.keys.name}] has no place for suspended keys. In rotation.toml, add `suspended = "
                f'[{{ secret = "$NAME" }}]` to it, with a variable of its own, or move the entry of {key.id} from '
                "`previous` into it."
            )
        for change in changes:
            self._check_stays_out(change, locations[change.state])
        if any(locations[change.state].source.cell for change in changes):
            return WrittenKeys(manual=[self._cell_edit(step, key, locations)])
        if any(locations[change.state].path is None for change in changes):
            return WrittenKeys(manual=[self._manual_edit(change, locations[change.state]) for change in changes])
        written = self._write(changes, locations, done)
        self.settings = done
        return WrittenKeys(written)

    def left_behind(self, states: Iterable[KeyState], key: Key | None = None) -> list[Edit]:
        """The edits that remove *key*, by default the primary one, from the places of *states* that it does not have.

        It is there if the process of a step died between two files.
        """
        key = key or self.settings.primary
        found = []
        for state, location in self._locations(states, key).items():
            path = location.path
            is_there = path and path.is_file() and key in [each for _, each in location.keys(path.read_bytes())]
            if is_there and key not in held(self.settings)[state]:
                found.append(Edit(state, held(self.settings)[state]))
        return found

    def finish(self, changes: Sequence[Edit], key: Key | None = None) -> WrittenKeys:
        """Writes the edits of `left_behind` for that *key*; no key changes its state."""
        locations = self._locations([change.state for change in changes], key or self.settings.primary)
        return WrittenKeys(self._write(changes, locations, self.settings))

    def _write(self, changes: Sequence[Edit], locations: Mapping[KeyState, KeyLocation], done: Settings) -> list[Path]:
        """Writes the changes, file by file in their order, and returns the files. Afterwards *done* is what loads.

        Warns of each file that other users can read. Raises UsageError, FileChangedError if the keys are no longer
        those that were loaded, and whatever `replace_whole` raises.
        """
        self._check_apart()
        parts = groupby(changes, key=lambda change: locations[change.state].path)
        files = [(path, list(part)) for path, part in parts if path]
        for path in dict.fromkeys(path for path, _ in files):
            if warning := legible_to_others(path):
                self._context.streams.warn(f"Warning: {warning}")
        # Each file is compared before the first write and before each rename, so that no other edit is lost.
        read = {path: read_whole(path) for path, _ in files}
        self.check_unchanged()
        # All contents are made before the first is written: a secret that has no form there stops no step half way.
        made, contents = {path: read[path].data for path in read}, []
        for path, part in files:
            for change in part:
                made[path] = locations[change.state].edit(made[path], change)
            contents.append((path, made[path]))
        for path, data in contents:
            if data != read[path].data:
                read[path] = replace_whole(read[path], data)
        if self._load() != done:
            raise StoreError(
                "the files are written, but the environment does not read as it should; nothing uses the new key yet. "
                "Look at the files.",
                Steps(Next(("keys", "list"))),
            )
        return [read[path].path for path in read]

    def _check_stays_out(self, change: Edit, location: KeyLocation) -> None:
        """Raises UsageError if a key that is in no variable would get into one, such as from its file into dotenv.

        A key that moves is where it is now; a new one, or one of an archive, goes where the primary key is.
        """
        if not location.makes_text:
            return
        for key in change.added:
            here = key if key.id in self.states else self.settings.primary
            source = self.source(here)
            # Nothing can write to a command: rotation.toml names a variable beside it on purpose.
            if source.variable or (source.command and self.keys.written):
                continue
            form, place = ("COMMAND", "comes from a command") if source.command else ("FILE", f"is in {source.place}")
            name = location.variable
            if self.keys.written:
                first = f"in rotation.toml, give these keys a `{form.lower()}` in place of ${name}"
            elif location.is_set:
                first = f"name a {form.lower()} in {name}_{form} in place of {name}, with what that has"
            else:
                first = f"name {'a command' if source.command else 'an empty file'} in {name}_{form}"
            raise UsageError(
                f"this would put a key into the variable {name}, and these keys are in none: {here.id} {place}. "
                "Nothing was changed.",
                Steps(f"{first}, here and in every service", THIS_AGAIN),
            )

    def _check_apart(self) -> None:
        """Raises UsageError if one file or variable is read for keys of two states: one would replace the other."""
        environ, dotenv = self._context.inputs.read_environ(), self._context.inputs.dotenv
        seen = {str(dotenv.path.resolve()): "variables"} if dotenv else {}
        for state, source in self.keys.sources(environ):
            words = f"{state} keys"
            if (first := seen.setdefault(source.origin(environ), words)) != words:
                raise UsageError(
                    f"{source.place} is read for {first} and for {words}, and one would take the place of the other; "
                    "name a place of its own for each"
                )

    def _environ(self) -> Mapping[str, str]:
        environ = self._context.inputs.read_environ()
        if self.keys.written is not None:
            return environ
        for state in (KeyState.STAGED, KeyState.SUSPENDED):
            form = f"{self.keys.place(state)}_FILE"
            if (named := environ.get(form)) and is_missing(key_path(named, environ, form)):
                # No key is in that state yet; `keys stage` and `keys suspend` make the file.
                del environ[form]
        return environ

    def _load(self) -> Settings:
        with warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
            return self._context.load_settings(self._environ())

    def _locations(self, states: Iterable[KeyState], key: Key | None = None) -> dict[KeyState, KeyLocation]:
        """The locations of *states*; of several entries of previous keys the one with *key*, otherwise the first."""
        in_file = self._context.inputs.read_dotenv()
        environ = {**self._context.inputs.process_environ, **in_file}
        sources: dict[KeyState, KeySource] = {}
        for state, source in self.keys.sources(environ):
            if state not in sources or (key in self._secrets and source == self._secrets[key][0]):
                sources[state] = source
        return {state: self._location(state, sources.get(state), environ, in_file) for state in states}

    def _location(
        self, state: KeyState, source: KeySource | None, environ: Mapping[str, str], in_file: Mapping[str, str]
    ) -> KeyLocation:
        """The location of the keys of *state*. *environ* is the whole environment, and *in_file* the dotenv file's."""
        key_set, dotenv, where = self._context.key_set, self._context.inputs.dotenv, self.keys.place(state)
        name, path, in_dotenv, known = where, None, False, self._secrets
        is_set = makes_text = False
        if source is None:
            source, known, words = KEY_ITSELF, {}, "not set; name a variable or a file of its own there"
        elif source.cell:
            words = source.place
        elif source.command:
            words = "read by a command" if self.keys.written else f"read by the command in {where}_COMMAND"
        elif source.file:
            path, words = key_path(source.file, environ, where), f"in {source.file}"
        else:
            name, words = source.variable or where, "set in the environment"
            is_set, makes_text = name in environ, name in in_file or name not in environ
            if dotenv and makes_text:
                path, words, in_dotenv = dotenv.path, f"in {dotenv.path}", True
        if path and (fault := write_refusal(path)):
            path, words = None, f"{words}: {fault}"
        derivation = source.derivation(environ, where)
        return KeyLocation(name, path, words, in_dotenv, source, derivation, known, key_set, is_set, makes_text)

    def _manual_edit(self, change: Edit, location: KeyLocation) -> ManualEdit:
        origins = tuple(self._origin(key, change.state) for key in change.keys)
        texts = tuple(map(location.text, change.keys))
        where = str(location.path) if location.path else location.words
        return ManualEdit(location.variable, where, change.keys, origins, texts)

    def _cell_edit(self, step: KeyStep, key: Key, locations: Mapping[KeyState, KeyLocation]) -> ManualEdit:
        """The edit of a row that no command makes. Raises UsageError for a step that only moves entries."""
        whose = self._context.key_set
        if step is KeyStep.STAGE:
            location = locations[KeyState.STAGED]
            words = f"a row of its own, which [keys.{whose}] staged chooses, with a token under [keys.{{}}]"
            opens = location.source.keys
            token = self._context.with_keys(opens).load_keyring().encrypt(location.text(key))
            return ManualEdit(location.words, words.format(opens), (key,), ("",), (token,))
        if step is KeyStep.RETIRE:
            state = self.states[key.id]
            words = f"take its entry out of rotation.toml, and then delete the row in the {self.source(key).place}"
            return ManualEdit(f"[keys.{whose}] {state}", words, (), (), ())
        if step is KeyStep.RESTORE:
            raise UsageError(
                f"[keys.{whose}] has its previous keys in cells, which no command writes. In rotation.toml, add "
                f'{{ file = "{key.id}.keys" }} to `previous`, with the path of the archive.'
            )
        fault = f"[keys.{whose}] has keys in cells, which no command writes. In rotation.toml, "
        if step in {KeyStep.SUSPEND, KeyStep.RESUME}:
            there, to = ("previous", "suspended") if step is KeyStep.SUSPEND else ("suspended", "previous")
            raise UsageError(f"{fault}move the entry of {key.id} from `{there}` to `{to}`.")
        was = "staged" if step is KeyStep.PROMOTE else "previous"
        raise UsageError(
            f"{fault}make the entry of {key.id} in `{was}` the new `primary`, and the old `primary` the first of "
            "`previous`.",
            Steps(RUN),
        )

    def _origin(self, key: Key, state: KeyState) -> str:
        now = state_of(self.settings, key)
        return "as now" if now is state else f"now in {self._locations([now])[now].variable}" if now else ""
