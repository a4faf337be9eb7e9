"""A comparison with a blind index keeps the value, and asks for its indexes when the statement runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    column_property,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from keyring_core import ComparisonError, PlaintextError
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedText, IndexText
from tests.conftest import NEW, OLD, Named
from tests.integrations.sqlalchemy.models import Base, User

pytestmark = pytest.mark.database

USERS = User.__table__
NAMED = sa.select(User.id).where(User.email_index == sa.bindparam("m")).order_by(User.id)
LISTED = sa.select(User.id).where(User.email_index.in_(sa.bindparam("ms", expanding=True))).order_by(User.id)


def ids(session: Session, statement: Any, given: Any = None) -> list[int]:
    return sorted(session.scalars(statement, given))


def by_lambda(session: Session, mail: Any) -> list[int]:
    return ids(session, sa.lambda_stmt(lambda: sa.select(User.id).where(User.email_index == mail)))


def by_lambda_in(session: Session, mails: Any) -> list[int]:
    return ids(session, sa.lambda_stmt(lambda: sa.select(User.id).where(User.email_index.in_(mails))))


def by_criteria(session: Session, mail: Any) -> list[int]:
    criteria = with_loader_criteria(User, lambda users: users.email_index == mail)
    return sorted(user.id for user in session.scalars(sa.select(User).options(criteria)))


def test_lambdas_and_parameters_ask_for_the_value_of_each_time(session: Session) -> None:
    """None of them answers for an earlier value."""
    session.add_all([User(id=1, email="a"), User(id=2, email="b")])
    session.commit()

    own = sa.bindparam("m", unique=True)
    by_own = sa.select(User.id).where(User.email_index == own)
    for find in (
        by_lambda,
        by_criteria,
        lambda session, mail: ids(session, NAMED, {"m": mail}),
        lambda session, mail: ids(session, by_own, {own.key: mail}),
    ):
        assert [find(session, mail) for mail in ("a", "b", "c", "a")] == [[1], [2], [], [1]]
    assert [by_lambda_in(session, mails) for mails in (["a"], ["b", "a"], [])] == [[1], [1, 2], []]
    assert [ids(session, LISTED, {"ms": mails}) for mails in (["a"], ["b", "a"], [])] == [[1], [1, 2], []]


NO_VALUES: dict[str, Callable[[Session], Any]] = {
    "number": lambda session: ids(session, NAMED, {"m": 1}),
    "None": lambda session: ids(session, NAMED, {"m": None}),
    "an index": lambda session: ids(session, NAMED, {"m": IndexText("x")}),
    "a list for one": lambda session: ids(session, NAMED, {"m": ["x"]}),
    "None in a list": lambda session: ids(session, LISTED, {"ms": ["x", None]}),
    "a number in a list": lambda session: ids(session, LISTED, {"ms": ["x", 1]}),
    "a text for a list": lambda session: ids(session, LISTED, {"ms": "x"}),
    "None in a lambda": lambda session: by_lambda(session, None),
    "a number in a lambda": lambda session: by_lambda(session, 7),
    "criteria": lambda session: by_criteria(session, None),
}


def test_what_cannot_be_looked_up_is_refused_when_it_arrives(session: Session, named: Named) -> None:
    """There is no empty answer for it, and the error is not one of SQLAlchemy, which would show the parameters."""
    for name, run in NO_VALUES.items():
        for _ in range(2):
            with named(name), pytest.raises(ComparisonError, match=r"^users.email_index: "):
                run(session)
    with pytest.raises(sa.exc.StatementError, match="A value is required for bind parameter 'm'"):
        ids(session, NAMED)


def test_no_value_is_shown(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log of statements, an error, the repr of a statement's parts, or its parameters."""
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    secret = "sk-live-4242"
    shown = []
    for statement in (sa.select(User.id).where(User.email_index == secret), NAMED):
        given = {} if statement is not NAMED else {"m": secret}
        session.execute(statement, given)
        with pytest.raises(sa.exc.DBAPIError) as by_database:
            session.execute(statement.where(sa.text("nowhere = 1")), given)
        session.rollback()
        with pytest.raises(PlaintextError) as by_value:
            session.execute(NAMED, {"m": secret + "\ud800"})
        shown += [str(by_database.value), str(by_value.value), str(statement), str(statement.compile().params)]
        shown += [repr(bind) for bind in statement.compile().binds.values()]
    for value in (secret, sa.bindparam("m", secret)):
        statement = sa.select(User.id).where(User.email_index == value)
        with pytest.raises(sa.exc.CompileError, match="not rendered into SQL") as by_literal:
            statement.compile(session.connection(), compile_kwargs={"literal_binds": True})
        shown += [str(by_literal.value), str(statement.compile().params)]

    assert NAMED.compile().params == {"m": None}, "as SQLAlchemy shows a value that is to come"
    assert "SELECT users.id" in caplog.text
    assert "4242" not in caplog.text + "".join(shown)


def test_an_update_by_a_lookup_finds_the_objects_of_the_session(session: Session, use_keys: Any, named: Named) -> None:
    """Objects whose rows have indexes under either key; others stay as they are."""
    for sync in ("auto", "evaluate", "fetch", False):
        with named(sync):
            session.execute(sa.delete(User))
            session.expunge_all()
            users = [User(id=number, email=email) for number, email in enumerate("aba", 1)]
            for keys, several in (((OLD,), users[:2]), ((NEW, OLD), users[2:])):
                use_keys(*keys)
                session.add_all(several)
                session.commit()
            for user in users:
                session.refresh(user)

            statement = sa.update(User).where(User.email_index == "a").values(name="found")
            session.execute(statement, execution_options={"synchronize_session": sync})

            expected = ["found", None, "found"] if sync else [None] * 3
            assert [user.__dict__.get("name") for user in users] == expected
            assert ids(session, sa.select(User.id).where(User.name == "found")) == [1, 3]


def test_a_lookup_can_be_written_before_the_classes_are_complete(session: Session) -> None:
    """Among them the class whose attribute the index names, and that refers to one that is declared later."""

    class Local(DeclarativeBase):
        pass

    class Person(Local):
        __tablename__ = "persons"
        id: Mapped[int] = mapped_column(primary_key=True)
        mail: Mapped[str | None] = mapped_column("e_mail", EncryptedText())
        mail_index: Mapped[str | None] = mapped_column(BlindIndexOf("mail"))
        pets: Mapped[list[Any]] = relationship("Pet")

    kept = sa.select(Person.id).where(Person.mail_index == "a")

    class Pet(Local):
        __tablename__ = "pets"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner: Mapped[int] = mapped_column(sa.ForeignKey(Person.id))

    Person.is_known = column_property(sa.exists().where(Person.mail_index == "a"))
    Local.metadata.create_all(session.connection())
    session.add(Person(id=1, mail="a"))
    session.commit()

    assert session.scalars(kept).all() == [1]
    assert session.get_one(Person, 1).is_known is True
    Local.registry.dispose()


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
def test_asynchronous_drivers_look_up_named_values(tmp_path: Path, driver: str) -> None:
    """Whatever way they number or name the parameters that a value becomes."""
    from tests.databases import open_database

    async def run(url: sa.URL) -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(sa.insert(USERS), [{"id": 1, "email": "a"}, {"id": 2, "email": "b"}])
            both = NAMED.where(User.id < sa.bindparam("most"), User.email_index.in_(["a", "b"]))
            for mail, wanted in (("a", [1]), ("b", [2]), ("c", [])):
                assert (await connection.scalars(both, {"m": mail, "most": 3})).all() == wanted
        await engine.dispose()

    with open_database("postgresql", tmp_path) as database:
        asyncio.run(run(database.engine.url.set(drivername=driver)))
