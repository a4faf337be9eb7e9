"""Columns of every type, and what may be in their cells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Cli, Named
from tests.databases import Database, postgres_in
from tests.stores.tokens import make_token, make_tokens, prepare, problems, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

TEXT = {
    "sqlite": ["TEXT", "VARCHAR(5)", "CHAR(5)", "CLOB", "BLOB", "", "TEXT COLLATE NOCASE"],
    "postgresql": ["TEXT", "VARCHAR(200)", "CHAR(200)", "VARCHAR", "cell", "wide_cell", 'TEXT COLLATE "C"'],
    "mariadb": [
        "TEXT",
        "VARCHAR(200)",
        "CHAR(200)",
        "TINYTEXT",
        "LONGTEXT",
        "TEXT CHARACTER SET latin1",
        "TEXT CHARACTER SET ucs2",
        "TEXT CHARACTER SET utf16",
        "VARCHAR(200) CHARACTER SET ascii",
        "VARCHAR(200) CHARACTER SET utf8mb3",
        "VARCHAR(200) COLLATE utf8mb4_bin",
    ],
}
BINARY = {
    "sqlite": ["TEXT", "BLOB", ""],
    "postgresql": ["BYTEA", "blob_cell"],
    "mariadb": ["BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "VARBINARY(200)", "TEXT CHARACTER SET binary"],
}
REFUSED = {
    "postgresql": ["INTEGER", "JSON", "JSONB", "TEXT[]", "UUID", "mood", "INET", "XML", "BOOLEAN"],
    "mariadb": ["INTEGER", "JSON", "ENUM('a')", "SET('a')", "UUID", "DATE"],
}


def make_domains(database: Database) -> None:
    """Domains, and an enum."""
    if database.kind == "postgresql":
        database.execute(
            "CREATE DOMAIN cell AS VARCHAR(200) CHECK (VALUE <> 'x')",
            "CREATE DOMAIN wide_cell AS cell",
            "CREATE DOMAIN blob_cell AS BYTEA",
            "CREATE TYPE mood AS ENUM ('sad')",
        )


@pytest.mark.some(1)
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["number", "text"])
def test_a_token_in_any_text_column_is_rotated(database: Database, cli: Cli, key: str, named: Named) -> None:
    """D07: whatever the type, the charset and the padding, a pass swaps each cell once, and leaves none in conflict."""
    make_domains(database)
    names = [number if key == "INTEGER" else f"k{number}" for number in range(3)]
    for number, kind in enumerate(TEXT[database.kind]):
        with named(kind or "none"):
            table = f"creds{number}"
            rows = [{"id": name, "token": token} for name, token in zip(names, make_tokens(3), strict=True)]
            prepare(database, f"CREATE TABLE {table} (id {key} PRIMARY KEY, token {kind})", rows, table)

            ran = rotate(cli, database, table=table)

            assert ran.code == 0, ran.out
            assert (report(ran)["rotated"], ran.document["complete"]) == (3, True)
            stored = database.column(table)
            assert secrets_of(stored[name] for name in names) == secret_names(3)


def test_a_token_of_bytes_stays_bytes(database: Database, cli: Cli, named: Named) -> None:
    """D08: a BLOB, also one in a TEXT column of SQLite, is compared as bytes and written as bytes."""
    make_domains(database)
    for number, kind in enumerate(BINARY[database.kind]):
        with named(kind or "none"):
            table = f"creds{number}"
            rows = [{"id": number, "token": token.encode()} for number, token in enumerate(make_tokens(3))]
            prepare(database, f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token {kind})", rows, table)

            ran = rotate(cli, database, table=table)

            assert (ran.code, report(ran)["rotated"]) == (0, 3)
            stored = database.column(table)
            assert {type(value) for value in stored.values()} == {bytes}
            assert secrets_of(stored[number] for number in range(3)) == secret_names(3)


@pytest.mark.parametrize("database", REFUSED, indirect=True)
def test_a_column_that_holds_no_text_is_refused(database: Database, cli: Cli, named: Named) -> None:
    """D33: a JSON, enum or number column is refused by its name and type."""
    make_domains(database)
    # MySQL has no such type.
    kinds = [kind for kind in REFUSED[database.kind] if not (database.is_mysql and kind == "UUID")]
    for number, kind in enumerate(kinds):
        with named(kind):
            table = f"creds{number}"
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token {kind})")

            ran = rotate(cli, database, table=table)

            assert ran.code == 2
            assert f"{table}.token: the column's type is " in ran.err
            assert "not text or binary" in ran.err


def test_cells_that_are_no_tokens_stay(database: Database, cli: Cli) -> None:
    """D01, D02, D03, D04: NULLs, empty cells, plaintext and cut tokens are counted apart and left as they are."""
    good = make_token("good")
    cells = [None, "", "   ", "sk-live-123", good[:64], make_token("lost", "nobody"), good]
    database.make_creds(cells)

    ran = rotate(cli, database)

    found = report(ran)
    assert ran.code == 1
    assert {name: found[name] for name in ("null", "empty", "plaintext", "unreadable", "rotated")} == {
        "null": 1,
        "empty": 2,
        "plaintext": 1,
        "unreadable": 2,
        "rotated": 1,
    }
    assert ({"id": 5}, "truncated") in problems(ran)
    stored = database.column()
    assert [stored[number] for number in range(1, 7)] == cells[:6]
    assert secrets_of([stored[7]]) == ["good"]


def test_a_token_inside_a_text_stays(database: Database, cli: Cli) -> None:
    """D33: a token in JSON or in a sentence is reported with its row, and not one byte around it or of it changes."""
    token = make_token("inside")
    cells = [f'{{"token": "{token}"}}', f"see {token} there", f'"{token}"', make_token("good")]
    database.make_creds(cells)

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 1)
    assert problems(ran) == [({"id": row}, "token-in-text") for row in (1, 2, 3)]
    stored = database.column()
    assert [stored[number] for number in (1, 2, 3)] == cells[:3]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_text_that_is_not_utf8_hides_no_other(database: Database, cli: Cli) -> None:
    """D09: its row is reported; the rows beside it are rotated."""
    database.make_creds(make_tokens(3))
    database.execute("UPDATE creds SET token = CAST(x'67414141fffe' AS TEXT) WHERE id = 2")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 2)
    assert [key for key, _ in problems(ran)] == [{"id": 2}]
    assert database.rows("SELECT hex(token), typeof(token) FROM creds WHERE id = 2") == [("67414141FFFE", "text")]


@pytest.fixture
def unchecked() -> Iterator[Database]:
    """A PostgreSQL database that checks no text; SQLAlchemy itself cannot speak with one in its own encoding."""
    with postgres_in("SQL_ASCII") as database:
        yield database


@pytest.mark.some(2)
@pytest.mark.parametrize("kind", ["TEXT", "VARCHAR(200)", "CHAR(200)"])
@pytest.mark.parametrize("batch", ["1", "1000"])
def test_a_database_that_checks_no_text_is_served(unchecked: Database, cli: Cli, kind: str, batch: str) -> None:
    """D09, D14: under SQL_ASCII a text, also one in a key, may be no UTF-8; it is reported, and hides no other."""
    raw = r"convert_from(CAST('\xe978' AS bytea), 'SQL_ASCII')"
    unchecked.execute(f"CREATE TABLE creds (id TEXT PRIMARY KEY, token {kind})")
    unchecked.insert("creds", [{"id": f"k{n}", "token": token} for n, token in enumerate(make_tokens(3))])
    unchecked.execute(
        f"INSERT INTO creds VALUES ('broken', {raw})",
        f"UPDATE creds SET id = {raw} WHERE id = 'k1'",
    )

    ran = rotate(cli, unchecked, "--batch-size", batch)

    assert (ran.code, report(ran)["rotated"]) == (1, 3)
    assert [key for key, _ in problems(ran)] == [{"id": "broken"}]
    stored = unchecked.rows("SELECT token FROM creds WHERE id <> 'broken'")
    assert sorted(secrets_of(row[0].rstrip() for row in stored)) == secret_names(3)
    [broken] = unchecked.rows("SELECT encode(CAST(rtrim(token) AS bytea), 'hex') FROM creds WHERE id = 'broken'")
    assert broken == ("e978",)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_any_type_may_be_in_a_column_of_sqlite(database: Database, cli: Cli) -> None:
    """D08, D14: numbers and BLOBs among texts keep their type."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token)")
    cells = [7, 2.5, make_token("text"), make_token("bytes").encode(), b"\xff\x00"]
    database.insert("creds", [{"id": number, "token": cell} for number, cell in enumerate(cells)])

    ran = rotate(cli, database)

    assert report(ran)["rotated"] == 2
    stored = database.column()
    assert [stored[0], stored[1], stored[4]] == [7, 2.5, b"\xff\x00"]
    assert (type(stored[2]), type(stored[3])) == (str, bytes)
    assert secrets_of([stored[2], stored[3]]) == ["text", "bytes"]


GENERATED = {
    "sqlite": "GENERATED ALWAYS AS (source || '')",
    "postgresql": "GENERATED ALWAYS AS (source) STORED",
    "mariadb": "GENERATED ALWAYS AS (source) STORED",
}


def test_a_generated_column_is_refused(database: Database, cli: Cli) -> None:
    """D23: nobody can write it; its source is what to name."""
    how = GENERATED[database.kind]
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, source TEXT, token TEXT {how})")

    ran = rotate(cli, database)

    assert ran.code == 2
    assert "creds.token: a generated column" in ran.err


def test_a_view_over_groups_is_refused(database: Database, cli: Cli) -> None:
    """D22: a view that no database could write through is named as one, too, and not as a table without a key."""
    database.make_creds(make_tokens(1))
    database.execute("CREATE VIEW shown AS SELECT min(id) AS id, max(token) AS token FROM creds GROUP BY note")

    ran = rotate(cli, database, table="shown")

    assert ran.code == 2
    assert "table shown is a view" in ran.err


VIEWS = ["VIEW", pytest.param("MATERIALIZED VIEW", marks=pytest.mark.only_on("postgresql"))]


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_is_refused(database: Database, cli: Cli, kind: str) -> None:
    """D22: a view is named as one, whether the database could write through it or not."""
    database.make_creds(make_tokens(1))
    database.execute(f"CREATE {kind} shown AS SELECT id, token FROM creds")

    ran = rotate(cli, database, table="shown")

    assert ran.code == 2
    assert f"table shown is a {kind.lower()}" in ran.err
