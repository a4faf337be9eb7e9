"""What no type sees by itself: expressions that are written, comparisons from the other side, and orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from keyring_core import ComparisonError
from keyring_core.integrations.sqlalchemy import EncryptedText
from tests.conftest import Named
from tests.integrations.sqlalchemy.models import Base, Note, User, Values

pytestmark = pytest.mark.database

USERS = User.__table__
SECRET = "sk-live-4242"


class Renamed(Base):
    """Its attribute has another name than its column, and another column is encrypted in the same way."""

    __tablename__ = "renamed"

    id = sa.Column(sa.Integer, primary_key=True)
    secret = sa.Column("k", EncryptedText(context="users.api_key"))


def cells(session: Session) -> list[Any]:
    """What the table of users holds in its encrypted columns."""
    return [*session.execute(sa.text("SELECT api_key, email FROM users ORDER BY id"))]


UNENCRYPTED: dict[str, Callable[[], Any]] = {
    "plaintext column": lambda: sa.update(User).values(api_key=User.name),
    "token of another context": lambda: sa.update(User).values(api_key=User.email),
    "function": lambda: sa.update(User).values(api_key=sa.func.lower(SECRET)),
    "literal": lambda: sa.update(User).values(api_key=sa.literal(SECRET)),
    "bindparam with a value": lambda: sa.update(User).values(api_key=sa.bindparam("other", SECRET)),
    "typed bindparam": lambda: sa.update(USERS).values(api_key=sa.bindparam(None, SECRET, sa.String())),
    "text": lambda: sa.update(USERS).values(api_key=sa.text("'sk-live-4242'")),
    "concatenation": lambda: sa.update(USERS).values(api_key=sa.literal("sk-") + USERS.c.name),
    "one case of two": lambda: sa.update(USERS).values(
        api_key=sa.case((USERS.c.id == 1, sa.literal(SECRET)), else_=USERS.c.api_key)
    ),
    "coalesce with a text": lambda: sa.update(USERS).values(api_key=sa.func.coalesce(USERS.c.api_key, SECRET)),
    "subquery": lambda: sa.update(Values).values(text=sa.select(User.name).scalar_subquery()),
    "ordered": lambda: sa.update(USERS).ordered_values((USERS.c.api_key, sa.func.lower(SECRET))),
    "insert": lambda: sa.insert(User).values(id=2, api_key=sa.func.lower(SECRET)),
    "a later row": lambda: sa.insert(User).values([{"id": 2, "api_key": "x"}, {"id": 3, "api_key": User.name}]),
    "insert from select": lambda: sa.insert(User).from_select(["id", "api_key"], sa.select(User.id + 9, User.name)),
    "a literal that is selected": lambda: sa.insert(User).from_select(
        ["id", "api_key"], sa.select(User.id + 9, sa.bindparam(None, SECRET))
    ),
    "attribute": lambda: sa.update(Renamed).values(secret=sa.func.lower(SECRET)),
    "index": lambda: sa.update(User).values(email="b", email_index=sa.literal("b")),
    "index of another column": lambda: sa.update(User).values(email=User.email, email_index=User.name),
    "bytes into text": lambda: sa.update(Values).values(text=Values.text_binary),
}


def test_an_expression_is_not_stored_unencrypted(session: Session, named: Named) -> None:
    """The database would store it as it is: it is refused each time, with the column, and nothing is written."""
    session.add(User(id=1, name=SECRET, api_key="a", email="b"))
    session.commit()
    before = cells(session)

    words = r"^(users|all_values|renamed)\.\w+: the database cannot enc"

    for name, statement in UNENCRYPTED.items():
        with named(name):
            for _ in range(2):
                with pytest.raises(ComparisonError, match=words) as caught:
                    session.execute(statement())
                assert SECRET not in str(caught.value)
            assert cells(session) == before


def test_an_upsert_does_not_store_an_expression_unencrypted(session: Session, database: Any) -> None:
    """Nor does the part of an INSERT for rows that exist; a value in it is encrypted."""
    insert: Any = {"mariadb": mysql, "sqlite": sqlite, "postgresql": postgresql}[database.kind].insert(USERS)

    def upsert(value: object) -> Any:
        row = insert.values(id=1, api_key="new")
        if database.kind == "mariadb":
            return row.on_duplicate_key_update(api_key=value)
        return row.on_conflict_do_update(index_elements=["id"], set_={"api_key": value})

    for _ in range(2):
        session.execute(upsert("changed"))
    with pytest.raises(ComparisonError, match=r"^users.api_key: the database cannot encrypt"):
        session.execute(upsert(sa.func.lower("X")))

    assert session.scalars(sa.select(User.api_key)).all() == ["changed"]


def test_an_object_set_to_an_expression_is_not_stored(session: Session) -> None:
    """An attribute may be an SQL expression until a flush: that refuses it."""
    session.add(User(id=1, api_key=sa.func.lower(SECRET)))

    with pytest.raises(ComparisonError, match=r"^users.api_key: the database cannot encrypt"):
        session.commit()


@pytest.mark.parametrize(
    "option", [{"default": sa.func.lower("X")}, {"server_default": "x"}], ids=["default", "server"]
)
def test_a_default_of_the_database_is_refused(session: Session, option: dict[str, Any]) -> None:
    """What the database fills in is plaintext, too; a default of None or of Python is none of its."""
    table = sa.Table(
        "defaults",
        sa.MetaData(),
        sa.Column("id", sa.Integer),
        sa.Column("k", EncryptedText(), **option),
        sa.Column("n", EncryptedText(), server_default=sa.text("NULL")),
        sa.Column("p", EncryptedText(), default="x"),
    )

    with pytest.raises(ComparisonError, match=r"^defaults.k: the database cannot encrypt"):
        session.execute(sa.insert(table).values(id=1))


CELLS: dict[str, Callable[[], Any]] = {
    "column": lambda: sa.update(Renamed).values(secret=sa.select(User.api_key).scalar_subquery()),
    "case": lambda: sa.update(Renamed).values(
        secret=sa.case((Renamed.id == 1, sa.select(User.api_key).scalar_subquery()), else_=None)
    ),
    "coalesce": lambda: sa.update(Renamed).values(
        secret=sa.func.coalesce(Renamed.secret, sa.select(User.api_key).scalar_subquery())
    ),
    "literal": lambda: sa.update(Renamed).values(secret=sa.literal("a", EncryptedText(context="users.api_key"))),
    "bindparam": lambda: sa.update(Renamed).values(
        secret=sa.bindparam("other", "a", EncryptedText(context="users.api_key"))
    ),
}


@pytest.mark.parametrize("statement", CELLS.values(), ids=CELLS)
def test_cells_of_a_column_alike_can_be_copied(session: Session, statement: Callable[[], Any]) -> None:
    """A token of the same context and type opens there; and a value is a token when it is sent."""
    session.add_all([User(id=1, api_key="a"), Renamed(id=1)])
    session.commit()

    session.execute(statement())
    session.execute(sa.update(User).values(email=User.email, email_index=User.email_index))
    session.execute(sa.insert(Renamed).from_select(["id", "k"], sa.select(User.id + 1, User.api_key)))
    session.execute(sa.insert(Renamed).from_select(["id", "k"], sa.select(User.id + 2, sa.null())))

    assert session.scalars(sa.select(Renamed.secret).order_by(Renamed.id)).all() == ["a", "a", None]


COMPARED: dict[str, Callable[[], Any]] = {
    "literal": lambda: sa.literal("x") == User.api_key,
    "column": lambda: User.name == User.api_key,
    "like": lambda: User.name.like(User.api_key),
    "in a list": lambda: User.name.in_([User.api_key]),
    "in a select": lambda: User.name.in_(sa.select(User.api_key)),
    "subquery": lambda: User.name == sa.select(Note.body).scalar_subquery(),
    "between": lambda: sa.between(User.name, User.api_key, User.api_key),
    "tuple": lambda: sa.tuple_(User.id, User.api_key).in_([(1, "x")]),
    "concatenation": lambda: sa.literal("x") + User.api_key == "y",
    "inside": lambda: sa.exists().where(sa.or_(Note.number == 1, User.name == Note.body)),
}


def test_a_comparison_from_the_other_side_raises(session: Session, named: Named) -> None:
    """There the other side's type is asked, which knows of no tokens: the statement is refused when it is sent."""
    for name, condition in COMPARED.items():
        with named(name):
            for statement in (sa.select(User.id), sa.delete(User)):
                with pytest.raises(ComparisonError, match=r"^(users.api_key|notes.body): '.*' would compare tokens"):
                    session.execute(statement.where(condition()))


def test_rows_are_not_ordered_by_tokens(session: Session, named: Named) -> None:
    """A type is not asked about ORDER BY: the statement is refused when it is sent."""
    orders = {
        "orm": User.api_key,
        "desc": sa.desc("api_key"),
        "name": "api_key",
        "label": User.api_key.label("x"),
        "core": USERS.c.api_key,
    }

    for name, order in orders.items():
        with named(name):
            with pytest.raises(ComparisonError, match=r"^users.api_key: 'order_by' would compare tokens"):
                session.execute(sa.select(User.id, User.api_key).order_by(order))
            with pytest.raises(ComparisonError, match=r"^users.api_key: 'order_by' would compare tokens"):
                session.execute(sa.union(sa.select(User.api_key), sa.select(User.api_key)).order_by("api_key"))


def test_other_questions_are_answered(session: Session) -> None:
    """NULL, how many there are, and what was cast on purpose."""
    session.add(User(id=1, api_key="a"))
    session.commit()
    known = sa.select(sa.func.count(User.api_key)).where(User.api_key.is_not(None))

    assert session.scalars(known).all() == [1]
    assert session.scalars(sa.select(User.id).where(sa.cast(User.api_key, sa.String).like("gAAAA%"))).all() == [1]
    assert session.scalars(sa.select(User.id).where(sa.exists(sa.select(User.api_key)) == sa.true())).all() == [1]


NEW = sa.bindparam("new")
SHARED: dict[str, Callable[[], Any]] = {
    "a column and its index": lambda: sa.update(User).values(
        email=sa.bindparam("new"), email_index=sa.bindparam("new")
    ),
    "the same object": lambda: sa.update(USERS).values(email=NEW, email_index=NEW),
    "two contexts": lambda: sa.update(User).values(
        api_key=sa.bindparam("new"), email=sa.bindparam("new"), email_index="x"
    ),
    "a plain column": lambda: sa.update(USERS).values(api_key=sa.bindparam("new"), name=sa.bindparam("new")),
    "a plain column first": lambda: sa.update(USERS).values(name=sa.bindparam("new"), api_key=sa.bindparam("new")),
    "a condition": lambda: sa.update(User).where(User.name == sa.bindparam("new")).values(api_key=sa.bindparam("new")),
    "an insert": lambda: sa.insert(User).values(email=sa.bindparam("new"), email_index=sa.bindparam("new")),
}


def test_one_parameter_for_two_kinds_of_values_is_refused(session: Session, named: Named) -> None:
    """SQLAlchemy would convert it once: an index, plaintext or a token of another context, in place of the token."""
    session.add(User(id=1, name="n", api_key="a", email="b"))
    session.commit()
    before = cells(session)

    for name, statement in SHARED.items():
        with named(name):
            for _ in range(2):
                with pytest.raises(
                    ComparisonError, match=r"the bindparam 'new' is also given to .*; give each a name"
                ) as caught:
                    session.connection().execute(statement(), {"new": SECRET})
                assert SECRET not in repr(caught.value)
            assert cells(session) == before
    twice = (
        sa.update(User)
        .where(User.email_index == sa.bindparam("old"))
        .values(email=sa.bindparam("new"), email_index=sa.bindparam("index"), api_key=sa.bindparam("key"))
    )
    session.execute(twice, {"old": "b", "new": "c", "index": "c", "key": "c"})
    assert session.scalars(sa.select(User.email).where(User.email_index == "c")).all() == ["c"]
