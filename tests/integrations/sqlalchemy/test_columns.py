"""Each column has its own name, context and cells, however its type got there; and no type shows or holds a key."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column

from keyring_core import InvalidToken, get_keyring
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedBytes, EncryptedJSON, EncryptedText
from keyring_core.integrations.sqlalchemy.column_type import cells_of
from keyring_core.integrations.sqlalchemy.encrypted import EncryptedColumnType
from tests.conftest import NEW
from tests.integrations.sqlalchemy.indexed_models import Indexed, Member
from tests.integrations.sqlalchemy.models import Base, User
from tests.keys import key_text

pytestmark = pytest.mark.database


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    engine = sa.create_engine("sqlite://")
    yield engine
    engine.dispose()


def names(table: Any) -> dict[str, str]:
    """What the cells of a table's encrypted columns call their column."""
    return {column.name: column.type.cells.column for column in table.c if isinstance(column.type, EncryptedColumnType)}


def test_columns_of_a_mixin_have_names_of_their_own(engine: sa.Engine) -> None:
    """A mixin's column is copied for each class: each copy is bound to its own table, abstract bases between or not."""

    class Root(DeclarativeBase):
        pass

    class Secretive:
        secret: Mapped[str | None] = mapped_column(EncryptedText(context=True))
        settings: Mapped[Any] = mapped_column(MutableDict.as_mutable(EncryptedJSON()))

        @declared_attr
        def secret_index(self) -> Mapped[str | None]:
            return mapped_column(BlindIndexOf("secret"))

    class Middle(Secretive, Root):
        __abstract__ = True
        id: Mapped[int] = mapped_column(primary_key=True)

    class First(Middle):
        __tablename__ = "first"

    class Second(Middle):
        __tablename__ = "second"

    Root.metadata.create_all(engine)
    with Session(engine) as session:
        first, second = First(secret="a", settings={"n": 1}), Second(secret="a", settings={"n": 1})
        session.add_all([first, second])
        session.commit()
        first.settings["n"] = 2
        session.commit()

        assert names(First.__table__) == {"secret": "first.secret", "settings": "first.settings"}
        assert names(Second.__table__) == {"secret": "second.secret", "settings": "second.settings"}
        assert First.__table__.c.secret_index.type.context == "first.secret"
        assert Second.__table__.c.secret_index.type.context == "second.secret"
        assert first.secret_index != second.secret_index
        assert (first.secret, second.secret, first.settings) == ("a", "a", {"n": 2})
        # The other table's token is under another key.
        session.execute(sa.text("UPDATE second SET secret = (SELECT secret FROM first)"))
        session.expire_all()
        with pytest.raises(InvalidToken, match=r"^second.secret, id=1: .* bound to 'second.secret'"):
            second.secret  # noqa: B018 - loads


def test_one_instance_for_several_columns_is_copied() -> None:
    """A type that stands in several columns, as in a variable, is another one for each."""
    shared = EncryptedText(context=True)
    table = sa.Table("t", sa.MetaData(), sa.Column("a", shared), sa.Column("b", shared))

    assert names(table) == {"a": "t.a", "b": "t.b"}
    assert table.c.a.type is shared
    assert table.c.a.type.cells is not table.c.b.type.cells


class Shouted(sa.TypeDecorator[str]):
    """A type of an application over an encrypted one."""

    impl = EncryptedText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value.upper()


def test_a_type_over_an_encrypted_one_is_copied_as_a_whole(engine: sa.Engine) -> None:
    """In a mixin and in several columns: each column has the application's own type, over cells of its own."""

    class Own(DeclarativeBase):
        pass

    class Mixin:
        secret: Mapped[str] = mapped_column(Shouted(context=True))

    class One(Mixin, Own):
        __tablename__ = "one"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Two(Mixin, Own):
        __tablename__ = "two"
        id: Mapped[int] = mapped_column(primary_key=True)

    Own.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([One(id=1, secret="a"), Two(id=1, secret="b")])
        session.commit()
        held = [session.execute(sa.text(f"SELECT secret FROM {name}")).scalar_one() for name in ("one", "two")]

        assert [session.scalars(sa.select(table.secret)).one() for table in (One, Two)] == ["A", "B"]

    opened = [
        get_keyring().bind(f"{name}.secret").decrypt(cell) for name, cell in zip(("one", "two"), held, strict=True)
    ]
    assert opened == ["A", "B"]


def test_a_copied_table_has_contexts_of_its_own() -> None:
    """A table that is copied under another name does not use the first one's contexts."""
    copied = User.__table__.to_metadata(sa.MetaData(), schema="archive", name="users_history")

    assert names(copied) == {"api_key": "users_history.api_key", "email": "users_history.email"}
    assert copied.c.api_key.type.context == "users.api_key"
    assert copied.c.email_index.type.context == "users_history.email"
    assert names(User.__table__) == {"api_key": "users.api_key", "email": "users.email"}
    assert User.__table__.c.email_index.type.context == "users.email"


def test_types_are_found_by_their_cells() -> None:
    """What rotation looks for: the cells of each type, and the source and context of an index."""
    kinds = {EncryptedText: ValueKind.TEXT, EncryptedBytes: ValueKind.BYTES, EncryptedJSON: ValueKind.JSON}
    for made, kind in kinds.items():
        cells = made("a.b", accept_unbound=True, accept_plaintext=True).cells

        assert isinstance(cells, Cells)
        assert (cells.kind, cells.context, cells.accept_unbound, cells.accept_plaintext) == (kind, "a.b", True, True)
    index = BlindIndexOf("email", context="people")
    assert (index.of, index.context) == ("email", "people")


def test_the_same_options_in_another_column_are_another_statement(engine: sa.Engine) -> None:
    """SQLAlchemy caches statements with their types: a value for one column is not encrypted for another one."""
    table = sa.Table("t", sa.MetaData(), *(sa.Column(name, EncryptedText(context=True)) for name in "ab"))
    with engine.connect() as connection:
        for column in table.c:
            token = connection.scalar(sa.select(sa.cast(sa.literal("x", column.type), sa.Text)))

            assert get_keyring().bind(f"t.{column.name}").decrypt(token or "") == "x"


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (EncryptedText(), "EncryptedText()"),
        (EncryptedText(True), "EncryptedText(context=True)"),
        (
            EncryptedJSON("a.b", accept_unbound=True, accept_plaintext=True, binary=True),
            "EncryptedJSON(context='a.b', accept_unbound=True, accept_plaintext=True, binary=True)",
        ),
        (EncryptedText(of=sa.Date), "EncryptedText(of=Date())"),
        (
            EncryptedText(**EncryptedText(True, of=sa.Numeric(10, 2), keys="billing").options),
            "EncryptedText(context=True, of=Numeric(precision=10, scale=2), keys='billing')",
        ),
        (BlindIndexOf("email"), "BlindIndexOf(of='email')"),
    ],
    ids=["nothing", "context", "all", "type", "options", "index"],
)
def test_the_repr_shows_options_only(made: Any, shown: str) -> None:
    """The repr is the call that makes such a type again."""
    assert repr(made) == shown


def test_no_key_is_in_a_type(engine: sa.Engine) -> None:
    """Neither the repr nor the cache key of a type holds a key, before and after it was used."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(User(id=1, api_key="a", email="b"))
        session.commit()

    for column in User.__table__.c:
        assert key_text(NEW) not in f"{column!r} {column.type!r} {column.type._static_cache_key}"
    assert "Keyring" not in f"{User.__table__.c.api_key.type._static_cache_key}"


def test_columns_are_text_unless_binary() -> None:
    """A token is text, also of bytes; the columns of other packages may hold its bytes."""
    types = [made(binary=binary) for made in (EncryptedText, EncryptedBytes, EncryptedJSON) for binary in (False, True)]

    assert [str(made.compile()) for made in types] == ["TEXT", "BLOB"] * 3
    assert str(EncryptedText().compile(postgresql.dialect())) == "TEXT"
    assert str(EncryptedBytes(binary=True).compile(postgresql.dialect())) == "BYTEA"
    assert str(BlindIndexOf("email").compile()) == "VARCHAR(52)"


def test_metadata_can_be_pickled() -> None:
    """Also with an application's own types over the encrypted ones: each column has its type and its cells again."""
    copied = pickle.loads(pickle.dumps(Indexed.metadata))

    for column in Member.__table__.columns:
        again = copied.tables["members"].columns[column.name]
        assert repr(again.type) == repr(column.type)
        assert repr(cells_of(again)) == repr(cells_of(column))
    # Of a type that was not used yet, too.
    assert repr(pickle.loads(pickle.dumps(EncryptedText(of=sa.Date()))).impl_instance) == "Text()"
