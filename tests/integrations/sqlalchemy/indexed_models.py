"""Models whose blind indexes are of what a type of the application, a date or a normal form makes of a value."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedBytes, EncryptedText


class Indexed(DeclarativeBase):
    pass


class Trimmed(sa.TypeDecorator[str]):
    """A type of the application, which drops blanks, and for which the empty text is NULL."""

    impl = EncryptedText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and (value.strip() or None)


class Lower(sa.TypeDecorator[str]):
    """One over that, which knows what database it writes to, as the UUID type of SQLAlchemy's own recipe does."""

    impl = Trimmed
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        assert dialect.name in {"sqlite", "postgresql", "mysql", "mariadb"}
        return value and value.lower()


class Member(Indexed):
    """The table of `IndexDriver`."""

    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(sa.String(9))
    mail: Mapped[str | None] = mapped_column(EncryptedText())
    mail_index: Mapped[str | None] = mapped_column(BlindIndexOf("mail"), index=True)
    own: Mapped[str | None] = mapped_column(Lower())
    own_index: Mapped[str | None] = mapped_column(BlindIndexOf("own"))
    city: Mapped[str | None] = mapped_column(EncryptedText())
    city_index: Mapped[str | None] = mapped_column(BlindIndexOf("city", "town", normalize=str.casefold))
    town: Mapped[str | None] = mapped_column(EncryptedText())
    town_index: Mapped[str | None] = mapped_column(BlindIndexOf("town", "town", normalize="casefold"))
    home: Mapped[str | None] = mapped_column(EncryptedText())
    home_index: Mapped[str | None] = mapped_column(BlindIndexOf("home", "town"))
    card: Mapped[str | None] = mapped_column(EncryptedText(keys="cards"))
    card_index: Mapped[str | None] = mapped_column(BlindIndexOf("card", "town", normalize=str.casefold))
    born: Mapped[datetime.date | None] = mapped_column(EncryptedText(of=sa.Date()))
    born_index: Mapped[str | None] = mapped_column(BlindIndexOf("born"))
    raw: Mapped[bytes | None] = mapped_column(EncryptedBytes())
    raw_index: Mapped[str | None] = mapped_column(BlindIndexOf("raw"))
