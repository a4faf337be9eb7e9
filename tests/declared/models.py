"""Models of an application, and the targets that they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rotation.context import Context
from rotation.model.target import Target

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedText

class Base(DeclarativeBase):
    pass

class HasNote:
    note: Mapped[str | None] = mapped_column("memo", EncryptedText())

class User(HasNote, Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(EncryptedText(context=True))
    email_index: Mapped[str | None] = mapped_column(BlindIndexOf("email", "users.email.index"))

class Partner(HasNote, Base):
    __tablename__ = "partners"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    memo_index: Mapped[str | None] = mapped_column(BlindIndexOf("note", "partners.memo.index"))
"""

Write = Callable[..., str]


def entry(models: str, url: str = "sqlite:///app.db", more: str = "") -> None:
    """rotation.toml with one entry."""
    Path("rotation.toml").write_text(f'[[target]]\nmodels = "{models}"\nurl = "{url}"\n{more}')


def targets(environ: dict[str, str] | None = None) -> list[Target]:
    """The targets of rotation.toml in the current folder."""
    with Context(environ or {}) as context:
        return context.targets()
