"""A table counts as unchanged only if each of its rows was read, whatever happened to it meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.discovery.discover import DatabaseUrl, SearchPlan, discover
from rotation.discovery.memory import SearchMemory
from rotation.discovery.survey import Survey
from rotation.discovery.table_readers import TableRows
from rotation.discovery.table_source import Courtesy
from rotation.stores.dialect import Mode
from rotation.stores.postgresql import change_tracker as postgresql_others
from rotation.stores.postgresql.dialect import PostgreSQL
from tests.chaos.server import Server, own_postgres
from tests.conftest import Named
from tests.databases import Database, open_database
from tests.processes import until
from tests.stores.test_change_tracker import apart, before_first
from tests.stores.test_settle import crash

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("any_time")]

ONE = ["CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)"]
PARTED = [
    "CREATE TABLE notes (id INTEGER, text TEXT) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF notes FOR VALUES FROM (0) TO (1000)",
]
APART = "CREATE TABLE spare (id INTEGER, text TEXT); INSERT INTO spare VALUES (1500, 'old')"
ATTACH = "ALTER TABLE notes ATTACH PARTITION spare FOR VALUES FROM (1000) TO (2000)"
OLDEST = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
INSERT = "INSERT INTO notes VALUES (500, 'new')"


@pytest.fixture
def any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table has a witness, however soon it is read."""
    monkeypatch.setattr("rotation.discovery.survey.WITNESSED", timedelta(0))


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Database]:
    """A database with a table."""
    with open_database("postgresql", tmp_path) as database:
        yield database


def make(database: Database, create: Sequence[str] = ONE) -> None:
    """The table, with rows that are older than every open transaction of the server."""
    apart(database, *create, "INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 20) n")
    settle(database)


def settle(database: Database) -> None:
    """Waits for the end of all transactions that are open, of other tests, too."""
    [(number,)] = database.rows("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    until(lambda: database.rows(OLDEST)[0][0] > number, "the end of the transactions of others")


@contextmanager
def surveyed(database: Database) -> Iterator[Survey]:
    """A search of that database."""
    with closing(Survey(database.url, sleep=lambda _: None)) as survey:
        yield survey


def read(database: Database, *, full: bool = True) -> Any:
    """The witness of a reading of all rows, or of a sample, as it comes back from the ledger."""

    def count(reading: TableRows) -> TableRows:
        assert not sum(map(len, reading)), "no cell holds a mark"
        return reading

    with surveyed(database) as survey:
        [table] = survey.tables(lambda entry: entry.table == "notes")
        found, fault = survey.read(table, count, Courtesy(survey.sleep, full_speed=False), full=full)
    assert (found is None, fault) == (False, None)
    return json.loads(json.dumps(found and found.witness))


def is_unchanged(database: Database, witness: Any) -> bool:
    """The answer of another process."""
    with surveyed(database) as survey:
        [table] = survey.tables(lambda entry: entry.table == "notes")
        return survey.is_unchanged(table, witness)


HARMLESS = {
    "nothing": [],
    "another table": [APART, "UPDATE spare SET text = 'new'"],
    "a row deleted": ["DELETE FROM notes WHERE id = 3"],
    "row locks": ["SELECT id FROM notes FOR UPDATE"],
    "a write that is rolled back": ["BEGIN", INSERT, "ROLLBACK"],
    "ANALYZE": ["ANALYZE notes"],
    "VACUUM FREEZE": ["VACUUM (FREEZE) notes"],
}


@pytest.mark.some(3)
@pytest.mark.parametrize("statements", HARMLESS.values(), ids=HARMLESS)
def test_what_adds_no_row_leaves_it_unchanged(postgres: Database, statements: list[str]) -> None:
    """A row that is gone cannot hold what was not found in it."""
    make(postgres)
    witness = read(postgres)
    apart(postgres, *statements)

    assert is_unchanged(postgres, witness)


CHANGES = {
    "a row inserted": (ONE, [INSERT]),
    "a row updated": (ONE, ["UPDATE notes SET text = text WHERE id = 3"]),
    "a row deleted and inserted": (ONE, ["DELETE FROM notes WHERE id = 3", "INSERT INTO notes VALUES (3, 'note 3')"]),
    "a row inserted and frozen": (ONE, [INSERT, "VACUUM (FREEZE) notes"]),
    "a row inserted in a subtransaction": (ONE, ["BEGIN; SAVEPOINT a; " + INSERT + "; RELEASE a; COMMIT"]),
    "TRUNCATE": (ONE, ["TRUNCATE notes"]),
    "TRUNCATE and INSERT": (ONE, ["TRUNCATE notes", INSERT]),
    "a column added": (ONE, ["ALTER TABLE notes ADD more TEXT DEFAULT 'new'"]),
    "a column renamed": (ONE, ["ALTER TABLE notes RENAME text TO words"]),
    "rewritten": (ONE, ["ALTER TABLE notes ALTER text TYPE varchar(100) USING text || ''"]),
    "CLUSTER": (ONE, ["CLUSTER notes USING notes_pkey"]),
    "VACUUM FULL": (ONE, ["VACUUM FULL notes"]),
    "another table of its name": (
        ONE,
        [APART, "ALTER TABLE notes RENAME TO gone", "ALTER TABLE spare RENAME TO notes"],
    ),
    "a partition attached": (PARTED, [ATTACH]),
    "a row in a partition": (PARTED, ["INSERT INTO low VALUES (500, 'new')"]),
    "a child": (ONE, [APART, "ALTER TABLE spare ALTER id SET NOT NULL", "ALTER TABLE spare INHERIT notes"]),
    "row security": (ONE, ["ALTER TABLE notes ENABLE ROW LEVEL SECURITY"]),
}


@pytest.mark.some(6)
@pytest.mark.parametrize(("create", "statements"), CHANGES.values(), ids=CHANGES)
def test_what_may_add_a_row_makes_it_be_read_again(
    postgres: Database, create: list[str], statements: list[str]
) -> None:
    """Rows that were not read, in whatever way they come in."""
    make(postgres, [*create, APART] if create is PARTED else create)
    witness = read(postgres)
    before = is_unchanged(postgres, witness)
    apart(postgres, *statements)

    assert (before, is_unchanged(postgres, witness)) == (True, False)


def test_an_older_transaction_that_commits_late_is_noticed(postgres: Database) -> None:
    """It wrote before the table was read, and no read showed it; a younger one had committed by then."""
    make(postgres)
    with postgres.engine.connect() as connection:
        connection.execute(sa.text(INSERT))
        apart(postgres, "INSERT INTO notes VALUES (501, 'new')")
        witness = read(postgres)
        connection.commit()

    assert not is_unchanged(postgres, witness)


BETWEEN: dict[str, tuple[list[str], list[str]]] = {
    "rewritten": (
        ONE,
        ["UPDATE notes SET text = text || ''", "ALTER TABLE notes ALTER text TYPE varchar(100) USING text || ''"],
    ),
    "emptied and filled": (ONE, ["TRUNCATE notes; " + INSERT]),
    "a partition attached": (PARTED, [ATTACH]),
}


@pytest.mark.parametrize("place", ["EXISTS", "pg_inherits"])
@pytest.mark.parametrize(("create", "statements"), BETWEEN.values(), ids=BETWEEN)
def test_what_alters_it_while_it_is_proved_is_noticed(
    postgres: Database, create: list[str], statements: list[str], place: str
) -> None:
    """Just before its rows are looked at, and just after that."""
    make(postgres, [*create, APART] if create is PARTED else create)
    witness = read(postgres)

    with before_first(place, lambda: apart(postgres, *statements)):
        assert not is_unchanged(postgres, witness)


@pytest.mark.parametrize(("create", "statements"), BETWEEN.values(), ids=BETWEEN)
def test_what_alters_it_before_it_is_read_is_noticed(
    postgres: Database, create: list[str], statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is older, so that its rows may look as if they were gone."""
    make(postgres, [*create, APART] if create is PARTED else create)
    begin = PostgreSQL.begin

    def alter_after(self: PostgreSQL, connection: sa.Connection, mode: Mode) -> None:
        begin(self, connection, mode)
        if mode is Mode.SNAPSHOT:
            # A snapshot is taken by the first query.
            connection.exec_driver_sql("SELECT 1")
            apart(postgres, *statements)

    with monkeypatch.context() as patched:
        patched.setattr(PostgreSQL, "begin", alter_after)
        witness = read(postgres)

    assert witness
    assert not is_unchanged(postgres, witness)


def test_nothing_is_open_while_a_table_is_remembered(postgres: Database, keyring: Keyring) -> None:
    """The ledger may be locked, and the search would hold its tables for as long."""
    make(postgres, ONE)
    query, user, opened = (
        "SELECT state FROM pg_stat_activity WHERE usename = :user",
        sa.make_url(postgres.url).username,
        [],
    )
    memory = SearchMemory({}, lambda *_: opened.append(postgres.rows(query, user=user)))
    place = DatabaseUrl(postgres.url, postgres.url)
    plan = SearchPlan([place], [], {None: keyring}, full=True, schemas=(), memory=memory)
    discover(plan, lambda url: Survey(url, sleep=lambda _: None))

    assert opened == [[("idle",)]]


NO_WITNESS = {
    "a view of rows": ["CREATE MATERIALIZED VIEW notes AS SELECT n AS id, 'note' AS text FROM generate_series(1, 9) n"],
    "row security": [
        *ONE,
        "INSERT INTO notes VALUES (1, 'note')",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY all_rows ON notes USING (true)",
    ],
}


@pytest.mark.parametrize("create", NO_WITNESS.values(), ids=NO_WITNESS)
def test_some_tables_have_no_witness(postgres: Database, create: list[str]) -> None:
    """Rows come in without a version of their own here, or are hidden."""
    apart(postgres, *create)
    assert read(postgres) is None


def test_a_sample_has_no_witness(postgres: Database) -> None:
    """Not even of all rows, since it leaves out larger cells and blind indexes."""
    make(postgres)

    assert read(postgres, full=False) is None


def test_too_many_transactions_prove_nothing(postgres: Database) -> None:
    """Beyond 2**31 a new version would look old; nor does a number that the server has not come to yet."""
    make(postgres)
    server, start, members = read(postgres)
    starts = start, start - 2**31 - 1_000_000, start + 1_000_000_000

    assert [is_unchanged(postgres, [server, each, members]) for each in starts] == [True, False, False]


def test_a_witness_of_another_shape_proves_nothing(postgres: Database, named: Named) -> None:
    """Somebody changed it in the ledger: the table is read again."""
    make(postgres)
    server, start, members = read(postgres)
    whole = [server, start, members]
    others = {"server": server, "start": start}, [server, str(start), members], [server, None, members]
    for witness in (None, 7, "abc", [], whole[:2], [*whole, 1], *others, [server, [start], members]):
        with named(repr(witness)):
            assert not is_unchanged(postgres, witness)
    assert is_unchanged(postgres, whole)


def test_a_witness_that_cannot_be_had_costs_nothing_but_itself(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user may lack the right to ask for the server's start: the table was read all the same."""
    make(postgres)
    witness = read(postgres)
    monkeypatch.setattr(postgresql_others, "MOMENT", "SELECT no_right_to_this()")

    assert read(postgres) is None
    assert not is_unchanged(postgres, witness)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all ways to go down: to make it takes longer than to restart it."""
    with own_postgres() as server:
        yield server


@pytest.mark.some(1)
@pytest.mark.parametrize("how", ["fast", pytest.param("immediate", marks=pytest.mark.long), "kill"])
def test_a_server_that_went_down_proves_nothing(how: str, server: Server) -> None:
    """A crash may bring back old versions, also if the server's main process survives it."""
    apart(server.database, "DROP TABLE IF EXISTS notes")
    make(server.database)
    witness = read(server.database)
    before, started = is_unchanged(server.database, witness), _started(server.database)
    if how == "kill":
        crash(server.database)
    else:
        server.database.engine.dispose()
        server.restart(how)

    assert (before, is_unchanged(server.database, witness)) == (True, False)
    assert (_started(server.database) == started) == (how == "kill")


def _started(database: Database) -> object:
    return database.rows("SELECT pg_postmaster_start_time()")


@pytest.mark.parametrize("database", ["sqlite", "mariadb"], indirect=True)
def test_other_databases_have_no_witness(database: Database) -> None:
    """Nothing there shows another process what was written."""
    database.execute(*ONE)
    database.insert("notes", [{"id": 1, "text": "note"}])

    assert read(database) is None
    assert not is_unchanged(database, None)
