"""The place of the keys of one state: what is there, and the same with a change. Pure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from keyring_core import Key, KeyConfigError, KeyConfigWarning
from keyring_core.derivation import Derivation
from rotation.configuration.key_sources import KEY_ITSELF, LISTED, KeySource
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
from rotation.model.failures import UsageError
from rotation.model.next_steps import Steps, retire_step

if TYPE_CHECKING:
    from keyring_core.row_keys import RowDerivation


@dataclass(frozen=True)
class KeyLocation:
    """The place of the keys of one state, and the rule by which they are made of what is there."""

    variable: str
    """Its name in messages: a variable, or a setting of rotation.toml."""
    path: Path | None
    """The file, if this command may write it."""
    words: str
    """The place in words."""
    dotenv: bool
    source: KeySource
    derivation: Derivation | RowDerivation
    known: Mapping[Key, tuple[KeySource, str]] = field(repr=False)
    """The secret of each key that was read or made, and the source that it belongs to."""
    key_set: str | None
    """The key set that reads it; None: the environment."""
    is_set: bool
    """True if it is a variable that is set."""
    makes_text: bool
    """True if it is a variable of a dotenv file, or one that is not set."""

    @property
    def listed(self) -> bool:
        """True if several can stand there, separated by commas or lines; a passphrase may hold a comma."""
        return self.source.derive in LISTED

    def text(self, key: Key) -> str:
        """The text to write for *key*: its secret. Raises UsageError if the keys here are derived in another way."""
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

    def keys(self, data: bytes) -> list[tuple[str, Key | None]]:
        """The items in *data*, each with its key; None for an item that is not a key."""
        return [(item, self._key(item)) for item in self._items(data)]

    def edit(self, data: bytes, change: Edit) -> bytes:
        """*data* with the change. Items without effect, such as a second copy of a key, are removed too."""
        gone = [item for item, key in self.keys(data) if key and (key not in change.keys or key in change.added)]
        added = [self.text(key) for key in change.added]
        if not self.listed:
            return self._replaced(data, gone, added)
        if self.dotenv:
            return edit_dotenv(data, self.variable, gone, added)
        return edit_key_file(data, gone, added)

    def _key(self, text: str) -> Key | None:
        with suppress(KeyConfigError), warnings.catch_warnings():
            warnings.simplefilter("ignore", KeyConfigWarning)
            return self.derivation.key(text, allow_weak=True)
        return None

    def _items(self, data: bytes) -> list[str]:
        if self.listed:
            return dotenv_items(data, self.variable) if self.dotenv else key_file_items(data)
        text = dotenv_value(data, self.variable) if self.dotenv else file_text(data)
        return [text] if text else []

    def _replaced(self, data: bytes, gone: Sequence[str], added: Sequence[str]) -> bytes:
        """*data* with the one secret that it holds replaced or removed. Raises UsageError if there is another one."""
        others = [item for item in self._items(data) if item not in gone]
        if others and added:
            other = self._key(others[0])
            salted = (other.id,) if other and other.salt_column else ()
            first = retire_step(other.id, self.key_set, salted=salted) if other else "remove what is there"
            raise UsageError(f"{self.variable} holds another secret, and takes one.", Steps(first))
        new = next(iter((*added, *others)), "")
        return edit_dotenv_value(data, self.variable, new) if self.dotenv else edit_text_file(data, new)
