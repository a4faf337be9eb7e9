"""BlindIndexOf as a column type: what it can be the index of, under which names, and what each copy of it keeps."""

from __future__ import annotations

import datetime
import gc
import pickle
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, configure_mappers, mapped_column

from keyring_core import ComparisonError, KeyConfigError, StaleIndexError, get_keyring
from keyring_core.blind_index import BlindIndex
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedJSON, EncryptedText, IndexText
from tests.integrations.sqlalchemy.indexed_models import Indexed, Lower, Member

pytestmark = pytest.mark.database

MEMBERS = Member.__table__


@pytest.fixture
def session(database: Any) -> Any:
    """A session in a fresh database of each kind."""
    Indexed.metadata.create_all(database.engine)
    with Session(database.engine) as opened:
        yield opened


def found(session: Session, condition: Any) -> list[int]:
    return list(session.scalars(sa.select(Member.id).where(condition).order_by(Member.id)))


def test_an_index_as_plain_text_is_refused(session: Session) -> None:
    """Text in the shape of an index would become the index of an index: it may come from a dump."""
    index = BlindIndex("members.mail").of(get_keyring(), "a@b.c")

    with pytest.raises(TypeError, match="this is an index already"):
        session.execute(sa.insert(Member).values(id=1, mail="a@b.c", mail_index=index))
    with pytest.raises(TypeError, match=r"members.mail: takes str, not int"):
        session.execute(sa.insert(Member).values(id=1, mail_index=1))
    session.execute(sa.insert(Member).values(id=1, mail="a@b.c", mail_index=IndexText(index)))
    assert found(session, Member.mail_index == "a@b.c") == [1]


def test_a_value_that_becomes_null_has_no_index(session: Session) -> None:
    """If a type of the application makes NULL of it, the index is NULL, and nothing can be looked up by it."""
    session.add(Member(id=1, own="  "))
    session.commit()

    assert found(session, Member.own_index.is_(None)) == [1]
    with pytest.raises(ComparisonError, match="the cell would be NULL"):
        found(session, Member.own_index == "  ")


def test_a_text_and_its_bytes_are_one_value(session: Session) -> None:
    """In a lookup, of a column of text, of bytes and of a type of the application; a text is no date."""
    session.add(Member(id=1, mail="a", own="a", raw=b"abc"))
    session.commit()

    for condition in (
        Member.mail_index == b"a",
        Member.mail_index.in_([b"a"]),
        Member.own_index == b" A",
        Member.raw_index == "abc",
    ):
        assert found(session, condition) == [1]
    with pytest.raises(ComparisonError, match=r"^members.born_index: .*members.born: takes a date, not str"):
        found(session, Member.born_index == "2026-11-29")


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


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "json": (EncryptedJSON(), BlindIndexOf("k"), "that is a JSON column"),
    "plain": (sa.String(), BlindIndexOf("k"), "that column is not encrypted"),
    "two forms": (
        EncryptedText(of=sa.Date()),
        BlindIndexOf("k", normalize=str.casefold),
        "normalize; that column holds a date",
    ),
}


@pytest.mark.parametrize(("source", "index", "words"), REFUSED.values(), ids=REFUSED)
def test_a_column_that_has_no_such_index_is_refused(source: Any, index: BlindIndexOf, words: str) -> None:
    """When mappers are configured; of a table without a class, at the first statement."""

    class Base(DeclarativeBase):
        pass

    table = sa.Table("wrong", Base.metadata, sa.Column("id", sa.Integer, primary_key=True))
    table.append_column(sa.Column("k", source))
    table.append_column(sa.Column("i", index))

    with pytest.raises(KeyConfigError, match=words):
        table.c.i == "x"  # noqa: B015 - raises
    # Held, since a class that nobody holds may be collected, and its mapper with it.
    model = type("Wrong", (Base,), {"__table__": table})
    gc.collect()
    try:
        with pytest.raises(KeyConfigError, match=rf"^wrong.i: .*{words}"):
            configure_mappers()
    finally:
        model.registry.dispose()


def test_a_normal_form_without_a_function_is_refused() -> None:
    """A misspelt name is found when the column is declared."""
    with pytest.raises(KeyConfigError, match="normalize 'casfold'"):
        BlindIndexOf("k", normalize="casfold")


def test_the_normal_form_is_part_of_the_type() -> None:
    """Of its repr, of the key of a cached statement, and of each copy."""
    one, other = BlindIndexOf("k", normalize=str.casefold), BlindIndexOf("k", normalize="casefold")

    assert repr(one) == "BlindIndexOf(of='k', normalize='casefold')"
    assert one._static_cache_key == other._static_cache_key != BlindIndexOf("k")._static_cache_key
    assert pickle.loads(pickle.dumps(one)).normalize is str.casefold
    copied = MEMBERS.to_metadata(sa.MetaData(), name="copies")
    assert copied.c.city_index.type.index.normalize is str.casefold
    assert copied.c.mail_index.type.index.context == "copies.mail"
    assert repr(copied.c.own.type) == repr(Lower())


def test_copies_of_a_table_have_their_own_source(session: Session) -> None:
    """Also one that is made after its model was used, and whose column has other options."""
    found(session, Member.city_index == "x")
    copied = Member.__table__.to_metadata(sa.MetaData(), name="copies")
    copied.append_column(sa.Column("city", EncryptedText(context="c")), replace_existing=True)
    copied.create(session.connection())

    session.execute(sa.insert(copied).values(id=1, city="Bern"))
    assert session.execute(sa.select(copied.c.city).where(copied.c.city_index == "BERN")).all() == [("Bern",)]
    assert copied.c.city_index.type.indexed.cells is copied.c.city.type.cells
