"""Statements and models of SQLAlchemy that cannot work with encrypted columns, and fields of Pydantic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from keyring_core import get_keyring
from keyring_core.integrations.pydantic import Encrypted, EncryptedStr
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedJSON, EncryptedText
from keyring_core.redaction import Secret


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    api_key: Mapped[str | None] = mapped_column(EncryptedText())
    email: Mapped[str | None] = mapped_column(EncryptedText())
    email_index: Mapped[str | None] = mapped_column(BlindIndexOf("email"))
    phone: Mapped[str | None] = mapped_column(EncryptedText())
    phone_index: Mapped[str | None] = mapped_column(BlindIndexOf("phone"))


class Connection(BaseModel):
    api_key: EncryptedStr


def causes(_folder: Path) -> Iterator[Callable[[], object]]:
    """Each call ends with an error. The keys are the process's."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO users (id, api_key) VALUES (812, 'sk-live-4242')"))
    yield from (partial(_run, engine, *each) for each in _statements())
    yield partial(_flush, engine, email=sa.func.lower("A@B.C"))
    yield partial(_flush, engine, email_index="d@e.f")
    yield lambda: User.api_key == "sk-live-4242"
    yield lambda: User.email_index.like("a%")
    yield lambda: User.email_index.in_("a@b.c")
    yield lambda: sa.insert(User).values(api_key="x").compile(compile_kwargs={"literal_binds": True})
    yield from map(partial(partial, _declare), _declarations())
    yield lambda: BlindIndexOf("email").index
    yield from (partial(EncryptedText, of=of) for of in (7, EncryptedText(), sa.LargeBinary()))
    yield partial(Connection.model_validate, {"api_key": get_keyring().encrypt("sk-live-4242")})
    yield partial(Connection.model_validate, {"api_key": "sk-live-4242"}, context={"at_rest": True})
    yield _constrained


def _run(engine: sa.Engine, statement: Any, values: Any = None) -> object:
    with Session(engine) as session:
        return session.execute(statement, values).all()


def _statements() -> Iterator[tuple[Any, ...]]:
    upsert = sqlite.insert(User).values(id=1, email="a@b.c")
    yield (sa.select(User.id).order_by(User.api_key),)
    yield (sa.select(User.id).where(User.name == User.email_index),)
    yield (sa.select(User),)
    yield (sa.update(User).values(api_key=sa.func.lower("x")),)
    yield (sa.update(User).values(email="a@b.c"),)
    yield (sa.update(User).values(email="a@b.c", email_index="d@e.f"),)
    yield (upsert.on_conflict_do_update(index_elements=["id"], set_={"email": "a@b.c"}),)
    yield sa.insert(User).values(email=sa.bindparam("given")), {"given": "a@b.c"}
    yield sa.update(User).values(api_key=sa.bindparam("given"), name=sa.bindparam("given")), {"given": "x"}
    both = (User.email_index == sa.bindparam("mail"), User.phone_index == sa.bindparam("mail"))
    yield sa.select(User.id).where(*both), {"mail": "a@b.c"}
    yield (sa.insert(User).values(email_index=f"5f0c1a9e:{'A' * 43}"),)


def _flush(engine: sa.Engine, **changed: object) -> None:
    with Session(engine) as session:
        session.add(user := User(email="a@b.c"))
        session.flush()
        for name, value in changed.items():
            setattr(user, name, value)
        session.flush()


def _declarations() -> Iterator[dict[str, Any]]:
    yield {"email_index": BlindIndexOf("email")}
    yield {"email_index": BlindIndexOf("email"), "email": sa.Text()}
    yield {"email_index": BlindIndexOf("email"), "email": EncryptedJSON()}
    yield {"born_index": BlindIndexOf("born", normalize=str.casefold), "born": EncryptedText(of=sa.Date())}


def _declare(columns: dict[str, Any]) -> object:
    table = sa.Table("users", sa.MetaData(), *(sa.Column(name, kind) for name, kind in columns.items()))
    return next(iter(table.columns)).type.index


def _constrained() -> type[BaseModel]:
    class Constrained(BaseModel):
        api_key: Annotated[Secret, Encrypted(), Field(min_length=8)]

    return Constrained
