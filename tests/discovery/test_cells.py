"""Which cells are searched, and how far: large ones, and those of every type that can hold a token."""

from __future__ import annotations

import base64

import pytest
import sqlalchemy as sa

from keyring_core import Key
from rotation.discovery import survey
from rotation.discovery.table_source import LARGE, TOO_LARGE, CellConditions, CellFetcher, Rows
from rotation.model.batch import LARGE_CELL
from rotation.planning.inner_tokens import SPELLED
from rotation.stores.catalog import SearchedColumn
from rotation.stores.sqlite.catalog import SQLiteCatalog
from tests.databases import Database
from tests.discovery.conftest import Discover, columns, remarks
from tests.keys import make_key
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database

SQLITE = pytest.mark.parametrize("whole", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
MARIADB = pytest.mark.parametrize("whole", ["mariadb"], indirect=True)

TEXT = {"sqlite": "TEXT", "postgresql": "TEXT", "mariadb": "LONGTEXT"}
BYTES = {"sqlite": "BLOB", "postgresql": "BYTEA", "mariadb": "LONGBLOB"}


@pytest.mark.some(2)
@pytest.mark.parametrize("key", [" PRIMARY KEY", ""], ids=["with a key", "without a key"])
def test_every_piece_of_a_large_cell_is_read(whole: Database, discover: Discover, key: str) -> None:
    """Tokens at its beginning, across the ends of pieces and at its end count, in text and in bytes."""
    whole.execute(f"CREATE TABLE creds (id INTEGER{key}, token {TEXT[whole.kind]}, raw {BYTES[whole.kind]})")
    tokens = [*make_tokens(4), make_token("last", "new")]
    places = [0, LARGE_CELL - 50, 4 * 2**20 - 60, 5 * 2**20]
    text = "".join(
        token.ljust(end - begin, " ")
        for token, begin, end in zip(tokens, places, [*places[1:], 6 * 2**20], strict=False)
    )
    cell = f"{text}é {tokens[-1]}"
    whole.insert("creds", [{"id": 1, "token": cell}, {"id": 2, "token": None}])
    whole.insert("creds", [{"id": 3, "raw": cell.encode()}])

    by_key = {make_key("old").id: 4, make_key("new").id: 1}
    found = columns(discover(whole, "--full").document)

    for column in (found["creds.token"], found["creds.raw"]):
        assert (column["under"], column["inner"]) == (by_key, by_key)
        assert (column["tokens"], column["embedded"], column["rows"], column["large"]) == (0, 1, 3, 0)


def test_a_cell_that_is_too_large_is_named(
    whole: Database, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its table and column are named, in the document and on the screen."""
    monkeypatch.setattr(survey, "MOST", {True: 200_000, False: 150_000})
    whole.make_creds([make_token("one"), "x" * 220_000, "y" * 180_000, None], TEXT[whole.kind])

    ran, sampled, shown = discover(whole, "--full"), discover(whole), discover(whole, "--full", as_json=False)

    assert remarks(ran.document)["creds"] == "token: 1 cell of more than 200,000 bytes; "
    assert remarks(sampled.document)["creds"] == "token: 2 cells of more than 150,000 bytes; "
    assert columns(ran.document)["creds.token"]["large"] == 1
    assert "creds: token: 1 cell of more than 200,000 bytes" in shown.out


class Growing:
    """Reads of a cell that a service has made larger since its row was read."""

    def read(self, query: sa.Executable) -> Rows:
        return [("x" * 40,)]


def test_a_cell_that_grows_between_two_reads_is_too_large() -> None:
    """It is counted as such, as if it had been so large from the start."""
    reader = CellFetcher(CellConditions(SQLiteCatalog(), SPELLED, most=30), [SearchedColumn("token")])

    assert reader.fill(Growing(), sa.table("creds"), (), [LARGE]) == [TOO_LARGE]


def test_encoded_and_nested_tokens_count_by_key(whole: Database, discover: Discover, old: Key, new: Key) -> None:
    """Encoded again, inside another token, or inside JSON: each counts under its own key."""
    token = make_token("one")
    cells = [token.encode().hex(), make_token(token, "new"), f'{{"a": "{token}"}}', make_token("x", "new")]
    whole.make_creds(cells)

    found = columns(discover(whole).document)["creds.token"]

    assert (found["tokens"], found["embedded"]) == (2, 2)
    assert (found["under"], found["inner"]) == ({old.id: 3, new.id: 2}, {old.id: 3})


def test_a_token_bound_to_a_target_s_context_counts_by_key(
    whole: Database, discover: Discover, old: Key, cli: object
) -> None:
    """A copy in a column that no target covers needs that key, too."""
    from pathlib import Path

    from keyring_core import Keyring

    whole.make_creds([])
    whole.execute("CREATE TABLE copies (id INTEGER PRIMARY KEY, token TEXT)")
    whole.insert("copies", [{"id": 1, "token": Keyring(old).bind("creds.token").encrypt("sk-live-4242")}])
    Path("rotation.toml").write_text(
        '[[target]]\nurl = "$DATABASE_URL"\ntable = "creds"\ncolumns = ["token"]\ncontext = "creds.token"\n'
    )

    found = columns(discover(whole).document)["copies.token"]

    assert (found["under"], found["unknown"]) == ({old.id: 1}, 0)


@POSTGRESQL
def test_every_type_of_postgresql_is_searched(whole: Database, discover: Discover, old: Key) -> None:
    """Arrays of bytes and of composite types, domains, JSON with escapes, hstore, generated columns, bits by name."""
    whole.execute(
        "CREATE EXTENSION hstore",
        "CREATE TYPE pair AS (name TEXT, secret TEXT, raw BYTEA)",
        "CREATE DOMAIN secrets AS TEXT[]",
        "CREATE DOMAIN more_secrets AS secrets",
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, texts TEXT[], bytes BYTEA[], raws BYTEA[], one pair, many pair[], "
        "d more_secrets, h hstore, j JSON, jb JSONB, made TEXT GENERATED ALWAYS AS (h -> 'a') STORED, "
        "bits BIT VARYING, numbers INTEGER[], few name)",
    )
    token = make_token("one")
    escaped = "\\u0067" + token[1:]
    cells = (
        "1, ARRAY['x', :t], ARRAY[convert_to(:t, 'UTF8')], ARRAY[decode(translate(:t, '-_', '+/'), 'base64')], "
        "ROW('a', :t, NULL), ARRAY[CAST(ROW('a', NULL, convert_to(:t, 'UTF8')) AS pair)], ARRAY[:t], hstore('a', :t), "
        "CAST(:j AS json), CAST(:j AS jsonb), DEFAULT, B'1', ARRAY[1], 'x'"
    )
    whole.execute(
        f"INSERT INTO odd VALUES ({cells})",
        t=token,
        j=f'{{"a": "{escaped}"}}',
    )

    ran = discover(whole, "--full")

    found = {label: column["under"] for label, column in columns(ran.document).items()}
    kinds = ("texts", "bytes", "raws", "one", "many", "d", "h", "j", "jb", "made")
    assert found == {f"odd.{name}": {old.id: 1} for name in kinds}
    assert "bits (bit string)" in remarks(ran.document)["odd"]


@POSTGRESQL
def test_materialized_views_and_unlogged_tables_hold_rows(whole: Database, discover: Discover) -> None:
    """A copy that is refreshed by hand may be the last one that holds a token."""
    whole.execute("CREATE UNLOGGED TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
    whole.insert("creds", [{"id": 1, "token": make_token("one")}])
    whole.execute("CREATE MATERIALIZED VIEW copies AS SELECT * FROM creds")

    assert sorted(columns(discover(whole, "--full").document)) == ["copies.token", "creds.token"]
    assert sorted(columns(discover(whole).document)) == ["copies.token", "creds.token"]


@MARIADB
def test_every_type_of_mariadb_is_searched(whole: Database, discover: Discover, old: Key) -> None:
    """ENUM and SET, whose labels have room for a token; binary, invisible and generated columns; shapes by name."""
    token = make_token("one")
    whole.execute(
        f"CREATE TABLE odd (id INTEGER PRIMARY KEY, e ENUM('a', '{token}'), s SET('a', '{token}'), v VARBINARY(300), "
        "b LONGBLOB, i TEXT INVISIBLE, j JSON, made VARCHAR(300) AS (CONCAT('', v)) VIRTUAL, "
        "kept VARCHAR(300) AS (CONCAT('', v)) STORED, shape GEOMETRY, n BIT(64))"
    )
    whole.execute(
        "INSERT INTO odd (id, e, s, v, b, i, j) VALUES (1, :t, CONCAT('a,', :t), :t, :t, :t, JSON_QUOTE(:t))", t=token
    )

    ran = discover(whole, "--full")

    found = {label: column["under"] for label, column in columns(ran.document).items()}
    assert found == {f"odd.{name}": {old.id: 1} for name in ("e", "s", "v", "b", "i", "j", "made", "kept")}
    assert "shape (geometry)" in remarks(ran.document)["odd"]


@MARIADB
@pytest.mark.parametrize("key", [" PRIMARY KEY", ""], ids=["with a key", "without a key"])
def test_raw_bytes_in_a_text_of_any_charset_are_found(whole: Database, discover: Discover, old: Key, key: str) -> None:
    """The first byte of a raw token is a letter of latin1, a euro sign; letters of a wide charset are converted."""
    whole.execute(
        f"CREATE TABLE odd (id INTEGER{key}, raw VARCHAR(300) CHARACTER SET latin1, "
        "long_raw LONGTEXT CHARACTER SET latin1, letters VARCHAR(300) CHARACTER SET cp1251, "
        "wide VARCHAR(300) CHARACTER SET utf16, none VARCHAR(300) CHARACTER SET latin1)"
    )
    token = make_token("one")
    raw = base64.urlsafe_b64decode(token)
    whole.execute(
        "INSERT INTO odd VALUES (1, CONVERT(CAST(:raw AS BINARY) USING latin1), "
        "CONVERT(CAST(:long AS BINARY) USING latin1), :token, :token, '€')",
        raw=raw,
        long=raw + b" \xe9" * LARGE_CELL,
        token=token,
    )

    for options in ((), ("--full",)):
        found = columns(discover(whole, *options).document)
        assert {label: column["under"] for label, column in found.items()} == {
            f"odd.{name}": {old.id: 1} for name in ("raw", "long_raw", "letters", "wide")
        }


@pytest.mark.mariadb_only
@MARIADB
def test_the_history_of_a_table_is_searched(whole: Database, discover: Discover, old: Key) -> None:
    """Old tokens remain in the rows of the past: --full counts them, a sample says that it does not."""
    whole.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) WITH SYSTEM VERSIONING")
    whole.insert("creds", [{"id": number, "token": token} for number, token in enumerate(make_tokens(3))])
    whole.execute("UPDATE creds SET token = NULL")

    full, sampled = discover(whole, "--full"), discover(whole)
    shown = discover(whole, "--full", as_json=False)

    found = columns(full.document)["creds.token"]
    assert (found["under"], found["has_history"]) == ({old.id: 3}, True)
    assert sampled.document["columns"] == []
    assert "rows of its past" in remarks(sampled.document)["creds"]
    assert "creds" not in remarks(full.document)
    assert "DELETE HISTORY FROM creds" in shown.out


@MARIADB
def test_an_engine_without_snapshots_is_named(whole: Database, discover: Discover) -> None:
    """No transaction sees a MyISAM table as it was at one moment."""
    whole.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) ENGINE = MyISAM")
    whole.insert("creds", [{"id": 1, "token": make_token("one")}])

    ran = discover(whole, "--full")

    assert columns(ran.document)["creds.token"]["tokens"] == 1
    assert "MyISAM has no snapshot" in remarks(ran.document)["creds"]


@pytest.mark.some(2)
@SQLITE
@pytest.mark.parametrize(
    "create",
    [
        "CREATE TABLE odd (RowID TEXT, token TEXT)",
        "CREATE TABLE odd (rowid TEXT, OID TEXT, _ROWID_ TEXT, token TEXT)",
        "CREATE TABLE odd (rowid TEXT PRIMARY KEY, oid TEXT, _rowid_ TEXT, token TEXT)",
        "CREATE TABLE odd (rowid TEXT PRIMARY KEY, token TEXT) WITHOUT ROWID",
        "CREATE TABLE odd (rowid TEXT PRIMARY KEY, oid TEXT, _rowid_ TEXT, token TEXT) WITHOUT ROWID",
    ],
)
def test_a_column_called_rowid_is_no_row_number(whole: Database, discover: Discover, create: str) -> None:
    """Rows are followed by their real number: a column of that name may hold anything, often the same or NULL."""
    whole.execute(create)
    is_key = "PRIMARY KEY" in create
    rows = [{"rowid": f"{number:05}" if is_key else None, "token": make_token("x")} for number in range(5_000)]
    whole.insert("odd", rows)

    for options in ((), ("--full",)):
        found = columns(discover(whole, *options).document)["odd.token"]
        assert (found["tokens"], found["rows"]) == (5_000, 5_000)


@SQLITE
def test_every_value_of_sqlite_is_searched(whole: Database, discover: Discover, old: Key) -> None:
    """In a column of any type, after a NUL, in a full-text table, and in a table named almost like SQLite's own."""
    token = make_token("one")
    whole.execute(
        "CREATE TABLE odd (n INTEGER, d DATETIME, made TEXT GENERATED ALWAYS AS (n) VIRTUAL)",
        "CREATE VIRTUAL TABLE found USING fts5(words)",
        "CREATE TABLE sqlitea (token TEXT)",
    )
    whole.insert("odd", [{"n": token, "d": f"\0{token}"}])
    whole.insert("found", [{"words": f"see {token}"}])
    whole.insert("sqlitea", [{"token": token}])

    found = columns(discover(whole, "--full").document)

    assert {label for label in found if not label.startswith("found_")} == {
        "odd.n",
        "odd.d",
        "odd.made",
        "found.words",
        "sqlitea.token",
    }
    assert "found_content.c0" in found
    assert all(column["under"] == {old.id: 1} for column in found.values())


@SQLITE
def test_a_file_in_utf16_is_searched(whole: Database, discover: Discover) -> None:
    """The file's own encoding of texts is not that of the mark."""
    whole.execute("PRAGMA encoding = 'UTF-16le'", "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
    cells = [make_token("one"), f"{make_token('x')} " * 1000, make_token("y").encode().hex()]
    whole.insert("creds", [{"id": number, "token": cell} for number, cell in enumerate(cells)])

    found = columns(discover(whole, "--full").document)["creds.token"]

    assert (found["tokens"], found["embedded"]) == (1, 2)


@SQLITE
@pytest.mark.parametrize("number", [300, pytest.param(1_900, marks=pytest.mark.long)])
def test_a_table_may_have_very_many_columns(whole: Database, discover: Discover, number: int) -> None:
    """A statement of SQLite has at most 32,766 parameters, and a table 2,000 columns."""
    names = [f"c{each}" for each in range(number)]
    whole.execute(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT' for name in names)})")
    whole.execute(f"INSERT INTO wide (id, {names[-1]}) VALUES (1, :token)", token=make_token("last"))

    assert list(columns(discover(whole, "--full").document)) == [f"wide.{names[-1]}"]
