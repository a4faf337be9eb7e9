"""Which columns can be a key: all that name one row, together; and rows that no key names."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.conftest import Cli, Named
from tests.databases import Database, on_mysql
from tests.stores.tokens import (
    make_nocase,
    make_token,
    make_tokens,
    prepare,
    problems,
    report,
    rotate,
    secret_names,
    secrets_of,
)

pytestmark = pytest.mark.database


def test_a_composite_key_counts_as_a_whole(database: Database, cli: Cli, named: Named) -> None:
    """D11: rows that differ in the second column of the key only are told apart."""
    for number, second in enumerate(("INTEGER", "VARCHAR(20)")):
        for batch in (1, 2, 3, 1000):
            with named(f"{second}, batches of {batch}"):
                keys = [(a, b if second == "INTEGER" else f"k{b}") for a in (1, 2) for b in (1, 2, 3)]
                rows = [{"a": a, "b": b, "token": token} for (a, b), token in zip(keys, make_tokens(6), strict=True)]
                table = f"creds_{number}_{batch}"
                columns = f"(a INTEGER, b {second}, token TEXT, PRIMARY KEY (a, b))"
                prepare(database, f"CREATE TABLE {table} {columns}", rows, table)

                ran = rotate(cli, database, "--batch-size", str(batch), table=table)

                assert (ran.code, report(ran)["rotated"]) == (0, 6)
                stored = [row[0] for row in database.rows(f"SELECT token FROM {table} ORDER BY a, b")]
                assert secrets_of(stored) == secret_names(6)


def test_a_table_without_a_key_is_refused(database: Database, cli: Cli) -> None:
    """D10: without a primary key the run asks for key columns, and reads nothing."""
    database.execute("CREATE TABLE creds (id INTEGER, token TEXT)")

    ran = rotate(cli, database)

    assert ran.code == 2
    assert "creds has no primary key" in ran.err
    assert "--key-column" in ran.err


def test_the_key_that_a_table_lacks_is_added_as_printed(database: Database, cli: Cli, named: Named) -> None:
    """D10: the statement in the message fits the database, whatever columns the table has; then the run goes on."""
    for table, more in {"creds": "", "with_id": ", id INTEGER", "Odd Name": ", ID TEXT, row_id_1 TEXT"}.items():
        with named(table):
            quoted = database.quote(table)
            database.execute(f"CREATE TABLE {quoted} (token TEXT{more})")
            database.insert(quoted, [{"token": each} for each in make_tokens(2)])
            refused = rotate(cli, database, table=table)
            assert (refused.code, "docs/how-to/no-primary-key.md" in refused.err) == (2, True)
            if database.kind == "sqlite":
                assert "copy the table" in refused.err
                continue
            [statement] = re.findall(r"ALTER TABLE .*?;", refused.err)
            database.execute(statement)

            ran = rotate(cli, database, table=table)

            assert (ran.code, report(ran)["rotated"]) == (0, 2)


def test_a_key_column_that_is_not_unique_is_refused(database: Database, cli: Cli) -> None:
    """D13: rows with the same key could get each other's tokens; an index that allows them is no key either."""
    database.make_creds(make_tokens(2))
    database.execute("CREATE INDEX by_note ON creds (note)")

    ran = rotate(cli, database, "--key-column", "note")

    assert ran.code == 2
    assert "note is no unique key" in ran.err


def test_a_unique_index_will_do_for_a_key(database: Database, cli: Cli) -> None:
    """D13: any unique index names rows, also without a primary key."""
    rows = [{"name": f"n{number}", "token": token} for number, token in enumerate(make_tokens(3))]
    prepare(database, "CREATE TABLE creds (name VARCHAR(20) NOT NULL, token TEXT)", rows)
    database.execute("CREATE UNIQUE INDEX by_name ON creds (name)")

    ran = rotate(cli, database, "--key-column", "name", "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 3)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    "index",
    ["(name) WHERE id > 1", "(name)WHERE id > 1", "(name) /* new ones */ WHERE id > 1", "(lower(name))"],
    ids=["partial", "partial, without a blank", "partial, with a remark", "of an expression"],
)
def test_an_index_over_some_rows_is_no_key(database: Database, cli: Cli, index: str) -> None:
    """D13: a partial unique index, or one over an expression, says nothing of a column of all rows."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, name VARCHAR(20), token TEXT)")
    database.execute(f"CREATE UNIQUE INDEX by_name ON creds {index}")

    ran = rotate(cli, database, "--key-column", "name")

    assert ran.code == 2
    assert "no unique key" in ran.err


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_an_index_that_was_never_finished_is_no_key(database: Database, cli: Cli) -> None:
    """D13: a unique index that failed on duplicates stays in the catalog, as invalid."""
    rows = [{"name": "same", "token": token} for token in make_tokens(2)]
    prepare(database, "CREATE TABLE creds (name VARCHAR(20) NOT NULL, token TEXT)", rows)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(sa.text("CREATE UNIQUE INDEX CONCURRENTLY by_name ON creds (name)"))
        [index] = connection.execute(sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_name'::regclass"))

    ran = rotate(cli, database, "--key-column", "name")

    assert (ran.code, index) == (2, (False,))
    assert "no unique key" in ran.err


@pytest.mark.mariadb_only
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_a_period_is_part_of_its_key(database: Database, cli: Cli, batch: str) -> None:
    """D13: of a key WITHOUT OVERLAPS the dates belong to it; one column alone is in many rows."""
    columns = "id INTEGER, begin_on DATE, end_on DATE, token TEXT, PERIOD FOR p (begin_on, end_on)"
    rows = [
        {"id": 1, "begin_on": f"20{year}-01-01", "end_on": f"20{year + 1}-01-01", "token": token}
        for year, token in zip(range(20, 26), make_tokens(6), strict=True)
    ]
    prepare(database, f"CREATE TABLE creds ({columns}, PRIMARY KEY (id, p WITHOUT OVERLAPS))", rows)

    ran = rotate(cli, database, "--batch-size", batch)

    assert (ran.code, report(ran)["rotated"]) == (0, 6)
    assert rotate(cli, database, "--key-column", "id").code == 2


OTHER_COLLATIONS = {
    "sqlite": [
        ("TEXT COLLATE NOCASE", "PRIMARY KEY (id COLLATE BINARY)", ["a", "A", "b", "B"]),
        ("TEXT COLLATE RTRIM", "UNIQUE (id COLLATE BINARY)", ["x", "x ", "x  ", "y"]),
        ("TEXT", "PRIMARY KEY (id COLLATE NOCASE)", ["a", "B", "c", "D"]),
    ],
    "postgresql": [('TEXT COLLATE "nocase"', 'UNIQUE INDEX (id COLLATE "C")', ["a", "A", "b", "B"])],
}


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("database", "number"),
    [
        pytest.param(kind, number, id=f"{kind}-{number}")
        for kind, all_ in OTHER_COLLATIONS.items()
        for number in range(len(all_))
    ],
    indirect=["database"],
)
@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_keys_are_told_apart_as_their_index_does(database: Database, cli: Cli, number: int, batch: str) -> None:
    """D11, D15: a key that is unique under another collation than its column's own names each row all the same."""
    kind, unique, keys = OTHER_COLLATIONS[database.kind][number]
    if database.kind == "postgresql":
        make_nocase(database)
        database.execute(f"CREATE TABLE creds (id {kind} NOT NULL, token TEXT)")
        database.execute(f"CREATE {unique.replace('(', 'ON creds (')}")
    else:
        database.execute(f"CREATE TABLE creds (id {kind} NOT NULL, token TEXT, {unique})")
    database.insert("creds", [{"id": key, "token": token} for key, token in zip(keys, make_tokens(4), strict=True)])

    ran = rotate(cli, database, "--key-column", "id", "--batch-size", batch)

    assert (ran.code, report(ran)["rotated"], ran.document["complete"]) == (0, 4, True)
    assert secrets_of(database.column()[key] for key in keys) == secret_names(4)


def test_a_row_with_null_in_its_key_is_reported(database: Database, cli: Cli, named: Named) -> None:
    """D12: a unique index takes many NULLs; such rows are counted as no-key, once, and left."""
    tokens = make_tokens(6)
    rows = [{"a": a, "b": b} for a, b in ((1, 1), (1, None), (None, 1), (None, None), (2, 1), (None, 2))]
    rows = [row | {"token": token} for row, token in zip(rows, [*tokens[:5], None], strict=True)]
    for batch in (1, 2, 1000):
        with named(f"batches of {batch}"):
            table = f"creds{batch}"
            create = f"CREATE TABLE {table} (a INTEGER, b INTEGER, token TEXT, UNIQUE (a, b))"
            prepare(database, create, [dict(row) for row in rows], table)

            options = ["--key-column", "a", "--key-column", "b", "--batch-size", str(batch)]
            ran = rotate(cli, database, *options, table=table)

            assert ran.code == 1
            assert (report(ran)["rotated"], report(ran)["unsettled"]) == (2, 3)
            assert {category for _, category in problems(ran)} == {"no-key"}
            left = database.rows(f"SELECT token FROM {table} WHERE a IS NULL OR b IS NULL")
            assert {row[0] for row in left} == {*tokens[1:4], None}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_sqlite_takes_null_for_a_primary_key(database: Database, cli: Cli) -> None:
    """D12: a primary key of SQLite may be NULL, unless it is the INTEGER one."""
    rows = [{"id": key, "token": token} for key, token in zip(["a", None, None], make_tokens(3), strict=True)]
    prepare(database, "CREATE TABLE creds (id TEXT PRIMARY KEY, token TEXT)", rows)

    ran = rotate(cli, database, "--batch-size", "1")

    assert (ran.code, report(ran)["rotated"], report(ran)["unsettled"]) == (1, 1, 2)
    assert ({"id": None}, "no-key") in problems(ran)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_a_key_that_is_not_utf8_names_its_row(database: Database, cli: Cli, batch: str) -> None:
    """D14: SQLite keeps any bytes as text; they find their row again, and the report shows them escaped."""
    database.execute("CREATE TABLE creds (id TEXT PRIMARY KEY, token TEXT)")
    tokens = make_tokens(4)
    for key, token in zip(["61", "ff", "fffe", "7a"], tokens, strict=True):
        database.execute(f"INSERT INTO creds VALUES (CAST(x'{key}' AS TEXT), :token)", token=token)
    database.execute("INSERT INTO creds VALUES (CAST(x'fd' AS TEXT), 'broken')")

    ran = rotate(cli, database, "--batch-size", batch)

    assert report(ran)["rotated"] == 4
    assert [entry["key"] for entry in report(ran)["problems"]] == [{"id": "\\udcfd"}]
    stored = [row[0] for row in database.rows("SELECT token FROM creds WHERE token <> 'broken' ORDER BY id")]
    assert sorted(secrets_of(stored)) == secret_names(4)


def test_the_column_itself_is_no_key(database: Database, cli: Cli) -> None:
    """D13: a key that changes as it is rotated names nothing."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token VARCHAR(200) UNIQUE)")

    ran = rotate(cli, database, "--key-column", "token")

    assert ran.code == 2
    assert "a key column cannot hold the tokens" in ran.err


@on_mysql
def test_a_key_that_the_server_made_and_hides_is_a_key(database: Database, cli: Cli) -> None:
    """D13: a session of MySQL may not see a generated invisible primary key; a table of it has room for no other."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("SET sql_generate_invisible_primary_key = ON")
        connection.exec_driver_sql("CREATE TABLE creds (token TEXT)")
    database.insert("creds", [{"token": token} for token in make_tokens(6)])
    hidden = "SET show_gipk_in_create_table_and_information_schema = OFF"
    url = sa.make_url(database.url).update_query_dict({"init_command": hidden})

    ran = rotate(cli, replace(database, url=url.render_as_string(hide_password=False)))

    assert (ran.code, report(ran)["rotated"]) == (0, 6), ran.err
    assert sorted(secrets_of(token for (token,) in database.rows("SELECT token FROM creds"))) == secret_names(6)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("batch", ["1", "1000"])
def test_a_year_is_as_long_as_the_server_takes_it_for(database: Database, cli: Cli, batch: str) -> None:
    """D11: 360 days, which come before 362; as 365 days, no row would be found between the two."""
    database.execute("CREATE TABLE creds (id INTERVAL PRIMARY KEY, token TEXT)")
    tokens = [make_token("secret 0", "new"), *make_tokens(3)[1:]]
    spans = ["1 year", "362 days", "1 year 1 mon -1 day -00:00:00.5"]
    database.insert("creds", [{"id": span, "token": token} for span, token in zip(spans, tokens, strict=True)])

    ran = rotate(cli, database, "--batch-size", batch)

    assert (ran.code, report(ran)["scanned"], report(ran)["rotated"]) == (0, 3, 2)
    assert secrets_of([row[0] for row in database.rows("SELECT token FROM creds ORDER BY id")]) == secret_names(3)
