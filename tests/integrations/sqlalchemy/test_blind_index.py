"""A blind index is filled with its source, finds equal values under every key, and never goes stale silently."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, configure_mappers, mapped_column

from keyring_core import ComparisonError, KeyConfigError, PlaintextError, StaleIndexError, get_keyring
from keyring_core.blind_index import BlindIndex
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedText, IndexText
from keyring_core.redaction.secret import Secret
from tests.conftest import NEW, OLD, Named
from tests.integrations.sqlalchemy.models import User
from tests.keys import key_text

pytestmark = pytest.mark.database

USERS = User.__table__
INDEX = BlindIndex("users.email")


def found(session: Session, value: Any) -> list[int]:
    """The users whom *value* finds."""
    return list(session.scalars(sa.select(User.id).where(User.email_index == value).order_by(User.id)))


def add(session: Session, number: int, email: str | None) -> User:
    user = User(id=number, email=email)
    session.add(user)
    session.commit()
    return user


def test_an_object_fills_its_index(session: Session) -> None:
    """On insert and on each change of the source, also to None, and also in the object itself."""
    user = add(session, 1, "a@b.c")
    assert user.email_index == INDEX.of(get_keyring(), "a@b.c")
    assert (found(session, "a@b.c"), found(session, "A@b.c")) == ([1], [])

    user.email = "d@e.f"
    session.commit()
    assert (found(session, "a@b.c"), found(session, "d@e.f")) == ([], [1])

    user.name = "another column"
    session.commit()
    assert found(session, "d@e.f") == [1]

    user.email = None
    session.commit()
    assert session.scalar(sa.select(User.email_index).where(User.email_index.is_(None))) is None
    assert found(session, "d@e.f") == []


INSERTS: dict[str, Callable[[Session], Any]] = {
    "orm values": lambda session: session.execute(sa.insert(User).values(id=1, email="1")),
    "orm rows": lambda session: session.execute(sa.insert(User), [{"id": 1, "email": "1"}, {"id": 2, "email": "2"}]),
    "orm rows in values": lambda session: session.execute(
        sa.insert(User).values([{"id": 2, "email": "2"}, {"id": 1, "email": "1"}])
    ),
    "bulk objects": lambda session: session.bulk_save_objects([User(id=1, email="1")]),
    "bulk mappings": lambda session: session.bulk_insert_mappings(sa.inspect(User), [{"id": 1, "email": "1"}]),
    "core values": lambda session: session.connection().execute(sa.insert(USERS).values(id=1, email="1")),
    "core rows": lambda session: session.connection().execute(
        sa.insert(USERS), [{"id": 1, "email": "1"}, {"id": 2, "email": "2"}]
    ),
    "core rows in values": lambda session: session.connection().execute(
        sa.insert(USERS).values([{"id": 2, "email": "2"}, {"id": 1, "email": "1"}])
    ),
    "index as well": lambda session: session.execute(sa.insert(User).values(id=1, email="1", email_index="1")),
}


@pytest.mark.parametrize("insert", INSERTS.values(), ids=INSERTS)
def test_each_insert_fills_the_index(session: Session, insert: Callable[[Session], Any]) -> None:
    """Through the ORM, in bulk and without it; each row gets its own."""
    insert(session)

    assert found(session, "1") == [1]
    assert found(session, "2") in ([2], [])
    assert session.scalar(sa.select(sa.func.count()).where(User.email_index.is_(None))) == 0


STALE: dict[str, Callable[[], Any]] = {
    "update": lambda: sa.update(User).values(email="x"),
    "core update": lambda: sa.update(USERS).values(email="x"),
    "update to an expression": lambda: sa.update(User).values(email=User.api_key),
    "insert of an expression": lambda: sa.insert(USERS).values(id=2, email=sa.func.lower("x")),
    "insert of expressions in rows": lambda: sa.insert(USERS).values(
        [{"id": n, "email": sa.func.lower("x")} for n in (2, 3)]
    ),
    "insert from select": lambda: sa.insert(USERS).from_select(["email"], sa.select(USERS.c.api_key)),
    "ordered update": lambda: sa.update(USERS).ordered_values((USERS.c.email, "x")),
}


def test_a_statement_that_leaves_the_index_behind_is_refused(session: Session, named: Named) -> None:
    """Its source is written, but not the index: the error says what to add, and nothing is written."""
    add(session, 1, "a@b.c")

    for name, statement in STALE.items():
        with named(name):
            for _ in range(2):
                with pytest.raises(StaleIndexError, match=r"^users.email_index: .*set|add"):
                    session.execute(statement())
            assert found(session, "a@b.c") == [1]


def test_many_updates_are_refused_too(session: Session) -> None:
    """Parameters in a list, with bindparams and by primary key."""
    add(session, 1, "a@b.c")
    by_key = sa.update(USERS).where(USERS.c.id == sa.bindparam("key"))

    with pytest.raises(StaleIndexError):
        session.execute(sa.update(User), [{"id": 1, "email": "x"}])
    with pytest.raises(StaleIndexError):
        session.connection().execute(by_key, [{"key": 1, "email": "x"}])
    with pytest.raises(StaleIndexError, match="bindparam"):
        session.execute(sa.insert(USERS).values(id=2, email=sa.bindparam("other")), {"other": "x"})
    assert found(session, "a@b.c") == [1]


def test_an_update_that_sets_the_index_too_is_accepted(session: Session) -> None:
    """The same value given for the index becomes its index, in each form of UPDATE."""
    add(session, 1, "a@b.c")

    session.execute(sa.update(User).values(email="b", email_index="b"))
    assert found(session, "b") == [1]
    session.execute(sa.update(User), [{"id": 1, "email": "c", "email_index": "c"}])
    assert found(session, "c") == [1]
    session.execute(sa.update(User).where(User.email_index == "c").values(name="no matter"))
    assert found(session, "c") == [1]


def test_an_object_set_to_an_expression_is_refused(session: Session) -> None:
    """The value of an expression is not known before the statement runs."""
    user = add(session, 1, "a@b.c")
    user.email = User.__table__.c.api_key  # type: ignore[assignment]

    with pytest.raises(StaleIndexError, match="an SQL expression"):
        session.commit()


def test_an_upsert_sets_the_index_too(session: Session, database: Any) -> None:
    """ON CONFLICT and ON DUPLICATE KEY are refused if they set the source alone."""
    add(session, 1, "a@b.c")
    if database.kind == "mariadb":
        insert: Any = mysql.insert(USERS).values(id=1, email="new")
        alone = insert.on_duplicate_key_update(email=insert.inserted.email)
        both = insert.on_duplicate_key_update(email=insert.inserted.email, email_index=insert.inserted.email_index)
    else:
        insert = {"sqlite": sqlite, "postgresql": postgresql}[database.kind].insert(USERS).values(id=1, email="new")
        new = insert.excluded
        alone = insert.on_conflict_do_update(index_elements=["id"], set_={"email": new.email})
        both = insert.on_conflict_do_update(
            index_elements=["id"], set_={"email": new.email, "email_index": new.email_index}
        )

    with pytest.raises(StaleIndexError, match="the excluded row"):
        session.execute(alone)
    session.execute(both)

    assert found(session, "new") == [1]


def test_rows_are_found_while_a_rotation_runs(session: Session, use_keys: Any) -> None:
    """Rows with an index under an old key and rows with one under the new key are both found, and excluded by !=."""
    use_keys(OLD)
    add(session, 1, "a@b.c")
    use_keys(NEW, OLD)
    add(session, 2, "a@b.c")
    add(session, 3, "other")

    assert found(session, "a@b.c") == [1, 2]
    assert session.scalars(sa.select(User.id).where(User.email_index != "a@b.c")).all() == [3]
    assert sorted(session.scalars(sa.select(User.id).where(User.email_index.in_(["a@b.c", "other"])))) == [1, 2, 3]
    assert session.scalars(sa.select(User.id).where(User.email_index.not_in([b"a@b.c"]))).all() == [3]
    assert session.scalars(sa.select(User.id).where(User.email_index.in_([]))).all() == []
    assert session.scalars(sa.select(User.id).filter_by(email_index=Secret("other"))).all() == [3]


COMPARISONS: dict[str, Callable[[Any], Any]] = {
    "<": lambda column: column < "x",
    "like": lambda column: column.like("x"),
    "contains": lambda column: column.contains("x"),
    "desc": lambda column: column.desc(),
    "in select": lambda column: column.in_(sa.select(User.name)),
    "in None": lambda column: column.in_([None]),
    "number": lambda column: column == 1,
    "another column": lambda column: column == User.name,
    "an index": lambda column: column == IndexText("x"),
    "indexes": lambda column: column.in_([IndexText("x")]),
    "reversed": lambda column: "x" + column,
}


def test_other_comparisons_raise(named: Named) -> None:
    """A blind index answers whether values are equal, and nothing else."""
    for name, compare in COMPARISONS.items():
        with named(name), pytest.raises(ComparisonError, match=r"^users.email_index: "):
            compare(User.email_index)


def test_an_index_as_plain_text_is_refused(session: Session) -> None:
    """Text in the shape of an index would become the index of an index: it may come from a dump."""
    index = INDEX.of(get_keyring(), "a@b.c")

    with pytest.raises(TypeError, match="this is an index already"):
        session.execute(sa.insert(User).values(id=1, email="a@b.c", email_index=index))
    with pytest.raises(TypeError, match=r"users.email: takes str, not int"):
        session.execute(sa.insert(User).values(id=1, email_index=1))
    session.execute(sa.insert(User).values(id=1, email="a@b.c", email_index=IndexText(index)))
    assert found(session, "a@b.c") == [1]


def test_a_lone_surrogate_has_no_index(session: Session) -> None:
    """The error shows nothing of the text, and nothing that holds it is reachable."""
    with pytest.raises(PlaintextError, match="lone surrogate") as caught:
        found(session, "sk-live\ud800")

    assert caught.value.__context__ is None


class Root(MappedAsDataclass, DeclarativeBase):
    pass


class Person(Root):
    """A dataclass, whose attribute has another name than its column."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str | None] = mapped_column("e_mail", EncryptedText(), default=None)
    mail_index: Mapped[str | None] = mapped_column(BlindIndexOf("mail", context="mail"), default=None)
    changed: Mapped[datetime.datetime | None] = mapped_column(default=None)


def test_attributes_may_have_other_names_than_columns(session: Session) -> None:
    """The index refers to the attribute of a mapped class; so do dataclasses, which set every attribute."""
    Root.metadata.create_all(session.connection())
    session.add(Person(id=1, mail="a"))
    session.commit()
    person = session.get_one(Person, 1)

    assert person.mail_index == BlindIndex("mail").of(get_keyring(), "a")
    person.mail = "b"
    session.commit()
    assert session.scalars(sa.select(Person.id).where(Person.mail_index == "b")).all() == [1]


def test_an_unknown_source_is_refused() -> None:
    """A misspelt name is found when mappers are configured, or at the first statement."""

    class Base(DeclarativeBase):
        pass

    class Misspelt(Base):
        __tablename__ = "misspelt"
        id: Mapped[int] = mapped_column(primary_key=True)
        email_index: Mapped[str | None] = mapped_column(BlindIndexOf("emial"))

    try:
        with pytest.raises(
            KeyConfigError, match=r'misspelt.email_index: BlindIndexOf\("emial"\), but the table has no'
        ):
            configure_mappers()
    finally:
        Base.registry.dispose()


def test_an_index_before_a_default_is_refused(session: Session) -> None:
    """If the source has a default that is made after the index, the index cannot be right."""
    table = sa.Table(
        "early",
        sa.MetaData(),
        sa.Column("i", BlindIndexOf("k")),
        sa.Column("k", EncryptedText(), default=lambda: "x"),
    )

    with pytest.raises(StaleIndexError, match="a later default"):
        session.execute(sa.insert(table))


def test_keys_are_separate_from_those_of_tokens() -> None:
    """An index is no token, and shows no key."""
    assert key_text(NEW) not in INDEX.of(get_keyring(), "x")
    assert len(INDEX.of(get_keyring(), "x")) == 52
