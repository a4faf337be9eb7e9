"""The archive of retired keys, for old backups: a key file that ENCRYPTION_PREVIOUS_KEYS_FILE can name."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path

from keyring_core import Key, KeyConfigWarning
from rotation.lifecycle.key_file_edits import key_file_items
from rotation.model.atomic_file import read_whole, replace_whole
from rotation.model.failures import UsageError


def archive_key(path: Path, key: Key, now: datetime) -> None:
    """Adds *key* to the archive at *path*, if it is not in it yet. Errors as `replace_whole`."""
    old = read_whole(path)
    if key.reveal() in key_file_items(old.data):
        return
    gap = b"" if not old.data or old.data.endswith(b"\n") else b"\n"
    line = f"# {key.id}, retired {now:%Y-%m-%d %H:%M} UTC\n{key.reveal()}\n"
    replace_whole(old, old.data + gap + line.encode())


def archived(path: Path) -> list[Key]:
    """The keys in the archive at *path*. Raises UsageError, and KeyConfigError for content that is no key."""
    items = key_file_items(read_whole(path).data)
    with warnings.catch_warnings():
        # Weak keys are archived too: their backups still exist.
        warnings.simplefilter("ignore", KeyConfigWarning)
        return [
            Key.parse(item, f"{path}, key {number} of {len(items)}", allow_weak=True)
            for number, item in enumerate(items, 1)
        ]


def find_archived(path: Path, key_id: str) -> Key:
    """The key with that id in the archive at *path*. Raises UsageError with the ids in it, and KeyConfigError."""
    found = {key.id: key for key in archived(path)}
    if key_id not in found:
        raise UsageError(f"{path}: holds no key {key_id}; it holds {', '.join(found) or 'none'}")
    return found[key_id]
