"""A blind index is of what the cell holds, on every way to write it and in every lookup, as a rotation makes it."""

from __future__ import annotations

import datetime
import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session, configure_mappers

from keyring_core import ComparisonError, KeyConfigError, StaleIndexError, get_keyring, key_set
from keyring_core.blind_index import BlindIndex
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedJSON, EncryptedText
from keyring_core.integrations.values import DATE
from tests.conftest import Named
from tests.integrations.sqlalchemy.indexed_models import Indexed, Lower, Member
from tests.keys import key_text

pytestmark = pytest.mark.database

MEMBERS = Member.__table__
BORN = datetime.date(2026, 11, 29)


@pytest.fixture
def session(database: Any) -> Any:
    """A session in a fresh database of each kind."""
    Indexed.metadata.create_all(database.engine)
    with Session(database.engine) as opened:
        yield opened


def found(session: Session, condition: Any) -> list[int]:
    return list(session.scalars(sa.select(Member.id).where(condition).order_by(Member.id)))


def set_in_a_flush(session: Session) -> None:
    session.add(Member(id=1, mail="other"))
    session.commit()
    session.get_one(Member, 1).mail = " A@B.C "
    session.commit()


def set_by_update(session: Session) -> None:
    session.add(Member(id=1, mail="other"))
    session.flush()
    session.execute(sa.update(Member).values(mail=" A@B.C ", mail_index=" A@B.C "))


def set_in_bulk(session: Session) -> None:
    session.add(Member(id=1, mail="other"))
    session.commit()
    session.execute(sa.update(Member), [{"id": 1, "mail": " A@B.C ", "mail_index": " A@B.C "}])


WRITES: dict[str, Callable[[Session], Any]] = {
    "object": lambda session: session.add(Member(id=1, mail=" A@B.C ")),
    "merged": lambda session: session.merge(Member(id=1, mail=" A@B.C ")),
    "flush": set_in_a_flush,
    "update": set_by_update,
    "bulk update": set_in_bulk,
    "rows": lambda session: session.execute(sa.insert(Member), [{"id": 1, "mail": " A@B.C "}, {"id": 2, "mail": "x"}]),
    "core rows": lambda session: session.connection().execute(
        sa.insert(MEMBERS), [{"id": 1, "mail": " A@B.C "}, {"id": 2, "mail": "x"}]
    ),
    "rows in values": lambda session: session.execute(
        sa.insert(MEMBERS).values([{"id": 2, "mail": "x"}, {"id": 1, "mail": " A@B.C "}])
    ),
    "index as well": lambda session: session.execute(
        sa.insert(Member).values(id=1, mail=" A@B.C ", mail_index=" A@B.C ")
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_index_is_of_what_the_cell_holds(session: Session, write: Callable[[Session], Any]) -> None:
    """Two types of the application change the value; both who writes and who looks up may give it as it was."""
    write(session)
    session.commit()
    member = session.get_one(Member, 1)

    assert member.mail == "a@b.c"
    assert member.mail_index == BlindIndex("members.mail").of(get_keyring(), "a@b.c")
    for spelling in ("a@b.c", "A@B.C", " a@B.c", b"A@B.C"):
        assert found(session, Member.mail_index == spelling) == [1]
    assert found(session, Member.mail_index.in_(["A@B.C", "zz"])) == [1]


def test_a_value_that_becomes_null_has_no_index(session: Session) -> None:
    """If a type of the application makes NULL of it, the index is NULL, and nothing can be looked up by it."""
    session.add(Member(id=1, mail="  "))
    session.commit()

    assert found(session, Member.mail_index.is_(None)) == [1]
    with pytest.raises(ComparisonError, match="the cell would be NULL"):
        found(session, Member.mail_index == "  ")


def test_a_normal_form_is_what_is_indexed(session: Session, named: Named) -> None:
    """The value stays as it was written, and each spelling with the same normal form finds it."""
    session.add(Member(id=1, city="Straße"))
    session.execute(sa.insert(Member).values([{"id": 2, "city": "STRASSE"}, {"id": 3, "city": "Strand"}]))
    session.commit()

    for spelling in ("straße", "STRASSE", "sTrasse"):
        with named(spelling):
            assert found(session, Member.city_index == spelling) == [1, 2]
    session.execute(sa.update(Member).where(Member.city_index == "STRAND").values(city="ÉTÉ", city_index="ÉTÉ"))
    session.get_one(Member, 1).city = "Été"
    assert found(session, Member.city_index == "été") == [1, 3]
    assert session.get_one(Member, 1).city == "Été"


def test_dates_and_bytes_are_looked_up_as_they_are(session: Session) -> None:
    """A typed column by its values; bytes also by the text of which they are."""
    session.add(Member(id=1, born=BORN, raw=b"abc"))
    session.execute(sa.insert(Member).values(id=2, born=BORN, born_index=BORN))
    session.commit()

    assert session.get_one(Member, 1).born == BORN
    assert found(session, Member.born_index == BORN) == [1, 2]
    assert found(session, Member.born_index.in_([BORN, datetime.date(2020, 1, 1)])) == [1, 2]
    assert found(session, Member.raw_index == "abc") == found(session, Member.raw_index == b"abc") == [1]
    with pytest.raises(ComparisonError, match=r"^members.born_index: .*members.born: takes a date, not str"):
        found(session, Member.born_index == "2026-11-29")
    with pytest.raises(StaleIndexError, match="different values"):
        session.execute(sa.update(Member).values(born=BORN, born_index=datetime.date(2020, 1, 1)))


def test_the_index_of_a_typed_column_has_the_form_of_its_type() -> None:
    """So a rotation makes the same index of a cell that another program wrote in another spelling."""
    index = MEMBERS.c.born_index.type.index

    assert index.normalize == DATE.normal
    assert index.of(get_keyring(), "20261129") == index.of(get_keyring(), "2026-11-29")
    assert MEMBERS.c.city_index.type.index.normalize is str.casefold


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
    assert repr(copied.c.mail.type) == repr(Lower())


def test_an_index_is_under_the_keys_of_its_source(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column with a key set of its own is found by that set, and is not compared with one under other keys."""
    monkeypatch.setenv("LEDGER_ENCRYPTION_KEY", key_text("ledger"))
    table = sa.Table(
        "ledger",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("iban", EncryptedText(keys="ledger")),
        sa.Column("iban_index", BlindIndexOf("iban", "town", normalize=str.casefold)),
    )
    table.create(session.connection())
    session.execute(sa.insert(table).values(id=1, iban="CH1"))

    [index] = session.scalars(sa.select(table.c.iban_index).where(table.c.iban_index == "ch1"))
    assert index.startswith(key_set("ledger")().primary.id)
    with pytest.raises(ComparisonError):
        session.execute(sa.select(table).join(MEMBERS, table.c.iban_index == MEMBERS.c.town_index))


def test_copies_of_a_table_have_their_own_source(session: Session) -> None:
    """Also one that is made after its model was used, and whose column has other options."""
    found(session, Member.city_index == "x")
    copied = Member.__table__.to_metadata(sa.MetaData(), name="copies")
    copied.append_column(sa.Column("city", EncryptedText(context="c")), replace_existing=True)
    copied.create(session.connection())

    session.execute(sa.insert(copied).values(id=1, city="Bern"))
    assert session.execute(sa.select(copied.c.city).where(copied.c.city_index == "BERN")).all() == [("Bern",)]
    assert copied.c.city_index.type.indexed.cells is copied.c.city.type.cells
