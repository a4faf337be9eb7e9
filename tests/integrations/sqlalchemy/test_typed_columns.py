"""`EncryptedText(of=...)`: dates, numbers and other values go in and come back, and the database holds tokens."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from keyring_core import (
    KeyConfigError,
    get_keyring,
)
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedBytes, EncryptedJSON, EncryptedText
from keyring_core.legacy import Legacy
from tests.conftest import Named
from tests.integrations.contract.typed import COLUMNS, NUMBER, Column, TypedContract, TypedDriver
from tests.keyring_core.legacy.known_cells import BY_NAME, cells_of, environ_of, legacy_of

pytestmark = pytest.mark.database

BORN = dt.date(1984, 2, 29)


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class Reversed(sa.TypeDecorator[str]):
    """An application's own type."""

    impl = sa.String(20)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        if value == "4242":
            raise RuntimeError(f"{value} is refused")
        return value[::-1] if isinstance(value, str) else 4242

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        if value == "4242":
            raise RuntimeError(f"{value} is refused")
        return value[::-1]


class Weekday(sa.TypeDecorator[int]):
    """An application's own type, which has no key for SQLAlchemy's caches."""

    impl = sa.Integer

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value + 1

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value - 1


class Price(sa.TypeDecorator[Decimal]):
    """An application's own type, with the arguments of the one below."""

    impl = sa.Numeric
    cache_ok = True


TYPES: dict[str, Any] = {
    "born": sa.Date,
    "seen": sa.DateTime(timezone=True),
    "wakes": sa.Time(),
    "shift": sa.Interval(),
    "age": sa.Integer(),
    "score": sa.Double(),
    "active": sa.Boolean(),
    "income": sa.Numeric(10, 2),
    "ref": sa.Uuid(),
    "at": sa.DateTime(),
    "big": sa.BigInteger,
    "share": sa.Numeric(asdecimal=False),
    "exact": sa.Numeric(),
    "uuid_text": sa.Uuid(as_uuid=False),
    "member": sa.Enum(Colour),
    "by_value": sa.Enum(Colour, values_callable=lambda members: [each.value for each in members]),
    "word": sa.Enum("new", "paid"),
    "text": sa.String(),
    "own": Reversed(),
    "weekday": Weekday(),
    "of_one_database": postgresql.INTERVAL(),
}
OWN: dict[str, Column] = {
    "at": (st.datetimes(), dt.datetime(2026, 11, 29, 6, 12), "2026-11-29T06:12:00"),
    "big": (st.integers(), 2**70, "1180591620717411303424"),
    "share": (st.floats(allow_nan=False, allow_infinity=False), 3, "3.0"),
    "exact": (st.decimals(-(10**9), 10**9), Decimal("1.20"), "1.2"),
    "uuid_text": (st.uuids().map(str), NUMBER, NUMBER),
    "member": (st.sampled_from(Colour), Colour.RED, "RED"),
    "by_value": (st.sampled_from(Colour), Colour.RED, "r"),
    "word": (st.sampled_from(["new", "paid"]), "paid", "paid"),
    "text": (st.text(), "Grüße", "Grüße"),
    "own": (st.text(max_size=20).filter(lambda text: text != "2424"), "abc", "cba"),
    "weekday": (st.integers(), 0, "1"),
    "of_one_database": (st.timedeltas(), dt.timedelta(seconds=-1), "-P0DT0H0M1S"),
}
"""The columns of types that Django has no field of."""


class Base(DeclarativeBase):
    pass


class Typed(Base):
    """One column of each type."""

    __table__ = sa.Table(
        "typed",
        Base.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, EncryptedText(context=True, of=of)) for name, of in TYPES.items()),
    )


class Person(Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    born: Mapped[dt.date | None] = mapped_column(EncryptedText(of=sa.Date()))
    paid: Mapped[Decimal | None] = mapped_column(EncryptedText(of=sa.Numeric()))
    seen: Mapped[dt.datetime | None] = mapped_column(EncryptedText(of=sa.DateTime(timezone=True), binary=True))


@pytest.fixture
def session(database: Any) -> Any:
    """A session in a fresh database of each kind."""
    Base.metadata.create_all(database.engine)
    with Session(database.engine) as opened:
        yield opened


def stored(session: Session, row: Any) -> Any:
    """*row* as another session reads it."""
    session.add(row)
    session.flush()
    number = row.id
    session.commit()
    session.expunge_all()
    return session.get_one(type(row), number)


class Driver(TypedDriver):
    table = "typed"
    columns = COLUMNS | OWN
    wrong = (
        ("born", dt.datetime(2026, 4, 2), "a date, not datetime"),
        ("at", BORN, "a datetime without a time zone, not date"),
        ("seen", dt.datetime(2026, 4, 2), "a datetime with a time zone, not datetime"),
        ("age", True, "an int, not bool"),
        ("income", 42.42, "a Decimal with at most 2 decimal places, not float"),
        ("active", 1, "a bool, not int"),
        ("ref", NUMBER, "a UUID, not str"),
        ("uuid_text", "4242", "a UUID as text; this one is no such value"),
        ("member", "RED", "a Colour, not str"),
        ("word", "4242", "one of new, paid, not another str"),
        ("own", "4242", "a value of Reversed; this one is no such value"),
        ("own", 4242, "a value of Reversed; this one is no such value"),
        ("own", "4242" * 6, "text of at most 20 characters; this one is longer"),
        ("weekday", "4242", "a value of Weekday; this one is no such value"),
    )
    unreadable = (
        ("member", "4242", "a Colour"),
        ("own", "4242", "a value of Reversed"),
        ("weekday", "", "a value of Weekday"),
    )

    def __init__(self, session: Session, database: Any) -> None:
        self.session, self.database = session, database

    def new(self, **values: Any) -> Any:
        return stored(self.session, Typed(**values)).id

    def read(self, key: Any, *names: str) -> list[Any]:
        statement = sa.select(*(Typed.__table__.c[name] for name in names)).where(Typed.__table__.c.id == key)
        # The session of a test that writes beside it must see that.
        self.session.rollback()
        return [*self.session.execute(statement).one()]

    def token(self, name: str, text: str) -> str:
        return get_keyring().bind(f"typed.{name}").encrypt(text)

    def text(self, name: str, cell: Any) -> str:
        return get_keyring().bind(f"typed.{name}").decrypt(cell)

    def writes(self, name: str, value: Any) -> list[Callable[[], object]]:
        row, insert, update = {name: value}, sa.insert(Typed), sa.update(Typed)
        given = ((insert, row), (insert, [row, row]), (update.values(row), None))
        return [partial(self.session.execute, *each) for each in given]


@pytest.fixture
def orm(session: Session, database: Any) -> Driver:
    return Driver(session, database)


class TestTyped(TypedContract):
    """On SQLAlchemy."""


@pytest.mark.parametrize(
    "of",
    [
        sa.LargeBinary(),
        sa.JSON(),
        sa.ARRAY(sa.Integer),
        sa.PickleType,
        sa.Time(timezone=True),
        sa.types.NullType(),
        postgresql.INET(),
        mysql.YEAR(),
        EncryptedText(),
        BlindIndexOf("email"),
        dt.date,
        "Date",
    ],
    ids=repr,
)
def test_a_type_without_a_text_is_refused_when_the_column_is_declared(of: Any) -> None:
    """The error lists what `of` may be, unless the type is encrypted itself."""
    words = "is encrypted itself" if hasattr(of, "options") else "it may be Date, DateTime, Time, .* EncryptedJSON$"
    with pytest.raises(KeyConfigError, match=words):
        EncryptedText(of=of)


def test_a_class_of_python_is_named_by_the_error() -> None:
    """`of=date` is a likely slip for `of=Date`."""
    with pytest.raises(KeyConfigError, match=r"^of: takes a type of SQLAlchemy, not the class date;"):
        EncryptedText(of=dt.date)  # type: ignore[call-overload]


def test_only_text_stands_for_other_values() -> None:
    for made in (EncryptedBytes, EncryptedJSON):
        with pytest.raises(TypeError, match="'of'"):
            made(of=sa.Date())  # type: ignore[call-arg]


def test_text_keeps_the_length_of_its_type(session: Session) -> None:
    """As many characters as the type has room for are stored; a cell that is longer is read."""
    kinds = [EncryptedText(of=sa.String(3)), EncryptedText()]
    short, free = (sa.Table("people", sa.MetaData(), sa.Column("id"), sa.Column("born", kind)) for kind in kinds)

    session.execute(sa.insert(short).values(id=1, born="äöü"))
    with pytest.raises(TypeError, match=r"^people.born: takes text of at most 3 characters; this one is longer$"):
        session.execute(sa.insert(short).values(id=2, born="abcd"))
    session.execute(sa.insert(free).values(id=2, born="abcd"))
    assert session.scalars(sa.select(short.c.born).order_by(short.c.id)).all() == ["äöü", "abcd"]


def test_the_python_type_is_that_of_the_values() -> None:
    """For tools that read it from a column."""
    kinds = [EncryptedText(of=of) for of in (sa.Date, sa.Enum(Colour), sa.Uuid(as_uuid=False), sa.Numeric(), Reversed)]

    assert [kind.python_type for kind in kinds] == [dt.date, Colour, str, Decimal, object]
    assert (EncryptedText().python_type, EncryptedBytes().python_type, EncryptedJSON().python_type) == (
        str,
        bytes,
        object,
    )


def test_a_statement_of_other_values_is_another_one() -> None:
    """SQLAlchemy compiles a statement once for types with the same key: equal options have one, and no others."""
    legacy = Legacy("sqlalchemy-utils", secret="$OLD", engine="fernet")
    types = [
        EncryptedText(),
        EncryptedText(keys="billing"),
        EncryptedText(keys="staff"),
        EncryptedText(of=sa.Date()),
        EncryptedText(of=sa.DateTime()),
        EncryptedText(of=sa.Numeric(10, 2)),
        EncryptedText(of=sa.Numeric(10, 3)),
        EncryptedText(of=sa.String(3)),
        EncryptedText(of=Reversed()),
        EncryptedText(of=Price(10, 2)),
        EncryptedText(of=Price(10, 3)),
        EncryptedText(of=sa.Enum(Colour)),
        EncryptedText(of=sa.Enum("RED", "GREEN")),
        EncryptedText(binary=True),
        EncryptedText(accept_unbound=True),
        EncryptedText(accept_plaintext=True),
        EncryptedText(legacy=legacy),
    ]
    keys = [sa.select(sa.literal(None, kind))._generate_cache_key() for kind in types]
    again = [sa.select(sa.literal(None, EncryptedText(**kind.options)))._generate_cache_key() for kind in types]

    assert [[left == right for right in keys] for left in again] == [
        [number == other for other in range(len(types))] for number in range(len(types))
    ]
    # Nothing says that two of it would be equal.
    unknown = [sa.select(sa.literal(None, EncryptedText(of=Weekday())))._generate_cache_key() for _ in "ab"]
    assert unknown[0] != unknown[1]


def test_an_equal_value_is_no_change(session: Session, sent: list[str]) -> None:
    """A flush writes what changed: not 1.00 in place of 1.0, nor the same instant in another zone."""
    at = dt.datetime(2026, 11, 29, 6, tzinfo=dt.UTC)
    person = stored(session, Person(id=1, born=BORN, paid=Decimal("1.0"), seen=at))

    person.paid, person.seen, person.born = (
        Decimal("1.00"),
        at.astimezone(dt.timezone(dt.timedelta(hours=1))),
        dt.date(*BORN.timetuple()[:3]),
    )
    session.commit()
    assert not any("UPDATE" in each for each in sent)
    person.born = BORN + dt.timedelta(days=1)
    session.commit()
    assert [each for each in sent if "UPDATE" in each] == [sent[-1]]
    assert "paid" not in sent[-1]


@pytest.fixture
def sent(session: Session) -> list[str]:
    """The statements that the session sent."""
    statements: list[str] = []
    sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *args: statements.append(args[2]))
    return statements


def test_the_text_that_a_database_makes_of_its_own_types_is_read(session: Session, named: Named) -> None:
    """A column of dates, say, was changed to TEXT: its cells are plaintext that the column reads."""
    names = {"born", "at", "age", "score", "income", "active", "ref", "member", "wakes"}
    if session.get_bind().dialect.name == "postgresql":
        names |= {"seen", "exact"}
    values = {name: value for name, (_, value, _) in (COLUMNS | OWN).items() if name in names}
    plain = sa.Table("plain", sa.MetaData(), *(sa.Column(name, TYPES[name]) for name in values))
    plain.create(session.connection())
    session.execute(sa.insert(plain), values)

    for name, value in values.items():
        with named(name):
            text = session.scalar(sa.select(sa.cast(plain.c[name], sa.Text)))
            assert EncryptedText(of=TYPES[name], accept_plaintext=True).cells.open(text or "") == value


WRITTEN = {
    "bool": sa.Boolean(),
    "date": sa.Date(),
    "datetime": sa.DateTime(),
    "datetime with a zone": sa.DateTime(timezone=True),
    "time": sa.Time(),
    "float": sa.Float(),
    "integer": sa.Integer(),
}


@pytest.mark.some(3)
@pytest.mark.parametrize("name", WRITTEN)
def test_typed_cells_of_sqlalchemy_utils_are_read(
    name: str, session: Session, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same type of the values: as the package reads them; and what a run makes of them is read alike."""
    case = BY_NAME[f"sqlalchemy-utils 0.43.0 {name}"]
    for variable, secret in environ_of(case).items():
        monkeypatch.setenv(variable, secret)
    kind = EncryptedText(of=WRITTEN[name], legacy=legacy_of(case))
    table = sa.Table("people", sa.MetaData(), sa.Column("id"), sa.Column("born", kind))
    cells = [*cells_of(case)]
    for number, (cell, plaintext) in enumerate(cells, 1):
        database.execute("INSERT INTO people (id, born) VALUES (:n, :k)", n=number, k=cell)
        token = get_keyring().encrypt_bytes(plaintext)
        database.execute("INSERT INTO people (id, born) VALUES (:n, :k)", n=number + 10, k=token)

    found = session.scalars(sa.select(table.c.born).order_by(table.c.id)).all()
    parse = {bool: "true".__eq__, float: float, int: int}
    read = parse.get(kind.python_type) or kind.python_type.fromisoformat
    assert [*found] == [read(plaintext.decode()) for _, plaintext in cells] * 2
    assert {type(value) for value in found} == {kind.python_type}


def test_a_name_that_is_no_key_set_is_refused_when_the_column_is_declared() -> None:
    """Without a look at the keys."""
    assert EncryptedText(keys="nobody-has-set-it").cells.keys == "nobody-has-set-it"
    with pytest.raises(KeyConfigError):
        EncryptedText(keys="not a name")
