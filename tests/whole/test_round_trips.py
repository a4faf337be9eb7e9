"""The round trips of whole commands to a server, which is all that a slow line makes of a table without tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.discovery import file_reader
from tests.databases import Database
from tests.lifecycle.shop import ASKING, OLDER, Shop
from tests.proxy import through_proxy
from tests.stores.pgbouncer import pooled

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]
SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)

A_TABLE = {
    "postgresql": {"discover": 1, "check": 1, "run": 0, "keys retire": 2},
    "mariadb": {"discover": 3, "check": 3, "run": 0, "keys retire": 6},
}
"""The most round trips of each command for a table with a few rows; `keys retire` searches twice."""
BESIDE = {"discover": 60, "check": 90, "keys retire": 160}
"""The same for all else, whatever the number of tables."""
A_DATABASE = 20
"""The same for another database of a PostgreSQL server, which a retirement enters."""
UNSURE = 5
"""A connection says that it ends, and that may come before the last answer has: it counts as a trip or not."""


@contextmanager
def estate(database: Database, folder: Path, tokens: int) -> Iterator[Callable[..., int]]:
    """A database with so many *tokens* of an older key; a function that returns the round trips of a command."""
    folder.mkdir()
    with through_proxy(database.url, trip=0.002) as proxy:
        shop = Shop(folder, replace(database, url=proxy.url))
        shop.fill(Keyring(OLDER).encrypt_many(f"secret {number}" for number in range(tokens)))

        def trips(*argv: str) -> int:
            before = proxy.trips
            ran = shop.rotate(*argv)
            assert ran.code in {0, 1}, ran.err
            return proxy.trips - before

        yield trips
    database.execute("DROP TABLE creds")


def add_tables(database: Database, number: int, key: str, values: str) -> None:
    """Adds tables without tokens; *values* are their rows."""
    for name in (f"further{each}" for each in range(number)):
        database.execute(f"DROP TABLE IF EXISTS {name}")
        database.execute(f"CREATE TABLE {name} (id INTEGER {key}, note VARCHAR(200), body TEXT)")
        if values:
            database.execute(f"INSERT INTO {name} VALUES {values}")


ROWS = "(1, 'a note', 'a body'), (2, 'another', NULL)"
SHAPES = {"usual": ("PRIMARY KEY", ROWS), "without a key": ("", ROWS), "empty": ("PRIMARY KEY", "")}


@pytest.mark.some(1)
@SERVERS
@pytest.mark.parametrize(("key", "values"), SHAPES.values(), ids=SHAPES)
def test_a_further_table_costs_few_round_trips(database: Database, tmp_path: Path, key: str, values: str) -> None:
    """Whatever its kind: what a command asks of it is asked at once."""
    few, many = 2, 12
    found = []
    for number in (few, many):
        with estate(database, tmp_path / str(number), 10) as trips:
            add_tables(database, number, key, values)
            found.append({command: trips(*argv) for command, argv in ASKING.items()})

    more = {command: found[1][command] - found[0][command] for command in ASKING}
    most = {command: (many - few) * trips + UNSURE for command, trips in A_TABLE[database.kind].items()}
    assert {command for command in ASKING if more[command] > most[command]} == set(), found


@SERVERS
def test_all_else_costs_few_round_trips(database: Database, tmp_path: Path) -> None:
    """A command makes its connection, asks what there is, and looks into the table with tokens."""
    with estate(database, tmp_path / "shop", 200) as trips:
        found = {command: trips(*argv) for command, argv in ASKING.items()}

    found["keys retire"] -= A_DATABASE * neighbours(database)
    assert {command for command, most in BESIDE.items() if found[command] > most} == set(), found


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_next_door_no_look_at_an_empty_table_is_planned(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To plan one takes longer than a round trip: of 5,000 empty tables a search took 15 seconds in place of six."""
    monkeypatch.setattr(file_reader, "PLAN_SECONDS", 60)
    add_tables(database, 3, *SHAPES["empty"])
    shop, looks = Shop(tmp_path, database), list[str]()

    def note(_: object, __: object, statement: str, *___: object) -> None:
        looks.extend([statement] if "string_agg" in statement else [])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        ran = shop.rotate(*ASKING["discover"])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert ran.code == 0, ran.err
    assert not [look for look in looks if "further" in look]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_pooler_serves_transactions_that_follow_each_other(database: Database, tmp_path: Path) -> None:
    """It has one connection to the server, and each begin waits for its answer."""
    with pooled(database, pool_size=1) as behind, estate(behind, tmp_path / "shop", 10) as trips:
        add_tables(database, 20, *SHAPES["usual"])
        found = {command: trips(*argv) for command, argv in ASKING.items()}

    assert found["discover"] <= 2 * 21 + BESIDE["discover"]


def neighbours(database: Database) -> int:
    """The other databases of a PostgreSQL server that the job's user may enter."""
    if database.kind == "mariadb":
        return 0
    query = "SELECT count(*) - 1 FROM pg_database WHERE datallowconn AND has_database_privilege(:one, oid, 'CONNECT')"
    found: int = database.rows(query, one=sa.make_url(database.url).username)[0][0]
    return found
