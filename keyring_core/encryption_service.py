"""The object that a service calls to encrypt and decrypt credentials."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from keyring_core.config import present_reloader
from keyring_core.errors import KeyringError, MalformedToken, without_frames
from keyring_core.forks import lock_of
from keyring_core.keyring import Keyring
from keyring_core.reload import Reloader

T = TypeVar("T")

log = structlog.get_logger(__name__)


class CredentialEncryptionService:
    """Encrypts and decrypts credentials. Logs failures, without any value; logs no success.

    Examples:
        >>> service = CredentialEncryptionService(Keyring(Key.generate()))
        >>> service.decrypt(service.encrypt("sk-live-1"))
        'sk-live-1'
    """

    @without_frames
    def __init__(self, keyring: Keyring | Reloader | None = None) -> None:
        """Uses *keyring*; by default the one that this process's variables name, also when its keys change.

        `CredentialEncryptionService(key_set("billing"))` uses the keys of a key set in the same way. Raises
        KeyConfigError, a ValueError, if no key is set.
        """
        if isinstance(keyring, Reloader):
            # Now, and not at the first credential.
            keyring()
        self._source = keyring or present_reloader()

    @property
    def _keyring(self) -> Keyring:
        return self._source if isinstance(self._source, Keyring) else self._source()

    def encrypt(self, plaintext: str) -> str:
        """A token under the primary key; an empty string stays empty. Raises ValueError for None."""
        if plaintext is None:
            raise ValueError("there is no credential to encrypt: None")
        try:
            return self._keyring.encrypt(plaintext) if plaintext != "" else plaintext
        except KeyringError as error:
            _log_failure("credential.encrypt.failed", error)
            raise

    def decrypt(self, ciphertext: str) -> str:
        """The credential; an empty string stays empty. Raises ValueError for None, InvalidToken for corrupt text."""
        if ciphertext is None:
            raise ValueError("there is no token to decrypt: None")
        if ciphertext == "":
            return ciphertext
        try:
            if isinstance(self._source, Keyring):
                return self._source.decrypt(ciphertext)
            return self._source.opening(lambda ring: ring.decrypt(ciphertext))
        except KeyringError as error:
            _log_failure("credential.decrypt.failed", error)
            raise

    def __repr__(self) -> str:
        return f"<CredentialEncryptionService {self._keyring!r}>"


def _log_failure(event: str, error: KeyringError) -> None:
    category = {"category": str(error.category)} if isinstance(error, MalformedToken) else {}
    log.warning(event, error=type(error).__name__, **category)


class Lazy(Generic[T]):
    """Call it for a value that is built once, on first use. After a build that raised, the next call tries again."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._value: T | None = None
        self._lock = lock_of(self, threading.Lock)

    def __call__(self) -> T:
        """The value; built by the first call."""
        # Read once: another thread may call `reset` between two reads.
        value = self._value
        if value is not None:
            return value
        with self._lock:
            if self._value is None:
                self._value = self._build()
            return self._value

    def reset(self) -> None:
        """Forgets the value; the next call builds it again. For tests, and after the environment changed."""
        with self._lock:
            self._value = None


get_encryption_service: Lazy[CredentialEncryptionService] = Lazy(CredentialEncryptionService)
"""The process's one service, built on first use. Raises ValueError, with the remedy, if no key is set."""
