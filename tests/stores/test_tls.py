"""TLS: what keeps a connection from being made has its message, is tried once, and shows no password."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from inspect import signature
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa
from pymysql.connections import Connection

from rotation.ledger.database import LedgerError, LedgerPlace, open_for_service
from rotation.model.failures import StoreError
from rotation.stores.access import Access, fault_of, words_of
from rotation.stores.error_codes import Fault
from rotation.stores.mysql.dialect import MySQL
from rotation.stores.patience import Patience
from tests.certificates import LOCAL, Authority, lock, owner_of_postgres
from tests.chaos.server import Server, own_mariadb, own_postgres
from tests.conftest import Cli, Named
from tests.processes import until
from tests.stores.tokens import make_tokens

pytestmark = pytest.mark.database

Capfd = pytest.CaptureFixture[str]
HOST = "the server's certificate is for another host name"
AUTHORITY = "the server's certificate is not trusted"
FILE = "a file for TLS cannot be used"
CLIENT = "the server does not accept the client's certificate, or there is none"
MISSING = "the server has no TLS, which the url demands"
HANDSHAKE = "TLS with the server fails"
BINDING = "the url demands channel binding"

ON_POSTGRESQL = {
    "sslmode=verify-full&sslrootcert=DIR/ca.crt": ("", ""),
    "sslmode=verify-full&sslrootcert=DIR/ca.crt localhost": (HOST, "sslmode=verify-ca"),
    "sslmode=verify-full&sslrootcert=DIR/other.crt": (AUTHORITY, "sslrootcert"),
    "sslmode=verify-full&sslrootcert=system": (AUTHORITY, "sslrootcert"),
    "sslmode=verify-full&sslrootcert=DIR/none": (FILE, "sslrootcert"),
    "sslmode=verify-full&sslrootcert=DIR/text": (FILE, "sslrootcert"),
    "sslmode=require&sslcert=DIR/client.crt&sslkey=DIR/client.key": ("", ""),
    "sslmode=require&sslcert=DIR/client.crt&sslkey=DIR/open.key": (FILE, "chmod 600"),
    "sslmode=require&sslcert=DIR/client.crt&sslkey=DIR/none": (FILE, "sslkey"),
    "sslmode=require&sslcert=DIR/client.crt&sslkey=DIR/stranger.key": (FILE, "sslkey"),
    "sslmode=require&sslcert=DIR/stranger.crt&sslkey=DIR/stranger.key": (CLIENT, "sslcert and sslkey"),
    "certified sslmode=require": (CLIENT, "sslcert and sslkey"),
    "certified": (CLIENT, "sslcert and sslkey"),
    "certified sslmode=require&sslcert=DIR/client.crt&sslkey=DIR/client.key": (CLIENT, "sslcert and sslkey"),
    "demanding sslmode=disable": ("the server's pg_hba.conf admits no such connection", "sslmode"),
    "asked": ("the server asks for a password, and none was given", ""),
    "sslmode=require&channel_binding=require": (BINDING, "sslmode"),
    "sslmode=require&ssl_min_protocol_version=TLSv1&ssl_max_protocol_version=TLSv1.1": (
        HANDSHAKE,
        "ssl_min_protocol_version",
    ),
}
"""A user, the options of a url, and another host; what is said, and what is to be looked at. Empty: it connects."""

ON_MARIADB = {
    "ssl_ca=DIR/ca.crt": ("", ""),
    "ssl_ca=DIR/ca.crt&ssl_verify_identity=true": ("", ""),
    "ssl_ca=DIR/ca.crt&ssl_verify_cert=true": ("", ""),
    "ssl_ca=DIR/ca.crt localhost": (HOST, "ssl_check_hostname=false"),
    "ssl_ca=DIR/ca.crt&ssl_check_hostname=false localhost": ("", ""),
    "ssl_ca=DIR/ca.crt&ssl_verify_identity=true localhost": (HOST, "ssl_check_hostname=false"),
    "ssl_ca=DIR/ca.crt&ssl_verify_identity=false localhost": ("", ""),
    "ssl_ca=DIR/ca.crt&ssl_verify_cert=true localhost": ("", ""),
    "ssl_ca=DIR/other.crt": (AUTHORITY, "ssl_ca"),
    "ssl_ca=DIR/other.crt&ssl_verify_cert=true": (AUTHORITY, "ssl_ca"),
    "ssl_ca=DIR/other.crt&ssl_verify_cert=false": ("", ""),
    "ssl_verify_identity=true": (AUTHORITY, "ssl_ca"),
    "ssl_cert=DIR/stranger.crt&ssl_key=DIR/stranger.key": (CLIENT, "ssl_cert and ssl_key"),
    "certified": ("or the account asks for TLS or for a certificate", ""),
    "certified ssl_cert=DIR/client.crt&ssl_key=DIR/client.key": ("", ""),
    "encrypted ssl_disabled=false&ssl_check_hostname=false": ("", ""),
    "encrypted ssl_disabled=true": ("or the account asks for TLS or for a certificate", ""),
}
if "ssl_key_password" in signature(Connection).parameters:
    ON_MARIADB["ssl_cert=DIR/client.crt&ssl_key=DIR/locked.key&ssl_key_password=secret"] = ("", "")


class Place:
    """A server with TLS, whose certificate can be replaced, and a folder with the files of its clients."""

    def __init__(self, folder: Path, owner: str | None) -> None:
        """Makes the files; the server's are of *owner*."""
        self.folder, self._owner = folder, owner
        self._ca, other = Authority(folder, "ca"), Authority(folder, "other")
        self.sign()
        self._ca.sign("client", "root")
        other.sign("stranger", "root")
        shutil.copy(folder / "client.key", folder / "open.key").chmod(0o644)
        lock(folder / "client.key", folder / "locked.key", "secret")
        (folder / "text").write_text("no certificate\n")
        self.server: Server

    def sign(self, *, days: int = 30) -> None:
        """Makes the server's certificate, for one host name, or replaces it."""
        self._ca.sign("server", "127.0.0.1", LOCAL, days=days, owner=self._owner)

    def url(self, spelled: str) -> str:
        """The url for *spelled*, a key of the tables above."""
        url, query = sa.make_url(self.server.database.url), ""
        for word in spelled.split():
            if word == "localhost":
                url = url.set(host=word)
            elif "=" in word:
                query = word
            else:
                url = url.set(username=word)
        text = url.set(query={}).render_as_string(hide_password=False)
        return f"{text}?{query.replace('DIR', str(self.folder))}"


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A PostgreSQL server with three users beside its own."""
    owner = owner_of_postgres()
    with open_folder(owner) as folder:
        place = Place(folder, owner)
        files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "ca.crt"}
        with own_postgres(*(f"{name}={folder}/{file}" for name, file in files.items())) as place.server:
            database = place.server.database
            switch(place.server, "on")
            database.execute("CREATE USER certified", "CREATE USER demanding", "CREATE USER asked PASSWORD 'x'")
            rules = (
                "hostssl all certified all cert\nhostssl all demanding all trust\nhost all asked all scram-sha-256\n"
            )
            ((hba,),) = database.rows("SHOW hba_file")
            others = "local all all trust\nhost all postgres all trust\n"
            Path(hba).write_text(rules + others)
            reload(place.server)
            yield place


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Place]:
    """A MariaDB server with two users beside its own."""
    with open_folder(None) as folder:
        place = Place(folder, None)
        files = {"ssl-cert": "server.crt", "ssl-key": "server.key", "ssl-ca": "ca.crt"}
        options = [f"{name}={folder}/{file}" for name, file in files.items()]
        # With TLS 1.3 the server refuses a certificate after the handshake, and the driver may lose its words.
        with own_mariadb("tls-version=TLSv1.2", *options) as place.server:
            for user, what in {"certified": "X509", "encrypted": "SSL"}.items():
                place.server.database.execute(
                    f"CREATE USER {user}@'%' REQUIRE {what}", f"GRANT ALL ON *.* TO {user}@'%'"
                )
            yield place


@contextmanager
def open_folder(owner: str | None) -> Iterator[Path]:
    """A folder that the server may enter."""
    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        if owner:
            shutil.chown(name, owner)
        yield Path(name)


def switch(server: Server, state: str) -> None:
    """Switches TLS on or off."""
    with server.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"ALTER SYSTEM SET ssl = {state}")
    reload(server)


def reload(server: Server) -> None:
    """Has PostgreSQL read its settings again, and waits for that."""
    database = server.database
    before = database.rows("SELECT pg_conf_load_time()")
    database.execute("SELECT pg_reload_conf()")
    until(lambda: database.rows("SELECT pg_conf_load_time()") != before, "the settings to be read again")
    database.engine.dispose()


def check_each(place: Place, cases: Mapping[str, tuple[str, str]], cli: Cli, named: Named, capfd: Capfd) -> None:
    """Looks at one table with each url of *cases*; whatever is refused is tried once."""
    place.server.database.execute("DROP TABLE IF EXISTS creds")
    place.server.database.make_creds(make_tokens(1))
    for spelled, (words, option) in cases.items():
        with named(spelled):
            ran = cli("status", "--url", place.url(spelled), "--table", "creds", "--column", "token")

            assert ran.code == (3 if words else 1), ran.err
            assert words in ran.err
            assert option in ran.err
            assert "rotation.retry" not in "".join(capfd.readouterr())


def test_a_fault_of_tls_on_postgresql(postgresql: Place, cli: Cli, named: Named, capfd: Capfd) -> None:
    """C05: it is called that, with the option to look at, and is tried once."""
    postgresql.server.database.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO certified")
    check_each(postgresql, ON_POSTGRESQL, cli, named, capfd)


def test_a_fault_of_tls_on_mariadb(mariadb: Place, cli: Cli, named: Named, capfd: Capfd) -> None:
    """C05: the same; what the url says of TLS holds, also what SQLAlchemy and the driver together forget."""
    check_each(mariadb, ON_MARIADB, cli, named, capfd)


@pytest.mark.long
def test_a_server_without_tls(postgresql: Place, cli: Cli, named: Named, capfd: Capfd) -> None:
    """C05: if the url demands TLS, that is what is missing."""
    switch(postgresql.server, "off")
    cases = {"sslmode=require": (MISSING, "sslmode"), "channel_binding=require": (BINDING, "channel_binding")}
    try:
        check_each(postgresql, cases, cli, named, capfd)
    finally:
        switch(postgresql.server, "on")
    with own_mariadb("skip-ssl") as mariadb:
        place = copy(postgresql)
        place.server = mariadb
        check_each(place, {"ssl_ca=DIR/ca.crt": (MISSING, "ssl_ca")}, cli, named, capfd)


@pytest.fixture(params=["postgresql", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    """A server of each kind."""
    found: Place = request.getfixturevalue(request.param)
    return found


CHECKED = {"postgresql": "sslmode=verify-full&sslrootcert=DIR/%s.crt", "mariadb": "ssl_ca=DIR/%s.crt"}


@pytest.mark.long
def test_a_fault_of_tls_on_the_way_to_the_ledger(place: Place, cli: Cli, environ: dict[str, str], capfd: Capfd) -> None:
    """C05: a command and a service that announces its keys call it the same."""
    url = place.url(CHECKED[place.server.database.kind] % "other")

    ran = cli("ledger", "init", environ={**environ, "ROTATION_LEDGER_URL": url})
    with pytest.raises(LedgerError) as failure:
        open_for_service(LedgerPlace(url, "ROTATION_LEDGER_URL")).check_version()

    assert ran.code == 3
    for said in (ran.err, str(failure.value)):
        assert AUTHORITY in said
    assert "rotation.retry" not in "".join(capfd.readouterr())


@pytest.mark.long
def test_a_server_that_comes_back_with_an_expired_certificate(place: Place) -> None:
    """R15: it is not waited for, since its certificate does not become valid by that."""
    pauses: list[float] = []
    url = place.url(CHECKED[place.server.database.kind] % "ca")
    access = Access(url, "creds", read_only=True, sleep=pauses.append, patience=Patience(timedelta(seconds=20)))
    access.read(lambda connection: connection.execute(sa.text("SELECT 1")))
    place.sign(days=-1)
    try:
        place.server.database.engine.dispose()
        place.server.restart("fast")

        with pytest.raises(StoreError, match=AUTHORITY):
            access.read(lambda connection: connection.execute(sa.text("SELECT 1")))
    finally:
        access.close()
        place.sign()
        place.server.restart("fast")

    # One for the connection that was lost.
    assert len(list(filter(None, pauses))) <= 1


def test_a_file_of_the_url_that_is_gone(mariadb: Place) -> None:
    """A driver that reads it for each connection is not taken for a server that makes no sense."""
    gone = shutil.copy(mariadb.folder / "ca.crt", mariadb.folder / "gone.crt")
    url = mariadb.url(CHECKED["mariadb"] % "gone")
    access = Access(url, "creds", read_only=True, sleep=lambda _: None)
    service = open_for_service(LedgerPlace(url, "ROTATION_LEDGER_URL"))
    gone.unlink()

    for read, error in ((access.read, StoreError), (service.read, LedgerError)):
        with pytest.raises(error, match=r"a file that the url names cannot be read \(No such file or directory\)"):
            read(lambda connection: connection.execute(sa.text("SELECT 1")))


def test_a_certificate_that_is_refused_after_the_handshake() -> None:
    """With TLS 1.3 the driver calls that a lost connection, as it calls one that is lost in a statement."""
    alert, lost = ssl.SSLError(1, "alert"), pymysql.err.OperationalError(2013, "Lost connection")
    alert.reason, lost.__context__ = "TLSV1_ALERT_UNKNOWN_CA", alert

    at_login, later = (
        sa.exc.OperationalError(statement, None, lost, connection_invalidated=True) for statement in (None, "SELECT 1")
    )

    assert fault_of(at_login, MySQL()) is Fault.PERMANENT
    assert CLIENT in words_of(at_login, MySQL())
    assert fault_of(later, MySQL()) is Fault.TRANSIENT
    assert words_of(later, MySQL()) == "the connection was lost"


def test_a_host_name_is_verified_with_the_certificates_of_the_system(
    mariadb: Place, cli: Cli, named: Named, capfd: Capfd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C05: PyMySQL by itself compares the names only if the url names a CA."""
    monkeypatch.setenv("SSL_CERT_FILE", str(mariadb.folder / "ca.crt"))
    cases = {"ssl_verify_identity=true": ("", ""), "ssl_verify_identity=true localhost": (HOST, "ssl_check_hostname")}

    check_each(mariadb, cases, cli, named, capfd)
