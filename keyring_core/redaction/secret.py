"""A text that no log shows, for values that are passed through a program."""

from __future__ import annotations

import hmac
from typing import NoReturn

from keyring_core.redaction.spans import mask_of


class Secret:
    """Holds *value*. Only `reveal` returns it; repr, str, format, vars, pickle and copy do not.

    Examples:
        >>> secret = Secret("sk-live-1")
        >>> secret, secret.reveal()
        ([REDACTED:secret], 'sk-live-1')
    """

    __slots__ = ("__value", "_label")

    def __init__(self, value: str, label: str = "secret") -> None:
        self.__value = value
        self._label = label

    def reveal(self) -> str:
        """The text."""
        return self.__value

    def __repr__(self) -> str:
        return mask_of(self._label)

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Without "surrogatepass" the error for a lone surrogate would carry the whole text.
        ours, theirs = (value.encode("utf-8", "surrogatepass") for value in (self.__value, other.reveal()))
        return hmac.compare_digest(ours, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash would help to guess it

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can be neither pickled nor copied")


def revealed(value: object) -> str | bytes:
    """*value*, or the value of a Secret. Raises TypeError, without showing it, for other types."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bytearray):
        return bytes(value)
    if not isinstance(value, str | bytes):
        raise TypeError(f"only text can be masked: pass str, bytes or a Secret, not {type(value).__name__}")
    return value
