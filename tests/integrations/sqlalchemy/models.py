"""The models of these tests."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedBytes, EncryptedJSON, EncryptedText


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(50))
    api_key: Mapped[str | None] = mapped_column(EncryptedText(context="users.api_key"))
    email: Mapped[str | None] = mapped_column(EncryptedText())
    email_index: Mapped[str | None] = mapped_column(BlindIndexOf("email"), index=True)
    notes: Mapped[list[Note]] = relationship(back_populates="user")


class Note(Base):
    __tablename__ = "notes"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None] = mapped_column(EncryptedText(context=True))
    user: Mapped[User] = relationship(back_populates="notes")


class Values(Base):
    """One column of each type."""

    __tablename__ = "all_values"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(EncryptedText())
    text_binary: Mapped[str | None] = mapped_column(EncryptedText(binary=True))
    raw: Mapped[bytes | None] = mapped_column(EncryptedBytes())
    raw_binary: Mapped[bytes | None] = mapped_column(EncryptedBytes(binary=True))
    json: Mapped[Any] = mapped_column(EncryptedJSON(context=True), nullable=True)
    json_binary: Mapped[Any] = mapped_column(EncryptedJSON(binary=True), nullable=True)
    settings: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(EncryptedJSON()))
