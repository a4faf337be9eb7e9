"""Each way of SQLAlchemy to write an encrypted column with its blind index, and to ask for rows by it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session, aliased, with_loader_criteria

from keyring_core.integrations.sqlalchemy import IndexText
from rotation.model.target import Index
from tests.conftest import DATABASES
from tests.databases import open_database
from tests.integrations.contract.index import OTHER, Ids, IndexContract, IndexDriver, Row, indexes, one_by_one
from tests.integrations.sqlalchemy.indexed_models import Indexed, Member

pytestmark = pytest.mark.database

MEMBERS = Member.__table__
INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Driver(IndexDriver):
    """SQLAlchemy, with a session for each call."""

    def __init__(self, database: Any) -> None:
        self.database = database

    def clear(self) -> None:
        self.database.execute("DELETE FROM members")

    def do(self, action: Callable[[Session], object]) -> None:
        with Session(self.database.engine) as session:
            action(session)
            session.commit()

    def execute(self, statement: Any, *rows: Any) -> None:
        self.do(lambda session: session.execute(statement, *rows))

    def core(self, statement: Any, *rows: Any) -> None:
        self.do(lambda session: session.connection().execute(statement, *rows))

    def ids(self, statement: Any, given: Any = None) -> Ids:
        with Session(self.database.engine) as session:
            return sorted(session.scalars(statement, given))

    def inserts(self) -> Mapping[str, Callable[[Sequence[Row]], object]]:
        return {
            "objects": lambda rows: self.do(lambda s: s.add_all(Member(**row) for row in rows)),
            "merged": one_by_one(lambda row: self.do(lambda session: session.merge(Member(**row)))),
            "values": one_by_one(lambda row: self.execute(sa.insert(Member).values(**row))),
            "rows": lambda rows: self.execute(sa.insert(Member), rows),
            "rows in values": lambda rows: self.execute(sa.insert(Member).values([*reversed(rows)])),
            "bulk objects": lambda rows: self.do(lambda s: s.bulk_save_objects([Member(**row) for row in rows])),
            "bulk mappings": lambda rows: self.do(lambda s: s.bulk_insert_mappings(sa.inspect(Member), [*rows])),
            "core values": one_by_one(lambda row: self.core(sa.insert(MEMBERS).values(**row))),
            "core rows": lambda rows: self.core(sa.insert(MEMBERS), rows),
            "core rows in values": lambda rows: self.core(sa.insert(MEMBERS).values([*reversed(rows)])),
            "index as well": one_by_one(lambda row: self.execute(sa.insert(Member).values(**row, **indexes(row)))),
        }

    def changes(self) -> Mapping[str, Callable[[int, str, Any], object]]:
        update, row = sa.update(Member), MEMBERS.c.id
        return {
            "object": lambda n, name, value: self.do(lambda s: setattr(s.get_one(Member, n), name, value)),
            "merged": lambda n, name, value: self.do(lambda s: s.merge(Member(id=n, **{name: value}))),
            "update": lambda n, name, value: self.execute(update.where(row == n).values(both(name, value))),
            "rows": lambda n, name, value: self.execute(update, [{"id": n, **both(name, value)}]),
            "core": lambda n, *given: self.core(sa.update(MEMBERS).where(row == n).values(both(*given))),
            "upsert": lambda n, name, value: self.execute(self.upsert({"id": n, name: value}, *both(name, value))),
        }

    def upsert(self, row: Row, *columns: str) -> Any:
        """An INSERT of *row* that sets *columns* of one that is there."""
        if self.database.kind == "mariadb":
            made: Any = mysql.insert(MEMBERS).values(row)
            return made.on_duplicate_key_update({each: made.inserted[each] for each in columns})
        made = INSERTS[self.database.kind](MEMBERS).values(row)
        return made.on_conflict_do_update(index_elements=["id"], set_={each: made.excluded[each] for each in columns})

    def stale(self, value: str) -> Sequence[tuple[str, Callable[[], object]]]:
        update, insert, lower = sa.update(MEMBERS), sa.insert(MEMBERS), sa.func.lower(value)
        by_key = update.where(MEMBERS.c.id == sa.bindparam("key"))
        later = [{"id": 2, **both("mail", "x")}, {"id": 3, "mail": value, "mail_index": "x"}]

        def to_an_expression(session: Session) -> None:
            session.get_one(Member, 1).mail = MEMBERS.c.town  # type: ignore[assignment]

        statements: list[Any] = [
            ("add mail_index=", sa.update(Member).values(mail=value)),
            ("add mail_index=", sa.update(Member).values(mail=Member.town)),
            ("add mail_index=", sa.update(Member), [{"id": 1, "mail": value}]),
            ("add mail_index=", update.values(mail=value)),
            ("add mail_index=", update.ordered_values((MEMBERS.c.mail, value))),
            ("add mail_index=", by_key, [{"key": 1, "mail": value}]),
            ("set 'mail_index' too", insert.values(id=2, mail=lower)),
            ("set 'mail_index' too", insert.values([{"id": number, "mail": lower} for number in (2, 3)])),
            ("set 'mail_index' too", insert.from_select(["mail"], sa.select(MEMBERS.c.town))),
            ("the excluded row", self.upsert({"id": 1, "mail": value}, "mail")),
            ("a bindparam", insert.values(id=2, mail=sa.bindparam("other")), {"other": value}),
            ("different values", sa.update(Member).values(mail=value, mail_index="x")),
            ("different values", sa.update(Member).values(mail=None, mail_index=value)),
            ("different values", insert.values(id=2, mail=value, mail_index="x")),
            ("different values", sa.insert(Member).values(id=2, mail=value, mail_index=None)),
            ("different values", insert.values(later)),
            ("different values", insert, later),
        ]
        return [
            *((words, partial(self.execute, *given)) for words, *given in statements),
            ("different values", partial(self.do, lambda session: session.add(Member(**later[1])))),
            ("an SQL expression", partial(self.do, to_an_expression)),
        ]

    def lookup(self, column: str, how: str, value: Any) -> Ids:
        index = getattr(Member, f"{column}_index")
        compared = {
            "=": lambda: index == value,
            "!=": lambda: index != value,
            "in": lambda: index.in_(value),
            "not in": lambda: index.not_in(value),
        }
        return self.ids(sa.select(Member.id).where(compared[how]()))

    def questions(self, value: str) -> Mapping[str, Callable[[], Ids]]:
        index, listed, values = Member.mail_index, [value], [value]
        other, inner = aliased(Member), sa.select(Member.id, Member.mail_index).subquery()
        named = sa.bindparam("m")
        many = sa.bindparam("ms", expanding=True)
        core = sa.select(MEMBERS.c.id).where(MEMBERS.c.mail_index == value)
        kept: dict[str, Any] = {
            "orm": sa.select(Member.id).where(index == value),
            "core": core,
            "filter_by": sa.select(Member.id).filter_by(mail_index=value),
            "list": sa.select(Member.id).where(index.in_(listed)),
            "not other": sa.select(Member.id).where(~(index != value)),
            "default": sa.select(Member.id).where(index == sa.bindparam("given", value)),
            "function": sa.select(Member.id).where(index == sa.bindparam("made", callable_=lambda: value)),
            "alias": sa.select(other.id).where(other.mail_index == value),
            "subquery": sa.select(inner.c.id).where(inner.c.mail_index == value),
            "pickled": pickle.loads(pickle.dumps(core)),
        }
        # What happens to it later changes no statement.
        listed.append(OTHER)
        given: dict[str, tuple[Any, Row]] = {
            "named": (sa.select(Member.id).where(index == named), {"m": value}),
            "twice": (sa.select(Member.id).where(sa.or_(index == named, index == named)), {"m": value}),
            "named list": (sa.select(Member.id).where(index.in_(many)), {"ms": [value, "nobody"]}),
        }
        return {
            **{way: lambda each=each: self.ids(each) for way, each in kept.items()},
            **{way: lambda each=each: self.ids(*each) for way, each in given.items()},
            "lambda": lambda: self.ids(sa.lambda_stmt(lambda: sa.select(Member.id).where(Member.mail_index == value))),
            "lambda with a list": lambda: self.ids(
                sa.lambda_stmt(lambda: sa.select(Member.id).where(Member.mail_index.in_(values)))
            ),
            "criteria": lambda: self.ids(
                sa.select(Member.id).options(with_loader_criteria(Member, lambda each: each.mail_index == value))
            ),
        }

    def refused(self) -> Mapping[str, Callable[[], object]]:
        mail, city, home = Member.mail_index, Member.city_index, Member.home_index
        conditions = {
            "<": lambda: mail < "x",
            "like": lambda: mail.like("x"),
            "contains": lambda: mail.contains("x"),
            "desc": mail.desc,
            "reversed": lambda: "x" + mail,
            "number": lambda: mail == 1,
            "number that comes later": lambda: mail == sa.bindparam("n", 1),
            "in None": lambda: mail.in_([None]),
            "an index": lambda: mail == IndexText("x"),
            "indexes": lambda: mail.in_([IndexText("x")]),
            "plain column": lambda: mail == Member.name,
            "in plain column": lambda: mail.in_(sa.select(Member.name)),
            "its source": lambda: Member.mail == city,
            "another context": lambda: city == mail,
            "another context, core": lambda: mail == MEMBERS.c.city_index,
            "another context, in": lambda: city.in_(sa.select(mail)),
            "two contexts of one parameter": lambda: sa.or_(city == sa.bindparam("m"), mail == sa.bindparam("m")),
            "another normal form": lambda: city == home,
            "bytes": lambda: Member.raw_index == mail,
            "another key set": lambda: Member.card_index == Member.town_index,
            "literal": lambda: sa.literal("x") == city,
            "literal column": lambda: sa.literal_column("'x'") == city,
            "tuple": lambda: sa.tuple_(Member.id, city).in_([(1, "Bern")]),
            "case": lambda: sa.case({"Bern": True}, value=city, else_=False),
            "text for a date": lambda: Member.born_index == "2001-02-03",
        }
        return {
            way: lambda each=each: self.ids(sa.select(Member.id).where(each()), {"m": "x"})
            for way, each in conditions.items()
        }

    def compared(self) -> Sequence[tuple[str, Callable[[], Ids]]]:
        towns, other = Member.town_index, aliased(Member)
        third = sa.select(other.town_index).where(other.id == 3)
        same = sa.select(other.id).where(other.town_index == towns, other.id != Member.id)
        return [
            (what, lambda condition=condition: self.ids(sa.select(Member.id).where(condition)))
            for what, condition in (
                ("equal", towns == Member.city_index),
                ("equal", MEMBERS.c.city_index == towns),
                ("not equal", sa.or_(towns != Member.city_index, Member.city_index.is_(None))),
                ("one of all", towns.in_(sa.select(other.city_index))),
                ("that of one row", towns == third.scalar_subquery()),
                ("one of another row", sa.exists(same)),
                ("or a value", sa.or_(towns == "C", towns == Member.city_index)),
            )
        ] + [
            (
                "one of another row",
                lambda: self.ids(
                    sa.select(Member.id).join(other, sa.and_(towns == other.town_index, other.id != Member.id))
                ),
            )
        ]

    def read(self, number: int) -> Any:
        with Session(self.database.engine) as session:
            return session.get_one(Member, number)

    def index_of(self, column: str) -> Index:
        from rotation.configuration.sections import Declaration
        from rotation.declared.sqlalchemy_models import declared_columns

        source = Declaration(models=f"{Indexed.__module__}:Indexed")
        return next(each.index for each in declared_columns(source) if each.column == column)

    def check_error(self, error: BaseException) -> None:
        assert not isinstance(error, sa.exc.SQLAlchemyError)


def both(column: str, value: Any) -> Row:
    """The column and its index, given as the value."""
    return {column: value, f"{column}_index": value}


@pytest.fixture(scope="module", params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A database of each kind with the table, for all tests here."""
    with open_database(request.param, tmp_path_factory.mktemp("members")) as opened:
        Indexed.metadata.create_all(opened.engine)
        yield opened


@pytest.fixture
def orm(database: Any, keys: None) -> Driver:
    driver = Driver(database)
    driver.clear()
    return driver


class TestIndex(IndexContract):
    """On SQLAlchemy."""
