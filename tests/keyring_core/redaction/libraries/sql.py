"""SQLAlchemy and alembic on SQLite: parameters in errors, in the echo of an engine, in warnings; passwords in URLs."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Any

import aiosqlite
import alembic.util.messaging
import sqlalchemy as sa
from alembic.config import Config
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.ext.asyncio import create_async_engine

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables

cases = Tables(__name__)


class Base(orm.DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = 1


class Row(Base):
    __tablename__ = "rows"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    token: orm.Mapped[str] = orm.mapped_column(sa.String(300), unique=True)
    color: orm.Mapped[Color | None]
    at: orm.Mapped[Any] = orm.mapped_column(sa.DateTime, nullable=True)


class ByToken(Base):
    __tablename__ = "by_token"

    token: orm.Mapped[str] = orm.mapped_column(primary_key=True)


def made(**options: Any) -> sa.Engine:
    engine = sa.create_engine("sqlite://", **options)
    Base.metadata.create_all(engine)
    return engine


def run(statement: str, *parameters: Any, **options: Any) -> None:
    with made(**options).begin() as connection:
        connection.execute(sa.text(statement), *parameters)


def in_session(act: Callable[[orm.Session], Any], **options: Any) -> None:
    with orm.Session(made(**options)) as session:
        act(session)
        session.commit()


def twice(world: World) -> Callable[[orm.Session], None]:
    return lambda session: session.add_all([Row(token=world.unknown), Row(token=world.unknown)])


async def in_async(world: World, **options: Any) -> None:
    engine = create_async_engine("sqlite+aiosqlite://", **options)
    async with engine.connect() as connection:
        # Its driver logs statements with their parameters at DEBUG, under no name: only known values are masked there.
        await connection.execute(sa.text("SELECT :a FROM nothing"), {"a": world.plaintext})


async def aiosqlite_alone(world: World) -> None:
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("SELECT ?", (world.plaintext,))
        await connection.execute(f"SELECT '{world.plaintext}' FROM \"{world.plaintext}\"")


FAILING = "INSERT INTO nothing (a, b) VALUES (:a, :b)"

cases.errors(
    "sqlalchemy",
    {
        "named": lambda w: run(FAILING, {"a": w.unknown, "b": 1}),
        "many": lambda w: run(FAILING, [{"a": w.unknown, "b": number} for number in range(3)]),
        "many_shortened": lambda w: run(FAILING, [{"a": w.unknown, "b": number} for number in range(30)]),
        "key_bytes": lambda w: run(FAILING, {"a": w.raw, "b": 1}),
        "long": lambda w: run(FAILING, {"a": w.long * 3, "b": 1}),
        "newlines": lambda w: run(FAILING, {"a": w.letter, "b": 1}),
        "accents": lambda w: run(FAILING, {"a": w.accented, "b": f"]\n{w.unknown}"}),
        "numbered": lambda w: made().connect().exec_driver_sql("SELECT ?1, ?2 FROM nothing", (w.unknown, 1)),
        "question_marks": lambda w: made().connect().exec_driver_sql("SELECT ? FROM nothing", (w.unknown,)),
        "dollar_names": lambda w: made().connect().exec_driver_sql("SELECT $a FROM nothing", {"a": w.unknown}),
        "literal": lambda w: run(f"SELECT '{w.password.replace(chr(39), chr(39) * 2)}' FROM nothing".replace(":", "")),
        "column": lambda w: run(f'SELECT "{w.token}"."x"'),
        "missing_parameter": lambda w: run("SELECT :a, :b", {"a": w.unknown}),
        "unsupported_type": lambda w: run("SELECT :a", {"a": {"inner": w.unknown}}),
        "insert_many_values": lambda w: in_session(twice(w)),
        "insert": lambda w: in_session(
            lambda session: [session.execute(sa.insert(Row).values(token=w.unknown, id=number)) for number in (1, 2)]
        ),
        "enum": lambda w: in_session(
            lambda s: (
                s.execute(sa.text("INSERT INTO rows (token, color) VALUES ('t', :a)"), {"a": w.plaintext}),
                s.scalars(sa.select(Row)).all(),
            )
        ),
        "date": lambda w: in_session(lambda session: session.add(Row(token="t", at=w.unknown))),
        "in_list": lambda w: run("SELECT 1 FROM nothing WHERE a IN (:a, :b)", {"a": w.unknown, "b": w.unknown}),
        "autoflush": lambda w: in_session(
            lambda session: (
                session.add_all([Row(token=w.unknown, id=1), Row(token=w.unknown, id=2)]),
                session.execute(sa.select(Row)).all(),
            )
        ),
        "keyword": lambda w: Row(**{w.plaintext: 1}),
        "column_of_select": lambda w: sa.select(Row.__table__.c[w.plaintext]),
        "filter_by": lambda w: in_session(lambda session: session.query(Row).filter_by(**{w.plaintext: 1})),
        "url_port": lambda w: sa.make_url(f"postgresql://app:x@db:{w.key}/app"),
        "url_argument": lambda w: sa.create_engine("sqlite://", **{w.plaintext: True}),
        "no_list": lambda w: in_session(lambda session: session.execute(sa.select(Row).where(Row.id.in_(w.key)))),
        "async": in_async,
        "aiosqlite": aiosqlite_alone,
    },
)

cases.texts(
    "sqlalchemy",
    {
        "url_rendered": lambda w: sa.make_url(f"mysql+pymysql://app:{w.unknown}@db/app").render_as_string(False),
        "url_made": lambda w: sa.URL.create("oracle", "scott", w.password, "db").render_as_string(False),
        "url_query": lambda w: repr(sa.make_url(f"postgresql://db/app?password={w.unknown}&user=bob")),
        "connect_arguments": lambda w: psycopg_dialect().create_connect_args(
            sa.make_url(f"postgresql://app:{w.unknown}@db/app")
        ),
        "compiled": lambda w: (
            sa.select(Row).where(Row.token == w.plaintext).compile(compile_kwargs={"literal_binds": True})
        ),
        "compiled_parameters": lambda w: sa.select(Row).where(Row.token == w.key).compile().params,
        "row": lambda w: (
            made().connect().execute(sa.text("SELECT :token AS password"), {"token": w.unknown}).mappings().one()
        ),
    },
)


def warn_of_identity(world: World) -> None:
    """The second object of one identity: a warning, which logging captures."""
    logging.captureWarnings(capture=True)
    in_session(
        lambda session: (
            session.add(one := ByToken(token=world.plaintext)),
            session.flush(),
            session.add(ByToken(token=world.plaintext)),
            session.flush(),
            one,
        )
    )


cases.logs(
    "sqlalchemy",
    {
        "echo": lambda w: run("SELECT :a", {"a": w.unknown}, echo=True),
        "echo_many": lambda w: run(
            "INSERT INTO rows (token) VALUES (:a)", [{"a": w.unknown + str(n)} for n in range(3)], echo=True
        ),
        "echo_named": lambda w: in_session(
            lambda s: s.execute(sa.text("SELECT :a"), {"a": w.unknown}), echo=True, paramstyle="named"
        ),
        "echo_cached": lambda w: in_session(
            lambda s: [s.execute(sa.select(Row).where(Row.token == w.unknown)) for _ in range(2)], echo=True
        ),
        "echo_uncached": lambda w: (
            made(echo=True)
            .execution_options(compiled_cache=None)
            .connect()
            .execute(sa.text("SELECT :a"), {"a": w.unknown})
        ),
        "echo_no_key": lambda w: in_session(
            lambda s: s.execute(sa.insert(Row).values([{"token": w.unknown + str(n)} for n in range(2)])), echo=True
        ),
        "echo_raw": lambda w: made(echo=True).connect().exec_driver_sql("SELECT ?", (w.unknown,)),
        "echo_insert_many_values": lambda w: in_session(
            lambda s: s.add_all([Row(token=w.unknown + str(n)) for n in range(3)]), echo=True
        ),
        "echo_rows": lambda w: (
            run("SELECT :a", {"a": w.plaintext}, echo="debug")
            or made(echo="debug").connect().execute(sa.text("SELECT :a"), {"a": w.plaintext}).all()
        ),
        "echo_literal": lambda w: run(f"SELECT '{w.plaintext}'", echo=True),
        "echo_identified": lambda w: run(f"CREATE USER bob IDENTIFIED BY '{w.unknown}'", echo=True),
        "echo_alter": lambda w: run(f"ALTER USER bob PASSWORD '{w.unknown}'", echo=True),
        "echo_async": lambda w: in_async(w, echo=True),
        "pool": lambda w: in_session(
            lambda s: s.execute(sa.text("SELECT :a"), {"a": w.unknown}), echo=True, echo_pool="debug"
        ),
        "identity": warn_of_identity,
        "aiosqlite_debug": aiosqlite_alone,
    },
)


def with_ini(world: World, option: str, section: str = "alembic") -> None:
    """Reads an alembic.ini of one *option*."""
    path = world.folder.parent / "alembic.ini"
    path.write_text(f"[{section}]\n{option}\n")
    Config(path).get_main_option("sqlalchemy.url")


cases.errors(
    "alembic",
    {
        "interpolation": lambda w: with_ini(w, f"sqlalchemy.url = postgresql://app:{w.unknown}@%(host)s/app"),
        "percent": lambda w: with_ini(w, f"sqlalchemy.url = postgresql://app:a%x{w.plaintext}@db/app"),
        "twice": lambda w: with_ini(w, f"{w.plaintext} = 1\n{w.plaintext} = 2"),
    },
)

cases.logs(
    "alembic",
    {"refusal": lambda w: alembic.util.messaging.err(f"cannot reach postgresql://app:{w.unknown}@db/app")},
    setup="stdio",
)
