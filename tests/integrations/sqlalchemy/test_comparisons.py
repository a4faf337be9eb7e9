"""What SQL cannot answer about an encrypted column raises before a statement is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from keyring_core import ComparisonError, KeyringError
from keyring_core.integrations.sqlalchemy import EncryptedText
from tests.conftest import Named
from tests.integrations.sqlalchemy.models import User, Values

pytestmark = pytest.mark.database

Column = Any

COMPARISONS: dict[str, Callable[[Column], Any]] = {
    "==": lambda column: column == "x",
    "== reversed": lambda column: "x" == column,  # noqa: SIM300
    "!=": lambda column: column != "x",
    "<": lambda column: column < "x",
    "<=": lambda column: column <= "x",
    ">": lambda column: column > "x",
    ">=": lambda column: column >= "x",
    "in": lambda column: column.in_(["x"]),
    "in nothing": lambda column: column.in_([]),
    "in select": lambda column: column.in_(sa.select(User.name)),
    "not_in": lambda column: column.not_in(["x"]),
    "like": lambda column: column.like("x%"),
    "ilike": lambda column: column.ilike("x%"),
    "not_like": lambda column: column.not_like("x%"),
    "between": lambda column: column.between("a", "b"),
    "contains": lambda column: column.contains("x"),
    "startswith": lambda column: column.startswith("x"),
    "endswith": lambda column: column.endswith("x"),
    "match": lambda column: column.match("x"),
    "regexp_match": lambda column: column.regexp_match("x"),
    "is_ a value": lambda column: column.is_("x"),
    "is_distinct_from": lambda column: column.is_distinct_from("x"),
    "desc": lambda column: column.desc(),
    "asc": lambda column: column.asc(),
    "nulls_first": lambda column: column.nulls_first(),
    "distinct": lambda column: column.distinct(),
    "collate": lambda column: column.collate("C"),
    "concatenation": lambda column: column + "x",
    "concatenation reversed": lambda column: "x" + column,
    "op": lambda column: column.op("->>")("x"),
    "bindparam": lambda column: column == sa.bindparam("x"),
    "another column": lambda column: column == User.name,
    "item": lambda column: column["x"],
}


def test_each_comparison_raises_at_once(named: Named) -> None:
    """The error is there when the expression is made, and says what to do."""
    columns = {
        "orm": User.api_key,
        "core": User.__table__.c.api_key,
        "alias": aliased(User).api_key,
        "json": Values.json,
    }

    for name, compare in COMPARISONS.items():
        for kind, column in columns.items():
            with named(name, kind):
                with pytest.raises(ComparisonError) as caught:
                    compare(column)

                assert "load the rows and compare in Python" in str(caught.value)
                assert str(caught.value).startswith(("users.api_key: ", "all_values.json: "))
                assert "'x'" not in str(caught.value)


def test_filter_by_raises() -> None:
    """So does the keyword form, and the error is one of this project."""
    with pytest.raises(KeyringError, match=r"^users.api_key: '==' "):
        sa.select(User).filter_by(api_key="x")


def test_columns_compared_with_columns_raise_in_a_statement() -> None:
    """Two columns can be compared by SQLAlchemy itself, which looks one up in a list; as SQL that raises."""
    columns = User.__table__.c
    both = columns.api_key == columns.email

    assert columns.email in [columns.api_key, columns.email]
    assert columns.email not in [columns.api_key]
    with pytest.raises(ComparisonError, match=r"^users.api_key: '==' "):
        str(sa.select(User).where(both))


@pytest.mark.parametrize("column", [User.api_key, User.__table__.c.api_key], ids=["orm", "core"])
def test_tests_for_null_work(session: Session, column: Column) -> None:
    """Each way to ask for NULL works."""
    session.add_all([User(id=1), User(id=2, api_key="")])
    session.commit()

    for test in (column.is_(None), column == None, column.is_(sa.null())):  # noqa: E711
        assert session.scalars(sa.select(User.id).where(test)).all() == [1]
    for test in (column.is_not(None), column != None, column != sa.null()):  # noqa: E711
        assert session.scalars(sa.select(User.id).where(test)).all() == [2]


@pytest.mark.parametrize("value", ["sk-live-4242", {"a": "sk-live-4242"}], ids=["good", "bad"])
def test_literals_show_no_value(session: Session, value: object) -> None:
    """No value is rendered into SQL, and none is in the error, even if the type would not take it."""
    statements = [sa.insert(User).values(api_key=value), sa.select(sa.literal(value, EncryptedText()))]
    for statement in statements:
        with pytest.raises(sa.exc.CompileError) as caught:
            statement.compile(session.connection(), compile_kwargs={"literal_binds": True})

        assert "4242" not in repr(caught.value)
        assert caught.value.__context__ is None


def test_objects_can_be_updated_and_evaluated(session: Session) -> None:
    """UPDATE and DELETE through the ORM, which look columns up, work and keep loaded objects up to date."""
    user = User(id=1, api_key="a")
    session.add(user)
    session.commit()

    session.execute(sa.update(User).where(User.id == 1).values(api_key="b"))
    assert user.api_key == "b"

    session.execute(sa.delete(User).where(User.api_key.is_not(None)))
    assert session.scalars(sa.select(User)).all() == []
