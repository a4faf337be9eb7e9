"""A token that does not open raises, with its column and, if the statement selects the primary key, its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased, defer, joinedload, selectinload

from keyring_core import InvalidToken, Keyring
from keyring_core.integrations.cells import LIST_THEM, Cells
from keyring_core.integrations.sqlalchemy import EncryptedText
from keyring_core.integrations.sqlalchemy.opened_rows import OpeningStrategy
from tests.conftest import Named
from tests.integrations.conftest import use_keys
from tests.integrations.sqlalchemy.models import Note, User
from tests.keys import key_text

pytestmark = [
    pytest.mark.database,
    # PyMySQL and psycopg, of a stream that a failed read left open.
    pytest.mark.filterwarnings("ignore:Previous unbuffered result was left incomplete"),
    pytest.mark.filterwarnings("ignore:<psycopg.ServerCursor object:ResourceWarning"),
]

USERS, NOTES = User.__table__, Note.__table__
ROW = "users.api_key, id=812: no key opens this token (tried "
COLUMN = "users.api_key: no key opens this token (tried "


@pytest.fixture
def foreign() -> str:
    """A token under a key that nobody has."""
    return Keyring(key_text("nobody")).encrypt("sk-live")


@pytest.fixture
def broken(session: Session, tables: Any, foreign: str) -> Session:
    """A session with users 1 to 3 and 812; the api_key of the last one does not open."""
    session.add_all(User(id=number, api_key=f"key {number}", email=f"{number}@b.c") for number in (1, 2, 3, 812))
    session.commit()
    tables.execute("UPDATE users SET api_key = :token WHERE id = 812", token=foreign)
    session.expunge_all()
    return session


OTHER = aliased(User)
INNER = sa.select(User.id, User.api_key).subquery()


def _all_and_close(result: sa.ScalarResult[Any]) -> list[Any]:
    """Closes the cursor on the server, too, which an error leaves open: psycopg warns of it once it is collected."""
    with result:
        return list(result)


READS: dict[str, Callable[[Session], Any]] = {
    "entities": lambda session: session.scalars(sa.select(User)).all(),
    "get": lambda session: session.get(User, 812),
    "columns": lambda session: session.execute(sa.select(User.api_key, User.id)).all(),
    "labels": lambda session: session.execute(sa.select(User.api_key.label("k"), User.id.label("i"))).all(),
    "alias": lambda session: session.scalars(sa.select(OTHER)).all(),
    "join": lambda session: session.execute(sa.select(User, OTHER).join(OTHER, OTHER.id == User.id)).all(),
    "subquery": lambda session: session.execute(sa.select(INNER)).all(),
    "iteration": lambda session: list(session.execute(sa.select(User.id, User.api_key))),
    "partitions": lambda session: list(session.execute(sa.select(User.id, User.api_key)).partitions(2)),
    "yield_per option": lambda session: _all_and_close(session.scalars(sa.select(User).execution_options(yield_per=2))),
    "yield_per": lambda session: list(session.execute(sa.select(User.id, User.api_key)).yield_per(2)),
    "first": lambda session: session.execute(sa.select(User.id, User.api_key).where(User.id == 812)).first(),
    "mappings": lambda session: session.execute(sa.select(USERS)).mappings().all(),
    "core": lambda session: session.connection().execute(sa.select(USERS)).all(),
    "core yield_per": lambda session: list(session.connection().execute(sa.select(USERS)).yield_per(2)),
    "stream": lambda session: (
        session.connection().execution_options(stream_results=True).execute(sa.select(USERS)).fetchall()
    ),
    "text with columns": lambda session: session.execute(
        sa.text("SELECT id, api_key FROM users").columns(User.id, User.api_key)
    ).all(),
}


def test_each_way_to_read_names_the_row(broken: Session, foreign: str, named: Named) -> None:
    """The error names column and row, and shows neither the token nor a value."""
    for name, read in READS.items():
        with named(name), Session(broken.bind) as session:
            with pytest.raises(InvalidToken) as caught:
                read(session)

            assert str(caught.value).startswith(ROW)
            assert foreign not in str(caught.value)
            assert caught.value.__context__ is None


def test_each_way_to_read_opens_values(broken: Session, tables: Any, named: Named) -> None:
    """The same reads find the value if the token is good."""
    tables.execute("UPDATE users SET api_key = NULL WHERE id <> 1 AND id <> 812")
    tables.execute("UPDATE users SET api_key = (SELECT k FROM (SELECT api_key AS k FROM users WHERE id = 1) AS x)")

    for name, read in READS.items():
        with named(name), Session(broken.bind) as session:
            assert "Opened" not in repr(read(session))
            assert set(session.scalars(sa.select(User.api_key))) == {"key 1"}


def test_a_whole_result_is_opened_at_once(broken: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows that are fetched together are opened in one call, which is several times as fast."""
    calls: list[int] = []
    monkeypatch.setattr(Cells, "open_many", lambda self, cells: [calls.append(len(cells)), *cells][1:])

    assert len(broken.execute(sa.select(User.id, User.api_key)).all()) == 4
    assert calls == [4]


def test_without_the_key_the_column_is_named(broken: Session) -> None:
    """A statement that does not select the primary key: the column, and how to find the row."""
    for statement in (sa.select(User.api_key), sa.select(sa.func.coalesce(User.api_key, None)).where(User.id == 812)):
        with pytest.raises(InvalidToken) as caught:
            broken.execute(statement).all()

        assert str(caught.value).startswith(COLUMN)
        assert str(caught.value).endswith(LIST_THEM)


def test_half_a_key_names_no_row(broken: Session, foreign: str, tables: Any) -> None:
    """A statement that selects one of two columns of the primary key: the column alone is named."""
    broken.add(Note(user_id=1, number=7, body="text"))
    broken.commit()
    tables.execute("UPDATE notes SET body = :token", token=foreign)

    with pytest.raises(InvalidToken, match=r"^notes.body: no key opens"):
        broken.execute(sa.select(Note.number, Note.body)).all()


def test_later_loads_name_the_row(broken: Session, foreign: str, tables: Any) -> None:
    """Refreshes, lazy loads and both kinds of eager loads name the row, with each part of its key."""
    user = broken.get_one(User, 1)
    user.notes = [Note(number=7, body="text")]
    broken.commit()
    tables.execute("UPDATE notes SET body = :token", token=foreign)
    tables.execute("UPDATE users SET api_key = :token WHERE id = 1", token=foreign)
    broken.expire_all()

    with pytest.raises(InvalidToken, match=r"^users.api_key, id=1: "):
        broken.refresh(user)
    broken.rollback()
    tables.execute("UPDATE users SET api_key = NULL")
    broken.expunge_all()
    with pytest.raises(InvalidToken, match=r"^notes.body, user_id=1, number=7: "):
        broken.get_one(User, 1).notes  # noqa: B018 - loads
    for eager in (selectinload, joinedload):
        broken.expunge_all()
        with pytest.raises(InvalidToken, match=r"^notes.body, user_id=1, number=7: "):
            broken.scalars(sa.select(User).options(eager(User.notes))).unique().all()


# MariaDB has no UPDATE RETURNING.
@pytest.mark.only_on("sqlite", "postgresql")
def test_returning_names_the_row(broken: Session, database: Any) -> None:
    """So does RETURNING of an UPDATE."""
    statement = sa.update(User).values(name="x").returning(User.id, User.api_key)

    with pytest.raises(InvalidToken) as caught:
        broken.execute(statement).all()

    assert str(caught.value).startswith(ROW)


@pytest.mark.mariadb_only
def test_inserts_return_values(session: Session) -> None:
    """RETURNING of many inserted rows holds values, through the ORM and without it."""
    users = session.scalars(sa.insert(User).returning(User), [{"id": n, "api_key": f"{n}"} for n in (1, 2, 3)]).all()
    statement = sa.insert(USERS).returning(USERS.c.id, USERS.c.api_key)
    rows = session.connection().execute(statement, [{"id": n, "api_key": f"{n}"} for n in (4, 5, 6)]).all()

    assert [user.api_key for user in users] == ["1", "2", "3"]
    assert sorted(tuple(row) for row in rows) == [(4, "4"), (5, "5"), (6, "6")]


# MariaDB has lastrowid, and SQLAlchemy asks it for nothing else.
@pytest.mark.only_on("sqlite", "postgresql")
def test_returned_defaults_are_opened_once(session: Session, database: Any) -> None:
    """Rows that SQLAlchemy fetched for itself, and hands out a second time, are values already."""
    statement = sa.insert(USERS).return_defaults(supplemental_cols=[USERS.c.api_key])

    [row] = session.connection().execute(statement, {"id": 1, "api_key": "sk"})

    assert row.api_key == "sk"


def test_a_result_without_such_columns_is_left_alone(broken: Session) -> None:
    """Statements without encrypted columns keep SQLAlchemy's own way to fetch."""
    plain = broken.connection().execute(sa.select(USERS.c.id))
    ours = broken.connection().execute(sa.select(USERS))

    assert not isinstance(plain.cursor_strategy, OpeningStrategy)
    assert isinstance(ours.cursor_strategy, OpeningStrategy)


def test_plain_text_statements_open_by_name(broken: Session) -> None:
    """Columns that SQLAlchemy knows by name alone are opened one by one."""
    statement = sa.text("SELECT id AS i, api_key AS k FROM users WHERE id = 1")
    typed = statement.columns(k=EncryptedText("users.api_key"), i=sa.Integer)

    assert [(row.i, row.k) for row in broken.execute(typed)] == [(1, "key 1")]


def test_the_rest_of_a_result_can_be_read(broken: Session) -> None:
    """Reading row by row, a caller can go on after a row that does not open."""
    result = broken.connection().execute(sa.select(USERS.c.id, USERS.c.api_key).order_by(USERS.c.id.desc()))

    with pytest.raises(InvalidToken):
        result.fetchone()
    assert tuple(result.fetchone() or ()) == (3, "key 3")


@pytest.mark.parametrize("users", [0, 1])
def test_null_needs_no_key(session: Session, tables: Any, monkeypatch: pytest.MonkeyPatch, users: int) -> None:
    """A process without keys reads tables that hold no token, one row at a time or all at once."""
    for number in range(users):
        tables.execute("INSERT INTO users (id) VALUES (:id)", id=number + 1)
    use_keys(monkeypatch, None)

    assert session.scalars(sa.select(User.api_key)).all() == [None] * users
    assert session.execute(sa.select(User.api_key)).first() == ((None,) if users else None)


def _delete_object(session: Session) -> None:
    session.delete(session.get_one(User, 812, options=[defer(User.api_key)]))
    session.flush()


REPAIRS: dict[str, tuple[Callable[[Session], Any], list[str]]] = {
    "delete the object": (_delete_object, []),
    "delete": (lambda session: session.execute(sa.delete(User).where(User.id == 812)), []),
    "update": (lambda session: session.execute(sa.update(User).where(User.id == 812).values(api_key="new")), ["new"]),
}


@pytest.mark.parametrize(("repair", "left"), REPAIRS.values(), ids=REPAIRS)
def test_a_row_that_does_not_open_can_be_deleted_and_written(
    broken: Session, repair: Callable[[Session], Any], left: list[str]
) -> None:
    """Without its token: if the object is loaded with the column deferred, and by statements."""
    with pytest.raises(InvalidToken):
        broken.get(User, 812)
    assert broken.get_one(User, 812, options=[defer(User.api_key)]).email == "812@b.c"
    broken.expunge_all()

    repair(broken)
    broken.commit()

    assert broken.scalars(sa.select(User.api_key).where(User.id == 812)).all() == left
    assert len(broken.scalars(sa.select(User)).all()) == 3 + len(left)
