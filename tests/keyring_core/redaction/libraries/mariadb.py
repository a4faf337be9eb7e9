"""MariaDB, asked by PyMySQL and SQLAlchemy: rows, values and statements in its errors and warnings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import pymysql
import sqlalchemy as sa

from tests.keyring_core.redaction.libraries.ways import Tables

cases = Tables(__name__)

# Of the session alone: nothing is left in the database.
TABLES = (
    "CREATE TEMPORARY TABLE t (id int PRIMARY KEY, token varchar(700) UNIQUE, n int, d date, e enum('x'))",
    "CREATE TEMPORARY TABLE pair (a varchar(300), b varchar(300), UNIQUE (a, b))",
)


def by_pymysql(*statements: str, values: Sequence[object] = (), **options: Any) -> None:
    url = sa.make_url(os.environ["TEST_MARIADB_URL"])
    given = {"host": url.host, "port": url.port or 3306, "user": url.username, "password": url.password or ""}
    given |= {"database": url.database, "ssl_disabled": True, **options}
    with pymysql.connect(**given) as connection, connection.cursor() as cursor:
        for statement in (*TABLES, *statements):
            filled = "{}" in statement
            cursor.execute(statement.format("%s"), values if filled else None)
        for warning in cursor.execute("SHOW WARNINGS") and cursor.fetchall():
            warnings.warn(str(warning), stacklevel=1)


def by_mariadb_engine(*statements: str, value: str, **options: Any) -> None:
    url = sa.make_url(os.environ["TEST_MARIADB_URL"]).update_query_dict({"ssl_disabled": "true"})
    engine = sa.create_engine(url, **options)
    with engine.connect() as connection:
        for statement in (*TABLES, *statements):
            connection.execute(sa.text(statement.format(":a")), {"a": value} if "{}" in statement else {})
    engine.dispose()


TWICE = ["INSERT INTO t (id, token) VALUES (1, {})", "INSERT INTO t (id, token) VALUES (2, {})"]
TWO = ["INSERT INTO pair VALUES ({}, 'b')", "INSERT INTO pair VALUES ({}, 'b')"]

cases.errors(
    "pymysql",
    {
        "duplicate": lambda w: by_pymysql(*TWICE, values=[w.unknown]),
        "duplicate_quoted": lambda w: by_pymysql(*TWICE, values=[f"a'b\\{w.unknown}"]),
        "duplicate_lines": lambda w: by_pymysql(*TWICE, values=[w.letter]),
        "duplicate_pair": lambda w: by_pymysql(*TWO, values=[w.unknown]),
        "number": lambda w: by_pymysql("INSERT INTO t (id, n) VALUES (1, {})", values=[w.plaintext]),
        "date": lambda w: by_pymysql("INSERT INTO t (id, d) VALUES (1, {})", values=[w.plaintext]),
        "truncated": lambda w: by_pymysql(
            "UPDATE t SET n = 1 WHERE id = {} + 1", "INSERT INTO t (id, n) SELECT 1, {} + 0", values=[w.plaintext]
        ),
        "syntax": lambda w: by_pymysql(f"CREATE USER bob IDENTIFIED BY oops '{w.plaintext}'"),
        "identified": lambda w: by_pymysql(f"CREATE USR bob IDENTIFIED BY '{w.unknown}'"),
        "password_function": lambda w: by_pymysql(f"SET PASSWRD FOR bob = PASSWORD('{w.plaintext}')"),
        "column": lambda w: by_pymysql(f"SELECT `{w.plaintext}` FROM t"),
        "function": lambda w: by_pymysql(f"SELECT `{w.plaintext}`()"),
        "raised": lambda w: by_pymysql(f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'password={w.unknown}'"),
        "xpath": lambda w: by_pymysql("SELECT updatexml(1, concat(0x7e, LEFT({}, 25)), 1)", values=[w.plaintext]),
        "user": lambda w: by_pymysql(user=w.plaintext),
        "database": lambda w: by_pymysql(database=w.plaintext),
        "option": lambda w: by_pymysql(**{w.plaintext: 1}),
        "engine": lambda w: by_mariadb_engine(*TWICE, value=w.unknown),
        "engine_pair": lambda w: by_mariadb_engine(*TWO, value=w.unknown),
        "engine_hidden": lambda w: by_mariadb_engine(*TWICE, value=w.unknown, hide_parameters=True),
        "engine_column": lambda w: by_mariadb_engine("SELECT {} FROM nothing", value=w.unknown),
        "engine_identified": lambda w: by_mariadb_engine("CREATE USR bob IDENTIFIED BY {}", value=w.unknown),
    },
)

cases.logs(
    "pymysql",
    {
        "warning": lambda w: by_pymysql("SELECT CAST({} AS int)", values=[w.plaintext]),
        "echo": lambda w: by_mariadb_engine("SELECT {}", value=w.unknown, echo=True),
    },
)
