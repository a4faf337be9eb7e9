"""One table that cannot be read, or reflected, is named; all others are searched, and no key is retired meanwhile."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.reflection import Inspector

from rotation.discovery.survey import Survey
from rotation.stores.access import Access, UnreadableError
from tests.chaos.server import Server, own_mariadb
from tests.conftest import Ran
from tests.databases import KINDS, open_database
from tests.discovery.conftest import columns, remarks
from tests.lifecycle.shop import OLDER, Shop, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

OTHER_WORLD = pytest.param("mysql", marks=pytest.mark.world("TEST_MYSQL_URL"))
BROKEN = {
    "arch": "its storage engine is not loaded",
    "aria": "its storage engine failed, and the server's log says why",
    "crashed": "it is marked as crashed: REPAIR TABLE",
    "damaged": "it is corrupt",
    "discarded": "its tablespace was discarded",
    "gone": "its storage engine failed, and the server's log says why",
    "parted": "its storage engine failed, and the server's log says why",
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.chdir(tmp_path)
    with open_database(request.param, tmp_path) as database:
        made = Shop(tmp_path, database)
        made.fill([old_token("old"), None])
        yield made


def is_refused(ran: Ran, *tables: str) -> bool:
    """Whether a retirement is refused since these tables cannot be looked at, and for nothing else."""
    reasons = [reason.partition(" cannot be looked at: ")[0] for reason in refusals(ran)]
    return (ran.code, sorted(reasons)) == (1, sorted(tables))


def retire(shop: Shop) -> Ran:
    return shop.keys("retire", OLDER.id, "--no-archive", "--no-wait", "--json")


@pytest.mark.parametrize("shop", ["mariadb", OTHER_WORLD], indirect=True)
def test_a_type_that_nobody_knows_costs_its_column_alone(shop: Shop) -> None:
    """Every command works on a table with a VECTOR: its tokens are found, proposed, rotated, and end the old key."""
    shop.database.execute("CREATE TABLE vec (id BIGINT PRIMARY KEY, v VECTOR(3), note TEXT)")
    shop.database.insert("vec", [{"id": 1, "note": old_token("older")}])
    shop.write_env(f"{shop.env_file.read_text()}DATABASE_URL={shop.database.url}\n")

    found = shop.rotate("discover", "--json")
    begun = shop.rotate("init", "--append", "--url", "$DATABASE_URL", "--json")
    ran = shop.rotate("run", "--json")

    assert columns(found.document)["vec.note"]["proposed"] is True
    assert remarks(found.document)["vec"] == "columns of a type that is not searched: v (vector); "
    assert [(each["table"], each["column"]) for each in begun.document["targets"]] == [("vec", "note")], begun.err
    assert (ran.code, [target["rotated"] for target in ran.document["targets"]]) == (0, [0, 1])
    assert shop.rotate("status").code == 0
    assert "UNKNOWN" not in shop.rotate("check").out
    assert retire(shop).code == 0


@pytest.mark.parametrize("shop", KINDS, indirect=True)
def test_a_table_that_cannot_be_reflected_is_searched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its column says why it can be no target, `run` refuses it by name, and the rest of the search goes on."""
    shop.database.execute("CREATE TABLE odd (id INTEGER PRIMARY KEY, note TEXT)")
    shop.database.insert("odd", [{"id": 1, "note": old_token("older")}])
    reflect = Inspector.get_columns

    def get_columns(self: Inspector, table: str, *more: Any, **named: Any) -> Any:
        if table == "odd":
            raise IndexError
        return reflect(self, table, *more, **named)

    monkeypatch.setattr(Inspector, "get_columns", get_columns)
    words = f"table odd: SQLAlchemy {sa.__version__} cannot read its definition (IndexError)"

    found = shop.rotate("discover", "--full", "--json")
    config = shop.config.read_text()
    shop.config.write_text(config.replace("creds", "odd").replace("token", "note"))
    ran = shop.rotate("run")
    shop.config.write_text(config)

    assert columns(found.document).keys() == {"creds.token", "odd.note"}
    assert columns(found.document)["odd.note"]["hint"].startswith(words)
    assert (ran.code, words in ran.err, "Traceback" in ran.err) == (2, True, False)
    assert shop.rotate("run").code == 0
    assert [reason.partition(":")[0] for reason in refusals(retire(shop))] == ["odd.note"]


@pytest.mark.parametrize("shop", KINDS, indirect=True)
def test_a_target_that_cannot_be_reflected_is_still_a_target(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search finds it by its name, and does not say that no target names it."""

    def get_columns(*_: Any, **__: Any) -> Any:
        raise IndexError

    monkeypatch.setattr(Inspector, "get_columns", get_columns)

    found = shop.rotate("discover", "--json")

    assert (found.code, columns(found.document)["creds.token"]["covered"]) == (0, True)


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_what_only_the_application_can_read_of_a_file_is_named(shop: Shop) -> None:
    """Virtual tables, generated columns and collations whose code is elsewhere; and a table with a damaged page."""
    path = sa.make_url(shop.database.url).database or ""
    _with_code_of_its_own(path)

    found = shop.rotate("discover", "--json")
    whole = shop.rotate("discover", "--full", "--json")

    assert found.code == whole.code == 3
    assert (
        remarks(found.document, "unseen")
        == remarks(whole.document, "unseen")
        == {
            "collated": "only the application's own SQLite reads it (no query solution); ",
            "computed": "only the application's own SQLite reads it (unknown function: made_up()); ",
            "damaged": "the database is corrupt; ",
            "virtual_one": "only the application's own SQLite reads it (no such module: fancy); ",
        }
    )
    assert columns(found.document).keys() == {"creds.token"}
    assert shop.rotate("run").code == 0
    assert shop.rotate("check").code == 3
    assert is_refused(retire(shop), "collated", "computed", "damaged", "virtual_one")


@pytest.mark.parametrize("shop", KINDS, indirect=True)
def test_a_table_that_is_dropped_meanwhile_is_not_broken(shop: Shop) -> None:
    """It was there when the search began: nothing is said of it."""
    shop.database.execute("CREATE TABLE brief (id INTEGER PRIMARY KEY, t TEXT)")
    survey = Survey(shop.database.url, sleep=time.sleep)
    shop.database.execute("DROP TABLE brief")

    found = {table.name: table.fault or table.denied for table in survey.tables(lambda _: True)}
    survey.close()

    assert found == {"creds": None}


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_rows_that_fail_on_the_way_are_of_one_table(shop: Shop) -> None:
    """A read that goes on row by row ends with the same words as one that is made at once."""
    _with_code_of_its_own(sa.make_url(shop.database.url).database or "")
    access = Access(shop.database.url, None, read_only=True, sleep=time.sleep)
    query = sa.select(sa.literal_column("u")).select_from(sa.text("computed"))

    with pytest.raises(UnreadableError, match="unknown function: made_up"):
        list(access.stream(query, 1))
    access.close()


def _with_code_of_its_own(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.create_function("made_up", 1, lambda value: value, deterministic=True)
    connection.create_collation("fancy", lambda one, other: (one > other) - (one < other))
    connection.executescript("""
        CREATE TABLE computed (id INTEGER PRIMARY KEY, t TEXT, u TEXT AS (made_up(t)) VIRTUAL);
        CREATE TABLE collated (id TEXT COLLATE fancy PRIMARY KEY, t TEXT) WITHOUT ROWID;
        CREATE TABLE damaged (id INTEGER PRIMARY KEY, t TEXT);
        INSERT INTO computed (id, t) VALUES (1, 'x');
        INSERT INTO collated VALUES (1, 'x');
        INSERT INTO damaged VALUES (1, 'x');
        PRAGMA writable_schema = ON;
        INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql)
            VALUES ('table', 'virtual_one', 'virtual_one', 0, 'CREATE VIRTUAL TABLE virtual_one USING fancy(x)');
    """)
    [(root,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'damaged'")
    [(size,)] = connection.execute("PRAGMA page_size")
    connection.close()
    with Path(path).open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 200)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A MariaDB server with tables that no command can read, each for a reason of its own."""
    with own_mariadb() as own:
        _break_tables(own)
        yield own


def _break_tables(server: Server) -> None:
    database = server.database
    engines = {"crashed": "MyISAM", "aria": "Aria"}
    parts = "PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))"
    database.execute("INSTALL SONAME 'ha_archive'")
    for name in BROKEN:
        how = parts if name == "parted" else f"ENGINE={engines.get(name, 'InnoDB')}"
        key = "" if name == "arch" else "PRIMARY KEY"
        how = "ENGINE=ARCHIVE" if name == "arch" else how
        database.execute(f"CREATE TABLE {name} (id INTEGER {key}, t TEXT) {how}", f"INSERT INTO {name} VALUES (1, 'x')")
    database.execute("ALTER TABLE discarded DISCARD TABLESPACE", "UNINSTALL SONAME 'ha_archive'")
    [(folder,)] = database.rows("SELECT @@datadir")
    database.engine.dispose()
    server.stop("fast")
    files = Path(folder) / sa.make_url(database.url).database  # type: ignore[operator]
    for name in ("gone.ibd", "parted#P#b.ibd"):
        (files / name).unlink()
    os.truncate(files / "aria.MAD", 100)
    os.truncate(files / "crashed.MYD", 3)
    for name, place, garbage in (("damaged.ibd", 3 * 16384, b"\xaa" * 3000), ("crashed.MYI", 24, b"\0\1\2\7")):
        with (files / name).open("r+b") as file:
            file.seek(place)
            file.write(garbage)
    server.start()


@pytest.mark.long
def test_a_table_that_mariadb_cannot_read_is_named(server: Server, tmp_path: Path) -> None:
    """Crashed, corrupt, without its file, its partition, its tablespace or its storage engine: each by its reason."""
    shop = Shop(tmp_path, server.database)
    shop.fill([old_token("old"), None])

    found = shop.rotate("discover", "--json")
    whole = shop.rotate("discover", "--full", "--json")

    assert found.code == whole.code == 3
    named = {name: f"{words}; " for name, words in BROKEN.items()}
    assert remarks(found.document, "unseen") == remarks(whole.document, "unseen") == named
    assert columns(found.document).keys() == {"creds.token"}
    assert shop.rotate("run").code == 0
    assert is_refused(retire(shop), *BROKEN)
    shop.config.write_text(shop.config.read_text().replace("creds", "discarded").replace('"token"', '"t"'))
    ran = shop.rotate("run")
    assert (ran.code, ran.err.partition(" in ")[0]) == (3, "Error: discarded.t")
    assert BROKEN["discarded"] in ran.err
    assert "Traceback" not in ran.err


TYPE = (
    "CREATE TYPE odd",
    "CREATE FUNCTION odd_in(cstring) RETURNS odd AS 'textin' LANGUAGE internal STRICT IMMUTABLE",
    "CREATE FUNCTION odd_out(odd) RETURNS cstring AS 'pg_node_tree_recv' LANGUAGE internal STRICT IMMUTABLE",
    "CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, LIKE = text)",
)
"""A type whose values no query returns."""


@pytest.mark.parametrize("shop", ["postgresql"], indirect=True)
def test_a_table_that_postgresql_cannot_read_is_named(shop: Shop) -> None:
    """A type whose output fails, also in a partition; a large value of which a part is lost. No view without data."""
    database = shop.database
    database.execute(
        "CREATE EXTENSION pg_surgery",
        *TYPE,
        "CREATE TABLE failing (id INTEGER PRIMARY KEY, o odd, t TEXT)",
        "CREATE TABLE parted (id INTEGER PRIMARY KEY, o odd) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (1) TO (9)",
        "CREATE TABLE torn (id INTEGER PRIMARY KEY, t TEXT)",
        "ALTER TABLE torn ALTER t SET STORAGE EXTERNAL",
        "INSERT INTO failing VALUES (1, 'x', 'y')",
        "INSERT INTO parted VALUES (1, 'x')",
        "INSERT INTO torn VALUES (1, repeat('x', 9000)), (2, 'y')",
        "CREATE MATERIALIZED VIEW without_data AS SELECT * FROM creds WITH NO DATA",
    )
    [(large,)] = database.rows(
        "SELECT CAST(CAST(reltoastrelid AS regclass) AS text) FROM pg_class WHERE relname = 'torn'"
    )
    database.execute(f"SELECT heap_force_kill('{large}', (SELECT array_agg(ctid) FROM {large}))")

    found = shop.rotate("discover", "--json")
    whole = shop.rotate("discover", "--full", "--json")

    unseen = remarks(whole.document, "unseen")
    assert found.code == whole.code == 3
    assert remarks(found.document, "unseen").keys() == unseen.keys() == {"failing", "parted", "torn"}
    assert unseen["torn"] == "some of its data is damaged; "
    view = "materialized view public.without_data"
    assert remarks(found.document)[view] == "it holds no row until it is refreshed; "
    assert columns(found.document).keys() == {"creds.token"}
    assert shop.rotate("run").code == 0
    assert is_refused(retire(shop), "failing", "parted", "torn")
