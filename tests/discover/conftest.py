"""Databases of a test's own, as a whole: what else is on the server is not seen."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import Cli, Ran
from tests.databases import KINDS, Database, mariadb_server, open_database, postgres_server

Discover = Callable[..., Ran]


@pytest.fixture(params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database that nobody else has a table in; on MariaDB its url's user sees `NAME` and `NAME_more` only."""
    opens = {"postgresql": _postgresql, "mariadb": _mariadb}
    opened = opens[request.param]() if request.param in opens else open_database("sqlite", tmp_path)
    with opened as database:
        yield database
        database.engine.dispose()


@pytest.fixture
def discover(cli: Cli, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Discover:
    """`discover` on a database whose url is in DATABASE_URL from then on, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(database: Database, *more: str, as_json: bool = True) -> Ran:
        environ["DATABASE_URL"] = database.url
        ran = cli("discover", "--url", "$DATABASE_URL", *(["--json"] if as_json else []), *more)
        assert "gAAAA" not in ran.out + ran.err, "no cell is ever shown"
        return ran

    return run


@contextmanager
def _postgresql() -> Iterator[Database]:
    server, name = sa.make_url(postgres_server()), f"d_{secrets.token_hex(6)}"
    with _admin(server, f"CREATE DATABASE {name}", f"DROP DATABASE {name} WITH (FORCE)"):
        url = server.set(database=name)
        yield Database("postgresql", url.render_as_string(hide_password=False), sa.create_engine(url))


@contextmanager
def _mariadb() -> Iterator[Database]:
    server, name = sa.make_url(mariadb_server()), f"d_{secrets.token_hex(6)}"
    made = [f"CREATE DATABASE {more} CHARACTER SET utf8mb4" for more in (name, f"{name}_more")]
    made += [f"CREATE USER {name}@'%' IDENTIFIED BY 'pw'"]
    made += [f"GRANT ALL ON `{more}`.* TO {name}@'%'" for more in (name, f"{name}_more")]
    dropped = [f"DROP DATABASE {name}", f"DROP DATABASE {name}_more", f"DROP USER {name}@'%'"]
    with _admin(server, "; ".join(made), "; ".join(dropped)):
        url = server.set(username=name, password="pw", database=name, query={"charset": "utf8mb4"})
        yield Database("mariadb", url.render_as_string(hide_password=False), sa.create_engine(url))


@contextmanager
def _admin(server: sa.URL, before: str, after: str) -> Iterator[None]:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in before.split("; "):
                connection.exec_driver_sql(statement.replace("%", "%%"))
        yield
        with engine.connect() as connection:
            for statement in after.split("; "):
                connection.exec_driver_sql(statement.replace("%", "%%"))
    finally:
        engine.dispose()
