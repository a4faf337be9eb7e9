"""Reads a key that is stored as a token in a cell of a database, under the keys of another key set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keyring_core import KeyConfigError, Keyring, KeyState
from keyring_core.errors import InvalidToken
from rotation.configuration.key_sources import KeyCell
from rotation.configuration.sections import TargetEntry
from rotation.configuration.targets import make_targets
from rotation.model.failures import UsageError
from rotation.model.report import row_in_words
from rotation.model.target import Target
from rotation.stores.connection import SharedConnections
from rotation.stores.reader import Reader

COUNTED = 100
"""Rows that are counted, if a condition chooses several."""


class StoredToken(NamedTuple):
    """A token that is a key, as it stands in its row."""

    content: str | bytes
    words: str
    """Table, column and row: `crypt_key.encrypted_key, id=0b9d`."""

    def __repr__(self) -> str:
        return f"<StoredToken {self.words}>"


def read_cell(
    cell: KeyCell, keyring: Keyring, *, wait: Callable[[float], None], links: SharedConnections
) -> bytes | None:
    """The plaintext of the token in *cell*, which *keyring* opens. None if it is for a staged key and has no row yet.

    Raises KeyConfigError, which shows no content, and as `token_in` does.
    """
    found = token_in(cell, wait=wait, links=links)
    if found is None:
        return None
    try:
        return keyring.decrypt_bytes(found.content)
    except InvalidToken as error:
        fault = str(error)
    raise KeyConfigError(
        f"{cell.place}: {found.words}: {fault}. It has to be a token under a key of [keys.{cell.source.keys}]."
    )


def token_in(cell: KeyCell, *, wait: Callable[[float], None], links: SharedConnections) -> StoredToken | None:
    """The token in the only row that *cell* chooses. None if it is for a staged key and has no row yet.

    Reads through *links*, with a connection that cannot write. Raises KeyConfigError if there is no such cell,
    StoreError if the database cannot be reached, and StoppedError.
    """
    table, _, column = (cell.source.cell or "").rpartition(".")
    entry = TargetEntry(url=cell.source.url or "", table=table, columns=(column,), where=cell.source.where)
    fault = None
    try:
        [target] = make_targets(entry, environ=cell.environ, folder=Path(cell.folder))
        reader = Reader(target, read_only=True, sleep=wait, links=links)
        found = reader.read(None, None, COUNTED)
    except UsageError as error:
        fault = str(error).removeprefix(f"target {table}: ")
    if fault:
        raise KeyConfigError(f"{cell.place}: {fault}")
    if found.rows == 0 and cell.state is KeyState.STAGED:
        # `keys stage` makes the key, and an admin inserts the row.
        return None
    if found.rows != 1:
        raise KeyConfigError(f"{cell.place}: {_miscounted(target, found.rows)}")
    for _, words in found.oversized:
        raise KeyConfigError(f"{cell.place}: {words}")
    [key], [content] = found.keys, found.cells
    words = f"{target.label}, {row_in_words(reader.key_names(), key)}"
    if not isinstance(content, str | bytes):
        raise KeyConfigError(f"{cell.place}: {words}: holds {'nothing' if content is None else 'no text'}")
    return StoredToken(content, words)


def _miscounted(target: Target, rows: int) -> str:
    number = f"{rows} rows or more" if rows == COUNTED else f"{rows or 'no'} row{'' if rows == 0 else 's'}"
    if target.where is None:
        remedy = "add a where that chooses one" if rows else "the application stores its key there when it starts"
        return f"{target.table} has {number}, and a key is in one; {remedy}"
    remedy = "correct it, or drop this entry if the row was deleted" if rows == 0 else "add to the condition"
    return f"its where chooses {number} of {target.table}, and has to choose one; {remedy}"
