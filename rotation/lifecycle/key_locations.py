"""The files that hold an environment's keys: found, read, edited, replaced and read back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from keyring_core import Key, KeyConfigError, KeyConfigWarning
from keyring_core.environment import PREVIOUS, PRIMARY, STAGED, Settings
from keyring_core.key_files import key_path
from rotation.lifecycle.key_file_edits import dotenv_items, edit_dotenv, edit_key_file, key_file_items
from rotation.lifecycle.transitions import Edit
from rotation.model.atomic_file import FileChangedError, Snapshot, read_whole, refusal, replace_whole
from rotation.model.failures import StoreError


@dataclass(frozen=True)
class KeyLocation:
    """Where the keys of one variable are stored."""

    variable: str
    path: Path | None
    """The file, if this command may write it."""
    dotenv: bool = False
    why_not: str = ""
    """If there is no such file, what holds the keys instead, in words."""

    def keys(self, data: bytes) -> list[tuple[str, Key | None]]:
        """The items in *data*, each with its key; None if it is no key."""
        items = dotenv_items(data, self.variable) if self.dotenv else key_file_items(data)
        return [(item, _parsed(item)) for item in items]

    def edit(self, data: bytes, change: Edit) -> bytes:
        """*data* with the change. Items without effect, such as a second copy of a key, are removed too."""
        gone = [item for item, key in self.keys(data) if key and (key not in change.keys or key in change.added)]
        added = [key.reveal() for key in change.added]
        if self.dotenv:
            return edit_dotenv(data, self.variable, gone, added)
        return edit_key_file(data, gone, added)


def find_locations(
    environ: Mapping[str, str], env_file: Path | None, in_file: Mapping[str, str]
) -> dict[str, KeyLocation]:
    """The location of each of the three variables.

    *environ* is the whole environment, *in_file* what the dotenv file *env_file* sets.
    """
    return {name: _location(name, environ, env_file, in_file) for name in (PRIMARY, PREVIOUS, STAGED)}


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
    for path, part in files:
        data = read[path].data
        for edit in part:
            data = locations[edit.variable].edit(data, edit)
        if data != read[path].data:
            read[path] = replace_whole(read[path], data)
    if load() != after:
        raise StoreError(
            "the files are written, but the environment does not read as it should; nothing uses the new key yet. "
            "Look at rotate.py keys list and at the files"
        )
    return [read[path].path for path in read]


def check_unchanged(load: Callable[[], Settings], before: Settings) -> None:
    """Raises FileChangedError if the keys are no longer those that the command was decided on."""
    if load() != before:
        raise FileChangedError("the keys were changed while this command ran. Nothing was written; run it again.")


def _location(name: str, environ: Mapping[str, str], env_file: Path | None, in_file: Mapping[str, str]) -> KeyLocation:
    if f"{name}_COMMAND" in environ:
        return KeyLocation(name, None, why_not=f"read by the command in {name}_COMMAND")
    if named := environ.get(f"{name}_FILE"):
        path, dotenv, called = key_path(named, environ, f"{name}_FILE"), False, f"in {named}"
    elif env_file and (name in in_file or name not in environ):
        path, dotenv, called = env_file, True, f"in {env_file}"
    else:
        return KeyLocation(name, None, why_not="set in the environment")
    fault = refusal(path)
    return KeyLocation(name, None, why_not=f"{called}: {fault}") if fault else KeyLocation(name, path, dotenv)


def _parsed(item: str) -> Key | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        try:
            return Key.parse(item, allow_weak=True)
        except KeyConfigError:
            return None
