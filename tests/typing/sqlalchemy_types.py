"""The types for SQLAlchemy, used as a model would. Checked by `mypy --strict`, never run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, assert_type

from sqlalchemy import Boolean, Column, Date, Enum, Integer, Numeric, String, select
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
    born: Mapped[date | None] = mapped_column(EncryptedText(of=Date()))
    is_active: Mapped[bool] = mapped_column(EncryptedText(context=True, of=Boolean, keys="billing"))
    settings: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(EncryptedJSON(True, accept_unbound=True)))


TEXT: TypeDecorator[str] = EncryptedText("users.api_key", accept_plaintext=True, legacy=None)
RAW: TypeDecorator[bytes] = EncryptedBytes(context=True)
LEVEL: Column[int] = Column("level", EncryptedText(of=Integer()))
BORN: TypeDecorator[date] = EncryptedText(of=Date(), keys="billing", binary=True)
ERROR: type[KeyringError] = StaleIndexError


class Pin(EncryptedText):
    """An application's own type: text, unless it says more."""


def types() -> None:
    assert_type(EncryptedText(), EncryptedText[str])
    pin: EncryptedText = Pin(context="users.pin")
    assert_type(pin, EncryptedText[str])
    assert_type(EncryptedText(True, accept_unbound=True), EncryptedText[str])
    assert_type(EncryptedText(of=Date), EncryptedText[date])
    assert_type(EncryptedText(of=Numeric(10, 2)), EncryptedText[Decimal])
    assert_type(EncryptedText(of=String(20)), EncryptedText[str])
    EncryptedText(of=Enum("new", "paid"))
    assert_type(EncryptedText().cells, Cells)
    assert_type(BlindIndexOf("email", context="people").of, str)
    assert_type(BlindIndexOf("email").context, str | None)
    assert_type(BlindIndexOf("email").of_value("a@b.c"), IndexText | None)


def values(user: User) -> None:
    assert_type(user.api_key, str | None)
    assert_type(user.email, str)
    assert_type(user.raw, bytes)
    assert_type(user.born, date | None)
    select(User).where(User.email_index == "a@b.c", User.api_key.is_not(None))


def mistakes() -> None:
    # mypy reports an ignore that is not needed, so each of these is refused.
    EncryptedText(of=date)  # type: ignore[arg-type]
    EncryptedText(binary="yes")  # type: ignore[call-overload]
    EncryptedText(kez="billing")  # type: ignore[call-overload]
    EncryptedBytes(of=Date())  # type: ignore[call-arg]
