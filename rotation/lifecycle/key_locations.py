"""The files that hold an environment's keys: found, read, edited, replaced and read back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

from keyring_core import Key, KeyConfigError, KeyConfigWarning
from keyring_core.derivation import Derivation
from keyring_core.environment import PREVIOUS, PRIMARY, STAGED, Settings
from keyring_core.key_files import key_path
from rotation.configuration.key_sets import KEY_ITSELF, LISTED, KeySource
from rotation.lifecycle.key_file_edits import (
    dotenv_items,
    dotenv_value,
    edit_dotenv,
    edit_dotenv_value,
    edit_key_file,
    edit_text_file,
    file_text,
    key_file_items,
)
from rotation.lifecycle.transitions import Edit
from rotation.model.atomic_file import FileChangedError, Snapshot, read_whole, refusal, replace_whole
from rotation.model.failures import StoreError, UsageError
from rotation.model.next_steps import Next, Steps, retire_step

_SETTINGS = {PRIMARY: "primary", PREVIOUS: "previous", STAGED: "staged"}


class KeyForm(Protocol):
    """The form of keys in one place."""

    @property
    def listed(self) -> bool:
        """True if several can stand there, separated by commas or lines."""

    def key(self, text: str) -> Key | None:
        """Parses *text*; None if it is not a key."""

    def text(self, key: Key) -> str:
        """The text to write for *key*. Raises UsageError if it cannot be written there."""


class KeyTexts:
    """Keys as their own texts."""

    listed = True

    def key(self, text: str) -> Key | None:
        """Parses *text*; None if it is not a key."""
        return _quietly(lambda: Key.parse(text, allow_weak=True))

    def text(self, key: Key) -> str:
        """The key's text."""
        return key.reveal()


@dataclass(frozen=True)
class KeySecrets:
    """Secrets of which keys are made."""

    source: KeySource
    derivation: Derivation
    known: Mapping[Key, tuple[KeySource, str]] = field(repr=False)
    """The secret of each key that was read or made, and the source that it belongs to."""

    @property
    def listed(self) -> bool:
        """Only key texts are: a passphrase may hold a comma."""
        return self.source.derive in LISTED

    def key(self, text: str) -> Key | None:
        """Derives the key of the secret *text*; None if it makes no key."""
        return _quietly(lambda: self.derivation.key(text, allow_weak=True))

    def text(self, key: Key) -> str:
        """The secret of *key*, which has to be derived alike."""
        source, text = self.known.get(key, (KEY_ITSELF, key.reveal()))
        if source.rule == self.source.rule:
            return text
        if key not in self.known:
            raise UsageError(
                f"{key.id} comes as a key, and here keys are made by {self.source.derive}: give it an entry of its own "
                f'in `previous` in rotation.toml, such as {{ file = "{key.id}.keys" }}'
            )
        raise UsageError(
            f"{key.id} is made by {source.derive}, and here keys are made by {self.source.derive}: a secret cannot "
            "move between them. Move the entry in rotation.toml instead: what is `staged` becomes `primary`, and what "
            "was `primary` the first of `previous`"
        )


@dataclass(frozen=True)
class KeyLocation:
    """The place and the form of the keys of one state."""

    variable: str
    """Its name in messages: a variable, or a setting of rotation.toml."""
    path: Path | None
    """The file, if this command may write it."""
    dotenv: bool = False
    why_not: str = ""
    """Without such a file: the place that holds the keys instead, in words."""
    form: KeyForm = field(default_factory=KeyTexts)
    """The form of a key there."""
    key_set: str | None = None
    """The key set that reads it; None: the environment."""

    def keys(self, data: bytes) -> list[tuple[str, Key | None]]:
        """The items in *data*, each with its key; None for an item that is not a key."""
        return [(item, self.form.key(item)) for item in self._items(data)]

    def edit(self, data: bytes, change: Edit) -> bytes:
        """*data* with the change. Items without effect, such as a second copy of a key, are removed too."""
        gone = [item for item, key in self.keys(data) if key and (key not in change.keys or key in change.added)]
        added = [self.form.text(key) for key in change.added]
        if not self.form.listed:
            return self._replaced(data, gone, added)
        if self.dotenv:
            return edit_dotenv(data, self.variable, gone, added)
        return edit_key_file(data, gone, added)

    def _items(self, data: bytes) -> list[str]:
        if self.form.listed:
            return dotenv_items(data, self.variable) if self.dotenv else key_file_items(data)
        text = dotenv_value(data, self.variable) if self.dotenv else file_text(data)
        return [text] if text else []

    def _replaced(self, data: bytes, gone: Sequence[str], added: Sequence[str]) -> bytes:
        """*data* with the one secret that it holds replaced or removed. Raises UsageError if there is another one."""
        others = [item for item in self._items(data) if item not in gone]
        if others and added:
            other = self.form.key(others[0])
            first = retire_step(other.id, self.key_set) if other else "remove what is there"
            raise UsageError(f"{self.variable} holds another secret, and takes one.", Steps(first))
        new = next(iter((*added, *others)), "")
        return edit_dotenv_value(data, self.variable, new) if self.dotenv else edit_text_file(data, new)


def write_edits(
    edits: Sequence[Edit],
    locations: Mapping[str, KeyLocation],
    load: Callable[[], Settings],
    before: Settings,
    after: Settings,
) -> list[Path]:
    """Writes the edits, file by file in their order, and returns the files. Afterwards *load* returns *after*.

    Raises FileChangedError if *load* does not return *before* at the start, and whatever `replace_whole` raises.
    """
    files = [
        (path, list(part)) for path, part in groupby(edits, key=lambda edit: locations[edit.variable].path) if path
    ]
    # Each file is compared before the first write and before each rename, so that no other edit is lost.
    read: dict[Path, Snapshot] = {path: read_whole(path) for path, _ in files}
    check_unchanged(load, before)
    # All contents are made before the first is written: a secret that has no form there stops no step half way.
    made, contents = {path: read[path].data for path in read}, []
    for path, part in files:
        for edit in part:
            made[path] = locations[edit.variable].edit(made[path], edit)
        contents.append((path, made[path]))
    for path, data in contents:
        if data != read[path].data:
            read[path] = replace_whole(read[path], data)
    if load() != after:
        raise StoreError(
            "the files are written, but the environment does not read as it should; nothing uses the new key yet. "
            "Look at the files.",
            Steps(Next(("keys", "list"))),
        )
    return [read[path].path for path in read]


def check_unchanged(load: Callable[[], Settings], before: Settings) -> None:
    """Raises FileChangedError if the keys are no longer those that the command was decided on."""
    if load() != before:
        raise FileChangedError("the keys were changed while this command ran. Nothing was written; run it again.")


class Variables(NamedTuple):
    """The whole environment, and the part of it that the dotenv file sets."""

    environ: Mapping[str, str]
    env_file: Path | None
    in_file: Mapping[str, str]

    def location(self, name: str) -> KeyLocation:
        """The location of the variable *name*."""
        if self.env_file and (name in self.in_file or name not in self.environ):
            return _file(name, self.env_file, dotenv=True, called=f"in {self.env_file}")
        return KeyLocation(name, None, why_not="set in the environment")


def locations_of_environment(variables: Variables) -> dict[str, KeyLocation]:
    """The location of the environment's own keys of each state, by the variable that has them or names a file."""
    found = {}
    for name in (PRIMARY, PREVIOUS, STAGED):
        if f"{name}_COMMAND" in variables.environ:
            found[name] = KeyLocation(name, None, why_not=f"read by the command in {name}_COMMAND")
        elif named := variables.environ.get(f"{name}_FILE"):
            path = key_path(named, variables.environ, f"{name}_FILE")
            found[name] = _file(name, path, dotenv=False, called=f"in {named}")
        else:
            found[name] = variables.location(name)
    return found


def locations_of_set(
    name: str,
    sources: Mapping[str, KeySource | None],
    known: Mapping[Key, tuple[KeySource, str]],
    variables: Variables,
) -> dict[str, KeyLocation]:
    """The location of each of *sources* of the key set *name*. *known*: the secret of each key, and its source."""
    found = {}
    for slot, source in sources.items():
        where = f"[keys.{name}] {_SETTINGS[slot]}"
        if source is None:
            found[slot] = KeyLocation(where, None, why_not="not set; name a variable or a file of its own there")
            continue
        form = KeySecrets(source, source.derivation(variables.environ, where), known)
        found[slot] = replace(_of_source(source, where, variables), form=form, key_set=name)
    return found


def _of_source(source: KeySource, where: str, variables: Variables) -> KeyLocation:
    if source.command:
        return KeyLocation(where, None, why_not="read by a command")
    if source.file:
        return _file(where, key_path(source.file, variables.environ, where), dotenv=False, called=f"in {source.file}")
    if source.variable:
        return variables.location(source.variable)
    return KeyLocation(where, None, why_not="set in the environment")


def _file(variable: str, path: Path, *, dotenv: bool, called: str) -> KeyLocation:
    fault = refusal(path)
    return KeyLocation(variable, None, why_not=f"{called}: {fault}") if fault else KeyLocation(variable, path, dotenv)


def _quietly(make: Callable[[], Key]) -> Key | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        try:
            return make()
        except KeyConfigError:
            return None
