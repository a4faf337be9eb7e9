"""How far a search goes: schemas, databases, partitions, and what a user has no right to, which is named."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyring_core import Derivation, Key, Keyring
from rotation.discovery.discover import SearchPlan, databases_of, uncovered_token_columns
from rotation.discovery.discover import discover as search
from rotation.discovery.survey import Survey
from rotation.model.target import Target
from rotation.stores import access
from rotation.stores.mysql import dialect as mysql
from rotation.stores.mysql.catalog import blind_spot
from rotation.stores.postgresql import blocks as postgresql_blocks
from rotation.stores.postgresql import transactions
from rotation.stores.postgresql.catalog import PostgreSQLCatalog
from tests.conftest import Named
from tests.databases import Database, mariadb_server, open_database
from tests.discovery.conftest import Discover, columns, remarks
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database

POSTGRESQL = pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
MARIADB = pytest.mark.parametrize("whole", ["mariadb"], indirect=True)
SERVERS = pytest.mark.parametrize("whole", ["postgresql", "mariadb"], indirect=True)


def survey(url: str) -> Survey:
    return Survey(url, sleep=lambda _: None)


def name_of(database: Database) -> str:
    return str(sa.make_url(database.url).database)


@contextmanager
def neighbour(whole: Database, tmp_path: Path, *, may_enter: bool = True) -> Iterator[Database]:
    """Another database of the server, with a token; with *may_enter* the user of *whole* may enter it."""
    with open_database("postgresql", tmp_path) as other:
        other.make_creds([make_token("there")])
        user = name_of(whole)
        if may_enter:
            other.execute(f"GRANT CONNECT ON DATABASE {name_of(other)} TO {user}", f"GRANT SELECT ON creds TO {user}")
        yield other
        other.execute(f"DROP OWNED BY {user}")


@POSTGRESQL
def test_other_databases_of_the_server_are_entered(
    whole: Database, discover: Discover, tmp_path: Path, old: Key
) -> None:
    """A copy of the table in another database needs the key as well; the entry for it leaves its url open."""
    whole.make_creds([None])
    with neighbour(whole, tmp_path) as other:
        ran, sampled = discover(whole, "--full"), discover(whole)
        shown = discover(whole, "--full", as_json=False)
        left_out = next(words for subject, words in remarks(sampled.document).items() if name_of(other) in subject)

    (found,) = (column for column in ran.document["columns"] if name_of(other) in column["database"])
    assert (found["table"], found["under"], found["elsewhere"]) == ("creds", {old.id: 1}, True)
    assert (
        f'url = "$DATABASE_URL"  # a variable that holds the url of the {found["database"]}' in ran.document["targets"]
    )
    assert "creds.token in PostgreSQL database" in shown.out
    assert sampled.document["columns"] == []
    assert "only a search of every row of all schemas enters them" in left_out


@POSTGRESQL
def test_a_database_that_may_not_be_entered_is_named(whole: Database, discover: Discover, tmp_path: Path) -> None:
    """It does not change the exit code, since it may belong to others; the remark names it."""
    whole.make_creds([None])
    with neighbour(whole, tmp_path, may_enter=False) as other:
        ran, shown = discover(whole, "--full"), discover(whole, "--full", as_json=False)
        whole.execute(f"ALTER DATABASE {name_of(other)} ALLOW_CONNECTIONS false")
        closed = discover(whole, "--full")
        whole.execute(f"ALTER DATABASE {name_of(other)} ALLOW_CONNECTIONS true")

    assert (ran.code, closed.code) == (0, 0)
    assert any(name_of(other) in subject for subject in remarks(closed.document))
    (subject,) = (subject for subject in remarks(ran.document) if name_of(other) in subject)
    assert "may not connect" in remarks(ran.document)[subject]
    assert "Outside this search: " in shown.out
    assert name_of(other) in shown.out


@POSTGRESQL
def test_a_database_that_refuses_is_no_failure(whole: Database, discover: Discover, tmp_path: Path) -> None:
    """A fault there does not end the search here; tables there that may not be read are named, all in one line."""
    whole.make_creds([make_token("x")])
    with neighbour(whole, tmp_path) as other:
        other.execute("CREATE TABLE private (token TEXT)", f"REVOKE ALL ON creds FROM {name_of(whole)}")
        unreadable = discover(whole, "--full")
        other.execute(f"ALTER DATABASE {name_of(other)} CONNECTION LIMIT 0")
        refused = discover(whole, "--full")

    assert (unreadable.code, refused.code) == (1, 1)
    assert remarks(unreadable.document)["tables creds, private"] == "the privilege for them is missing; "
    assert f"database {name_of(other)}" in remarks(refused.document)


@POSTGRESQL
def test_two_urls_of_one_server_search_each_table_once(
    whole: Database, keyring: Keyring, tmp_path: Path, old: Key
) -> None:
    """A column that one url's target covers is not uncovered because another url leads to it, too."""
    whole.make_creds(make_tokens(2))
    whole.execute("CREATE TABLE more (id INTEGER PRIMARY KEY, token TEXT)")
    whole.insert("more", [{"id": 1, "token": make_token("x")}])
    with neighbour(whole, tmp_path) as other:
        other.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name_of(whole)}")
        other.execute("CREATE TABLE private (token TEXT)", f"REVOKE ALL ON private FROM {name_of(whole)}")
        local = sa.make_url(whole.url).set(host="localhost")
        targets = [
            Target(url, table, "token", table)
            for url, table in (
                (whole.url, "creds"),
                (local.render_as_string(hide_password=False), "more"),
                (local.set(database=name_of(other)).render_as_string(hide_password=False), "creds"),
            )
        ]
        found = search(SearchPlan(databases_of(targets), targets, {None: keyring}, full=True), survey)

    assert sorted((column.covered, column.tokens) for column in found.columns) == [(True, 1), (True, 1), (True, 2)]
    assert [remark.subject for remark in found.unseen] == ["private"], "a url names its database"


@SERVERS
def test_another_application_s_tokens_do_not_count(whole: Database, keyring: Keyring, old: Key) -> None:
    """In another schema, a token that no key opens belongs to another application, and is named; others count."""
    more = "more" if whole.kind == "postgresql" else f"{name_of(whole)}_more"
    whole.execute(*(["CREATE SCHEMA more"] if more == "more" else []))
    whole.make_creds([None])
    for table, token in ((f"{more}.theirs", make_token("x", "nobody")), (f"{more}.ours", make_token("x"))):
        whole.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token TEXT)")
        whole.insert(table, [{"id": 1, "token": token}])
    whole.execute("CREATE TABLE unknown (id INTEGER PRIMARY KEY, token TEXT)")
    whole.insert("unknown", [{"id": 1, "token": make_token("x", "nobody")}])

    targets = [Target(whole.url, "creds", "token", "creds")]

    found = uncovered_token_columns(targets, keyring, survey, full=True)
    unopened = search(SearchPlan(databases_of(targets), targets, {None: keyring}, full=True), survey).unopened

    assert {column.label: column.may_need(old.id, any_place=True) for column in found} == {
        f"{more}.ours.token": True,
        "unknown.token": True,
    }
    assert [remark[1:] for remark in unopened if remark.subject.startswith(f"{more}.")] == [
        (f"{more}.theirs.token", "1 token that no key opens")
    ]


@SERVERS
def test_only_columns_of_the_service_are_proposed(
    whole: Database, discover: Discover, environ: dict[str, str], named: Named
) -> None:
    """A column elsewhere that no key opens is listed without an entry; without any key, only one of another database.

    An entry for it could never be complete, and would keep every key for good.
    """
    more = "more" if whole.kind == "postgresql" else f"{name_of(whole)}_more"
    whole.execute(*(["CREATE SCHEMA more"] if more == "more" else []))
    theirs, same, own = f"{more}.theirs", f"{more}.same", "unknown"
    for table, key in ((theirs, "nobody"), (same, "old"), (own, "nobody")):
        whole.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token TEXT)")
        whole.insert(table, [{"id": 1, "token": make_token("x", key)}])
    keyed = discover(whole)
    environ.clear()
    keyless = discover(whole)

    for name, ran, expected in (
        ("with keys", keyed, {same, own}),
        ("without", keyless, {own} if whole.kind == "mariadb" else {theirs, same, own}),
    ):
        with named(name):
            entries = tomllib.loads(ran.document["targets"])["target"]

            assert {entry["table"] for entry in entries} == expected
            assert columns(ran.document).keys() == {f"{table}.token" for table in (theirs, same, own)}
            assert (ran.code, f"{theirs}.token" in remarks(ran.document, "unopened")) == (1, theirs not in expected)
    whole.execute(f"DROP TABLE {same}", f"DROP TABLE {own}")
    assert discover(whole).code == (1 if whole.kind == "postgresql" else 0), "no key: it may be the service's"


@SERVERS
def test_schemas_that_were_not_asked_for_are_named(whole: Database, discover: Discover) -> None:
    """--schema leaves the other schemas out, and names them."""
    more = "more" if whole.kind == "postgresql" else f"{name_of(whole)}_more"
    whole.execute(*(["CREATE SCHEMA more"] if more == "more" else []))
    whole.execute(f"CREATE TABLE {more}.creds (id INTEGER PRIMARY KEY, token TEXT)")
    whole.make_creds([None])
    own = "public" if whole.kind == "postgresql" else name_of(whole)

    ran = discover(whole, "--full", "--schema", own)

    assert "not asked for" in remarks(ran.document)[f"schema {more}"]


@POSTGRESQL
def test_partitions_are_read_wherever_their_parent_is(whole: Database, discover: Discover, old: Key) -> None:
    """In another schema, at any depth, with columns of their own, and with a parent that is not searched."""
    whole.execute(
        "CREATE SCHEMA parts",
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY RANGE (id)",
        "CREATE TABLE parts.low PARTITION OF creds FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id)",
        "CREATE TABLE parts.lower PARTITION OF parts.low DEFAULT",
        "CREATE TABLE back_again PARTITION OF parts.low FOR VALUES FROM (5) TO (10)",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, token TEXT)",
        "CREATE TABLE parts.child (own TEXT) INHERITS (parent)",
        "CREATE TABLE parts.grandchild (own_too TEXT) INHERITS (parts.child)",
    )
    token = make_token("one")
    whole.insert("creds", [{"id": 1, "token": token}, {"id": 6, "token": token}])
    whole.insert("parts.grandchild", [{"id": 2, "token": token, "own": token, "own_too": token}])

    all_rows = columns(discover(whole, "--full").document)
    sampled = columns(discover(whole).document)
    one_schema = columns(discover(whole, "--full", "--schema", "parts").document)
    other_schema = columns(discover(whole, "--full", "--schema", "public").document)

    everything = {"creds.token", "parent.token", "parts.child.own", "parts.grandchild.own_too"}
    assert {label: column["tokens"] for label, column in all_rows.items()} == {
        **dict.fromkeys(everything, 1),
        "creds.token": 2,
    }
    assert sampled.keys() == everything
    assert one_schema.keys() == {
        "parts.low.token",
        "parts.child.token",
        "parts.child.own",
        "parts.grandchild.own_too",
    }
    assert other_schema.keys() == {"creds.token", "parent.token"}


@POSTGRESQL
def test_the_right_to_a_parent_is_enough(whole: Database, discover: Discover, old: Key) -> None:
    """In PostgreSQL, the right to a partitioned table lets a user read its partitions through it. Also the reverse."""
    user = name_of(whole)
    whole.execute(
        "CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF creds DEFAULT",
        "CREATE TABLE closed (id INTEGER PRIMARY KEY, token TEXT) PARTITION BY RANGE (id)",
        "CREATE TABLE opened PARTITION OF closed DEFAULT",
        f"REVOKE ALL ON low, closed FROM {user}",
    )
    for table in ("creds", "closed"):
        whole.insert(table, [{"id": 1, "token": make_token("one")}])

    full, sampled = discover(whole, "--full"), discover(whole)

    assert columns(full.document).keys() == columns(sampled.document).keys() == {"creds.token", "opened.token"}
    assert remarks(full.document, "unseen").keys() == {"closed"}


@SERVERS
def test_a_column_that_may_not_be_read_is_named(whole: Database, discover: Discover, old: Key) -> None:
    """The others of its table are read; one that has no room for a token does not matter."""
    whole.make_creds([make_token("one")])
    whole.execute("ALTER TABLE creds ADD COLUMN secret TEXT")
    with _reader(whole, "SELECT (id, token)") as url:
        ran = discover(Database(whole.kind, url, whole.engine), "--full")

    assert columns(ran.document)["creds.token"]["under"] == {old.id: 1}
    assert ran.code == 3
    words = remarks(ran.document, "unseen")["creds"]
    assert "may not read secret" in words if whole.kind == "postgresql" else "some of its columns only" in words


@MARIADB
def test_one_table_of_many_with_a_column_that_may_not_be_read_is_named_alone(whole: Database) -> None:
    """All are asked in one statement, and then parts of them."""
    whole.make_creds([])
    whole.execute(*(f"CREATE TABLE notes{n} (id INTEGER PRIMARY KEY, note TEXT)" for n in range(31)))
    asked = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "LIMIT 0" in statement:
            asked.append(statement)

    with _reader(whole, "SELECT (id, token)") as url:
        user = sa.make_url(url).username
        whole.execute(*(f"GRANT SELECT ON {name_of(whole)}.notes{n} TO {user}@'%'" for n in range(31)))
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            tables = list(survey(url).tables(lambda _: True))
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert {table.entry.table: bool(table.denied) for table in tables} == {
        "creds": True,
        **{f"notes{n}": False for n in range(31)},
    }
    # Of 32, 16, 8, 4, 2 tables, and then of one: each half.
    assert len(asked) == 1 + 2 * 5


@MARIADB
def test_what_the_grants_do_not_show_is_reported(whole: Database, discover: Discover) -> None:
    """A table without a grant is invisible on MariaDB; a user of all tables gets no such remark."""
    whole.make_creds([make_token("one")])
    whole.execute("CREATE TABLE invisible (id INTEGER PRIMARY KEY, token TEXT)")

    ran = discover(whole)
    with _reader(whole, "SELECT") as url:
        narrow = discover(Database("mariadb", url, whole.engine))

    words = remarks(ran.document)["other databases of the server"]
    assert "no SELECT on *.*" in words
    assert f"{name_of(whole)}%.*" in words
    assert f"{name_of(whole)}.creds" in remarks(narrow.document)["other databases of the server"]
    assert survey(mariadb_server()).unsearchable == []


GRANTS = {
    "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`": None,
    "GRANT INSERT, SELECT, UPDATE ON *.* TO `a`@`%`": None,
    "GRANT SELECT (`a`, `b`) ON `db`.`t` TO `a`@`%`": "db.t (columns a, b)",
    "GRANT SELECT, INSERT ON `d``b`.* TO `a`@`%`": "db.*",
    "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*ABC'": "nothing",
    "GRANT INSERT ON `db`.* TO `a`@`%`": "nothing",
    "GRANT `role` TO `a`@`%`": "nothing",
}


@pytest.mark.parametrize(("line", "seen"), GRANTS.items(), ids=GRANTS.keys())
def test_grants_are_read(line: str, seen: str | None) -> None:
    """A user with SELECT on *.* sees all; for others the remark says what they may read, and shows no password."""
    words = blind_spot([line])

    assert (words is None) == (seen is None)
    assert seen is None or words is not None
    assert seen is None or words.endswith(f"it may read: {seen}")  # type: ignore[union-attr]


@SERVERS
def test_a_small_table_without_tokens_is_asked_little(
    whole: Database, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be ten thousand of them: no statement for its columns, and none for its key."""
    whole.execute("CREATE TABLE quiet (id INTEGER PRIMARY KEY, note TEXT)")
    whole.insert("quiet", [{"id": 1, "note": "n"}])
    asked, keys, find = [], [], Survey._key_of

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "quiet" in statement and "LIMIT 0" not in statement:
            asked.append(statement)

    monkeypatch.setattr(Survey, "_key_of", lambda *given: keys.append(given[2].table) or find(*given))
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        ran = discover(whole, "--full")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert (ran.code, remarks(ran.document, "unseen")) == (0, {})
    assert len(asked) == {"postgresql": 1, "mariadb": 2}[whole.kind]
    assert keys == []


POSTGRESQL_LOCKS = ((transactions, "LOCK_MILLISECONDS", 20), (postgresql_blocks, "LOCK_MILLISECONDS", 20))


@SERVERS
@pytest.mark.parametrize("options", [(), ("--full",)], ids=["sampled", "full"])
def test_a_locked_table_is_named_and_the_others_are_read(
    whole: Database, discover: Discover, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is altered or locked does not end the search of the whole database."""
    for module, name, hardly in ((access, "ATTEMPTS", 2), (mysql, "LOCK_SECONDS", 0), *POSTGRESQL_LOCKS):
        monkeypatch.setattr(module, name, hardly)
    whole.make_creds([make_token("one")])
    whole.execute("CREATE TABLE a_locked (id INTEGER PRIMARY KEY, token TEXT)")
    lock = "LOCK TABLE a_locked" if whole.kind == "postgresql" else "LOCK TABLES a_locked WRITE"

    with whole.engine.connect() as other:
        other.exec_driver_sql(lock)
        ran = discover(whole, *options)
        if whole.kind == "mariadb":
            other.exec_driver_sql("UNLOCK TABLES")

    assert ran.code == 3
    assert remarks(ran.document, "unseen") == {"a_locked": "another transaction holds a lock; "}
    assert columns(ran.document).keys() == {"creds.token"}


@pytest.mark.parametrize("revoked_first", [False, True])
def test_what_is_revoked_of_all_is_named(revoked_first: bool) -> None:
    """With partial revokes, SELECT on *.* is not the right to all, whichever line is first."""
    lines = ["GRANT SELECT, INSERT ON *.* TO `a`@`%`", "REVOKE INSERT ON `open`.* FROM `a`@`%`"]
    assert blind_spot(lines) is None

    lines += ["REVOKE SELECT ON `secret`.* FROM `a`@`%`", "REVOKE SELECT, INSERT ON `more`.* FROM `a`@`%`"]
    words = blind_spot(lines[::-1] if revoked_first else lines)

    assert words is not None
    assert "REVOKE" in words
    assert "secret.*" in words
    assert "more.*" in words
    assert "open" not in words


@POSTGRESQL
def test_what_no_table_shows_is_named(whole: Database, discover: Discover) -> None:
    """Schemas without USAGE, foreign tables, large objects."""
    user = name_of(whole)
    whole.execute(
        "CREATE SCHEMA closed",
        "CREATE TABLE closed.creds (token TEXT)",
        f"REVOKE ALL ON SCHEMA closed FROM {user}",
        "CREATE EXTENSION file_fdw",
        "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
        "CREATE FOREIGN TABLE far (token TEXT) SERVER files OPTIONS (filename '/dev/null')",
        "SELECT lo_from_bytea(0, 'gAAAA')",
    )

    found = remarks(discover(whole).document)

    assert "no USAGE" in found["schema closed"]
    assert "another server" in found["foreign table public.far"]
    assert "large objects are not searched" in found["large objects"]


@contextmanager
def _reader(whole: Database, right: str) -> Iterator[str]:
    """The url of a user that has this *right* to `creds`, and no other."""
    name = f"u_{secrets.token_hex(4)}"
    columns = right.partition("(")[2].rstrip(")")
    if whole.kind == "postgresql":
        granted = f"GRANT SELECT ({columns}) ON creds TO {name}"
        whole.execute(f"CREATE ROLE {name} LOGIN", f"GRANT CONNECT ON DATABASE {name_of(whole)} TO {name}", granted)
    else:
        whole.execute(f"CREATE USER {name}@'%'", f"GRANT {right} ON {name_of(whole)}.creds TO {name}@'%'")
    try:
        yield sa.make_url(whole.url).set(username=name).render_as_string(hide_password=False)
    finally:
        if whole.kind == "postgresql":
            whole.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")
        else:
            whole.execute(f"DROP USER {name}@'%'")


@pytest.mark.long
@MARIADB
def test_an_application_in_another_database_is_not_recognised_in_this_one(
    whole: Database, discover: Discover, environ: dict[str, str]
) -> None:
    """A preset would look for its tables in this database; nor is a passphrase tried on the other one's tokens."""
    secret = "a passphrase 20 of nobody's"
    more = f"{name_of(whole)}_more"
    for table, others in (("data_sources", ", queue_name TEXT"), ("notification_destinations", "")):
        whole.execute(f"CREATE TABLE {more}.{table} (id INTEGER PRIMARY KEY, encrypted_options TEXT{others})")
        token = Derivation("sha256").key(secret).fernet.encrypt(b"x").decode()
        whole.insert(f"{more}.{table}", [{"id": 1, "encrypted_options": token}])
    whole.make_creds([make_token("x", "nobody")])
    environ.clear()
    environ["ENCRYPTION_KEY"] = secret

    ran = discover(whole)

    assert {column["column"] for column in ran.document["columns"] if column["elsewhere"]} == {"encrypted_options"}
    assert (ran.document["recognised"], ran.document["derived"]) == ([], [])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_database_that_is_dropped_while_it_is_measured_fails_no_search(database: Database) -> None:
    """The server's function then raises; sizes are for the progress alone, and the transaction goes on."""
    database.execute(
        "CREATE FUNCTION pg_database_size(oid) RETURNS bigint LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'database does not exist' USING ERRCODE = '3D000'; END $$"
    )
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = public, pg_catalog")

        assert (PostgreSQLCatalog().database_sizes(connection), connection.scalar(sa.select(1))) == ({}, 1)
