"""The archive of retired keys, for old backups: a key file that ENCRYPTION_PREVIOUS_KEYS_FILE can name."""

from __future__ import annotations

import re
import warnings
from datetime import datetime
from pathlib import Path

from keyring_core import Key, KeyConfigError, KeyConfigWarning
from rotation.lifecycle.key_file_edits import key_file_items
from rotation.model.atomic_file import read_whole, replace_whole
from rotation.model.failures import UsageError
from rotation.model.outputs import Holds, Kind

_OWN = re.compile(rb"^# [0-9a-f]{8}, retired ", re.MULTILINE)
"""What stands above a key that `archive_key` added, and in no service's key file."""


def archive_key(path: Path, key: Key, now: datetime) -> None:
    """Adds *key* to the archive at *path*, if it is not in it yet. Errors as `replace_whole`."""
    old = read_whole(path)
    if key.reveal() in key_file_items(old.data):
        return
    gap = b"" if not old.data or old.data.endswith(b"\n") else b"\n"
    line = f"# {key.id}, retired {now:%Y-%m-%d %H:%M} UTC\n{key.reveal()}\n"
    replace_whole(old, old.data + gap + line.encode())


def find_archived(path: Path, key_id: str) -> Key:
    """The key with that id in the archive at *path*. Raises UsageError with the ids in it, and KeyConfigError."""
    file = read_whole(path)
    if file.identity is None:
        raise UsageError(f"{path}: there is no such file")
    if not file.data.strip():
        raise UsageError(f"{path}: the file is empty")
    found = {key.id: key for key in _keys(file.data, f"{path}, ")}
    if key_id not in found:
        raise UsageError(f"{path}: holds no key {key_id}; it holds {', '.join(found) or 'none'}")
    return found[key_id]


def _keys(data: bytes, where: str) -> list[Key]:
    """The keys in an archive that holds *data*. Raises KeyConfigError for what is no key."""
    items = key_file_items(data)
    with warnings.catch_warnings():
        # Weak keys are archived too: their backups still exist.
        warnings.simplefilter("ignore", KeyConfigWarning)
        return [
            Key.parse(item, f"{where}key {number} of {len(items)}", allow_weak=True)
            for number, item in enumerate(items, 1)
        ]


def _fault(data: bytes) -> str | None:
    try:
        keys = _keys(data, "")
    except KeyConfigError as error:
        # What follows is help for a key that a service needs.
        fault, *_ = str(error).splitlines()
        return f"is no archive of keys: {fault.rstrip('.')}"
    return "holds keys, and none that was retired: it may be a service's" if keys and not _OWN.search(data) else None


ARCHIVE = Kind(_fault, adds_to=Holds.RETIRED_KEYS)
