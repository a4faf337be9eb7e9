"""Tables of every build and size: partitions, inheritance, odd indexes, large cells, none at all."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.model.batch import Swaps
from rotation.model.target import Target
from rotation.stores import reader
from rotation.stores.access import Access
from rotation.stores.catalog import Catalog
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database
from tests.stores.tokens import make_nocase, make_token, make_tokens, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database


def test_an_empty_table_is_complete(database: Database, cli: Cli) -> None:
    """D34: nothing to do is done: no write, exit 0."""
    database.make_creds([])

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["scanned"]) == (0, 0)


def test_a_table_of_one_row_is_rotated(database: Database, cli: Cli) -> None:
    """D34: one row is a batch, too, and its other columns stay."""
    database.make_creds(make_tokens(1))

    ran = rotate(cli, database, "--batch-size", "1")

    assert (ran.code, report(ran)["rotated"]) == (0, 1)
    assert database.rows("SELECT id, note FROM creds") == [(1, "note 1")]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_table_that_is_dropped_while_it_is_looked_at_is_missing(
    database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was never there."""
    database.make_creds([])
    kind = type(Access(database.url, None, read_only=True, sleep=lambda _: None).dialect.catalog)
    has_table = kind.has_table

    def drop_behind(self: Catalog, *place: Any) -> bool:
        found = has_table(self, *place)
        database.execute("DROP TABLE IF EXISTS creds")
        return found

    monkeypatch.setattr(kind, "has_table", drop_behind)

    ran = rotate(cli, database)

    assert ran.code == 2
    assert "there is no table creds in " in ran.err


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_all_partitions_are_rotated(database: Database, cli: Cli) -> None:
    """D32: a partitioned table is one target, whatever its partitions are made of; their triggers are warned of."""
    database.execute(
        "CREATE TABLE creds (id INTEGER, token TEXT, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF creds FOR VALUES FROM (0) TO (3)",
        "CREATE TABLE high PARTITION OF creds FOR VALUES FROM (3) TO (100) PARTITION BY LIST (id)",
        "CREATE TABLE higher PARTITION OF high DEFAULT",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER deep BEFORE UPDATE ON higher FOR EACH ROW EXECUTE FUNCTION f()",
    )
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(make_tokens(6))])

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 6)
    assert secrets_of(database.column("low").values()) == secret_names(3)
    assert "trigger deep acts on UPDATE" in report(ran)["warnings"][0]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_partitions_of_mariadb_are_rotated(database: Database, cli: Cli) -> None:
    """D32: so is one of MariaDB."""
    database.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY HASH (id) PARTITIONS 3",
    )
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(make_tokens(6))])

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 6)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_tables_that_inherit_are_rotated_with_their_parent(database: Database, cli: Cli) -> None:
    """D32: a parent is read with its children; where a key is in two of them, it is refused."""
    first, second, third = make_tokens(3)
    database.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)", "CREATE TABLE child () INHERITS (creds)"
    )
    database.insert("creds", [{"id": 1, "token": first}])
    database.insert("child", [{"id": 2, "token": second}])

    ran = rotate(cli, database)
    database.insert("child", [{"id": 1, "token": third}])
    again = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    assert again.code == 2
    assert "a key (id) is in more than one of them" in again.err


@pytest.mark.mariadb_only
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_table_that_remembers_is_warned_of(database: Database, cli: Cli) -> None:
    """D24: a system-versioned table keeps each old token in its history."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) WITH SYSTEM VERSIONING")
    database.insert("creds", [{"id": 1, "token": make_token("one")}])

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 1)
    assert "SYSTEM VERSIONING" in report(ran)["warnings"][0]
    assert len(database.rows("SELECT token FROM creds FOR SYSTEM_TIME ALL")) == 2


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_an_index_over_an_expression_is_no_hindrance(database: Database, cli: Cli) -> None:
    """D27: an index that SQLAlchemy cannot show whole is no reason to stop; one that uses the column is warned of."""
    database.make_creds(make_tokens(2))
    database.execute("CREATE INDEX by_expression ON creds (lower(note))", "CREATE INDEX by_token ON creds (token)")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    assert [warning.split()[2] for warning in report(ran)["warnings"]] == ["by_token"]


def test_large_cells_are_read_few_at_once(database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """D34: cells beyond 64 KiB come one by one, and a batch ends where they get heavy; each is rotated."""
    monkeypatch.setattr(reader, "BATCH_BYTES", 500_000)
    secrets = [letter * 150_000 for letter in "abcdef"]
    database.make_creds([make_token(secret) for secret in secrets], "LONGTEXT" if database.kind == "mariadb" else None)
    store = Store(Target(database.url, "creds", "token", "creds"), read_only=True, sleep=lambda _: None)

    read = [len(store.read(None, None, 100).keys), len(store.read((3,), (5,), 100).keys)]
    store.close()
    ran = rotate(cli, database)

    assert read == [2, 2]
    assert (ran.code, report(ran)["rotated"]) == (0, 6)
    stored = database.column()
    assert secrets_of(stored[number] for number in range(1, 7)) == secrets


@pytest.mark.mariadb_only
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_cell_that_the_server_takes_no_statement_for_is_refused(database: Database, cli: Cli) -> None:
    """D34: a swap beyond max_allowed_packet would cost the connection; the row is refused, and the others rotated."""
    most = database.rows("SELECT @@max_allowed_packet")[0][0]
    # As much as a service can just write.
    tokens = [make_token("one"), make_token("x" * ((most - 600) * 3 // 4 - 80)), make_token("three")]
    database.make_creds(tokens, "LONGTEXT")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 2)
    (problem,) = report(ran)["problems"]
    assert (problem["key"], problem["category"]) == ({"id": 2}, "refused")
    assert f"the database takes {most:,}; raise its max_allowed_packet" in problem["detail"]


def test_cells_are_compared_byte_for_byte(database: Database) -> None:
    """D35: a column may take `a` for `A`, and on MariaDB does so by default; a swap does not, in whichever form."""
    if database.kind == "postgresql":
        make_nocase(database)
    kinds = {"sqlite": "TEXT COLLATE NOCASE", "postgresql": "TEXT COLLATE nocase", "mariadb": "VARCHAR(200)"}
    for key, rows in (("INTEGER", (1, 2, 3)), ("VARCHAR(9)", ("k1", "k2", "k3"))):
        create = f"CREATE TABLE creds (id {key} PRIMARY KEY, token {kinds[database.kind]})"
        database.execute("DROP TABLE IF EXISTS creds", create)
        database.insert("creds", [{"id": row, "token": cell} for row, cell in zip(rows, "Abc", strict=True)])
        store = Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)

        written = store.write(Swaps([(row,) for row in rows], ["a", "b ", "c"], ["new"] * 3))
        store.close()

        assert [written.failed((row,)) for row in rows] == [True, True, False]
        assert sorted(database.column().values()) == ["A", "b", "new"]


@pytest.mark.parametrize("flag", ["", "&client_flag=0"], ids=["matched rows", "changed rows"])
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_either_meaning_of_rowcount_will_do(database: Database, cli: Cli, flag: str) -> None:
    """D36: a new token always differs from the old one, so a row that matched is a row that changed."""
    database.make_creds(make_tokens(5))
    database.url += flag

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"], report(ran)["unsettled"]) == (0, 5, 0)
