"""An environment's keys as a command finds and changes them: read, checked, written where they stand."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyring_core import Key, KeyConfigWarning, Keyring, KeyState
from keyring_core.config import STAGED, Settings, load_settings
from keyring_core.key_files import key_path
from keyring_core.keys import check_told_apart
from rotation.context import Context
from rotation.lifecycle.key_locations import Place, check_unchanged, find_places, write_edits
from rotation.lifecycle.transitions import Edit, Step, after, edits, held
from rotation.model.atomic_file import legible_to_others, mode_for_others
from rotation.model.failures import UsageError


@dataclass
class Written:
    """What became of a step's edits."""

    files: list[Path] = field(default_factory=list)
    """The files that were written."""
    todo: list[Todo] = field(default_factory=list)
    """Where no file is ours to write: what somebody has to put where."""


@dataclass(frozen=True)
class Todo:
    """What a variable is to hold, for somebody to put there."""

    variable: str
    where: str
    """What holds its keys now."""
    keys: tuple[Key, ...]
    origins: tuple[str, ...]
    """Where each of the keys stands now; empty for a new one."""

    def words(self) -> str:
        """What to put where, by ids."""
        # Not as `NAME: id`, which a log would take for a key and mask.
        origins = zip(self.keys, self.origins, strict=True)
        named = ", ".join(f"{key.id} ({origin})" if origin else "a new key" for key, origin in origins)
        return f"{named or 'nothing'} -> {self.variable}, {self.where}"

    def value(self) -> str:
        """The keys themselves, as the variable takes them."""
        return ",".join(key.reveal() for key in self.keys)

    def document(self, *, show_key: bool) -> dict[str, Any]:
        """For JSON."""
        document: dict[str, Any] = {
            "variable": self.variable,
            "where": self.where,
            "keys": [key.id for key in self.keys],
        }
        return document | ({"value": self.value()} if show_key else {})


class KeyDesk:
    """The keys of one environment."""

    def __init__(self, context: Context) -> None:
        """Raises KeyConfigError where the environment's keys do not load; tells warnings on stderr."""
        self._context = context
        with context.reporting_warnings():
            self.settings = load_settings(self._environ())

    @property
    def states(self) -> dict[str, KeyState]:
        """Every key's state, by id."""
        return Keyring(*self.settings).states_by_id

    def staged(self) -> Key:
        """The staged key. Raises UsageError where none is."""
        if self.settings.staged is None:
            raise UsageError("no key is staged.\nNext: rotate.py keys stage")
        return self.settings.staged

    def check_unchanged(self) -> None:
        """Raises FileChangedError where the keys are no longer those that were read."""
        check_unchanged(self._load, self.settings)

    def take(self, step: Step, key: Key) -> Written:
        """Writes what *step* changes, or tells it where a file is missing; then nothing is written at all.

        Raises KeyConfigError, and writes nothing, where the keys would sign alike.
        """
        # A primary key that was left in the staged place would count there once another one is primary.
        changes = [*self.left_behind([STAGED]), *edits(self.settings, step, key)]
        done = after(self.settings, step, key)
        # Before a file is written that nothing would load: an archive may hold a mistyped copy of a key.
        check_told_apart({each: variable for variable, keys in held(done).items() for each in keys})
        places = self._places()
        if any(places[change.variable].path is None for change in changes):
            return Written(todo=[self._todo(change, places[change.variable]) for change in changes])
        written = self._write(changes, places, done)
        self.settings = done
        return Written(written)

    def files(self) -> set[Path]:
        """The files that hold this environment's keys, without symbolic links."""
        return {place.path.resolve() for place in self._places().values() if place.path}

    def left_behind(self, variables: Iterable[str]) -> list[Edit]:
        """What takes the primary key out of those *variables*, where a promotion was cut short before that."""
        places = self._places()
        return [Edit(name, held(self.settings)[name]) for name in variables if self._lingers(places[name])]

    def finish(self, changes: Sequence[Edit]) -> Written:
        """Writes what was left behind; no key changes its state by it."""
        return Written(self._write(changes, self._places(), self.settings))

    def _write(self, changes: Sequence[Edit], places: Mapping[str, Place], done: Settings) -> list[Path]:
        """Writes the changes and returns the files; says of each that others can read it too, if so."""
        for path in dict.fromkeys(places[change.variable].path for change in changes):
            if path and (mode := mode_for_others(path)):
                self._context.streams.warn(f"Warning: {legible_to_others(path, mode)}")
        return write_edits(changes, places, self._load, self.settings, done)

    def _lingers(self, place: Place) -> bool:
        """Whether the primary key stands there, too."""
        if place.path is None or not place.path.is_file():
            return False
        return self.settings.primary in [key for _, key in place.keys(place.path.read_bytes())]

    def _environ(self) -> Mapping[str, str]:
        environ = self._fresh()
        form = f"{STAGED}_FILE"
        if (named := environ.get(form)) and not key_path(named, environ, form).exists():
            # Nothing is staged yet; the first one makes the file.
            del environ[form]
        return environ

    def _load(self) -> Settings:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KeyConfigWarning)
            return load_settings(self._environ())

    def _places(self) -> dict[str, Place]:
        return find_places(self._fresh(), self._context.env_file, self._context.read_env_file())

    def _fresh(self) -> dict[str, str]:
        """The environment as it is now: a census takes its time."""
        return self._context.read_environ()

    def _todo(self, change: Edit, place: Place) -> Todo:
        origins = tuple(self._origin(key, change.variable) for key in change.keys)
        return Todo(change.variable, place.why_not or str(place.path), change.keys, origins)

    def _origin(self, key: Key, variable: str) -> str:
        now = next((name for name, keys in held(self.settings).items() if key in keys), "")
        return "as now" if now == variable else now and f"now in {now}"
