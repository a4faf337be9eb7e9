"""Keys that an application makes for each row: of one secret, and of a salt that stands in a column of the row.

The secret as a whole is named by the id of its *root key*, which is derived with a fixed salt in place of a row's. The
root key takes as long to derive as the key of a row. So its id, which stands in logs, gives nobody a faster way to try
out passphrases than a stored token does. It encrypts nothing, and no token is under it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from keyring_core.derivation import Derivation, SaltForm
from keyring_core.errors import without_frames
from keyring_core.keyring import Keyring
from keyring_core.keys import Key, KeyState
from keyring_core.loaded_keys import hold_key, release_key
from keyring_core.redaction import Secret, revealed

ROOT_SALT = "keyring-core root key v1: "
"""The salt of a root key; the name of the column that holds the salts of rows follows."""


@dataclass(frozen=True, slots=True)
class RowDerivation:
    """A rule for making a key of a secret and the salt of a row. Raises KeyConfigError as `Derivation` does.

    Examples:
        >>> RowDerivation("pbkdf2-sha256", "user_id", iterations=480_000)
        RowDerivation(kind='pbkdf2-sha256', column='user_id', info=None, iterations=480000)
    """

    kind: str
    """`pbkdf2-sha256` or `hkdf-sha256`."""
    column: str
    """The column that holds the salt."""
    info: str | None = None
    """For `hkdf-sha256`; text stands for its UTF-8 bytes."""
    iterations: int | None = None
    """For `pbkdf2-sha256`."""
    form: SaltForm = SaltForm.VALUE

    def __post_init__(self) -> None:
        self.root_rule()

    def root_rule(self) -> Derivation:
        """The rule for the root key. Rules that differ in their salts alone have root keys of their own."""
        named = self.column if self.form is SaltForm.VALUE else f"{self.column} as {self.form}"
        return Derivation(self.kind, salt=f"{ROOT_SALT}{named}", info=self.info, iterations=self.iterations)

    @without_frames
    def key(self, secret: str | bytes | Secret, where: str = "secret", *, allow_weak: bool = False) -> RootKey:
        """The root key of *secret*. Everything else as for `Derivation.key`."""
        rule = self.root_rule()
        root = rule.key(secret, where, allow_weak=allow_weak)
        return RootKey(self, rule, revealed(secret), root)


class RootKey(Key):
    """Stands for all keys that are made of one secret and of salts in a column. It encrypts nothing itself."""

    __slots__ = ("_derivation", "_rule", "_secret", "salt_column")

    salt_column: str
    """The column that holds the salt of a row."""

    @without_frames
    def __init__(self, derivation: RowDerivation, rule: Derivation, secret: str | bytes, root: Key) -> None:
        """Of *secret* by *rule*, which is that of the root key of *derivation*, *root*."""
        super().__init__(root._raw)
        self._derivation, self._rule, self._secret = derivation, rule, secret
        self.salt_column = derivation.column

    def salt(self, value: object) -> bytes | None:
        """The salt of the rows with *value* in the column; None if that cannot be one."""
        return salt_of(value, self._derivation.form)

    @without_frames
    def of_row(self, salt: bytes) -> KeyOfRow:
        """The key of the rows with *salt*, with the same id. A derivation that takes long is remembered for a while."""
        return KeyOfRow(self._rule.row_bytes(self._secret, salt), _parent=self)


class KeyOfRow(Key):
    """The key of the rows with one salt. Logs are masked for it as long as it is in use: there may be very many."""

    __slots__ = ()
    _protect = staticmethod(hold_key)

    def __del__(self) -> None:
        # Without one if it was never made.
        if raw := getattr(self, "_raw", None):
            release_key(raw)


class RowKeyring(NamedTuple):
    """A keyring for the rows with the same salts."""

    keyring: Keyring
    """Each key has the same id and state as the key that it stands for."""
    missing: Sequence[str]
    """The columns whose value cannot be a salt. The keys for them stay root keys, which open nothing."""


class RowKeyrings:
    """The keyrings of rows, made of one with root keys. The last MOST of them are kept."""

    MOST = 256

    def __init__(self, keyring: Keyring) -> None:
        self.columns = keyring.salt_columns
        """The columns with the salts, as rows are to be read."""
        self._keyring = keyring
        self._roots = [key for key in keyring.states if isinstance(key, RootKey)]
        self.of = lru_cache(self.MOST)(self._made)
        """The keyring of the rows with these salts."""
        self.made, self.seconds = 0, 0.0
        """The number of keyrings that were made, and the time that it took."""

    def salts(self, values: Sequence[object]) -> tuple[bytes | None, ...]:
        """The salts of a row with these *values* in the salt columns, one for each root key."""
        by_column = dict(zip(self.columns, values, strict=True))
        return tuple(root.salt(by_column[root.salt_column]) for root in self._roots)

    def _made(self, salts: tuple[bytes | None, ...]) -> RowKeyring:
        started = time.monotonic()
        of_roots = dict(zip(self._roots, salts, strict=True))
        own: dict[Key, Key] = {root: root.of_row(salt) for root, salt in of_roots.items() if salt is not None}
        keys: dict[KeyState, list[Key]] = {state: [] for state in KeyState}
        for key, state in self._keyring.states.items():
            keys[state].append(own.get(key, key))
        [primary] = keys[KeyState.PRIMARY]
        staged = next(iter(keys[KeyState.STAGED]), None)
        # Of its class: a rotation's keyring opens what a service's refuses.
        make = type(self._keyring)
        keyring = make(primary, keys[KeyState.PREVIOUS], staged, keys[KeyState.SUSPENDED])
        missing = [root.salt_column for root, salt in of_roots.items() if salt is None]
        self.made, self.seconds = self.made + 1, self.seconds + time.monotonic() - started
        return RowKeyring(keyring, list(dict.fromkeys(missing)))


def salt_of(value: object, form: SaltForm = SaltForm.VALUE) -> bytes | None:
    """The bytes that applications take for the salt in a cell; None if it holds nothing that can be one.

    Text stands for its UTF-8 bytes, a whole number for its decimal digits, a UUID for its usual form.

    Examples:
        >>> salt_of(812)
        b'812'
        >>> salt_of("812", SaltForm.UUID)
        b'00000000-0000-0000-0000-00000000032c'
    """
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if isinstance(value, bool) or not isinstance(value, str | bytes | int | UUID):
        return None
    if form is SaltForm.UUID:
        # The column holds its number, in decimal digits.
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if not (text.isascii() and text.isdigit() and len(text) < 40 and (number := int(text)) < 1 << 128):
            return None
        value = UUID(int=number)
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
