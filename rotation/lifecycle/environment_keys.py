"""The keys of an environment: loaded, checked, and written to the files that hold them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyring_core import Key, KeyConfigWarning, Keyring, KeyState
from keyring_core.environment import STAGED, Settings, load_settings
from keyring_core.key_files import key_path
from keyring_core.keys import check_told_apart
from rotation.context import Context
from rotation.lifecycle.key_locations import KeyLocation, check_unchanged, find_locations, write_edits
from rotation.lifecycle.transitions import Edit, Step, after, edits, held
from rotation.model.atomic_file import legible_to_others, mode_for_others
from rotation.model.failures import UsageError


@dataclass
class Written:
    """What was done with a step's edits."""

    files: list[Path] = field(default_factory=list)
    """The files that were written."""
    manual: list[ManualEdit] = field(default_factory=list)
    """What an operator has to store, if this command may not write every file."""


@dataclass(frozen=True)
class ManualEdit:
    """What an operator has to store in one variable."""

    variable: str
    where: str
    """What holds its keys now."""
    keys: tuple[Key, ...]
    origins: tuple[str, ...]
    """The variable that holds each of the keys now; empty for a new key."""

    def words(self) -> str:
        """What to store in the variable, by key ids."""
        # Not as `NAME: id`: the redactor of a log would mask the id as a key.
        origins = zip(self.keys, self.origins, strict=True)
        named = ", ".join(f"{key.id} ({origin})" if origin else "a new key" for key, origin in origins)
        return f"{named or 'nothing'} -> {self.variable}, {self.where}"

    def value(self) -> str:
        """The keys themselves, as the variable's value."""
        return ",".join(key.reveal() for key in self.keys)

    def document(self, *, show_key: bool) -> dict[str, Any]:
        """For JSON."""
        document: dict[str, Any] = {
            "variable": self.variable,
            "where": self.where,
            "keys": [key.id for key in self.keys],
        }
        return document | ({"value": self.value()} if show_key else {})


class EnvironmentKeys:
    """The keys of one environment."""

    def __init__(self, context: Context) -> None:
        """Loads the keys, and prints warnings on stderr. Raises KeyConfigError."""
        self._context = context
        with context.reporting_warnings():
            self.settings = load_settings(self._environ())

    @property
    def states(self) -> dict[str, KeyState]:
        """Every key's state, by id."""
        return Keyring(*self.settings).states_by_id

    def staged(self) -> Key:
        """The staged key. Raises UsageError if there is none."""
        if self.settings.staged is None:
            raise UsageError("no key is staged.\nNext: rotate.py keys stage")
        return self.settings.staged

    def check_unchanged(self) -> None:
        """Raises FileChangedError if the keys are no longer those that were loaded."""
        check_unchanged(self._load, self.settings)

    def take(self, step: Step, key: Key) -> Written:
        """Writes what *step* changes. If one of the files may not be written, writes none and returns manual edits.

        Raises KeyConfigError, and writes nothing, if two keys would sign alike.
        """
        # A primary key that is left in the staged variable would be staged once another key is primary.
        changes = [*self.left_behind([STAGED]), *edits(self.settings, step, key)]
        done = after(self.settings, step, key)
        # Checked before any file is written: an archive may hold a mistyped copy of a key, which nothing would load.
        check_told_apart({each: variable for variable, keys in held(done).items() for each in keys})
        locations = self._locations()
        if any(locations[change.variable].path is None for change in changes):
            return Written(manual=[self._manual_edit(change, locations[change.variable]) for change in changes])
        written = self._write(changes, locations, done)
        self.settings = done
        return Written(written)

    def files(self) -> set[Path]:
        """The files that hold this environment's keys, without symbolic links."""
        return {location.path.resolve() for location in self._locations().values() if location.path}

    def left_behind(self, variables: Iterable[str]) -> list[Edit]:
        """The edits that remove the primary key from those *variables*, if a promotion was interrupted before."""
        locations = self._locations()
        return [Edit(name, held(self.settings)[name]) for name in variables if self._lingers(locations[name])]

    def finish(self, changes: Sequence[Edit]) -> Written:
        """Writes the edits of `left_behind`; no key changes its state."""
        return Written(self._write(changes, self._locations(), self.settings))

    def _write(self, changes: Sequence[Edit], locations: Mapping[str, KeyLocation], done: Settings) -> list[Path]:
        """Writes the changes and returns the files; warns of each that other users can read."""
        for path in dict.fromkeys(locations[change.variable].path for change in changes):
            if path and (mode := mode_for_others(path)):
                self._context.streams.warn(f"Warning: {legible_to_others(path, mode)}")
        return write_edits(changes, locations, self._load, self.settings, done)

    def _lingers(self, location: KeyLocation) -> bool:
        """Whether the primary key is stored there, too."""
        if location.path is None or not location.path.is_file():
            return False
        return self.settings.primary in [key for _, key in location.keys(location.path.read_bytes())]

    def _environ(self) -> Mapping[str, str]:
        environ = self._fresh()
        form = f"{STAGED}_FILE"
        if (named := environ.get(form)) and not key_path(named, environ, form).exists():
            # No key is staged yet; `keys stage` makes the file.
            del environ[form]
        return environ

    def _load(self) -> Settings:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KeyConfigWarning)
            return load_settings(self._environ())

    def _locations(self) -> dict[str, KeyLocation]:
        return find_locations(self._fresh(), self._context.env_file, self._context.read_env_file())

    def _fresh(self) -> dict[str, str]:
        """The environment as it is now: it may have changed during a long census."""
        return self._context.read_environ()

    def _manual_edit(self, change: Edit, location: KeyLocation) -> ManualEdit:
        origins = tuple(self._origin(key, change.variable) for key in change.keys)
        return ManualEdit(change.variable, location.why_not or str(location.path), change.keys, origins)

    def _origin(self, key: Key, variable: str) -> str:
        now = next((name for name, keys in held(self.settings).items() if key in keys), "")
        return "as now" if now == variable else now and f"now in {now}"
