"""The url of a target: what cannot work is refused in words that show no password."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from rotation.stores.dialect import Dialect
from rotation.stores.mysql.dialect import MySQL
from rotation.stores.postgresql.dialect import PostgreSQL
from tests.conftest import Cli, Named, Ran
from tests.databases import Database, mariadb_server, open_database, postgres_server
from tests.processes import run
from tests.stores.tokens import make_tokens, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

PASSWORD = "vT7qLm2xZr9KwP4s"


def shows_password(ran: Ran) -> bool:
    """Whether any eight characters of it stand in an output."""
    runs = {PASSWORD[start : start + 8] for start in range(len(PASSWORD) - 7)}
    return any(run in ran.out + ran.err for run in runs)


BAD = {
    "no scheme": f"user:{PASSWORD}@localhost/app",
    "unknown scheme": f"oracle://user:{PASSWORD}@localhost/app",
    "of JDBC": f"jdbc:postgresql://user:{PASSWORD}@localhost/app",
    "unknown driver": f"nosuch+driver://user:{PASSWORD}@localhost/app",
    "port is text": f"postgresql://user:{PASSWORD}@localhost:port/app",
    "port is the password": f"postgresql://user@localhost:{PASSWORD}/app",
    "password with an at sign": f"postgresql://user:p@{PASSWORD}@127.0.0.1:1/app",
    "port is too large": f"postgresql://user:{PASSWORD}@127.0.0.1:99999/app",
    "blank": "  ",
    "variable without a value": "$NO_SUCH_URL",
    "sqlite without a file": "sqlite://",
    "sqlite in memory": "sqlite:///:memory:",
    "sqlite with a host": f"sqlite://user:{PASSWORD}@host/app.db",
    "sqlite file that is not there": "sqlite:////no/such/file.db",
    "postgresql option": f"postgresql://user:{PASSWORD}@localhost/app?nosuch={PASSWORD}",
    "postgresql option of a wrong type": f"postgresql://user:{PASSWORD}@localhost/app?connect_timeout={PASSWORD}",
    "postgresql option of the driver's own": f"postgresql://user:{PASSWORD}@localhost/app?row_factory={PASSWORD}",
    "mariadb option": f"mysql://user:{PASSWORD}@localhost/app?nosuch={PASSWORD}",
    "mariadb option of a wrong type": f"mysql://user:{PASSWORD}@localhost/app?read_timeout={PASSWORD}",
    "mariadb port": f"mysql://user:{PASSWORD}@127.0.0.1:99999/app",
}


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="root may look everywhere")
def test_a_file_in_a_folder_that_is_closed_to_us_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """C05: the error names the file, and with --json the document says the same."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    url = f"sqlite:///{closed}/app.db"
    as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    argv = [sys.executable, "-m", "rotation", "status", "--json", "--url", url, "--table", "creds", "--column", "token"]
    ran = subprocess.run([*as_nobody, *argv], env=os.environ | environ, capture_output=True, text=True, check=False)

    assert (ran.returncode, json.loads(ran.stdout)["complete"]) == (2, False)
    assert f"SQLite file {closed}/app.db: Permission denied" in ran.stderr


@pytest.mark.parametrize(
    ("scheme", "option"), [("postgresql", "passfile"), ("mysql", "read_default_file"), ("mariadb", "ssl_ca")]
)
def test_a_file_of_a_driver_that_may_never_end_is_refused(
    environ: dict[str, str], tmp_path: Path, scheme: str, option: str
) -> None:
    """The option and its path are named, in the url of a target and of the ledger, before a driver waits for it."""
    os.mkfifo(tmp_path / "file")
    url = f"{scheme}://u@127.0.0.1:1/app?{option}={tmp_path}/file"
    program = [sys.executable, "-m", "rotation"]

    target = run([*program, "status", "--url", url, "--table", "creds", "--column", "token"], {**os.environ, **environ})
    ledger = run([*program, "ledger", "init"], {**os.environ, **environ, "ROTATION_LEDGER_URL": url})

    for ran in (target, ledger):
        assert ran.returncode == 2
        assert f"the url's {option}, {tmp_path}/file, is not a regular file but a FIFO" in ran.stderr


def test_a_name_that_is_too_long_is_refused(cli: Cli) -> None:
    """C05: as any other file that cannot be looked at."""
    ran = cli("run", "--url", f"sqlite:////tmp/{'x' * 300}", "--table", "creds", "--column", "token")

    assert (ran.code, "File name too long" in ran.err) == (2, True)


@pytest.mark.parametrize("url", BAD.values(), ids=BAD.keys())
def test_a_bad_url_is_refused(cli: Cli, url: str) -> None:
    """C05: a url that cannot work ends with 2, and its password is shown by nobody."""
    ran = cli("run", "--json", "--url", url, "--table", "creds", "--column", "token")

    assert ran.code == 2, ran.err
    assert "creds" in ran.err
    assert ('leave out "jdbc:"' in ran.err) == url.startswith("jdbc:")
    assert not shows_password(ran)


UNREACHABLE = {
    "password with a slash": f"postgresql://user:p/{PASSWORD}@127.0.0.1:1/app",
    "password with a slash after a number": f"mysql://user:12/{PASSWORD}@127.0.0.1:1/app",
    "postgresql host": f"postgresql://user:{PASSWORD}@nosuch.invalid/app",
    "postgresql port": f"postgresql://user:{PASSWORD}@127.0.0.1:1/app",
    "postgresql password in the query": f"postgresql://127.0.0.1:1/app?user=u&password={PASSWORD}",
    "mariadb host": f"mariadb://user:{PASSWORD}@nosuch.invalid/app",
    "mariadb port": f"mysql+pymysql://user:{PASSWORD}@127.0.0.1:1/app",
    "mariadb password in the query": f"mysql://127.0.0.1:1/app?password={PASSWORD}",
}


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=UNREACHABLE.keys())
def test_a_server_that_is_not_there_ends_the_run(cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """C05: a server that cannot be reached ends with 3; the driver's own words stay inside."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)

    ran = cli("run", "--json", "--url", url, "--table", "creds", "--column", "token")

    assert ran.code == 3
    assert not shows_password(ran)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_database_that_is_not_there_ends_the_run(cli: Cli, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """C05: so does a database or a user that the server does not know."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)
    server = sa.make_url(postgres_server() if kind == "postgresql" else mariadb_server())
    urls = [server.set(database="no_such_db"), server.set(username="no_such_user", password=PASSWORD)]

    for url in urls:
        text = url.render_as_string(hide_password=False)
        ran = cli("run", "--json", "--url", text, "--table", "creds", "--column", "token")
        assert ran.code == 3
        assert not shows_password(ran)


ANSWERS = {
    "nothing": b"",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a mail server": b"220 mail.example ESMTP\r\n",
    "an empty packet": b"\0\0\0\0",
    "half a greeting": b"\3\0\0\0\x0a10",
}


@pytest.mark.some(4)
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_server_that_makes_no_sense_ends_the_run(
    cli: Cli, scheme: str, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C05: whatever else listens at that port, a driver's surprise at it is no fault of the url: exit 3."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)

    with _listening(answer) as port:
        url = f"{scheme}://user:{PASSWORD}@127.0.0.1:{port}/app"
        ran = cli("run", "--json", "--url", url, "--table", "creds", "--column", "token")

    assert ran.code == 3, ran.err
    assert f"127.0.0.1:{port}" in ran.document["error"]
    assert ("what answers there does not speak as a " in ran.err) == bool(answer), ran.err
    assert not shows_password(ran)


@contextmanager
def _listening(answer: bytes) -> Iterator[int]:
    """The port of a server that says *answer* to each that comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                visitor, _ = server.accept()
                with visitor:
                    visitor.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        try:
            yield port
        finally:
            stopping.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


FILES = ["a b.db", "a%20b.db", "100%.db", "a#b.db", "a?b.db", "été.db", "a'b.db", "a&mode=ro.db", "file.db"]


@pytest.mark.some(4)
@pytest.mark.parametrize("name", FILES)
def test_an_sqlite_file_of_any_name_is_opened(cli: Cli, tmp_path: Path, name: str) -> None:
    """C05: blanks, percent signs and the like in a file's name are percent-encoded, as everywhere in a url."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds(make_tokens(2))
        database.engine.dispose()
        (tmp_path / "app.db").rename(tmp_path / name)
        database.url = f"sqlite:///{tmp_path}/{quote(name)}"

        ran = rotate(cli, database)
        (tmp_path / name).rename(tmp_path / "app.db")

        assert ran.code == 0, ran.err
        assert secrets_of(database.column().values()) == secret_names(2)
        assert [path.name for path in tmp_path.iterdir()] == ["app.db"], "no file is made"


def test_a_file_that_is_no_database_ends_the_run(cli: Cli, tmp_path: Path) -> None:
    """C05: a file of something else is called that."""
    path = tmp_path / "notes.db"
    # The second is like a database that SQLCipher has encrypted: each byte of it is random.
    for content in (b"no database, " * 100, secrets.token_bytes(8192)):
        path.write_bytes(content)

        ran = cli("run", "--json", "--url", f"sqlite:///{path}", "--table", "creds", "--column", "token")

        assert ran.code == 3
        assert "the file is not an SQLite database, or it is encrypted as a whole (SQLCipher)" in ran.err
        assert str(path) in ran.err


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="root may write everywhere")
def test_a_file_in_wal_mode_in_a_folder_that_is_read_only(environ: dict[str, str]) -> None:
    """C05: SQLite needs a file beside it even to read, and the error says so."""
    with tempfile.TemporaryDirectory() as name, closing(sqlite3.connect(f"{name}/app.db")) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        connection.close()
        Path(name).chmod(0o555)
        as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        argv = [sys.executable, "-m", "rotation", "status", "--url", f"sqlite:///{name}/app.db"]
        options = ["--table", "creds", "--column", "token"]
        ran = subprocess.run(
            [*as_nobody, *argv, *options], env=os.environ | environ, capture_output=True, text=True, check=False
        )
        Path(name).chmod(0o755)

    assert ran.returncode == 3
    assert "the folder is read-only" in ran.stderr
    assert "in WAL mode even to read (-shm)" in ran.stderr


WHERE = ["note = 'note 1'", "note LIKE '%1'", "note <> ':x'", "note = 'note 1' OR note = 'it''s %s'"]


def test_a_condition_chooses_rows(database: Database, cli: Cli, named: Named) -> None:
    """A condition may hold percent signs, colons and quotes."""
    for number, where in enumerate(WHERE):
        with named(where):
            table = f"creds{number}"
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token TEXT, note VARCHAR(50))")
            rows = [{"id": n, "token": token, "note": f"note {n}"} for n, token in enumerate(make_tokens(2), 1)]
            database.insert(table, rows)
            chosen = len(database.rows(f"SELECT id FROM {table} WHERE {where.replace(':', chr(92) + ':')}"))

            ran = rotate(cli, database, "--where", where, table=table)

            assert ran.code == 0, ran.err
            assert ran.document["targets"][0]["rotated"] == chosen > 0


NO_CONDITIONS = ["nosuch > 1", "id =", "id = 1; DROP TABLE creds", "nosuch(id)", "", "  "]


def test_a_condition_that_is_none_is_refused(database: Database, cli: Cli, named: Named) -> None:
    """A condition that the database does not take ends with 2."""
    database.make_creds(make_tokens(2))

    for where in NO_CONDITIONS:
        with named(where):
            ran = rotate(cli, database, "--where", where)

            assert ran.code == 2
            assert "where" in ran.err
            assert secrets_of(database.column().values(), "old") == secret_names(2)


@pytest.mark.parametrize("dialect", [PostgreSQL(), MySQL()], ids=["postgresql", "mariadb"])
def test_a_silent_server_is_waited_for_as_long_as_the_url_says(dialect: Dialect) -> None:
    """Without a word of it, for as long as every server is."""
    plain = dialect.prepare_url(sa.make_url("postgresql://db-1/app"))
    patient = dialect.prepare_url(sa.make_url("postgresql://db-1/app?connect_timeout=60"))

    assert float(dialect.in_time(plain, 7)["connect_timeout"]) == 7
    assert "connect_timeout" not in dialect.in_time(patient, 7)
    assert patient.query["connect_timeout"] == "60"


FAULTS = {
    "password": ("user or password is wrong", 1),
    "database": ("there is no such database", 1),
    "port": ("nothing listens at this port", 6),
    "host": ("no server of this name is known", 1),
}
"""What is wrong with a url, what is said of it, and how often it is tried."""


@pytest.mark.some(4)
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_url_has_its_message(
    cli: Cli, scheme: str, fault: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """C05: what is refused is tried once, since a password that is tried again and again locks an account."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)
    url = sa.make_url(postgres_server() if scheme == "postgresql" else mariadb_server())
    wrong = {
        "password": url.set(username="no_such_user", password=PASSWORD),
        "database": url.set(database="no_such_db"),
        # Of a server that is reached through a socket, the url's query names the host.
        "port": url.set(host="127.0.0.1", port=1, password=PASSWORD, query={}),
        "host": url.set(host="nosuch.invalid", password=PASSWORD, query={}),
    }[fault]
    words, tries = FAULTS[fault]

    ran = cli("run", "--url", wrong.render_as_string(hide_password=False), "--table", "creds", "--column", "token")

    assert (ran.code, words in ran.err) == (3, True), ran.err
    assert "".join(capfd.readouterr()).count("rotation.retry") == tries - 1
    assert not shows_password(ran)


@pytest.mark.some(2)
@pytest.mark.parametrize(("command", "code"), [("check", 3), ("status", 2), ("run", 2), ("discover", None)])
def test_a_mariadb_url_without_a_database_is_refused(
    cli: Cli, command: str, code: int | None, tmp_path: Path, environ: dict[str, str]
) -> None:
    """The message says what the url lacks; `discover` searches the whole server, and notes it."""
    url = sa.make_url(mariadb_server()).set(database="").render_as_string(hide_password=False)
    config = tmp_path / "rotation.toml"
    config.write_text('[[target]]\nurl = "$SERVER"\ntable = "api_credentials"\ncolumns = ["secret"]\n')
    environ["SERVER"] = url

    ran = cli(command, "--config", str(config))

    # What a whole server holds is another test's.
    assert ran.code == code or command == "discover", ran.err
    assert "table api_credentials: the url names no database: end it with /NAME" in ran.out + ran.err
    assert "Traceback" not in ran.err


def test_a_table_with_its_schema_needs_no_database_in_the_url(
    cli: Cli, tmp_path: Path, environ: dict[str, str]
) -> None:
    """MariaDB's schemas are its databases, so the table's name says which one; a missing table is called that."""
    with open_database("mariadb", tmp_path) as database:
        database.make_creds(make_tokens(2))
        url = sa.make_url(database.url)
        server = url.set(database="").render_as_string(hide_password=False)
        config = tmp_path / "rotation.toml"
        text = f'[[target]]\nurl = "$SERVER"\ntable = "{url.database}.%s"\ncolumns = ["token"]\n'

        environ["SERVER"] = server

        config.write_text(text % "creds")
        found = cli("status", "--config", str(config))
        config.write_text(text % "nosuch")
        missing = cli("status", "--config", str(config))

    assert found.code == 1, found.err
    assert missing.code == 2
    assert f"there is no table {url.database}.nosuch in MariaDB" in missing.err


def test_a_ledger_url_without_a_database_is_refused(cli: Cli, environ: dict[str, str]) -> None:
    """As a target's."""
    url = sa.make_url(mariadb_server()).set(database="").render_as_string(hide_password=False)
    environ["ROTATION_LEDGER_URL"] = url

    ran = cli("ledger", "init")

    assert (ran.code, ran.err) == (2, "Error: ROTATION_LEDGER_URL: the url names no database: end it with /NAME\n")


def test_a_database_may_stand_in_an_option_of_the_driver() -> None:
    """What the driver finds there is a default as good as one in the path."""
    named = {query: MySQL().names_database(sa.make_url(f"mysql://root@db{query}")) for query in ("", "/a", "?db=a")}

    assert named == {"": False, "/a": True, "?db=a": True}
