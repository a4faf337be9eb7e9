"""Rows are named by keys of every kind: each is visited once, and each cell gets its own token."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal

import pytest

from tests.conftest import Cli, Named
from tests.databases import Database
from tests.stores.tokens import make_tokens, prepare, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

INSTANTS = [datetime.datetime(2024, 2, 29, 12, 0, 0, part) for part in (0, 1, 2, 999_999)]
AWARE = [instant.replace(tzinfo=datetime.UTC) for instant in INSTANTS]
DAYS = [datetime.date(1, 1, 1), datetime.date(1969, 12, 31), datetime.date(2024, 2, 29), datetime.date(9999, 12, 31)]
IDS = [uuid.UUID(int=number) for number in (0, 1, 2**64, 2**127, 2**128 - 1)]
BIG = [-(2**63), -1, 0, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1]
DOUBLES = [-1.5, 0.1, 0.2, 0.1 + 0.2, 1e-300, 1e300, 1 / 3]
TEXTS = ["", " ", "'", '"', "%", "%s", "a", "A", "é", "日本", ":x", "\\", "a,b", "{a}", "😀", "z"]
DECIMALS = [Decimal(text) for text in ("-1.50", "0.00", "0.10", "12345678901234567.89")]

CASES = {
    "sqlite": {
        "negative": ("INTEGER", BIG),
        "text": ("TEXT", TEXTS),
        "text ignoring case": ("TEXT COLLATE NOCASE", ["a", "B", "c", "Z"]),
        "bytes": ("BLOB", [b"", b"\x00", b"\xff\xfe", b"a"]),
        "float": ("REAL", DOUBLES),
        "numeric": ("NUMERIC", [1, 2.5, 3, 4.25]),
        "date": ("DATE", [str(day) for day in DAYS]),
        "mixed": ("", [-1, 2.5, 2**53 + 1, "2", "a", "\u00e9", b"2", b"\xff"]),
    },
    "postgresql": {
        "smallint": ("SMALLINT", [-3, 0, 7]),
        "negative": ("BIGINT", BIG),
        "text": ("TEXT", TEXTS),
        "varchar": ("VARCHAR(20)", TEXTS),
        "char": ("CHAR(5)", ["a", "b", "bb", "é"]),
        "uuid": ("UUID", IDS),
        "bytes": ("BYTEA", [b"", b"\x00", b"\xff\xfe", b"a"]),
        "numeric": ("NUMERIC(20, 2)", DECIMALS),
        "beyond 2**63": ("NUMERIC", [Decimal(2**63 + number) for number in range(4)]),
        "date": ("DATE", DAYS),
        "timestamp": ("TIMESTAMP", INSTANTS),
        "timestamptz": ("TIMESTAMPTZ", AWARE),
        "double": ("DOUBLE PRECISION", DOUBLES),
        "bool": ("BOOLEAN", [False, True]),
        "enum": ("mood", ["sad", "happy", "calm"]),
        "domain": ("shortname", ["a", "b", "c"]),
        "inet": ("INET", ["10.0.0.1", "10.0.0.2", "::1"]),
        "time": ("TIME", [datetime.time(0), datetime.time(1, 2, 3, 4)]),
        "interval": ("INTERVAL", [datetime.timedelta(seconds=part) for part in (-1, 0, 86_401)]),
        # The last one: a server without any such collation ends the test here.
        "text of another collation": ('TEXT COLLATE "another"', TEXTS),
    },
    "mariadb": {
        "tinyint": ("TINYINT", [-128, 0, 127]),
        "negative": ("BIGINT", BIG),
        "beyond 2**63": ("BIGINT UNSIGNED", [0, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]),
        "zerofill": ("INT(8) ZEROFILL", [1, 2, 30]),
        "text ignoring case": ("VARCHAR(20)", ["", "a", "B", "c", "é", "%", "'", "\\", "日本", "😀"]),
        "text": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", [*TEXTS, "x", "x "]),
        "latin1 text": ("VARCHAR(20) CHARACTER SET latin1", ["a", "é", "ü", "z"]),
        "char": ("CHAR(5)", ["a", "b", "bb", "é"]),
        "uuid": ("UUID", [str(one) for one in IDS]),
        "binary": ("BINARY(4)", [b"\x00\x00\x00\x00", b"\xff\xfe\x00\x01", b"abcd"]),
        "varbinary": ("VARBINARY(9)", [b"", b"\x00", b"\xff\xfe", b"a", b"'"]),
        "numeric": ("NUMERIC(20, 2)", DECIMALS),
        "date": ("DATE", DAYS),
        "datetime": ("DATETIME(6)", INSTANTS),
        "double": ("DOUBLE", DOUBLES),
        "year": ("YEAR", [1970, 1999, 2024]),
        "inet6": ("INET6", ["::1", "::2", "::ffff:10.0.0.1"]),
    },
}
"""Per database: the key column's type, and keys."""
CASES["mysql"] = {name: case for name, case in CASES["mariadb"].items() if name not in {"uuid", "inet6"}}
CASES["mysql"]["text"] = "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin", [*TEXTS, "x", "x "]


@pytest.mark.some(1)
@pytest.mark.parametrize("batch", [2, pytest.param(1000, marks=pytest.mark.long)])
def test_every_row_is_visited_once_whatever_its_key(database: Database, cli: Cli, batch: int, named: Named) -> None:
    """D14, D15: paging by any type of key, in any size of batch, skips no row and reads none twice."""
    for number, (name, (kind, keys)) in enumerate(CASES["mysql" if database.is_mysql else database.kind].items()):
        with named(name):
            table = f"creds{number}"
            _make_types(database, name)
            rows = [{"id": key, "token": token} for key, token in zip(keys, make_tokens(len(keys)), strict=True)]
            prepare(database, f"CREATE TABLE {table} (id {kind} PRIMARY KEY NOT NULL, token TEXT)", rows, table)
            before = [row[0] for row in database.rows(f"SELECT id FROM {table} ORDER BY id")]

            ran = rotate(cli, database, "--batch-size", str(batch), table=table)

            assert ran.code == 0, ran.out
            assert report(ran)["scanned"] == report(ran)["rotated"] == len(keys)
            assert [row[0] for row in database.rows(f"SELECT id FROM {table} ORDER BY id")] == before
            assert sorted(secrets_of(database.column(table).values())) == sorted(secret_names(len(keys)))


def test_a_report_names_a_row_by_its_key(database: Database, cli: Cli, named: Named) -> None:
    """D14: a key of any type is legible in the report, and fits JSON."""
    for number, (name, (kind, keys)) in enumerate(CASES["mysql" if database.is_mysql else database.kind].items()):
        with named(name):
            table = f"creds{number}"
            _make_types(database, name)
            rows: list[dict[str, object]] = [{"id": key, "token": "broken" * 20} for key in keys]
            prepare(database, f"CREATE TABLE {table} (id {kind} PRIMARY KEY NOT NULL, token TEXT)", rows, table)

            ran = cli("status", "--json", "--url", database.url, "--table", table, "--column", "token")

            reported = [entry["key"]["id"] for entry in report(ran)["problems"]]
            assert len({str(key) for key in reported}) == len(keys)


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["enum", "domain", "uuid", "timestamptz"])
def test_keys_go_back_as_they_were_read(database: Database, cli: Cli, name: str) -> None:
    """D14: also row by row, where the column's type rules a batch out, no key is cast to a type that is not its own."""
    kind, keys = CASES["postgresql"][name]
    _make_types(database, name)
    rows = [{"id": key, "token": token} for key, token in zip(keys, make_tokens(len(keys)), strict=True)]
    prepare(database, f"CREATE TABLE creds (id {kind} PRIMARY KEY, token CHAR(200))", rows)

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, len(keys))
    assert sorted(secrets_of(database.column().values())) == secret_names(len(keys))


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_number_without_a_sign_goes_back_whole(database: Database, cli: Cli) -> None:
    """D14: up to 2**64, which no other database has."""
    kind, keys = CASES["mariadb"]["beyond 2**63"]
    rows = [{"id": key, "token": token} for key, token in zip(keys, make_tokens(len(keys)), strict=True)]
    prepare(database, f"CREATE TABLE creds (id {kind} PRIMARY KEY, token TEXT)", rows)

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, len(keys))
    assert sorted(secrets_of(database.column().values())) == secret_names(len(keys))


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_citext_is_text_that_ignores_case(database: Database, cli: Cli) -> None:
    """D14, D35: as a key it is followed in its own order; as a token it is compared byte for byte."""
    if database.rows("SELECT 1 FROM pg_extension WHERE extname = 'citext'"):
        pytest.skip("the extension citext is in another schema of this database")
    database.execute("CREATE EXTENSION citext", "CREATE TABLE creds (id CITEXT PRIMARY KEY, token CITEXT)")
    keys = ["a", "B", "c", "D", "é"]
    database.insert("creds", [{"id": key, "token": token} for key, token in zip(keys, make_tokens(5), strict=True)])

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 5)
    assert secrets_of(database.column()[key] for key in keys) == secret_names(5)


UNFIT = {
    "postgresql": ["REAL", "INTEGER[]", "JSONB", "INT4RANGE"],
    "mariadb": ["FLOAT", "ENUM('a', 'b')", "SET('a', 'b')", "BIT(8)"],
}


@pytest.mark.parametrize("database", UNFIT, indirect=True)
def test_a_key_that_cannot_be_followed_is_refused(database: Database, cli: Cli, named: Named) -> None:
    """D14: a key that does not equal what was read of it, or sorts otherwise than it compares, is refused by name."""
    for number, kind in enumerate(UNFIT[database.kind]):
        with named(kind):
            table = f"creds{number}"
            database.execute(f"CREATE TABLE {table} (id INTEGER, part {kind}, token TEXT, PRIMARY KEY (id, part))")

            ran = rotate(cli, database, table=table)

            assert ran.code == 2
            assert f"{table}.token: key column part is a" in ran.err


def _make_types(database: Database, name: str) -> None:
    if name == "enum":
        database.execute("CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm')")
    if name == "domain":
        database.execute("CREATE DOMAIN shortname AS VARCHAR(9) CHECK (VALUE <> 'x')")
    if name == "text of another collation":
        # Of the system, or of ICU, which some servers are built without.
        known = "SELECT collname FROM pg_collation WHERE collname IN ('en_US.utf8', 'en-x-icu') ORDER BY 1 DESC"
        if not (found := database.rows(known)):
            pytest.skip("the server has no collation of English")
        database.execute(f'CREATE COLLATION "another" FROM "{found[0][0]}"')
