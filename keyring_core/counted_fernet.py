"""Stock Fernet objects that count what they open, for code that reads with them in place of a keyring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from keyring_core.key_reads import Tally

if TYPE_CHECKING:
    from keyring_core.keys import Key


class CountedFernet(Fernet):
    """A `cryptography.fernet.Fernet` that counts the tokens that it opens."""

    def __init__(self, key: bytes, opened: Tally) -> None:
        super().__init__(key)
        self._opened = opened

    def decrypt(self, token: bytes | str, ttl: int | None = None) -> bytes:
        """As stock Fernet's."""
        plaintext = super().decrypt(token, ttl)
        self._opened.add(1)
        return plaintext

    def decrypt_at_time(self, token: bytes | str, ttl: int, current_time: int) -> bytes:
        """As stock Fernet's."""
        plaintext = super().decrypt_at_time(token, ttl, current_time)
        self._opened.add(1)
        return plaintext


class CountedMultiFernet(MultiFernet):
    """A `cryptography.fernet.MultiFernet` that counts the tokens that it opens."""

    def __init__(self, keys: Sequence[Key], count: Callable[[Key], None]) -> None:
        """*count* is called with the key of each token that was opened."""
        # Plain ones: the stock class decrypts with them in a way that differs between its versions.
        self._pairs = [(key, Fernet(key.reveal())) for key in keys]
        super().__init__([fernet for _, fernet in self._pairs])
        self._count = count

    def decrypt(self, msg: bytes | str, ttl: int | None = None) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(super().decrypt(msg, ttl), msg)

    def decrypt_at_time(self, msg: bytes | str, ttl: int, current_time: int) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(super().decrypt_at_time(msg, ttl, current_time), msg)

    def rotate(self, msg: bytes | str) -> bytes:
        """As stock MultiFernet's."""
        return self._counted(super().rotate(msg), msg)

    def _counted(self, result: bytes, msg: bytes | str) -> bytes:
        for key, fernet in self._pairs:
            # Checks the MAC as stock Fernet reads the token, which is less strict than a keyring.
            with suppress(InvalidToken):
                fernet.extract_timestamp(msg)
                self._count(key)
                break
        return result
