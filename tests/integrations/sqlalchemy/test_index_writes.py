"""The attribute of a blind index holds the index, whatever a statement or an object was given for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from keyring_core import ComparisonError, StaleIndexError, get_keyring
from keyring_core.blind_index import BlindIndex
from keyring_core.integrations.sqlalchemy import IndexText
from keyring_core.redaction.secret import Secret
from tests.conftest import NEW, OLD, Named
from tests.integrations.sqlalchemy.models import User

pytestmark = pytest.mark.database


def index_of(value: str) -> str:
    return BlindIndex("users.email").of(get_keyring(), value)


@pytest.fixture
def user(session: Session) -> User:
    """An object whose attributes are loaded."""
    made = User(id=1, email="a")
    session.add(made)
    session.commit()
    session.refresh(made)
    return made


def held(user: User) -> Any:
    """What the object holds, without asking the database."""
    return user.__dict__.get("email_index")


def test_an_update_leaves_the_index_in_the_object(session: Session, user: User, named: Named) -> None:
    """SQLAlchemy copies into objects what the statement was given, which is the plaintext."""
    for sync in ("auto", "evaluate", "fetch"):
        for value, text in (("b", "b"), (Secret("c"), "c")):
            with named(sync, value):
                statement = sa.update(User).where(User.id == 1).values(email=value, email_index=value)
                session.execute(statement, execution_options={"synchronize_session": sync})

                assert (held(user), type(held(user))) == (index_of(text), IndexText)
    session.commit()
    assert user.email_index == index_of("c")


def test_many_updates_leave_the_index_in_the_objects(session: Session, user: User) -> None:
    """Also by primary key, with a list of parameters."""
    session.execute(sa.update(User), [{"id": 1, "email": "b", "email_index": "b"}])

    assert held(user) == index_of("b")
    session.execute(sa.update(User).values(name="n"))
    assert held(user) == index_of("b")
    session.execute(sa.update(User).values(email=None, email_index=None))
    assert held(user) is None


@pytest.mark.mariadb_only
def test_rows_that_are_returned_hold_the_index(session: Session, user: User, database: Any) -> None:
    """By INSERT and UPDATE, as objects and as columns."""
    made = session.scalars(sa.insert(User).returning(User), [{"id": 2, "email": "b"}, {"id": 3, "email": "c"}]).all()
    assert [held(each) for each in made] == [index_of("b"), index_of("c")]
    if database.kind != "mariadb":  # Which has no UPDATE RETURNING.
        statement = sa.update(User).where(User.id == 1).values(email="d", email_index="d")
        assert session.scalars(statement.returning(User.email_index)).all() == [index_of("d")]
        assert held(user) == index_of("d")


BY_HAND: dict[str, Callable[[Session], User]] = {
    "added": lambda session: add(session, User(id=2, email="b", email_index="b")),
    "merged": lambda session: session.merge(User(id=1, email="b", email_index="b")),
    "set with its source": lambda session: change(session, email="b", email_index="b"),
    "set with another": lambda session: change(session, email="b", email_index="no matter"),
    "merged alone": lambda session: session.merge(User(id=1, email="b")),
}


def add(session: Session, user: User) -> User:
    session.add(user)
    return user


def change(session: Session, **values: Any) -> User:
    user = session.get_one(User, 1)
    for name, value in values.items():
        setattr(user, name, value)
    return user


def test_an_attribute_that_was_set_by_hand_is_the_index_after_a_flush(
    session: Session, user: User, named: Named
) -> None:
    """As if it had not been set: it follows its source."""
    for name, write in BY_HAND.items():
        with named(name):
            changed = write(session)
            session.flush()

            assert (held(changed), type(held(changed))) == (index_of("b"), IndexText)
            assert session.scalars(sa.select(User.id).where(User.email_index == "b")).all() == [changed.id]
            session.rollback()


def test_an_index_can_be_renewed_by_hand(session: Session, user: User, use_keys: Any) -> None:
    """By the value that the source holds; by another one it would be stale."""
    use_keys(OLD, NEW)
    user.email_index = "a"
    session.commit()
    assert user.email_index == index_of("a")

    session.refresh(user)
    user.email_index = "other"
    with pytest.raises(StaleIndexError, match="different values"):
        session.flush()
    session.rollback()
    session.expire(user, ["email"])
    user.email_index = "a"
    session.flush()
    assert held(user) == index_of("a")


GIVEN = sa.bindparam("given")
GIVEN_LIST = sa.bindparam("given", expanding=True)


def test_one_parameter_does_not_stand_for_a_cell_and_for_something_else(session: Session) -> None:
    """SQLAlchemy would store what the last column's type makes of it: an index in place of the cell, or plaintext."""
    columns = sa.insert(User).values(id=2, name=GIVEN, email=GIVEN, email_index=sa.null())
    lists = sa.select(User.id).where(User.email_index.in_(GIVEN_LIST), User.name.in_(GIVEN_LIST))
    for statement, value in ((columns, "plain"), (lists, ["plain"])):
        with pytest.raises(ComparisonError, match=r"^users.email(_index)?: the bindparam 'given' is also") as caught:
            session.execute(statement, {"given": value})

        assert "plain" not in str(caught.value).replace("plaintext", "")
