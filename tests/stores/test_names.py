"""Tables, columns and keys of every name are found, quoted, and told apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Cli, Named
from tests.databases import Database
from tests.stores.tokens import make_token, make_tokens, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

NAMES = [
    "order",
    "select",
    "key",
    'we"ird;--',
    "we`ird",
    "we'ird",
    "t; DROP TABLE bystander",
    "with blank",
    "da-sh",
    "do.t",
    "a%s",
    "100%",
    "%(old)s",
    "what?",
    "a:b",
    ":old",
    "\\:x",
    "MixedCase",
    "{brace}",
    "été 日本",
    "n" * 63,
]


def spelt(database: Database, name: str) -> str:
    """The quoted name as sa.text takes it: a colon is no parameter there, and a percent sign stays one."""
    return database.quote(name).replace("%%", "%").replace(":", "\\:")


def rotate_under(name: str, database: Database, cli: Cli, key: str = "INTEGER") -> None:
    """Makes a table whose own name and columns' names are *name*, or begin so, and rotates one of its columns."""
    table, column, row = (spelt(database, part) for part in (name, f"{name[:58]}_t", f"{name[:58]}_k"))
    database.execute(f"CREATE TABLE {table} ({row} {key} PRIMARY KEY, {column} TEXT, token TEXT)")
    for number, token in enumerate(make_tokens(3)):
        cell = {"id": number if key == "INTEGER" else f"k{number}", "token": token}
        database.execute(f"INSERT INTO {table} VALUES (:id, :token, :token)", **cell)

    ran = rotate(cli, database, "--batch-size", "2", table=name, column=f"{name[:58]}_t")

    assert ran.code == 0, ran.out
    assert report(ran)["rotated"] == 3
    rows = database.rows(f"SELECT {column}, token FROM {table} ORDER BY {row}")
    assert secrets_of(row[0] for row in rows) == secret_names(3)
    assert secrets_of((row[1] for row in rows), "old") == secret_names(3)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "key", [pytest.param("INTEGER", id="number"), pytest.param("VARCHAR(20)", id="text", marks=pytest.mark.long)]
)
@pytest.mark.costly("a rotation for each name")
def test_names_of_any_kind_are_quoted(database: Database, cli: Cli, key: str, named: Named) -> None:
    """D19, D20: reserved words, quotes, semicolons, percent signs are names like others; no other table changes."""
    database.execute("CREATE TABLE bystander (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert("bystander", [{"id": number, "token": token} for number, token in enumerate(make_tokens(3))])
    for name in NAMES:
        # SQLAlchemy reads such a column's name doubled: the next test.
        if (database.kind == "mariadb" and "`" in name) or database.misreads(name):
            continue
        with named(name):
            rotate_under(name, database, cli, key)
            assert secrets_of(database.column("bystander").values(), "old") == secret_names(3)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_name_that_looks_like_a_parameter_is_a_name(database: Database, cli: Cli, named: Named) -> None:
    """D19: on MariaDB this package writes statements out, for SQLAlchemy and for the driver."""
    for name in (":old", "%(old)s"):
        with named(name):
            rotate_under(name, database, cli)


LONG = "n" * 70


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_name_of_any_length_is_found(database: Database, cli: Cli) -> None:
    """D20: SQLite bounds no name."""
    database.execute(f"CREATE TABLE {LONG} (id INTEGER PRIMARY KEY, {LONG} TEXT)")
    database.insert(LONG, [{"id": 1, LONG: make_token("long")}])

    ran = rotate(cli, database, table=LONG, column=LONG)

    assert ran.code == 0, ran.err
    assert secrets_of(database.column(LONG, LONG).values()) == ["long"]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_name_that_is_too_long_is_told(database: Database, cli: Cli) -> None:
    """D20: a name that the database would cut is not cut: there is no such table; the message names a similar one."""
    short = LONG[:63]
    database.execute(f"CREATE TABLE {short} (id INTEGER PRIMARY KEY, token TEXT)")

    ran = rotate(cli, database, table=LONG)

    assert ran.code == 2
    assert f"there is no table {LONG} in" in ran.err
    assert f"did you mean {short}?" in ran.err


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_backtick_in_a_column_of_mariadb_is_refused(database: Database, cli: Cli) -> None:
    """D20: SQLAlchemy reads such a name doubled, so it is not found, and nothing is touched."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, `a``b` TEXT)")

    ran = rotate(cli, database, column="a`b")

    assert ran.code == 2
    assert "has no column a`b" in ran.err


MISSING = [
    ("creds_", "token", "there is no table creds_"),
    ("creds", "tokens", "has no column tokens; did you mean token?"),
    ("creds", "nosuch", "table creds has no column nosuch"),
    ("nosuch.creds", "token", "there is no table nosuch.creds"),
]


def test_a_missing_name_is_told_with_near_ones(database: Database, cli: Cli, named: Named) -> None:
    """D18: a table or column that is not there ends the run before anything is read; SQLite takes it for a text."""
    database.make_creds(make_tokens(1))

    for table, column, told in MISSING:
        with named(f"{table}, {column}"):
            ran = rotate(cli, database, table=table, column=column)

            assert ran.code == 2
            assert told in ran.err
            assert secrets_of(database.column().values(), "old") == secret_names(1)


def test_a_misspelt_name_in_a_condition_is_told(database: Database, cli: Cli) -> None:
    """D18: where the condition names no column, nothing is chosen by it; SQLite would take the name for a text."""
    database.make_creds(make_tokens(1))
    quote = "`" if database.kind == "mariadb" else '"'

    ran = rotate(cli, database, "--where", f"{quote}nte{quote} = 'it''s \"note\"' OR 1 = 1")

    assert ran.code == 2
    assert "does not take the condition in where" in ran.err
    assert f"{quote}this{quote} the name of a column" in ran.err
    assert secrets_of(database.column().values(), "old") == secret_names(1)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_quoted_names_and_texts_in_a_condition_are_told_apart(database: Database, cli: Cli) -> None:
    """D18, D20: a name in double quotes is a column's, however odd, and a text in single ones may hold such quotes."""
    database.execute('CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, "a ""b" TEXT)')
    database.insert("creds", [{"id": 1, "token": make_tokens(1)[0], 'a "b': 'say "nosuch"'}])

    ran = rotate(cli, database, "--where", """"a ""b" = 'say "nosuch"' AND "ID" = 1""")

    assert (ran.code, report(ran)["rotated"]) == (0, 1)


def test_a_missing_key_column_is_told(database: Database, cli: Cli) -> None:
    """D18: so is a key column."""
    database.make_creds(make_tokens(1))

    ran = rotate(cli, database, "--key-column", "idd")

    assert ran.code == 2
    assert "key_columns has no column idd; did you mean id?" in ran.err


# A file of SQLite has one schema, main.
with_schemas = pytest.mark.only_on("postgresql", "mariadb")


@pytest.fixture
def elsewhere(database: Database) -> Any:
    """A second schema, and how its name is written."""
    name = f"{_schema(database)}_more"
    database.execute(f"CREATE SCHEMA {name}")
    yield name
    database.execute(f"DROP SCHEMA {name}{' CASCADE' if database.kind == 'postgresql' else ''}")


@with_schemas
def test_a_schema_before_the_dot_is_found(database: Database, cli: Cli, elsewhere: str) -> None:
    """D21: `schema.table` is that table, quoted in two parts; its namesake in the own schema stays."""
    database.make_creds(make_tokens(2))
    database.execute(f"CREATE TABLE {elsewhere}.creds (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert(f"{elsewhere}.creds", [{"id": 1, "token": make_token("there")}])

    ran = rotate(cli, database, table=f"{elsewhere}.creds")

    assert (ran.code, report(ran)["rotated"]) == (0, 1)
    assert secrets_of(database.column(f"{elsewhere}.creds").values()) == ["there"]
    assert secrets_of(database.column().values(), "old") == secret_names(2)


@with_schemas
def test_the_own_schema_comes_first(database: Database, cli: Cli, elsewhere: str) -> None:
    """D32: a plain name is the table of the url's schema, whatever else has that name."""
    database.make_creds(make_tokens(2))
    database.execute(f"CREATE TABLE {elsewhere}.creds (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert(f"{elsewhere}.creds", [{"id": 1, "token": make_token("there")}])

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    assert secrets_of(database.column(f"{elsewhere}.creds").values(), "old") == ["there"]


@with_schemas
def test_a_dot_may_be_part_of_a_name(database: Database, cli: Cli, elsewhere: str) -> None:
    """D21: a table that is called `schema.table` is found, too; if both exist, neither is guessed."""
    name = f"{elsewhere}.creds"
    database.execute(f"CREATE TABLE {database.quote(name)} (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert(database.quote(name), [{"id": 1, "token": make_token("here")}])

    ran = rotate(cli, database, table=name)
    database.execute(f"CREATE TABLE {elsewhere}.creds (id INTEGER PRIMARY KEY, token TEXT)")
    again = rotate(cli, database, table=name)

    assert (ran.code, report(ran)["rotated"]) == (0, 1)
    assert again.code == 2
    assert "both exist" in again.err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_main_is_a_schema_of_sqlite(database: Database, cli: Cli) -> None:
    """D21: main.creds is the file's own table."""
    database.make_creds(make_tokens(2))

    ran = rotate(cli, database, table="main.creds")

    assert (ran.code, report(ran)["rotated"]) == (0, 2)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_temporary_table_of_the_same_name_is_somebody_elses(database: Database, cli: Cli) -> None:
    """D32: a temporary table hides the real one for its own session only."""
    database.make_creds(make_tokens(2))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")

        ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@with_schemas
def test_the_search_path_is_followed(database: Database, cli: Cli, elsewhere: str) -> None:
    """D32: a table of any schema of the search_path is found by its plain name, and so are its triggers."""
    database.execute(
        f"CREATE TABLE {elsewhere}.creds (id INTEGER PRIMARY KEY, token TEXT)",
        f"CREATE FUNCTION {elsewhere}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        f"CREATE TRIGGER noted BEFORE UPDATE ON {elsewhere}.creds FOR EACH ROW EXECUTE FUNCTION {elsewhere}.f()",
    )
    database.insert(f"{elsewhere}.creds", [{"id": 1, "token": make_token("there")}])
    database.url += f"%2C{elsewhere}"

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 1)
    assert "trigger noted acts on UPDATE" in report(ran)["warnings"][0]


def _schema(database: Database) -> str:
    query = "SELECT current_schema()" if database.kind == "postgresql" else "SELECT database()"
    return str(database.rows(query)[0][0])
