"""A value that cannot be stored raises, and no error of SQLAlchemy shows a value or a token."""

from __future__ import annotations

import datetime
import pickle
import traceback
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from keyring_core import AlreadyEncryptedError, get_keyring
from keyring_core.integrations.sqlalchemy import EncryptedText
from tests.integrations.sqlalchemy.models import User

pytestmark = pytest.mark.database

SECRET = "sk-live-4242"


def shown(error: BaseException | None) -> str:
    """All text of an error and of those that it leads to."""
    text = ""
    while error is not None:
        text += f"{error}{error!r}{error.args}{vars(error)}{''.join(traceback.format_exception_only(error))}"
        error = error.__cause__ or error.__context__
    return text


def test_a_token_is_refused(session: Session) -> None:
    """A token is not encrypted twice: the error is the project's own, and shows neither token nor other values."""
    token = get_keyring().encrypt(SECRET)
    session.add(User(id=1, api_key=token, email="a@b.c"))

    with pytest.raises(AlreadyEncryptedError) as caught:
        session.commit()

    assert str(caught.value).startswith("users.api_key: the value is a Fernet token already")
    assert not isinstance(caught.value, sa.exc.StatementError)
    assert token not in shown(caught.value)
    assert "a@b.c" not in shown(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_an_error_can_be_pickled(session: Session) -> None:
    """It becomes the class that its caller knows, in the process that reads it."""
    with pytest.raises(AlreadyEncryptedError) as caught:
        session.execute(sa.insert(User).values(id=1, api_key=get_keyring().encrypt("x")))

    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is AlreadyEncryptedError
    assert str(copied) == str(caught.value)


class Dated(sa.TypeDecorator[datetime.date]):
    """A type of somebody else, which refuses a value."""

    impl = sa.String(10)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        raise TypeError("no date")


def test_errors_of_other_columns_show_no_value(session: Session) -> None:
    """SQLAlchemy shows all parameters if another column refuses its value: these are left out."""
    table = sa.Table(
        "dated", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("k", EncryptedText()), sa.Column("d", Dated)
    )

    with pytest.raises(sa.exc.StatementError) as caught:
        session.execute(sa.insert(table), {"k": SECRET, "d": "x"})

    assert SECRET not in shown(caught.value)
    assert "the parameters are left out" in str(caught.value)
    assert "no date" in str(caught.value)


def test_errors_of_the_database_show_no_token(session: Session) -> None:
    """Nor are tokens among the parameters of an error that the database reports."""
    session.add(User(id=1, api_key=SECRET))
    session.commit()
    session.expunge_all()
    session.add(User(id=1, api_key=SECRET))

    with pytest.raises(sa.exc.IntegrityError) as caught:
        session.commit()

    assert "gAAAA" not in shown(caught.value)
    assert "INSERT INTO users" in str(caught.value)


def test_errors_of_statements_written_as_text_show_no_value(session: Session) -> None:
    """Their parameters have no type: those of a text that names an encrypted column are left out."""
    statement = "INSERT INTO nowhere (api_key) VALUES (:value)"

    with pytest.raises(sa.exc.DBAPIError) as caught:
        session.execute(sa.text(statement), {"value": SECRET})
    session.rollback()
    placeholder = "?" if session.connection().dialect.paramstyle == "qmark" else "%s"
    with pytest.raises(sa.exc.DBAPIError) as by_driver:
        session.connection().exec_driver_sql(statement.replace(":value", placeholder), (SECRET,))

    for each in (caught, by_driver):
        assert SECRET not in shown(each.value)
        assert "the parameters are left out" in str(each.value)


def test_errors_of_other_statements_keep_their_parameters(session: Session) -> None:
    """An error of a statement without such columns shows what SQLAlchemy shows."""
    table = sa.Table("plain", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("d", Dated))

    with pytest.raises(sa.exc.StatementError, match=r"parameters: .*'d': 'x'"):
        session.execute(sa.insert(table), {"d": "x"})
    with pytest.raises(sa.exc.DBAPIError, match=r"parameters: .*77"):
        session.execute(sa.insert(sa.table("nowhere", sa.column("z"))), {"z": 77})
