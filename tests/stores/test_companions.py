"""Columns that change with the key: written beside a token in the same statement, whichever way a row is written."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rotation.model.batch import Swaps
from rotation.model.target import Target
from rotation.stores.store import Store
from tests.conftest import Cli, Named, Ran
from tests.databases import Database
from tests.keys import key_text
from tests.stores.tokens import make_token, make_tokens, problems, report, secret_names, secrets_of

pytestmark = pytest.mark.database

SET = {"key_hash": "sha1-of-primary-key-text"}
TABLE = "(id {0} PRIMARY KEY, token VARCHAR(400), key_hash VARCHAR(40), note VARCHAR(50))"


def hash_of(label: str) -> str:
    """What Keystone's `key_hash` makes of the test key of that label."""
    return hashlib.sha1(key_text(label).encode(), usedforsecurity=False).hexdigest()


def make_table(database: Database, rows: list[tuple[Any, Any, str | None]], key: str = "INTEGER") -> None:
    """The table creds with *rows* of key, token and key_hash."""
    database.execute(f"CREATE TABLE creds {TABLE.format(key)}")
    if rows:
        database.insert("creds", [{"id": name, "token": t, "key_hash": h, "note": "note"} for name, t, h in rows])


def held(database: Database) -> dict[Any, tuple[str, str, str]]:
    """Token, key_hash and note by key."""
    return {row[0]: tuple(row[1:]) for row in database.rows("SELECT id, token, key_hash, note FROM creds")}


@pytest.fixture
def command(database: Database, cli: Cli, tmp_path: Path) -> Callable[..., Ran]:
    """A command on creds.token, whose companion is key_hash."""

    def run(name: str, *options: str, companions: Mapping[str, str] = SET, more: str = "", table: str = "creds") -> Ran:
        config = tmp_path / "rotation.toml"
        pairs = ", ".join(f'{column} = "{value}"' for column, value in companions.items())
        config.write_text(
            f'[[target]]\nurl = "{database.url}"\ntable = "{table}"\ncolumns = ["token"]\nset = {{ {pairs} }}\n{more}'
        )
        return cli(name, "--config", str(config), *options, environ=ENVIRON)

    return run


ENVIRON = {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")}


@pytest.mark.some(1)
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["number", "text"])
@pytest.mark.parametrize("size", ["1", "1000"], ids=["one by one", "batch"])
def test_a_companion_is_written_with_its_token(
    database: Database, command: Callable[..., Ran], key: str, size: str
) -> None:
    """A row has the new token and the new key's hash; a row that is not rotated keeps both."""
    names: list[Any] = [number if key == "INTEGER" else f"k{number:03}" for number in range(42)]
    rows = [(name, token, hash_of("old")) for name, token in zip(names, make_tokens(40), strict=False)]
    rows += [(names[40], make_token("lost", "nobody"), "of nobody"), (names[41], None, None)]
    make_table(database, rows, key)

    ran = command("run", "--json", "--batch-size", size)

    assert (ran.code, report(ran)["rotated"], report(ran)["passes"]) == (1, 40, 2)
    after = held(database)
    assert secrets_of(after[name][0] for name in names[:40]) == secret_names(40)
    assert {after[name][1:] for name in names[:40]} == {(hash_of("new"), "note")}
    assert (after[names[40]][1], after[names[41]][1]) == ("of nobody", None)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_companion_is_written_beside_a_key_of_text(database: Database, command: Callable[..., Ran]) -> None:
    """Where one statement has a case for each row: beside each of them."""
    make_table(database, [(f"k{n:03}", token, hash_of("old")) for n, token in enumerate(make_tokens(40))], "VARCHAR(9)")

    ran = command("run", "--json")

    after = held(database)
    assert (ran.code, report(ran)["rotated"]) == (0, 40)
    assert secrets_of(cell for _, (cell, *_) in sorted(after.items())) == secret_names(40)
    assert {row[1:] for row in after.values()} == {(hash_of("new"), "note")}


def test_a_companion_waits_for_a_service(database: Database) -> None:
    """R01: where a service rewrote the token meanwhile, its companion stays the service's, too."""
    make_table(database, [(number, token, hash_of("old")) for number, token in enumerate(make_tokens(40))])
    target = Target(database.url, "creds", "token", "creds", companions=tuple(SET.items()))
    store = Store(target, read_only=False, sleep=time.sleep, companions={"key_hash": hash_of("new")})
    batch = store.read(None, None, 100)
    theirs = make_token("theirs", "older")
    database.execute("UPDATE creds SET token = :token, key_hash = 'theirs' WHERE id = 3", token=theirs)

    cells: Any = batch.cells
    written = store.write(Swaps(batch.keys, cells, [make_token("ours", "new") for _ in cells]))
    store.close()

    assert (written.lost, batch.blocks) == ({(3,)}, ())
    assert held(database)[3] == (theirs, "theirs", "note")
    assert {row[1] for name, row in held(database).items() if name != 3} == {hash_of("new")}


TRIGGERS = {
    "sqlite": ["CREATE TRIGGER guard AFTER UPDATE ON creds BEGIN UPDATE creds SET note = 'x' WHERE id = NEW.id; END"],
    "postgresql": [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note := 'x'; RETURN NEW; END$$",
        "CREATE TRIGGER guard BEFORE UPDATE ON creds FOR EACH ROW EXECUTE FUNCTION f()",
    ],
    "mariadb": ["CREATE TRIGGER guard BEFORE UPDATE ON creds FOR EACH ROW SET NEW.note = 'x'"],
}


def test_a_companion_is_written_where_a_trigger_acts(database: Database, command: Callable[..., Ran]) -> None:
    """D24: a table with triggers is written in its own way."""
    make_table(database, [(number, token, hash_of("old")) for number, token in enumerate(make_tokens(40))])
    database.execute(*TRIGGERS[database.kind])

    ran = command("run", "--json")

    assert (ran.code, report(ran)["rotated"]) == (0, 40)
    assert {row[1:] for row in held(database).values()} == {(hash_of("new"), "x")}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_companion_is_written_where_a_key_is_odd(database: Database, command: Callable[..., Ran]) -> None:
    """D14: a row whose key is no UTF-8 has a statement of its own."""
    make_table(database, [(f"k{number}", token, hash_of("old")) for number, token in enumerate(make_tokens(3))], "TEXT")
    database.execute("UPDATE creds SET id = CAST(x'ff' AS TEXT) WHERE id = 'k1'")

    ran = command("run", "--json")

    assert (ran.code, report(ran)["rotated"]) == (0, 3)
    assert database.rows("SELECT DISTINCT key_hash FROM creds") == [(hash_of("new"),)]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_companion_stands_beside_a_time_that_stays(database: Database, command: Callable[..., Ran]) -> None:
    """D29: columns of both kinds in one statement."""
    make_table(database, [(number, token, hash_of("old")) for number, token in enumerate(make_tokens(40))])
    long_ago = "TIMESTAMP NOT NULL DEFAULT '2001-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP"
    database.execute(f"ALTER TABLE creds ADD changed {long_ago}")

    ran = command("run", "--json")

    assert (ran.code, report(ran)["rotated"]) == (0, 40)
    [(changed, key_hash)] = database.rows("SELECT DISTINCT changed, key_hash FROM creds")
    assert (changed.year, key_hash) == (2001, hash_of("new"))


@pytest.mark.usefixtures("sending")
def test_workers_write_companions(
    database: Database, command: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker makes the values of its own keys."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    make_table(database, [(number, token, hash_of("old")) for number, token in enumerate(make_tokens(60))])

    ran = command("run", "--json", "--workers", "2")

    assert (ran.code, report(ran)["rotated"]) == (0, 60)
    assert {row[1] for row in held(database).values()} == {hash_of("new")}


STALE = [hash_of("old"), None, "", hash_of("new").upper()]


def test_a_companion_that_does_not_fit_is_fixed(database: Database, command: Callable[..., Ran]) -> None:
    """A current token beside another key's hash: `status` counts it as to rotate, and a run writes the hash alone."""
    current = make_tokens(len(STALE), "new")
    rows: list[Any] = [(number, token, stale) for number, (token, stale) in enumerate(zip(current, STALE, strict=True))]
    rows += [(10, make_token("ten", "old"), hash_of("old")), (11, make_token("eleven", "new"), hash_of("new"))]
    rows += [(12, make_token("lost", "nobody"), "theirs"), (13, "", "theirs"), (14, None, "theirs")]
    make_table(database, rows)

    looked, dry = report(command("status", "--json")), report(command("run", "--json", "--dry-run"))
    before = held(database)
    ran = command("run", "--json")

    assert [(found["current"], found["to_rotate"]) for found in (looked, dry)] == [(1, len(STALE) + 1)] * 2
    assert (ran.code, report(ran)["rotated"], report(ran)["current"]) == (1, len(STALE) + 1, 1)
    after = held(database)
    assert [after[number] for number in range(len(STALE))] == [(token, hash_of("new"), "note") for token in current]
    assert [after[number] for number in (11, 12, 13, 14)] == [before[number] for number in (11, 12, 13, 14)]
    assert report(command("status", "--json"))["to_rotate"] == 0


def test_a_companion_of_tokens_in_text(database: Database, command: Callable[..., Ran]) -> None:
    """D33: beside a cell with several tokens, rotated as a whole, or current and only its companion wrong."""

    def cell(*labels: str) -> str:
        return " é, ".join(make_token("one", label) for label in labels)

    make_table(
        database,
        [
            (1, cell("old", "new"), hash_of("old")),
            (2, cell("new", "new"), hash_of("old")),
            (3, cell("new", "nobody"), hash_of("old")),
            (4, cell("new"), hash_of("new")),
        ],
    )

    ran = command("run", "--json", more='format = "embedded"\n')

    after = held(database)
    assert (ran.code, report(ran)["rotated"], report(ran)["current"], report(ran)["unreadable"]) == (1, 2, 1, 1)
    assert [after[number][1] for number in range(1, 5)] == [hash_of(label) for label in ("new", "new", "old", "new")]
    assert secrets_of(after[1][0].split(" é, ")) == ["one", "one"]


def test_a_companion_that_the_database_refuses_is_reported(database: Database, command: Callable[..., Ran]) -> None:
    """D26: a row that is not fixed is unsettled, by its key."""
    make_table(database, [(1, make_token("one", "new"), "a"), (2, make_token("two", "new"), "b")])
    if database.kind == "sqlite":
        database.execute("ALTER TABLE creds RENAME TO old_creds")
        database.execute(
            "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, key_hash TEXT CHECK (id <> 2 OR key_hash = 'b'))"
        )
        database.execute("INSERT INTO creds SELECT id, token, key_hash FROM old_creds")
    else:
        database.execute("ALTER TABLE creds ADD CONSTRAINT bound CHECK (id <> 2 OR key_hash = 'b')")

    ran = command("run", "--json")

    assert (ran.code, report(ran)["rotated"], report(ran)["unsettled"]) == (1, 1, 1)
    assert problems(ran) == [({"id": 2}, "refused")]
    assert database.column("creds", "key_hash") == {1: hash_of("new"), 2: "b"}


REFUSED = {
    "missing": ({"key_hsh": "primary-key-id"}, "set: it has no column key_hsh; did you mean key_hash?"),
    "key": ({"id": "primary-key-id"}, "set: column id is a key column, which must stay"),
    "number": ({"number": "primary-key-id"}, "set: column number is of type"),
    "bytes": ({"raw": "primary-key-id"}, "set: column raw is of type"),
    "generated": ({"made": "primary-key-id"}, "set: column made is a generated column"),
}


def test_a_companion_that_does_not_do_is_refused(database: Database, command: Callable[..., Ran], named: Named) -> None:
    """Each fault is named before anything is written; a command that only reads sees it, too."""
    raw = "BYTEA" if database.kind == "postgresql" else "BLOB"
    made = "VARCHAR(90) GENERATED ALWAYS AS (key_hash) STORED"
    database.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, key_hash VARCHAR(40), number INTEGER,"
        f" raw {raw}, made {made})"
    )
    database.insert("creds", [{"id": 1, "token": make_token("one")}])

    for case, (companions, words) in REFUSED.items():
        for name in ("run", "status"):
            with named(f"{case}, {name}"):
                ran = command(name, companions=companions)

                assert ran.code == 2
                assert words in " ".join(ran.err.split())
                assert secrets_of([database.column()[1]], "old") == ["one"]


def test_a_companion_too_narrow_is_refused(database: Database, command: Callable[..., Ran], named: Named) -> None:
    """D05: by name, with both sizes; SQLite bounds no text."""
    for number, kind in enumerate(("VARCHAR(63)", "CHAR(63)")):
        with named(kind):
            table = f"creds{number}"
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token TEXT, key_hash {kind})")
            database.insert(table, [{"id": 1, "token": make_token("one")}])

            ran = command("run", companions={"key_hash": "sha256-of-primary-key-text"}, table=table)

            if database.kind == "sqlite":
                assert ran.code == 0
            else:
                assert ran.code == 2
                assert "column key_hash is of at most 63 characters, and the value has 64" in " ".join(ran.err.split())


@pytest.mark.some(1)
def test_a_companion_of_any_text_type_is_served(database: Database, command: Callable[..., Ran], named: Named) -> None:
    """D07: whatever a type does with blanks, a second run finds nothing to do."""
    companions = {"key_hash": "sha256-of-primary-key-text"}
    expected = hashlib.sha256(key_text("new").encode()).hexdigest()
    for number, kind in enumerate(("VARCHAR(64)", "CHAR(64)", "TEXT", "CHAR(70)")):
        with named(kind):
            table = f"creds{number}"
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token TEXT, key_hash {kind})")
            database.insert(table, [{"id": 1, "token": make_token("one")}])

            first, second = (command("run", "--json", companions=companions, table=table) for _ in range(2))

            assert [(ran.code, report(ran)["rotated"]) for ran in (first, second)] == [(0, 1), (0, 0)]
            assert database.rows(f"SELECT key_hash FROM {table}")[0][0].rstrip() == expected


def test_a_store_that_writes_needs_the_values(database: Database) -> None:
    """A programmer who forgets them sees it at once: tokens would be written without their companions."""
    make_table(database, [])
    target = Target(database.url, "creds", "token", "creds", companions=tuple(SET.items()))

    with pytest.raises(ValueError, match="companion"):
        Store(target, read_only=False, sleep=time.sleep)

    Store(target, read_only=True, sleep=time.sleep).close()


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_missing_right_on_a_companion_shows_at_once(database: Database, command: Callable[..., Ran]) -> None:
    """D31: before the first write, as for the tokens' own column."""
    make_table(database, [(1, make_token("one"), "")])
    user = sa.make_url(database.url).username
    if database.kind == "postgresql":
        database.execute(f"REVOKE UPDATE ON creds FROM {user}", f"GRANT UPDATE (token) ON creds TO {user}")
    else:
        name = sa.make_url(database.url).database
        database.execute(
            f"REVOKE ALL ON `{name}%`.* FROM {user}@'%'",
            f"GRANT SELECT, UPDATE (token) ON {name}.creds TO {user}@'%'",
        )

    ran = command("run")

    assert ran.code == 3
    assert "privilege" in ran.err
    assert secrets_of([held(database)[1][0]], "old") == ["one"]
