"""A stock MultiFernet that counts what it opens, for code that reads with it in place of a keyring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from keyring_core.keys import Key


class CountedMultiFernet(MultiFernet):
    """A `cryptography.fernet.MultiFernet` that counts the tokens that it opens; suspended keys open none."""

    def __init__(self, keys: Sequence[Key], check: Callable[[Key], None], count: Callable[[Key], None]) -> None:
        """Calls *check* with the key of a token to open, which may raise, and *count* with that of an opened one."""
        # Plain ones: the stock class decrypts with them in a way that differs between its versions.
        self._pairs = [(key, Fernet(key.reveal())) for key in keys]
        super().__init__([fernet for _, fernet in self._pairs])
        self._check, self._count = check, count

    def decrypt(self, msg: bytes | str, ttl: int | None = None) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(super().decrypt, msg, ttl)

    def decrypt_at_time(self, msg: bytes | str, ttl: int, current_time: int) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(super().decrypt_at_time, msg, ttl, current_time)

    def rotate(self, msg: bytes | str) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(super().rotate, msg)

    def _counted(self, read: Callable[..., bytes], msg: bytes | str, *times: int | None) -> bytes:
        key = self._key_of(msg)
        if key is None:
            return read(msg, *times)
        self._check(key)
        result = read(msg, *times)
        self._count(key)
        return result

    def _key_of(self, msg: bytes | str) -> Key | None:
        for key, fernet in self._pairs:
            # Checks the MAC as stock Fernet reads the token, which is less strict than a keyring.
            with suppress(InvalidToken):
                fernet.extract_timestamp(msg)
                return key
        return None
