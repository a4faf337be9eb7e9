"""What opening a target costs, its identity, and the labels that distinguish several targets."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rotation.configuration.targets import READINGS
from rotation.model.target import Target, distinct_labels
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import DIALECTS, identify
from rotation.stores.store import Store
from tests.databases import Database
from tests.keys import key_text

pytestmark = pytest.mark.database


def test_a_condition_is_read_as_each_database_reads_it() -> None:
    """A database without readings of its own would have its conditions read as SQLite's."""
    assert set(READINGS) == set(DIALECTS)


def target(url: str, table: str = "creds", where: str | None = None) -> Target:
    return Target(url, table, "token", table, where=where)


def test_a_target_alone_of_its_name_is_called_by_it() -> None:
    """Messages stay short where nothing can be mixed up."""
    given = [target("sqlite:///a.db"), target("sqlite:///a.db", "other")]

    assert distinct_labels([identify(each) for each in given]) == ["creds.token", "other.token"]


def test_others_say_database_and_condition_and_no_secret(tmp_path: Path) -> None:
    """No two are equal, whatever their urls are; a password, and a secret in a condition, stay out."""
    secret, path = key_text("new"), tmp_path / "a.db"
    path.touch()
    given = [
        target(f"sqlite:///{path}"),
        target("postgresql://u:hunter2hunter2@db-1/app", where="kind = 'a'"),
        target("postgresql://v:hunter2hunter2@db-1/app", where=f"kind = '{secret}'"),
        target("nonsense:"),
        target("nonsense::"),
    ]
    told = distinct_labels([identify(each) for each in given])

    assert len(set(told)) == len(told)
    assert told[0] == f"creds.token in SQLite file {path}"
    assert told[1] == "creds.token in PostgreSQL database app on db-1, rows where kind = 'a'"
    assert told[3:] == ["creds.token", "creds.token (target 5)"]
    assert "hunter2h" not in "".join(told)
    assert secret not in "".join(told)


def test_an_identity_is_the_same_on_every_machine() -> None:
    """Passwords may differ, and are in no part of it, not even as a digest; another user or host counts."""
    urls = [
        "postgresql://u:hunter2@db-1/app",
        "postgresql://u:other@db-1/app?password=hunter2&sslpassword=hunter2",
        "postgresql://u@db-2/app",
        "postgresql://v@db-1/app",
    ]
    one, same, host, user = (identify(target(url)) for url in urls)

    assert one == same
    assert len({one, host, user}) == 3
    assert one.database == user.database == "PostgreSQL database app on db-1"


@pytest.mark.parametrize("url", ["nonsense:", "sqlite:////nowhere/at/all.db"])
def test_a_url_that_cannot_work_has_an_identity_without_a_database(url: str) -> None:
    """Opening the store reports the fault; until then messages use the label."""
    assert (identify(target(url)).database, identify(target(url)).words) == ("", "creds.token")


def test_a_target_beside_others_takes_few_statements(database: Database) -> None:
    """Opened, checked and identified: hundreds of targets in one database cost little more than their rows."""
    for number in (1, 2):
        database.execute(f"CREATE TABLE creds{number} (id INTEGER PRIMARY KEY, token VARCHAR(200), note TEXT)")
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with closing(SharedConnections()) as links:
        Store(target(database.url, "creds1"), read_only=False, sleep=time.sleep, links=links)
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            store = Store(target(database.url, "creds2"), read_only=False, sleep=time.sleep, links=links)
            assert (store.warnings(), bool(store.identity())) == ([], True)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)

    # SQLAlchemy 2.0 asks PostgreSQL for all its domains and enums each time, 2.1 only if a column has one.
    on_postgresql = 14 if sa.__version__ < "2.1" else 12
    assert len(statements) <= {"sqlite": 24, "postgresql": on_postgresql, "mariadb": 21}[database.kind]
