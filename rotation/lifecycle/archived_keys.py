"""Finds a key in a file by its id: in an archive, in an old dotenv file, or in any other text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from keyring_core import Key, KeyConfigError, KeyConfigWarning
from keyring_core.environment import is_key_variable
from rotation.lifecycle.key_file_edits import dotenv_variables, items_of, key_file_items
from rotation.model.failures import UsageError
from rotation.world.atomic_file import read_whole

Variables: TypeAlias = Sequence[tuple[str, str]]
"""Names and values of a dotenv file; a name may stand there twice."""

_KEY = re.compile(r"(?<![\w+/-])[\w+/-]{43}=(?!=)", re.ASCII)
"""The form of a key. What else has it does no harm: only the key with the right id is taken."""


def archived_keys(data: bytes, where: str = "") -> list[Key]:
    """The keys in an archive that holds *data*. Raises KeyConfigError for an item that is no key."""
    return _keys(key_file_items(data), where)


def find_archived(path: Path, key_id: str, made_of: Callable[[Variables], Iterable[Key]]) -> Key:
    """The key with that id in the file at *path*; *made_of* makes keys of secrets in a dotenv file.

    Of a file that is no archive any text with the form of a key is looked at: in a list, in quotes, in a comment.
    Raises UsageError with the ids in it.
    """
    file = read_whole(path)
    if file.identity is None:
        raise UsageError(f"{path}: there is no such file")
    if not file.data.strip():
        raise UsageError(f"{path}: the file is empty")
    keys: list[Key] = []
    not_read: list[str] = []
    fault = None
    try:
        keys = archived_keys(file.data, f"{path}, ")
    except KeyConfigError as error:
        fault = first_line(error)
    if fault is not None:
        variables = dotenv_variables(file.data)
        # In values as well, which the text may have with escapes.
        for item in _KEY.findall("\n".join([file.data.decode("latin-1"), *(value for _, value in variables)])):
            # A damaged key beside it costs no other one.
            with suppress(KeyConfigError):
                keys += _keys([item], "")
        if key_id not in [key.id for key in keys]:
            # It may take seconds.
            keys += made_of(variables)
        # A line of keys reads as an assignment, too: of nothing, or of what follows a comma.
        is_dotenv = b"\0" not in file.data and any(value and not value.startswith(",") for _, value in variables)
        not_read = list(_not_read(variables)) if is_dotenv else [fault]
    found = {key.id: key for key in keys}
    if key_id in found:
        return found[key_id]
    rest = f". Not read: {'; '.join(not_read)}" if not_read else ""
    raise UsageError(f"{path}: holds no key {key_id}; it holds {', '.join(found) or 'none'}{rest}")


def _keys(items: Sequence[str], where: str) -> list[Key]:
    with warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
        # Weak keys are archived too: their backups still exist.
        return [
            Key.parse(item, f"{where}key {number} of {len(items)}", allow_weak=True)
            for number, item in enumerate(items, 1)
        ]


def _not_read(variables: Variables) -> Iterator[str]:
    """The variables of keys whose values are no keys, in words."""
    for name, value in variables:
        if not is_key_variable(name) or not value:
            continue
        if name.endswith(("_FILE", "_COMMAND")):
            yield f"{name}, which names a {name.rpartition('_')[2].lower()}; give --archive a copy of what was there"
            continue
        try:
            _keys(items_of(value), f"{name}, ")
        except KeyConfigError as error:
            yield first_line(error)


def first_line(error: KeyConfigError) -> str:
    """The fault alone: what follows in the message is help for a key that a service needs."""
    return str(error).splitlines()[0].rstrip(".")
