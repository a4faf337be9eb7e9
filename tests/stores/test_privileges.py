"""Users who may not, databases that are read-only, and rows that are hidden: reported before the first write."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.conftest import Cli
from tests.databases import Database
from tests.stores.tokens import make_tokens, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


@pytest.fixture
def user(database: Database) -> Iterator[str]:
    """A user of that server who may nothing yet; `database.url` is theirs from now on."""
    name = f"u_{secrets.token_hex(4)}"
    if database.kind == "postgresql":
        schema = database.rows("SELECT current_schema()")[0][0]
        database.execute(f"CREATE ROLE {name} LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        database.execute(f"GRANT CONNECT ON DATABASE {sa.make_url(database.url).database} TO {name}")
        who = name
    else:
        who = f"'{name}'@'%'"
        database.execute(f"CREATE USER {who}", f"CREATE USER '{name}'@'localhost'")
        who = f"{who}, '{name}'@'localhost'"
    database.url = sa.make_url(database.url).set(username=name).render_as_string(hide_password=False)
    yield who
    database.execute(*([f"DROP OWNED BY {name}"] if database.kind == "postgresql" else []))
    database.execute(f"DROP {'ROLE' if database.kind == 'postgresql' else 'USER'} {who}")


@SERVERS
@pytest.mark.parametrize("granted", ["SELECT", "SELECT, UPDATE (note)"], ids=["at all", "of the column"])
def test_no_right_to_update_ends_the_run(database: Database, cli: Cli, user: str, granted: str) -> None:
    """D31: a user who may not update the table learns which privilege is missing, before anything is written."""
    database.make_creds(make_tokens(2))
    database.execute(f"GRANT {granted} ON creds TO {user}")

    ran = rotate(cli, database)
    looked = cli("status", "--json", "--url", database.url, "--table", "creds", "--column", "token")

    assert ran.code == 3
    assert "creds.token in " in ran.err
    assert "the privilege for it is missing: grant SELECT and UPDATE" in ran.err
    assert (looked.code, report(looked)["to_rotate"]) == (1, 2), "reading is allowed"
    assert secrets_of(database.column().values(), "old") == secret_names(2)


@SERVERS
def test_no_right_to_select_ends_the_run(database: Database, cli: Cli, user: str) -> None:
    """D31: so does one who may not read it; MariaDB shows them no such table at all."""
    database.make_creds(make_tokens(2))
    database.execute("CREATE TABLE other (id INTEGER)", f"GRANT SELECT ON other TO {user}")

    ran = rotate(cli, database)

    assert ran.code == (3 if database.kind == "postgresql" else 2)
    assert "creds" in ran.err
    told = "the privilege for it is missing" if database.kind == "postgresql" else "there is no table creds"
    assert told in ran.err


@SERVERS
def test_rights_on_the_columns_are_enough(database: Database, cli: Cli, user: str) -> None:
    """D31: UPDATE on the column alone will do, and on PostgreSQL SELECT on it and on the key."""
    database.make_creds(make_tokens(3))
    select = "SELECT (id, token)" if database.kind == "postgresql" else "SELECT"
    database.execute(f"GRANT {select}, UPDATE (token) ON creds TO {user}")

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 3), ran.err


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_row_security_is_warned_of(database: Database, cli: Cli, user: str) -> None:
    """D30: row security may hide rows, so the census may be too small; the run says so, and its JSON."""
    database.make_creds(make_tokens(4))
    database.execute(
        f"GRANT SELECT, UPDATE ON creds TO {user}",
        "ALTER TABLE creds ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON creds USING (id <= 3)",
    )

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["scanned"]) == (0, 3)
    assert report(ran)["warnings"] == [
        "creds.token: row security is on for this user, so rows may be hidden; run with BYPASSRLS, or as the "
        "owner if it is not forced"
    ]
    assert report(ran)["hides_rows"]
    database.execute("ALTER TABLE creds DISABLE ROW LEVEL SECURITY")
    assert not report(rotate(cli, database))["hides_rows"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_policy_against_updates_is_a_write_that_is_swallowed(database: Database, cli: Cli, user: str) -> None:
    """D30: rows that this user may see and not update are not-written, and exit 1."""
    database.make_creds(make_tokens(2))
    database.execute(
        f"GRANT SELECT, UPDATE ON creds TO {user}",
        "ALTER TABLE creds ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY look ON creds FOR SELECT USING (true)",
        "CREATE POLICY first ON creds FOR UPDATE USING (id = 1)",
    )

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (1, 1)
    assert [entry["category"] for entry in report(ran)["problems"]] == ["not-written"]


@SERVERS
def test_a_read_only_session_ends_the_run(database: Database, cli: Cli) -> None:
    """R24: a database that takes no writes, such as a standby, is reported before any work."""
    database.make_creds(make_tokens(2))
    if database.kind == "postgresql":
        database.url += "%20-cdefault_transaction_read_only%3Don"
    else:
        database.url += "&init_command=SET SESSION TRANSACTION READ ONLY"

    ran = rotate(cli, database)

    assert ran.code == 3
    assert "read-only" in ran.err
    assert secrets_of(database.column().values(), "old") == secret_names(2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_read_only_file_ends_the_run(database: Database, cli: Cli) -> None:
    """R24: a file that is opened for reading only can be looked at, and not rotated."""
    database.make_creds(make_tokens(2))
    database.url += "?mode=ro"

    ran = rotate(cli, database)
    looked = cli("status", "--json", "--url", database.url, "--table", "creds", "--column", "token")

    assert ran.code == 3
    assert "the database is read-only" in ran.err
    assert (looked.code, report(looked)["to_rotate"]) == (1, 2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_full_file_ends_the_run(database: Database, cli: Cli) -> None:
    """R25: a database that cannot grow ends the run with 3; each row is whole, and the next run finishes."""
    long = "x" * 3000
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, note TEXT)")
    database.execute("CREATE TABLE log (line TEXT)")
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(make_tokens(4))])
    database.execute(
        f"CREATE TRIGGER grow AFTER UPDATE ON creds BEGIN INSERT INTO log VALUES ('{long}'); END",
    )

    def full(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    sa.event.listen(sa.Engine, "connect", full)
    try:
        ran = rotate(cli, database)
    finally:
        sa.event.remove(sa.Engine, "connect", full)

    assert ran.code == 3
    assert "the disk is full" in ran.err + ran.out
    assert rotate(cli, database).code == 0
    assert secrets_of(database.column().values()) == secret_names(4)
