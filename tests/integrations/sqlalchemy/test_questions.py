"""Rows, groups and functions of tokens: what would be a wrong answer is refused, and what is right stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from keyring_core import ComparisonError
from keyring_core.integrations.sqlalchemy import EncryptedText
from tests.conftest import Named
from tests.integrations.sqlalchemy.models import Note, User

pytestmark = pytest.mark.database

USERS = User.__table__
INNER = sa.select(User.id, User.email).subquery()
ALIAS = aliased(User)


class Admin(User):
    """A class with a table of its own, whose key is that of its base."""

    __tablename__ = "admins"

    id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    pin: Mapped[str | None] = mapped_column(EncryptedText())


REFUSED: dict[str, Callable[[], Any]] = {
    "group_by": lambda: sa.select(User.email, sa.func.count()).group_by(User.email),
    "group_by a label": lambda: sa.select(User.email.label("e"), sa.func.count()).group_by("e"),
    "group_by a label's element": lambda: sa.select(User.email.label("e")).group_by(User.email.label("e")),
    "group_by a name": lambda: sa.select(USERS.c.email).group_by("email"),
    "group_by a place": lambda: sa.select(User.email).group_by(sa.text("1")),
    "group_by of a subquery": lambda: sa.select(INNER.c.email).group_by(INNER.c.email),
    "group_by of another's key": lambda: sa.select(User.email).join(ALIAS, User.id == 1).group_by(ALIAS.id, User.email),
    "group_by half a key": lambda: sa.select(Note.number, Note.body).group_by(Note.number, Note.body),
    "group_by in a subquery": lambda: sa.select(sa.select(User.email).group_by(User.email).subquery().c.email),
    "distinct": lambda: sa.select(User.email).distinct(),
    "distinct of a label": lambda: sa.select(User.email.label("e")).distinct(),
    "distinct of a subquery": lambda: sa.select(INNER.c.email).distinct(),
    "union": lambda: sa.union(sa.select(User.email), sa.select(User.email)),
    "except_": lambda: sa.except_(sa.select(User.email), sa.select(User.email)),
    "intersect": lambda: sa.intersect(sa.select(User.email), sa.select(User.email)),
    "order_by a place": lambda: sa.select(User.email).order_by(sa.text("1")),
    "partition_by": lambda: sa.select(sa.func.count().over(partition_by=User.email)),
    "order_by of a window": lambda: sa.select(sa.func.row_number().over(order_by=[User.id, User.email])),
    "max": lambda: sa.select(sa.func.max(User.email)),
    "min": lambda: sa.select(User.name).group_by(User.name).having(sa.func.min(User.email).is_not(None)),
    "lower": lambda: sa.select(User.id).where(sa.func.lower(User.email) == "a"),
    "sum": lambda: sa.select(sa.func.sum(User.email)),
    "avg": lambda: sa.select(sa.func.avg(User.email)),
    "extract": lambda: sa.select(sa.extract("year", User.email)),
    "case": lambda: sa.select(sa.case({"a": 1}, value=User.email)),
    "count distinct": lambda: sa.select(sa.func.count(sa.distinct(sa.type_coerce(User.email, User.email.type)))),
}


def test_what_would_compare_tokens_is_refused(session: Session, named: Named) -> None:
    """Two equal values would be two groups, or two rows; the error names the column."""
    session.add_all([User(id=1, email="a"), User(id=2, email="a")])
    session.commit()

    for name, statement in REFUSED.items():
        with named(name):
            for _ in range(2):
                with pytest.raises(ComparisonError, match=r"^(users.email|notes.body): '.*' would compare tokens"):
                    session.execute(statement())


@pytest.mark.parametrize("function", ["lower", "upper", "trim"])
def test_another_spelling_of_an_index_is_refused(session: Session, function: str) -> None:
    """The index of a text in lower case is another one, so that a lookup without case would find nothing."""
    spelled = getattr(sa.func, function)(User.email_index)

    for statement in (sa.select(User.id).where(spelled == "a"), sa.select(spelled)):
        with pytest.raises(ComparisonError, match=f"^users.email_index: a blind index cannot answer '{function}'"):
            session.execute(statement)


ANSWERED: dict[str, tuple[Callable[[], Any], int]] = {
    "entities": (lambda: sa.select(User).join(Note).distinct(), 1),
    "entities of an alias": (lambda: sa.select(ALIAS).distinct(), 2),
    "inherited entities": (lambda: sa.select(Admin).distinct(), 1),
    "columns with the key": (lambda: sa.select(User.email, User.id.label("key")).distinct(), 2),
    "core": (lambda: sa.select(USERS).distinct(), 2),
    "subquery with the key": (lambda: sa.select(INNER.c.id, INNER.c.email).distinct(), 2),
    "groups with the key": (lambda: sa.select(User.id, User.email).group_by(User.id, User.email), 2),
    "groups of entities": (lambda: sa.select(User).join(Note).group_by(User), 1),
    "a key of two columns": (
        lambda: sa.select(Note.body, sa.func.count()).group_by(Note.user_id, Note.number, Note.body),
        2,
    ),
    "union of entities": (lambda: sa.union(sa.select(User), sa.select(User).where(User.id == 1)), 2),
    "union_all": (lambda: sa.union_all(sa.select(User.email), sa.select(User.email)), 4),
    "distinct of others": (lambda: sa.select(User.name).where(User.email.is_not(None)).distinct(), 1),
    "groups by the index": (lambda: sa.select(User.email_index, sa.func.count()).group_by(User.email_index), 1),
    "distinct indexes": (lambda: sa.select(User.email_index).distinct(), 1),
    "count of distinct indexes": (lambda: sa.select(sa.func.count(User.email_index.distinct())), 1),
    "count": (lambda: sa.select(User.name).group_by(User.name).having(sa.func.count(User.email) > 1), 1),
    "cast on purpose": (lambda: sa.select(sa.func.max(sa.cast(User.email, sa.String(500)))), 1),
}


@pytest.mark.some(6)
@pytest.mark.parametrize(("statement", "rows"), ANSWERED.values(), ids=ANSWERED)
def test_what_holds_the_key_is_answered(session: Session, statement: Callable[[], Any], rows: int) -> None:
    """No two rows of a table are equal then, whatever their tokens are."""
    session.add_all([User(id=1, email="a"), Admin(id=2, email="a", pin="1")])
    session.flush()
    session.add_all([Note(user_id=1, number=number, body="b") for number in (1, 2)])
    session.commit()

    assert len(session.execute(statement()).all()) == rows


def test_a_function_that_changes_the_text_of_an_index_is_refused(session: Session, named: Named) -> None:
    """It would find no row, as `lower` did for the plaintext column that this one replaces."""
    for function in (sa.func.lower, sa.func.trim, sa.func.nullif):
        with named(function.__class__.__name__), pytest.raises(ComparisonError, match=r"^users.email_index: a blind "):
            session.execute(sa.select(User.id).where(function(User.email_index, "a") == "a"))


def distinct_on(statement: Any, *columns: Any) -> Any:
    """DISTINCT ON, as each SQLAlchemy has it."""
    if made := getattr(postgresql, "distinct_on", None):
        return statement.ext(made(*columns))
    return statement.distinct(*columns)


@pytest.mark.only_on("postgresql")
def test_distinct_on_an_encrypted_column_is_refused(session: Session, database: Any) -> None:
    """DISTINCT ON of PostgreSQL, with and without other columns."""
    for columns in ((User.email,), (User.name, User.email)):
        with pytest.raises(ComparisonError, match=r"^users.email: 'distinct' would compare tokens"):
            session.execute(distinct_on(sa.select(User.name), *columns))
    assert session.execute(distinct_on(sa.select(User.email), User.id, User.email)).all() == []
