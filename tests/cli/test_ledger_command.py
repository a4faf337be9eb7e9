"""`ledger init` makes the ledger's tables, so that services and commands need no right to make any."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from keyring_core import Keyring, KeyState
from rotation.fleet import TABLE_PREFIX, announce, include_object
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from rotation.ledger.schema import TABLE_NAMES
from tests.conftest import Cli
from tests.databases import Database
from tests.keys import make_key

pytestmark = pytest.mark.database
DOCUMENTS = (Path(__file__).parents[2] / "docs" / "reference" / "ledger.md").read_text()


def tables(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


def init(cli: Cli, database: Database, *argv: str) -> tuple[int, str]:
    ran = cli("ledger", "init", "--url", "$LEDGER", *argv, environ={"LEDGER": database.url})
    return ran.code, ran.out


def test_it_makes_the_tables_and_names_them(cli: Cli, database: Database) -> None:
    """Once; a second time it says that they are there."""
    code, out = init(cli, database)
    again, told = init(cli, database, "--json")

    assert (code, again) == (0, 0)
    assert "has its tables now, version" in out
    assert all(f"\n  {name}" in out for name in TABLE_NAMES)
    assert json.loads(told)["made"] is False
    assert tables(database) >= set(TABLE_NAMES)


def test_the_statements_make_the_same_tables(cli: Cli, database: Database) -> None:
    """`--sql` prints them and makes nothing; pasted, they make a ledger that takes everything."""
    code, printed = init(cli, database, "--sql")
    assert (code, tables(database) & set(TABLE_NAMES)) == (0, set())

    database.execute(*(statement for statement in printed.split(";\n") if statement.strip()))

    with Ledger.open(database.url) as ledger:
        assert not ledger.made
        _use(ledger)


def test_without_a_name_it_is_refused(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, with the ways to name one; no file is made by chance."""
    monkeypatch.chdir(tmp_path)
    ran = cli("ledger", "init")

    assert ran.code == 2
    assert "ROTATION_LEDGER_URL" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["secret", "nothing://user:secret@host/db", "postgresql://user:secret@host:port/db"])
def test_a_url_that_is_none_is_refused_without_its_password(cli: Cli, url: str) -> None:
    """With and without --sql."""
    for argv in ((), ("--sql",)):
        ran = cli("ledger", "init", "--url", url, *argv)

        assert ran.code == 2
        assert "secret" not in ran.out + ran.err


def test_alembic_can_leave_the_tables_alone() -> None:
    """Every table of a ledger begins as the filter expects, and no other thing is left out."""
    assert all(name.startswith(TABLE_PREFIX) for name in TABLE_NAMES)
    assert not any(include_object(None, name, "table", True, None) for name in TABLE_NAMES)
    assert include_object(None, "users", "table", True, None)
    assert include_object(None, "keyring_ledger_note", "column", True, None)
    assert include_object(None, None, "unique_constraint", False, None)


def test_alembic_proposes_to_drop_the_tables_without_the_filter_alone(database: Database) -> None:
    """Real Alembic: with it, a service's migrations leave the ledger where it is."""
    migration = pytest.importorskip("alembic.runtime.migration")
    autogenerate = pytest.importorskip("alembic.autogenerate")
    Ledger.open(database.url).close()

    def proposed(**options: object) -> str:
        with database.engine.connect() as connection:
            context = migration.MigrationContext.configure(connection, opts=options)
            return str(autogenerate.compare_metadata(context, sa.MetaData()))

    assert "keyring_ledger_" in proposed()
    assert proposed(include_object=include_object) == "[]"


def granted(whom: str, kind: str) -> list[str]:
    """The statements of docs/reference/ledger.md for *whom* on a database of that kind."""
    part = DOCUMENTS.partition(f"\n### {whom}\n")[2].partition("\n##")[0]
    return re.findall(rf"```sql\n-- {kind}\n(.*?)```", part, re.DOTALL)[0].split(";")


@contextmanager
def role(database: Database, whom: str) -> Iterator[str]:
    """The url of a user who may do in this database what the document grants, and no more."""
    name = f"u_{secrets.token_hex(6)}"
    url = sa.make_url(database.url)
    if database.kind == "postgresql":
        place = sa.make_url(database.url).query["options"].partition("search_path=")[2]
        kind, make = "PostgreSQL", f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA {place} TO {name}"
        make += f"; GRANT CONNECT ON DATABASE {url.database} TO {name}"
        drop = f"DROP OWNED BY {name}; DROP ROLE {name}"
    else:
        place, kind = url.database, "MariaDB"
        make, drop = f"CREATE USER '{name}'@'127.0.0.1'", f"DROP USER '{name}'@'127.0.0.1'"
    admin = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    names = {"billing": name if kind == "PostgreSQL" else f"'{name}'@'127.0.0.1'", "rotation": name, "app": place}
    names["rotation"] = names["billing"]
    words = re.compile(r"\b(billing|rotation|app)\b")
    statements = [words.sub(lambda found: names[found[0]], text) for text in granted(whom, kind)]
    with admin.connect() as connection:
        for statement in [*make.split(";"), *statements]:
            if statement.strip():
                connection.exec_driver_sql(statement)
        try:
            yield url.set(username=name).render_as_string(hide_password=False)
        finally:
            for statement in drop.split(";"):
                connection.exec_driver_sql(statement)


# SQLite has no privileges but those of its file.
with_privileges = pytest.mark.only_on("postgresql", "mariadb")


@with_privileges
@pytest.mark.usefixtures("announcing")
def test_a_service_announces_with_the_privileges_that_the_document_names(database: Database) -> None:
    """On real servers, with a user who can make no table: it announces, and can do no more in the ledger."""
    Ledger.open(database.url).close()
    ring = Keyring(make_key("old"))
    with role(database, "A service that announces") as url:
        engine = sa.create_engine(url)
        for name in ("web-1", "web-2"):
            assert announce(engine, keyring=ring, instance=name)
        assert announce(engine, keyring=ring, instance="web-1")
        with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
            connection.exec_driver_sql("SELECT * FROM keyring_ledger_certificates")
        engine.dispose()

    with Ledger.open(database.url) as ledger:
        assert {one.instance for one in ledger.instances(timedelta(hours=1))} == {"web-1", "web-2"}


@with_privileges
def test_a_missing_privilege_leads_to_the_document(database: Database) -> None:
    """A missing privilege in the ledger is not reported as one in a target's table."""
    Ledger.open(database.url).close()
    with (
        role(database, "A service that announces") as url,
        Ledger.open(url) as ledger,
        pytest.raises(LedgerError, match=r"lacks the privileges listed in docs/reference/ledger\.md"),
    ):
        ledger.keys()


@with_privileges
@pytest.mark.usefixtures("announcing")
def test_a_service_without_them_is_told_which(database: Database) -> None:
    """Where there are no tables and it may make none: the log names the command."""
    Ledger.open(database.url).close()
    with role(database, "A service that announces") as url:
        database.execute(*(f"DROP TABLE {name}" for name in TABLE_NAMES))
        engine = sa.create_engine(url)
        with capture_logs() as logs:
            assert not announce(engine, keyring=Keyring(make_key("old")))
        engine.dispose()

    assert "keyring-rotate ledger init" in logs[0]["reason"]


@with_privileges
def test_rotate_py_works_with_the_privileges_that_the_document_names(database: Database) -> None:
    """Whatever a command writes into the ledger, with a user who can make no table."""
    Ledger.open(database.url).close()
    with role(database, "keyring-rotate") as url, Ledger.open(url) as ledger:
        assert not ledger.made
        _use(ledger)


def _use(ledger: Ledger) -> None:
    """Everything that is written, once."""
    ledger.see_keys({"0d0d0d0d": KeyState.PRIMARY}, "billing")
    ledger.mark("0d0d0d0d", "retired", "billing")
    ledger.keep_certificate({"key": "0d0d0d0d", "service": "billing"})
    number = ledger.begin_run("run", "billing", "0d0d0d0d")
    ledger.end_run(number, "complete", {})
    ledger.announce(InstanceRecord("web-1", "billing", "0d0d0d0d", datetime.now(UTC)))
    assert ledger.runs(1)[0].outcome == "complete"
