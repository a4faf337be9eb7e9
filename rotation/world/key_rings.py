"""The keyrings of one environment: of the key set that a command or a worker is about, and of all other key sets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from keyring_core import Key, KeyConfigError, KeyConfigWarning, Keyring, KeyState
from keyring_core.environment import Settings, load_settings, settings_in
from keyring_core.errors import without_frames
from keyring_core.keyring import RotationKeyring
from rotation.configuration.key_sets import KeyPlaces, keep_from_key_commands
from rotation.configuration.key_sources import KeyCell, KeySource, ReadKey, keys_of_source
from rotation.model.failures import StoreError

CellReader: TypeAlias = Callable[[KeyCell, Keyring], bytes | None]
"""Returns the plaintext of the token in a cell, which a keyring opens; None if nothing is staged there.

It has the connections of a command or of a worker. Raises KeyConfigError, StoreError and StoppedError.
"""


@dataclass(frozen=True, eq=False, repr=False)
class KeyRings:
    """Reads the keys that *environ* has. Methods raise KeyConfigError, and what *cells* raises, and give warnings.

    No secret stands in a frame of its own methods but in that of `read`: a repr of this shows none.
    """

    keys: KeyPlaces
    environ: Mapping[str, str]
    cells: CellReader
    loaded: dict[str | None, Keyring | str] = field(default_factory=dict)
    """What was read, by key set: a keyring, or the fault of one that cannot be loaded."""

    def keyring(self) -> Keyring:
        """The keyring of the key set that this is about."""
        return RotationKeyring(*self.settings())

    def settings(self) -> Settings:
        """Its keys."""
        # A worker gets the sets without rotation.toml.
        keep_from_key_commands(self.keys.sets)
        if self.keys.written is None:
            return load_settings(self.environ, self.keys.variables)
        return settings_of_read(self.read())

    @without_frames
    def read(self) -> list[ReadKey]:
        """Its keys one by one, if rotation.toml has it."""
        return [
            each
            for state, place, source in (self.keys.written.sources() if self.keys.written else ())
            for each in self.keys_of(source, state, f"[keys.{self.keys.name}] {place} ({source.place})")
        ]

    def keys_of(self, source: KeySource, state: KeyState, where: str) -> Iterator[ReadKey]:
        """The keys of one *source* of the set; *where* names it in messages."""

        def open_cell() -> bytes | None:
            keyring = self._of(source.keys).keyring()
            return self.cells(KeyCell(source, state, where, self.environ, self.keys.folder), keyring)

        return keys_of_source(source, state, where, self.environ, open_cell)

    def every(self) -> dict[str | None, Keyring]:
        """The keyring of each set, the environment's own first; without those that cannot be loaded. Raises nothing.

        Each is read once, since a key may come from a command.
        """
        names = (None, *self.keys.sets)
        with warnings.catch_warnings(action="ignore", category=KeyConfigWarning):
            # Their own commands print them.
            for name in names:
                if name not in self.loaded:
                    try:
                        self.loaded[name] = self._of(name).keyring()
                    except (KeyConfigError, StoreError) as error:
                        self.loaded[name] = str(error)
        return {name: keyring for name in names if isinstance(keyring := self.loaded[name], Keyring)}

    def others(self) -> list[tuple[str, Keyring]]:
        """All keyrings but this one, each with its name in words, as `every` has them."""
        if not self.keys.sets:
            return []
        return [(self.keys.of(name).words, keyring) for name, keyring in self.every().items() if name != self.keys.name]

    def _of(self, name: str | None) -> KeyRings:
        return KeyRings(self.keys.of(name), self.environ, self.cells)


def settings_of_read(read: Iterable[ReadKey]) -> Settings:
    """The settings that the keys of a set make. Warnings and errors as for `keyring_core.config.load_settings`."""
    found: dict[KeyState, list[tuple[Key, str]]] = {state: [] for state in KeyState}
    for each in read:
        found[each.state].append((each.key, each.place))
    return settings_in(found)
