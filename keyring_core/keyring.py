"""A keyring: encrypts with one key, decrypts with any of several, and finds the key of a token. Does no I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from time import time
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar, overload

from keyring_core import bulk
from keyring_core.bulk import Refused, SignedBatch, pick, put
from keyring_core.environment import load_settings
from keyring_core.errors import (
    DamagedToken,
    ExpiredToken,
    InvalidToken,
    KeyConfigError,
    PlaintextError,
    SuspendedKey,
    without_frames,
)
from keyring_core.key_reads import refusal, say_read
from keyring_core.keys import CountedMultiFernet, Key, KeyState, check_told_apart
from keyring_core.tokens import Token, TokenText, parse_token, text_of, utf8_of

T = TypeVar("T")

MAX_CLOCK_SKEW = 60
"""Seconds by which a token may come from the future, as in `cryptography.fernet`."""


class Keyring:
    """One primary key, any number of previous and suspended keys, and optionally a staged key.

    Suspended keys are previous keys that open no token: see `SuspendedKey`. It counts what it opens and what it
    refuses, by key id: see `keyring_core.key_reads.key_reads`.

    Every token is an ordinary Fernet token: stock `cryptography.fernet` opens it, and the other way round.
    Threads may share a keyring, and it survives a fork. It cannot be pickled or copied.

    Examples:
        >>> old, new = Key.generate(), Key.generate()
        >>> keyring = Keyring(new, previous=[old])
        >>> keyring.decrypt(Keyring(old).encrypt("sk-live-1"))
        'sk-live-1'
    """

    states: Mapping[Key, KeyState]
    """Every key with its state, in the order in which they are tried."""
    suspended: tuple[Key, ...]
    """Its suspended keys."""

    @without_frames
    def __init__(
        self,
        primary: Key | str,
        previous: Iterable[Key | str] = (),
        staged: Key | str | None = None,
        suspended: Iterable[Key | str] = (),
    ) -> None:
        """Takes keys or their texts. A key that is given twice has one role: primary, previous, staged or
        suspended.

        A previous key that is also given as suspended is suspended.
        Raises KeyConfigError for a malformed key, a text in place of a list, or two keys that share an id or sign
        alike.
        """
        states = {_as_key(primary, "primary key"): KeyState.PRIMARY}
        refused = dict.fromkeys(_as_keys(suspended, KeyState.SUSPENDED), KeyState.SUSPENDED)
        for key in _as_keys(previous, KeyState.PREVIOUS):
            states.setdefault(key, refused.get(key, KeyState.PREVIOUS))
        if staged is not None:
            states.setdefault(_as_key(staged, "staged key"), KeyState.STAGED)
        for key in refused:
            states.setdefault(key, KeyState.SUSPENDED)
        check_told_apart({key: f"{state} key" for key, state in states.items()})
        self._hold(states)

    @classmethod
    @without_frames
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Keyring:
        """The keyring that *environ* names, by default this process's environment, read now.

        Its keys never change; the keys of `get_keyring` do. Warnings and errors as for `load_settings`.

        Examples:
            >>> Keyring.from_env({"ENCRYPTION_KEY": Key.generate().reveal()})
            <Keyring ... primary>
        """
        return cls(*load_settings(os.environ if environ is None else environ))

    def bind(self, context: str, *, accept_unbound: bool = False) -> Keyring:
        """A keyring for one use, such as "users.api_key". Its tokens open under no other context, nor unbound.

        Each key is derived from the key here with the same id (HKDF-SHA256, RFC 5869); the states stay.
        With *accept_unbound* it also opens this keyring's tokens, and rotates them to bound ones: use that while you
        move a column.

        Raises KeyConfigError for an empty context, and for a keyring that is bound already.

        Examples:
            >>> token = keyring.bind("users.api_key").encrypt("sk-live-1")
            >>> keyring.decrypt(token)
            Traceback (most recent call last):
            keyring_core.errors.UndecryptableToken: no key opens this token (tried ...)
        """
        states = {key.bind(context): state for key, state in self.states.items()}
        if accept_unbound:
            # An unbound token has to move even if it is under the primary key. Tokens under a staged key stay.
            old = {KeyState.PRIMARY: KeyState.PREVIOUS}
            states |= {key: old.get(state, state) for key, state in self.states.items()}
        bound = type(self).__new__(type(self))
        bound._hold(states)
        return bound

    def _hold(self, states: dict[Key, KeyState]) -> None:
        self.primary = next(iter(states))
        self.states = MappingProxyType(states)
        self.suspended = tuple(key for key, state in states.items() if state is KeyState.SUSPENDED)
        for key in states:
            if key is not self.primary:
                # Its reads as a primary key were before this moment.
                key.opened.date()

    @property
    def context(self) -> str | None:
        """The use that this keyring is bound to."""
        return self.primary.context

    @property
    def states_by_id(self) -> dict[str, KeyState]:
        """Every key's state, by the key's id."""
        return {key.id: state for key, state in self.states.items()}

    @property
    def salt_columns(self) -> tuple[str, ...]:
        """The columns with salts, each once, if keys are made for each row; this keyring opens no token of theirs."""
        return tuple(dict.fromkeys(key.salt_column for key in self.states if key.salt_column))

    @property
    def salted_ids(self) -> frozenset[str]:
        """The ids of the keys that stand for those that are made for each row: an archive keeps none of these."""
        return frozenset(key.id for key in self.states if key.salt_column)

    @cached_property
    def multi_fernet(self) -> CountedMultiFernet:
        """The methods of a `cryptography.fernet.MultiFernet` of the same keys. Suspended keys refuse, too."""
        return CountedMultiFernet(tuple(self.states), self._check, self._count)

    def encrypt(self, plaintext: str) -> str:
        """A new token under the primary key. Raises PlaintextError if *plaintext* has no UTF-8 form.

        Examples:
            >>> keyring.encrypt("sk-live-1")
            'gAAAA...'
        """
        return self.encrypt_bytes(_encoded(plaintext))

    def encrypt_bytes(self, plaintext: bytes) -> str:
        """A new token under the primary key."""
        return self.primary.fernet.encrypt(plaintext).decode("ascii")

    def decrypt(self, token: TokenText, ttl: int | None = None) -> str:
        """The decrypted text; *ttl* in seconds, as in Fernet.

        Raises MalformedToken, UndecryptableToken, SuspendedKey, ExpiredToken; PlaintextError if the plaintext is not
        UTF-8.

        Examples:
            >>> keyring.decrypt("sk-live-1")
            Traceback (most recent call last):
            keyring_core.errors.MalformedToken: not a Fernet token: legible as it stands (9 bytes)
        """
        text = text_of(self.decrypt_bytes(token, ttl))
        if isinstance(text, PlaintextError):
            raise text
        return text

    def decrypt_bytes(self, token: TokenText, ttl: int | None = None) -> bytes:
        """The decrypted bytes; *ttl* and errors as for `decrypt`."""
        parsed = parse_token(token)
        key = self._key_of(parsed)
        if ttl is not None:
            age = int(time()) - parsed.timestamp
            if age > ttl:
                raise ExpiredToken(f"the token is {age} seconds old; the limit is {ttl}")
            if age < -MAX_CLOCK_SKEW:
                raise ExpiredToken(f"the token is from {-age} seconds in the future; check the clocks")
        return self._open(key, parsed)

    def key_for(self, token: TokenText) -> Key:
        """The key that *token* is under. Checks one MAC per key; decrypts nothing.

        Raises MalformedToken and UndecryptableToken.

        Examples:
            >>> keyring.key_for(keyring.encrypt("sk-live-1")) is keyring.primary
            True
        """
        return self._key_of(parse_token(token))

    def needs_rotation(self, token: TokenText) -> bool:
        """True if *token* is under any key but the primary. Errors as for `key_for`."""
        return self.key_for(token) is not self.primary

    @overload
    def rotate(self, token: str) -> str: ...
    @overload
    def rotate(self, token: bytes | bytearray | memoryview) -> bytes: ...
    def rotate(self, token: TokenText) -> str | bytes:
        """A token with the same plaintext and timestamp under the primary key; str for str, bytes for bytes.

        Returns a current token unchanged. Raises MalformedToken, UndecryptableToken and SuspendedKey.

        Examples:
            >>> promoted = Keyring(Key.generate(), previous=[keyring.primary])
            >>> promoted.needs_rotation(promoted.rotate(keyring.encrypt("sk-live-1")))
            False
        """
        parsed = parse_token(token)
        key = self._key_of(parsed)
        if key is self.primary:
            return _like(token, token)
        return _like(token, self.primary.fernet.encrypt_at_time(self._open(key, parsed), parsed.timestamp))

    def identify_many(self, tokens: Sequence[TokenText]) -> list[Key | InvalidToken]:
        """For each token what `key_for` returns or raises, in order. A bad token does not affect the others.

        Raises TypeError, here and below, if one is not a text at all: that is the caller's mistake.
        """
        return self._each(tokens, lambda found: [found.key] * len(found.places))

    def rotate_many(self, tokens: Sequence[TokenText]) -> list[str | bytes | InvalidToken]:
        """For each token what `rotate` returns or raises, in order. A bad token does not affect the others."""

        def rotated(found: SignedBatch) -> Iterable[str | bytes | InvalidToken]:
            given = pick(tokens, found.places)
            if found.key is self.primary:
                return [_like(token, token) for token in given]
            new = self._open_many(found, lambda each: bulk.reencrypt(self.primary, each))
            return [
                token if isinstance(token, InvalidToken) else _like(text, token)
                for text, token in zip(given, new, strict=True)
            ]

        return self._each(tokens, rotated)

    def encrypt_many(self, plaintexts: Iterable[str]) -> list[str]:
        """A new token for each, in order. Raises PlaintextError as `encrypt` does."""
        return bulk.encrypt(self.primary, list(map(_encoded, plaintexts)))

    def decrypt_many(self, tokens: Sequence[TokenText]) -> list[str | InvalidToken | PlaintextError]:
        """For each token what `decrypt` returns or raises, in order. A bad token does not affect the others.

        Examples:
            >>> keyring.decrypt_many([keyring.encrypt("sk-live-1"), "sk-live-2"])
            ['sk-live-1', MalformedToken('not a Fernet token: legible as it stands (9 bytes)')]
        """
        return [text_of(item) if isinstance(item, bytes) else item for item in self.decrypt_bytes_many(tokens)]

    def decrypt_bytes_many(self, tokens: Sequence[TokenText]) -> list[bytes | InvalidToken]:
        """For each token what `decrypt_bytes` returns or raises, in order. A bad token does not affect the others."""
        return self._each(tokens, lambda found: self._open_many(found, bulk.decrypt))

    def _each(
        self, tokens: Sequence[TokenText], action: Callable[[SignedBatch], Iterable[T]]
    ) -> list[T | InvalidToken]:
        """The result of *action* for each token, or the token's error, in order."""
        outcomes: list[Any] = [None] * len(tokens)
        for part in bulk.find(self.states, tokens):
            if isinstance(part, Refused):
                outcomes[part.place] = part.error
            else:
                put(outcomes, part.places, action(part))
        return outcomes

    def _key_of(self, token: Token) -> Key:
        for key in self.states:
            if key.signed(token):
                return key
        raise bulk.unknown_key(tuple(self.states), token.signed)

    def _open(self, key: Key, token: Token) -> bytes:
        """The plaintext of *token*, which is under *key*. Here and in `_open_many` every read is counted or refused."""
        if self.suspended and key is not self.primary:
            self._check(key)
        opened = key.open(token)
        if opened is None:
            raise DamagedToken.under(key.id, token.timestamp)
        if key is self.primary:
            # Written out, and without a look at the clock, since this is what a service does all day.
            next(key.undated)
        else:
            self._count(key)
        return opened

    def _open_many(
        self, found: SignedBatch, action: Callable[[SignedBatch], Sequence[T]]
    ) -> Sequence[T | InvalidToken]:
        """The result of *action*, which opens the tokens that were *found*."""
        if self._refuses(found.key):
            return [refusal(found.key.id) for _ in found.places]
        opened = action(found)
        self._count(found.key, len(opened) - list(map(type, opened)).count(DamagedToken))
        return opened

    def count_elsewhere(self, keys: Iterable[Key]) -> SuspendedKey | None:
        """Counts a read with those of *keys* that this keyring has, which another reader made.

        Returns the refusal if one of them is suspended: the caller drops what was read.
        """
        own = [key for key in keys if key in self.states]
        for key in filter(self._refuses, own):
            return refusal(key.id)
        for key in own:
            self._count(key)
        return None

    def _check(self, key: Key) -> None:
        if self._refuses(key):
            raise refusal(key.id)

    def _refuses(self, key: Key) -> bool:
        return key in self.suspended

    def _count(self, key: Key, number: int = 1) -> None:
        key.opened.add(number)
        # By the id, since a keyring that accepts unbound tokens has the primary key's twice.
        if key.id != self.primary.id and key.opened.last >= key.opened.due:
            say_read(key.id, self.states[key])

    def __repr__(self) -> str:
        # One that is not whole has none.
        states = getattr(self, "states", {})
        context = next((key.context for key in states), None)
        bound = "" if context is None else f"bound to {context!r}: "
        shown = (f"{key.id} {state}" + ("" if key.context == context else " unbound") for key, state in states.items())
        return f"<Keyring {bound}{', '.join(shown)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring is not pickled or copied: load it from its own environment in each process")


class RotationKeyring(Keyring):
    """A keyring for a rotation, which moves tokens under suspended keys, too: it refuses and counts nothing."""

    def _open(self, key: Key, token: Token) -> bytes:
        if (plaintext := key.open(token)) is None:
            raise DamagedToken.under(key.id, token.timestamp)
        return plaintext

    def _refuses(self, key: Key) -> bool:  # noqa: ARG002 - as a service's keyring is asked
        return False

    def _count(self, key: Key, number: int = 1) -> None:
        """Nothing: no service has read it."""


def _as_key(key: Key | str, where: str) -> Key:
    return key if isinstance(key, Key) else Key.parse(key, where)


def _as_keys(keys: Iterable[Key | str], state: KeyState) -> list[Key]:
    if isinstance(keys, str | bytes):
        # Otherwise each character would count as a key.
        raise KeyConfigError(f"{state} keys: a list of keys is expected, not {type(keys).__name__}")
    return [_as_key(key, f"{state} key {position}") for position, key in enumerate(keys, 1)]


def _like(given: TokenText, token: TokenText) -> str | bytes:
    """*token* as str if *given* is str, otherwise as bytes."""
    if isinstance(given, str):
        return token if isinstance(token, str) else bytes(token).decode("ascii")
    return token.encode("ascii") if isinstance(token, str) else bytes(token)


def _encoded(text: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"a plaintext is str, not {type(text).__name__}; encrypt_bytes takes bytes")
    return utf8_of(text, "the plaintext has a lone surrogate and so no UTF-8 form; use encrypt_bytes")
