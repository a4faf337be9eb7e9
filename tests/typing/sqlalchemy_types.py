"""The types for SQLAlchemy, used as a model would. Checked by `mypy --strict`, never run."""

from __future__ import annotations

from typing import Any, assert_type

from sqlalchemy import select
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from keyring_core import KeyringError, StaleIndexError
from keyring_core.integrations.cells import Cells
from keyring_core.integrations.sqlalchemy import (
    BlindIndexOf,
    EncryptedBytes,
    EncryptedJSON,
    EncryptedText,
    IndexText,
)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    api_key: Mapped[str | None] = mapped_column(EncryptedText(context="users.api_key"))
    email: Mapped[str] = mapped_column(EncryptedText)
    email_index: Mapped[str | None] = mapped_column(BlindIndexOf("email"), index=True)
    raw: Mapped[bytes] = mapped_column(EncryptedBytes(binary=True))
    settings: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(EncryptedJSON(True, accept_unbound=True)))


TEXT: TypeDecorator[str] = EncryptedText("users.api_key", accept_plaintext=True, legacy=None)
RAW: TypeDecorator[bytes] = EncryptedBytes(context=True)
ERROR: type[KeyringError] = StaleIndexError


def types() -> None:
    assert_type(EncryptedText().cells, Cells)
    assert_type(BlindIndexOf("email", context="people").of, str)
    assert_type(BlindIndexOf("email").context, str | None)
    assert_type(BlindIndexOf("email").of_value("a@b.c"), IndexText | None)


def values(user: User) -> None:
    assert_type(user.api_key, str | None)
    assert_type(user.email, str)
    assert_type(user.raw, bytes)
    select(User).where(User.email_index == "a@b.c", User.api_key.is_not(None))
