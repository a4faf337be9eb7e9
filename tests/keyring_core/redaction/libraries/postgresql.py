"""PostgreSQL, asked by psycopg, asyncpg and SQLAlchemy: rows, values and statements in its errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import psycopg
import sqlalchemy as sa
from psycopg import conninfo

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)

# Of the session alone: nothing is left in the database.
POSTGRESQL_TABLES = (
    "CREATE TEMP TABLE t (id int PRIMARY KEY, token text UNIQUE, other text NOT NULL CHECK (other <> 'bad'))",
    "CREATE TEMP TABLE parent (token text PRIMARY KEY)",
    "CREATE TEMP TABLE child (token text REFERENCES parent)",
    "CREATE TEMP TABLE pair (a text, b text, UNIQUE (a, b))",
    "CREATE TEMP TABLE held (token text, EXCLUDE USING btree (token WITH =))",
    "CREATE TEMP TABLE typed (n int, at timestamptz, doc jsonb, bits bytea, short varchar(3))",
    "CREATE TEMP TABLE part (token text NOT NULL) PARTITION BY LIST (token)",
    "CREATE DOMAIN pg_temp.picky AS text CHECK (value = 'x')",
    "CREATE TYPE pg_temp.color AS ENUM ('red')",
)

# What PostgreSQL says, whoever asks it: statements with one placeholder for the secret, in psycopg's style.
REFUSED = {
    "unique": ["INSERT INTO t VALUES (1, {}, 'o')", "INSERT INTO t VALUES (2, {}, 'o')"],
    "unique_pair": ["INSERT INTO pair VALUES ({}, 'b')", "INSERT INTO pair VALUES ({}, 'b')"],
    "null": ["INSERT INTO t VALUES (1, {}, NULL)"],
    "check": ["INSERT INTO t VALUES (1, {}, 'bad')"],
    "parent": ["INSERT INTO child VALUES ({})"],
    "child": [
        "INSERT INTO parent VALUES ({})",
        "INSERT INTO child VALUES ({})",
        "DELETE FROM parent",
    ],
    "excluded": ["INSERT INTO held VALUES ({})", "INSERT INTO held VALUES ({})"],
    "partition": ["INSERT INTO part VALUES ({})"],
}
# Here PostgreSQL shows the value under no name: only a registered one is masked.
REFUSED_VALUES = {
    "number": "SELECT {}::text::int",
    "date": "SELECT {}::text::timestamptz",
    "uuid": "SELECT {}::text::uuid",
    "address": "SELECT {}::text::inet",
    "array": "SELECT {}::text::int[]",
    "enum": "SELECT {}::text::pg_temp.color",
    "boolean": "SELECT {}::text::boolean",
    "regclass": "SELECT {}::text::regclass",
    "setting": "SELECT set_config('work_mem', {}::text, false)",
    "time_zone": "SELECT now() AT TIME ZONE {}::text",
    "encoding": "SELECT convert_to('x', {}::text)",
}


def postgres_url() -> sa.URL:
    return sa.make_url(os.environ["TEST_POSTGRES_URL"])


def dsn(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def by_psycopg(*statements: str, values: Sequence[object] = (), url: sa.URL | None = None) -> None:
    with psycopg.connect(dsn(url or postgres_url())) as connection:
        for table in POSTGRESQL_TABLES:
            connection.execute(table.encode())
        for statement in statements:
            style = ["%s" for _ in values] if "{}" in statement else []
            connection.execute(statement.format(*style).encode(), list(values[: len(style)]) or None)


async def by_asyncpg(*statements: str, values: Sequence[object] = ()) -> None:
    connection = await asyncpg.connect(dsn(postgres_url()))
    try:
        for table in POSTGRESQL_TABLES:
            await connection.execute(table)
        for statement in statements:
            filled = "{}" in statement
            await connection.execute(statement.format("$1"), *(values if filled else ()))
    finally:
        await connection.close()


def by_sqlalchemy(*statements: str, values: Sequence[object] = (), driver: str = "psycopg", **options: Any) -> None:
    engine = sa.create_engine(postgres_url().set(drivername=f"postgresql+{driver}"), **options)
    with engine.connect() as connection:
        for table in POSTGRESQL_TABLES:
            connection.exec_driver_sql(table)
        for statement in statements:
            text = sa.text(statement.format(":a").replace("::", r"\:\:"))
            connection.execute(text, {"a": values[0]} if "{}" in statement else {})
    engine.dispose()


def refused(run: Callable[..., Any]) -> dict[str, Way]:
    """One driver's errors that show a row."""
    return {
        name: lambda w, statements=statements: run(*statements, values=[w.unknown])
        for name, statements in REFUSED.items()
    }


def refused_values(run: Callable[..., Any]) -> dict[str, Way]:
    """One driver's errors that show a value."""
    return {
        f"value_{name}": lambda w, statement=statement: run(statement, values=[w.plaintext])
        for name, statement in REFUSED_VALUES.items()
    }


cases.errors(
    "psycopg",
    refused(by_psycopg)
    | refused_values(by_psycopg)
    | {
        "syntax": lambda w: by_psycopg(f"ALTER ROLE nobody PASSWORD '{w.unknown}' oops"),
        "literal": lambda w: by_psycopg(f"SELECT '{w.plaintext}' FROM nothing"),
        "unterminated": lambda w: by_psycopg(f"SELECT '{w.plaintext}"),
        "column": lambda w: by_psycopg(f'SELECT "{w.plaintext}" FROM t'),
        "raised": lambda w: by_psycopg(f"DO $$ BEGIN RAISE 'cannot use %', '{w.key}'; END $$"),
        "raised_hint": lambda w: by_psycopg(f"DO $$ BEGIN RAISE 'no' USING HINT = 'password={w.unknown}'; END $$"),
        "context": lambda w: by_psycopg(f"DO $$ BEGIN EXECUTE 'SELECT ''{w.plaintext}'' FROM nothing'; END $$"),
        "type": lambda w: by_psycopg("SELECT {}", values=[type(w.plaintext, (), {})()]),
        "copy": lambda w: copied(w.plaintext),
        "url": lambda w: psycopg.connect(f"postgresql://app:{w.unknown}@[h/app"),
        "url_query": lambda w: psycopg.connect(f"postgresql://app@h/app?{w.plaintext}"),
        "url_encoding": lambda w: psycopg.connect(f"postgresql://app:%x{w.plaintext}@h/app"),
        "words": lambda w: psycopg.connect(f"host=h password={w.unknown} {w.plaintext}"),
        "option": lambda w: psycopg.connect(f"host=h {w.plaintext}=1"),
        "no_database": lambda w: psycopg.connect(dsn(postgres_url().set(database=w.plaintext))),
        "no_role": lambda w: psycopg.connect(dsn(postgres_url().set(username=w.plaintext))),
    },
)


def copied(value: str) -> None:
    with psycopg.connect(dsn(postgres_url())) as connection:
        connection.execute("CREATE TEMP TABLE c (n int)")
        with connection.cursor().copy("COPY c FROM STDIN") as copy:
            copy.write_row([value])


cases.errors(
    "asyncpg",
    refused(by_asyncpg)
    | {
        "bound": lambda w: by_asyncpg("INSERT INTO typed (n) VALUES ({})", values=[w.plaintext]),
        "bound_date": lambda w: by_asyncpg("INSERT INTO typed (at) VALUES ({})", values=[w.key]),
        "bound_bytes": lambda w: by_asyncpg("INSERT INTO typed (bits) VALUES ({})", values=[w.token]),
        "value_number": lambda w: by_asyncpg("SELECT {}::text::int", values=[w.plaintext]),
        "raised": lambda w: by_asyncpg(f"DO $$ BEGIN RAISE 'cannot use %', '{w.key}'; END $$"),
        "url": lambda w: asyncpg.connect(f"postgresql://app:x@h:{w.plaintext}/app"),
        "server_settings": lambda w: asyncpg.connect(dsn(postgres_url()), server_settings={w.plaintext: "x"}),
    },
)

cases.errors(
    "psycopg_engine",
    refused(by_sqlalchemy)
    | {
        "value": lambda w: by_sqlalchemy("INSERT INTO typed (n) VALUES (CAST({} AS int))", values=[w.plaintext]),
        "hidden": lambda w: by_sqlalchemy(*REFUSED["unique"], values=[w.unknown], hide_parameters=True),
        "url": lambda w: sa.create_engine(postgres_url().set(query={"sslmode": w.plaintext})).connect(),
    },
)


def noticed(world: World) -> None:
    """What a function of the database says to its client goes to a logger."""
    with psycopg.connect(dsn(postgres_url())) as connection:
        connection.add_notice_handler(lambda notice: world.std.warning("%s", notice.message_primary))
        connection.execute(f"DO $$ BEGIN RAISE NOTICE 'changed password to %', '{world.key}'; END $$".encode())


cases.logs(
    "psycopg",
    {
        "notice": noticed,
        "echo": lambda w: by_sqlalchemy("SELECT CAST({} AS text)", values=[w.unknown], echo=True),
    },
)

cases.texts(
    "psycopg",
    {
        "conninfo_text": lambda w: conninfo.make_conninfo("postgresql://app@h/app", password=w.unknown),
        "conninfo_quoted": lambda w: conninfo.make_conninfo("postgresql://app@h/app", password=f"a b'{w.unknown}"),
        "conninfo_certificate": lambda w: conninfo.make_conninfo("postgresql://app@h/app", sslpassword=w.unknown),
        "conninfo_dict": lambda w: conninfo.conninfo_to_dict(f"postgresql://app:{w.unknown}@h/app"),
        "composed": lambda w: psycopg.sql.SQL("ALTER ROLE bob PASSWORD {}").format(psycopg.sql.Literal(w.plaintext)),
    },
)
