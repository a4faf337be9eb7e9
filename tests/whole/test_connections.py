"""How many connections a command takes: few, however many columns it looks after."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.chaos.server import own_postgres
from tests.conftest import Cli
from tests.databases import Database
from tests.fakes import token
from tests.processes import until

pytestmark = [pytest.mark.database, pytest.mark.uncounted]

MANY, FEW = (6, 10), (3, 3)
"""Tables, and columns of each; without `--long`, and on MariaDB, the latter."""
SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
COMMANDS = {
    "status": ("status", 1),
    "run": ("run", 0),
    "check": ("check", 0),
    "report": ("report --html {folder}/report.html", 0),
    "discover": ("discover --full", 0),
    "keys retire": ("keys retire {old} --env-file {folder}/.env --archive {folder}/archive", 0),
}


def fill(database: Database, tables: int, columns: int) -> None:
    """Tables creds0, creds1, ... with one row of old tokens each."""
    names = [f"c{number}" for number in range(columns)]
    for number in range(tables):
        texts = ", ".join(f"{name} TEXT" for name in names)
        database.execute(f"CREATE TABLE creds{number} (id INTEGER PRIMARY KEY, {texts})")
        database.insert(f"creds{number}", [{"id": 1} | dict.fromkeys(names, token("old"))])


def configure(folder: Path, url: str, tables: int, columns: int) -> Path:
    """A rotation.toml that names them all."""
    names = ", ".join(f'"c{number}"' for number in range(columns))
    entry = '[[target]]\nurl = "{}"\ntable = "creds{}"\ncolumns = [{}]\n'
    path = folder / "rotation.toml"
    path.write_text("".join(entry.format(url, number, names) for number in range(tables)))
    return path


@contextmanager
def user_with(database: Database, connections: int) -> Iterator[str]:
    """The url of a user who may have so many *connections* at once, and the next one is refused."""
    name, url = f"u_{secrets.token_hex(5)}", sa.make_url(database.url)
    admin = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    if database.kind == "postgresql":
        schema = str(url.query["options"]).partition("search_path=")[2]
        made = [
            f"CREATE ROLE {name} LOGIN CONNECTION LIMIT {connections}",
            f"GRANT CONNECT ON DATABASE {url.database} TO {name}",
            f"GRANT ALL ON SCHEMA {schema} TO {name}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {name}",
        ]
        gone = [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]
    else:
        made = [
            f"CREATE USER {name}@'%' WITH MAX_USER_CONNECTIONS {connections}",
            f"CREATE USER {name}@localhost WITH MAX_USER_CONNECTIONS {connections}",
            f"GRANT ALL ON {url.database}.* TO {name}@'%'",
            f"GRANT ALL ON {url.database}.* TO {name}@localhost",
            f"GRANT {database.replica_right} ON *.* TO {name}@'%'",
            f"GRANT {database.replica_right} ON *.* TO {name}@localhost",
        ]
        gone = [f"DROP USER {name}@'%', {name}@localhost"]
    with admin.connect() as connection:
        for statement in made:
            connection.exec_driver_sql(statement.replace("%", "%%"))
        try:
            yield url.set(username=name, password=None).render_as_string(hide_password=False)
        finally:
            for statement in gone:
                connection.exec_driver_sql(statement.replace("%", "%%"))


def connections_of(database: Database, url: str) -> int:
    """How many the user of *url* has: a server ends them a moment after they were given up."""
    query = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE usename = :user",
        "mariadb": "SELECT count(*) FROM information_schema.processlist WHERE user = :user",
    }[database.kind]
    [(count,)] = database.rows(query, user=sa.make_url(url).username)
    return int(count)


@SERVERS
def test_many_columns_take_two_connections(
    database: Database,
    cli: Cli,
    environ: dict[str, str],
    tmp_path: Path,
    *,
    long_form: bool,
) -> None:
    """However many columns, each command needs two, the ledger in that database included.

    A command with a third would wait for it in vain: it is tried again, since a server counts one for a moment more.
    """
    tables, columns = MANY if long_form and database.kind == "postgresql" else FEW
    fill(database, tables, columns)
    (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in environ.items()))
    (tmp_path / ".env").chmod(0o600)
    with user_with(database, 2) as url:
        config = configure(tmp_path, url, tables, columns)
        # The id of the key "old" stands behind it in the list of previous keys.
        old = cli("keys", "list", "--json", environ=environ).document["keys"][1]["id"]
        for name, (words, code) in COMMANDS.items():
            argv = words.format(folder=tmp_path, old=old).split()
            until(lambda: not connections_of(database, url), "the end of earlier connections")
            ran = cli(*argv, "--config", str(config), environ=environ | {"ROTATION_LEDGER_URL": url})
            # Other tests have tables in that server, too, which this user may not read.
            assert ran.code == code or (name == "discover" and ran.code == 3), (name, ran.out, ran.err)
            assert "to spare" not in ran.out + ran.err
            assert "Nothing of this command is written down" not in ran.err


@pytest.mark.usefixtures("sending")
@SERVERS
def test_each_worker_takes_one_more(
    database: Database,
    environ: dict[str, str],
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers and the one who started them: three."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    fill(database, 2, 2)
    with user_with(database, 3) as url:
        config = configure(tmp_path, url, 2, 2)
        ran = cli("run", "--workers", "2", "--config", str(config), "--json", environ=environ)

    assert (ran.code, [target["rotated"] for target in ran.document["targets"]]) == (0, [1] * 4)


@pytest.mark.parametrize("columns", [4, pytest.param(40, marks=pytest.mark.long)])
def test_three_tables_of_many_columns_are_rotated(database: Database, cli: Cli, tmp_path: Path, columns: int) -> None:
    """They are opened and checked one after the other."""
    fill(database, 3, columns)
    config = configure(tmp_path, database.url, 3, columns)

    ran = cli("run", "--full-speed", "--config", str(config), "--json")

    assert (ran.code, sum(target["rotated"] for target in ran.document["targets"])) == (0, 3 * columns)


@SERVERS
def test_urls_that_differ_share_the_limit(database: Database, cli: Cli, tmp_path: Path) -> None:
    """One url for each table, as of many schemas: still one connection, to whichever is in use."""
    fill(database, 4, 1)
    with user_with(database, 1) as url:
        entry = '[[target]]\nurl = "{}&connect_timeout={}"\ntable = "creds{}"\ncolumns = ["c0"]\n'
        config = tmp_path / "rotation.toml"
        config.write_text("".join(entry.format(url, 5 + number, number) for number in range(4)))
        ran = cli("run", "--config", str(config), "--json")

    assert (ran.code, sum(target["rotated"] for target in ran.document["targets"])) == (0, 4)


@SERVERS
def test_a_server_without_a_connection_to_spare_is_called_that(
    database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words of its own, with what to do, after a few tries; exit code 3."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)
    fill(database, 1, 1)
    with user_with(database, 1) as url:
        holder = sa.create_engine(url)
        with holder.connect():
            ran = cli("run", "--url", url, "--table", "creds0", "--column", "c0")
        holder.dispose()

    assert ran.code == 3
    assert "the server has no connection to spare: end idle ones, or raise its limit" in ran.err


@pytest.mark.long
def test_a_small_server_keeps_its_connections_for_services(
    cli: Cli, environ: dict[str, str], tmp_path: Path, *, long_form: bool
) -> None:
    """Twenty connections, three of them reserved, fourteen in use: sixty columns are rotated beside them."""
    tables, columns = MANY if long_form else FEW
    with own_postgres("max_connections=20", "superuser_reserved_connections=3") as server:
        database = server.database
        fill(database, tables, columns)
        database.execute("CREATE ROLE app LOGIN", "CREATE ROLE rotator LOGIN")
        database.execute("GRANT ALL ON SCHEMA public TO rotator", "GRANT ALL ON ALL TABLES IN SCHEMA public TO rotator")
        url = sa.make_url(database.url).set(username="rotator").render_as_string()
        config = configure(tmp_path, url, tables, columns)
        services = sa.create_engine(sa.make_url(database.url).set(username="app"), poolclass=sa.NullPool)
        held = [services.connect() for _ in range(14)]
        with _counting(database, "rotator") as counts:
            codes = [cli(command, "--config", str(config)).code for command in ("status", "run", "check")]
        with suppress(sa.exc.DBAPIError):
            while True:
                held.append(services.connect())
        refused = cli("status", "--config", str(config))
        for connection in held:
            connection.close()

    assert codes == [1, 0, 0]
    assert max(counts) in {1, 2}
    assert (refused.code, "no connection to spare" in refused.err) == (3, True)


@contextmanager
def _counting(database: Database, user: str) -> Iterator[list[int]]:
    """How many connections *user* had, again and again, until it is closed."""
    counts, done = [0], threading.Event()
    query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE usename = :name")

    def sample() -> None:
        with database.engine.connect() as connection:
            while not done.wait(0.005):
                counts.append(connection.scalar(query, {"name": user}))
                connection.rollback()

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield counts
    finally:
        done.set()
        thread.join()
