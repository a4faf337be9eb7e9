"""Constraints, and columns that are too narrow: one row's trouble stays one row's."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.model.batch import Swaps
from rotation.model.target import Target
from rotation.stores.store import Store
from tests.conftest import Cli
from tests.databases import Database
from tests.stores.tokens import make_token, make_tokens, problems, report, rotate, secrets_of

pytestmark = pytest.mark.database


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize(
    "deferred",
    [
        pytest.param("", id="at once"),
        # MariaDB looks at once.
        pytest.param(" DEFERRABLE INITIALLY DEFERRED", id="at COMMIT", marks=pytest.mark.only_on("postgresql")),
    ],
)
def test_a_foreign_key_refuses_its_rows(database: Database, cli: Cli, deferred: str) -> None:
    """D26: so does a foreign key, also one that is looked at by COMMIT only; it is warned of before."""
    tokens = make_tokens(3)
    database.execute("CREATE TABLE parent (token VARCHAR(200) PRIMARY KEY)")
    database.insert("parent", [{"token": token} for token in tokens])
    reference = f"CONSTRAINT to_parent FOREIGN KEY (token) REFERENCES parent (token){deferred}"
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token VARCHAR(200), {reference})")
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(tokens)])

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 0)
    assert [category for _, category in problems(ran)] == ["refused"] * 3
    assert "to_parent" in report(ran)["problems"][0]["detail"]
    assert any("foreign key to_parent ties the column to table parent" in one for one in report(ran)["warnings"])


def test_a_foreign_key_from_elsewhere_is_warned_of(database: Database, cli: Cli) -> None:
    """D26: where another table refers to the column, its copies change along; the run says so."""
    database.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token VARCHAR(200) NOT NULL UNIQUE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, token VARCHAR(200), CONSTRAINT from_child"
        " FOREIGN KEY (token) REFERENCES creds (token) ON UPDATE CASCADE)",
    )
    database.insert("creds", [{"id": 1, "token": make_token("one")}])

    ran = rotate(cli, database)

    warned = " ".join(report(ran)["warnings"])
    assert (ran.code, report(ran)["rotated"]) == (0, 1)
    assert "refers to the column" in warned
    assert "child" in warned
    assert "uses the column: a query by the old token no longer finds its row" in warned


@pytest.mark.parametrize("kind", ["VARCHAR(200) UNIQUE", "VARCHAR(200)"])
def test_a_unique_token_is_no_hindrance(database: Database, cli: Cli, kind: str) -> None:
    """D27: each fresh token is another one, so a UNIQUE column takes them."""
    database.make_creds(make_tokens(4), kind)

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 4)
    assert ("uses the column" in " ".join(report(ran)["warnings"])) == ("UNIQUE" in kind)


def test_a_unique_constraint_refuses_by_its_name(database: Database) -> None:
    """D26: where a new token is there already, the constraint is named and no value is shown."""
    first, second, third = make_tokens(3)
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token VARCHAR(200), CONSTRAINT once UNIQUE (token))")
    database.insert("creds", [{"id": 1, "token": first}, {"id": 2, "token": second}])

    written = write(database, Swaps([(1,), (2,)], [first, second], [second, third]))

    assert written.lost == set()
    [(key, (category, detail))] = written.refused.items()
    assert key == (1,)
    assert category == "refused"
    assert ("creds.token" if database.kind == "sqlite" else "once") in detail
    assert "gAAAAA" not in detail


def test_the_same_token_in_two_rows_is_rotated_twice(database: Database, cli: Cli) -> None:
    """D28: rows are identified by their keys, not by what they hold."""
    database.make_creds([make_token("one")] * 3)

    ran = rotate(cli, database, "--batch-size", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 3)
    assert secrets_of(database.column().values()) == ["one"] * 3
    assert len(set(database.column().values())) == 3


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["in one statement", "row by row"])
def test_on_update_current_timestamp_is_kept(database: Database, cli: Cli, key: str) -> None:
    """D29: a rotation is no change of the row, so a column that MariaDB would set to now stays."""
    clock = "`changed %s :at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token TEXT, {clock})".replace(":", "\\:"))
    database.execute("INSERT INTO creds VALUES (1, :token, '2020-02-29 12:00:00')", token=make_token("one"))

    ran = rotate(cli, database)

    ((_, token, changed),) = database.rows("SELECT * FROM creds")
    assert (ran.code, str(changed)) == (0, "2020-02-29 12:00:00")
    assert secrets_of([token]) == ["one"]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["in one statement", "row by row"])
def test_a_value_that_is_too_long_is_refused_whole(database: Database, key: str) -> None:
    """D05: such a row is refused with the needed and the allowed length, and the others are written."""
    keys: list[Any] = [1, 2, 3] if key == "INTEGER" else ["k1", "k2", "k3"]
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token VARCHAR(8))")
    database.insert("creds", [{"id": each, "token": "old"} for each in keys])

    written = write(
        database,
        Swaps([(each,) for each in keys], ["old"] * len(keys), ["n" * (9 if each == keys[1] else 8) for each in keys]),
    )

    assert (written.lost, list(written.refused)) == (set(), [(keys[1],)])
    assert written.refused[(keys[1],)][1].startswith("it needs 9 characters and the column holds 8; ")
    assert [database.column()[each] for each in keys] == ["n" * 8, "old", "n" * 8]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["in one statement", "row by row"])
@pytest.mark.parametrize("mode", ["''", "'ANSI_QUOTES'", "'NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'"])
def test_our_sessions_are_strict_whatever_the_server_is(database: Database, key: str, mode: str) -> None:
    """D06: with sql_mode='' MariaDB cuts a token and warns; our sessions say STRICT_ALL_TABLES, so it refuses."""
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token VARCHAR(8))")
    database.insert("creds", [{"id": "1", "token": "old"}])
    row: Any = 1 if key == "INTEGER" else "1"

    written = write(database, Swaps([(row,)], ["old"], ["n" * 9]), init_command=f"SET SESSION sql_mode={mode}")

    assert set(written.refused) == {(row,)}
    assert [*database.column().values()] == ["old"]


def write(database: Database, swaps: Swaps, **options: str) -> Any:
    """What the store makes of *changes*."""
    url = database.url
    for name, value in options.items():
        url += f"&{name}={value}"
    store = Store(Target(url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)
    try:
        return store.write(swaps)
    finally:
        store.close()
