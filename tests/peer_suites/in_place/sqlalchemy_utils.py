"""In place of `sqlalchemy_utils.types.encrypted.encrypted_type`: its names, and the types under test behind them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyring_core.integrations.sqlalchemy import EncryptedJSON, EncryptedText


class AesEngine:
    """Named by the tests. The engine is Fernet here, whatever a column asks for."""


class AesGcmEngine:
    """Named by the tests."""


class FernetEngine:
    """Named by the tests."""


class DatetimeHandler:
    """Imported by the tests; those of it are left out."""


class InvalidCiphertextError(Exception):
    """Imported by the tests; those of it are left out."""


class OwnType(sa.types.TypeDecorator[Any]):
    """A type of the package that stands for a text, over an encrypted column: as an application writes one."""

    impl = EncryptedText
    cache_ok = True

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """The text."""
        return self.inner.process_bind_param(value, dialect)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """What the package makes of the text."""
        return self.inner.process_result_value(value, dialect)


def StringEncryptedType(kind: Any, key: object, engine: type, padding: str | None = None) -> Any:  # noqa: N802
    """The type under test for values of *kind*. Key, engine and padding are no business of a column here."""
    inner = sa.types.to_instance(kind)
    if type(inner).__name__ == "JSONType":
        return EncryptedJSON()
    if isinstance(inner, sa.types.TypeDecorator):
        return OwnType(inner)
    return (
        EncryptedText() if isinstance(inner, sa.String) and not isinstance(inner, sa.Enum) else EncryptedText(of=inner)
    )


EncryptedType = StringEncryptedType
