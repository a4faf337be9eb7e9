"""The types work with asynchronous engines, SQLModel and Flask-SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlmodel import Field, Session, SQLModel, create_engine, select

from keyring_core import InvalidToken, Keyring
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedJSON, EncryptedText
from tests.integrations.sqlalchemy.models import Base, User
from tests.keys import key_text

pytestmark = pytest.mark.database


@pytest.mark.parametrize(
    ("kind", "driver"),
    [("sqlite", "sqlite+aiosqlite"), ("postgresql", "postgresql+asyncpg"), ("postgresql", "postgresql+psycopg")],
    ids=["aiosqlite", "asyncpg", "psycopg"],
)
def test_asynchronous_engines(tmp_path: Path, kind: str, driver: str) -> None:
    """Values, blind indexes, streams and errors are the same."""
    from tests.databases import open_database

    foreign = Keyring(key_text("nobody")).encrypt("x")

    async def use(session: AsyncSession) -> None:
        session.add_all([User(id=1, api_key="k", email="a@b.c"), User(id=2, email="d@e.f")])
        await session.commit()
        user = (await session.scalars(sa.select(User).where(User.email_index == "a@b.c"))).one()
        assert user.api_key == "k"
        streamed = await session.stream(sa.select(User.id, User.email).order_by(User.id))
        assert [tuple(row) async for row in streamed] == [(1, "a@b.c"), (2, "d@e.f")]
        await session.execute(sa.text("UPDATE users SET api_key = :token"), {"token": foreign})
        session.expunge_all()
        with pytest.raises(InvalidToken, match=r"^users.api_key, id=1: no key opens this token"):
            (await session.scalars(sa.select(User).order_by(User.id))).all()

    async def run(url: sa.URL, action: Callable[[AsyncSession], Awaitable[None]]) -> None:
        engine = create_async_engine(url)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with AsyncSession(engine) as session:
                await action(session)
        finally:
            await engine.dispose()

    with open_database(kind, tmp_path) as database:
        asyncio.run(run(database.engine.url.set(drivername=driver), use))


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    secret: str | None = Field(default=None, sa_type=EncryptedText)
    settings: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column(EncryptedJSON(context=True)))
    secret_index: str | None = Field(default=None, sa_type=BlindIndexOf("secret"))  # type: ignore[call-overload]


def test_sqlmodel(tmp_path: Path) -> None:
    """As sa_type, class or instance, and as sa_column."""
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Hero(secret="sk-live", settings={"a": 0}))
        session.commit()
        hero = session.exec(select(Hero).where(Hero.secret_index == "sk-live")).one()

        assert (hero.secret, hero.settings) == ("sk-live", {"a": 0})
        assert session.execute(sa.text("SELECT secret FROM hero")).scalar_one().startswith("gAAAA")
    engine.dispose()


def test_flask_sqlalchemy(tmp_path: Path) -> None:
    """Through the extension's own session and query."""
    app = flask.Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/app.db"
    db = SQLAlchemy(app)

    class Account(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)
        secret = sa.Column(EncryptedText(context=True))

    with app.app_context():
        db.create_all()
        db.session.add(Account(secret="sk-live"))
        db.session.commit()

        assert Account.query.one().secret == "sk-live"
        assert Account.__table__.c.secret.type.cells.column == "account.secret"
        db.session.execute(sa.text("UPDATE account SET secret = 'gAAAA'"))
        db.session.expire_all()
        with pytest.raises(InvalidToken, match=r"^account.secret, id=1: "):
            db.session.get(Account, 1).secret  # noqa: B018 - loads
        db.session.remove()
        db.engine.dispose()
