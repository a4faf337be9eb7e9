"""Tables that PostgreSQL publishes for logical replication, and of which it may refuse every UPDATE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import Cli
from tests.databases import Database
from tests.stores.tokens import make_tokens, report, rotate

pytestmark = [
    pytest.mark.database,
    pytest.mark.parametrize("database", ["postgresql"], indirect=True),
    # Nothing is to be replicated here.
    pytest.mark.filterwarnings("ignore:.*wal_level"),
]

ONE = [
    "CREATE TABLE creds (id INTEGER NOT NULL, opt INTEGER UNIQUE, token TEXT)",
    'CREATE UNIQUE INDEX "By Id" ON creds (id)',
]
PARTED = [
    "CREATE TABLE creds (id INTEGER NOT NULL, token TEXT) PARTITION BY RANGE (id)",
    "CREATE UNIQUE INDEX by_id ON creds (id)",
    'CREATE TABLE "Low" PARTITION OF creds FOR VALUES FROM (0) TO (2)',
    "CREATE TABLE high PARTITION OF creds FOR VALUES FROM (2) TO (9)",
]
KEYED = ["CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)"]
ALL, ONLY = "FOR ALL TABLES", "FOR TABLE creds"
HIGH = "ALTER TABLE high REPLICA IDENTITY FULL"
REFUSED = {
    "of all tables": (ONE, ALL, ['ALTER TABLE public.creds REPLICA IDENTITY USING INDEX "By Id"']),
    "without a unique index that could be it": (
        [*KEYED, "ALTER TABLE creds DROP CONSTRAINT creds_pkey, ALTER id DROP NOT NULL, ADD UNIQUE (id)"],
        ONLY,
        ["ALTER TABLE public.creds REPLICA IDENTITY FULL"],
    ),
    "with a primary key, and without identity": (
        [*KEYED, "ALTER TABLE creds REPLICA IDENTITY NOTHING"],
        ONLY,
        ["ALTER TABLE public.creds REPLICA IDENTITY DEFAULT"],
    ),
    "a partition": ([*PARTED, HIGH], ONLY, ['ALTER TABLE public."Low" REPLICA IDENTITY USING INDEX "Low_id_idx"']),
    "a partition, as part of the whole": (
        [*PARTED, HIGH],
        f"{ONLY} WITH (publish_via_partition_root)",
        ['ALTER TABLE public."Low" REPLICA IDENTITY USING INDEX "Low_id_idx"'],
    ),
    "a partition that is published alone": (
        PARTED,
        "FOR TABLE high",
        ["ALTER TABLE public.high REPLICA IDENTITY USING INDEX high_id_idx"],
    ),
    "of a schema": (
        ONE,
        "FOR TABLES IN SCHEMA public",
        ['ALTER TABLE public.creds REPLICA IDENTITY USING INDEX "By Id"'],
    ),
}
TAKEN = {
    "with a primary key": (KEYED, ALL),
    "with every column as its identity": ([*ONE, "ALTER TABLE creds REPLICA IDENTITY FULL"], ALL),
    "with an index as its identity": ([*ONE, 'ALTER TABLE creds REPLICA IDENTITY USING INDEX "By Id"'], ALL),
    "of which inserts alone are published": (ONE, f"{ALL} WITH (publish = 'insert')"),
    "that is not published": ([*ONE, "CREATE TABLE other (id INTEGER)"], "FOR TABLE other"),
}


@contextmanager
def published(database: Database, made: list[str], how: str) -> Iterator[list[str]]:
    """The table, with two rows, and its publication."""
    if ("SCHEMA" in how or "WHERE" in how) and int(database.rows("SHOW server_version_num")[0][0]) < 150_000:
        pytest.skip("PostgreSQL 15 and later publish a schema, or some rows")
    database.execute(*made)
    tokens = make_tokens(2)
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(tokens, 1)])
    database.execute(f"CREATE PUBLICATION ours {how}")
    try:
        yield tokens
    finally:
        database.execute("DROP PUBLICATION ours")


@pytest.mark.some(2)
@pytest.mark.parametrize(("made", "how", "remedies"), REFUSED.values(), ids=REFUSED)
def test_a_table_without_identity_is_refused_with_the_statement_that_helps(
    database: Database, cli: Cli, made: list[str], how: str, remedies: list[str]
) -> None:
    """Before anything is written; a census counts its tokens, and says it, too. With the statement the run passes."""
    with published(database, made, how) as tokens:
        ran = rotate(cli, database, "--key-column", "id")
        census = cli("status", "--url", database.url, "--table", "creds", "--column", "token", "--key-column", "id")

        words = (
            "creds.token: the table is published and has no replica identity, so the database refuses every UPDATE. "
        )
        words += f"Give it one, as its owner: {'; '.join(remedies)}"
        assert (ran.code, ran.err) == (2, f"Error: {words}. Nothing was written\n")
        assert list(database.column().values()) == tokens
        assert (census.code, f"Note: {words}\n" in census.out) == (1, True)
        assert "Next: correct what is said above" in census.out

        database.execute(*remedies)

        assert report(rotate(cli, database, "--key-column", "id"))["rotated"] == 2


def test_of_many_partitions_some_statements_are_shown(database: Database, cli: Cli) -> None:
    """The others are like these, and counted."""
    parts = [f"CREATE TABLE p{n} PARTITION OF creds FOR VALUES FROM ({n}) TO ({n + 1})" for n in range(1, 6)]
    with published(database, [*PARTED[:2], *parts], ALL):
        ran = rotate(cli, database, "--key-column", "id")

    assert (ran.code, ran.err.count("ALTER TABLE")) == (2, 3)
    assert "USING INDEX p3_id_idx; and 2 more, of its partitions. Nothing was written" in ran.err


@pytest.mark.some(2)
@pytest.mark.parametrize(("made", "how"), TAKEN.values(), ids=TAKEN)
def test_a_table_whose_updates_can_be_published_is_rotated(
    database: Database, cli: Cli, made: list[str], how: str
) -> None:
    """Without a word on it."""
    with published(database, made, how):
        ran = rotate(cli, database, "--key-column", "id")

    assert (ran.code, report(ran)["rotated"], report(ran)["warnings"]) == (0, 2, [])


def test_a_publication_of_other_columns_is_named(database: Database, cli: Cli) -> None:
    """Its condition asks for a column that the identity does not have: the server says so, and that has words."""
    with published(database, KEYED, "FOR TABLE creds WHERE (token <> '')"):
        ran = rotate(cli, database)

    assert (ran.code, "nothing says which row an update is of" in ran.err) == (3, True), ran.err
