"""Options of a url that another driver knows: a message names them, and says what to write; no value is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from rotation.ledger.database import LedgerPlace, open_for_service
from rotation.model.failures import UsageError
from rotation.stores.databases import find_dialect
from rotation.stores.url_options import Instead
from tests.conftest import Cli, Named
from tests.databases import open_database
from tests.stores.test_urls import PASSWORD, shows_password
from tests.stores.tokens import make_tokens, rotate

pytestmark = pytest.mark.database

ASYNCPG = "psycopg, which is used instead of asyncpg, does not know these options of the url: "
PSYCOPG = "psycopg does not know these options of the url: "
MYSQLDB = "pymysql, which is used instead of mysqldb, does not know these options of the url: "
PYMYSQL = "pymysql does not know these options of the url: "
PLAIN = "leave it out: nothing is prepared here"
UNKNOWN = {
    "postgresql+asyncpg ssl=require": f"{ASYNCPG}ssl (write sslmode=require)",
    "postgresql+asyncpg ssl=verify-full": f"{ASYNCPG}ssl (write sslmode=verify-full)",
    "postgresql ssl=true": f"{PSYCOPG}ssl (write sslmode=require)",
    "postgres ssl=hunter2": f"{PSYCOPG}ssl (write sslmode=require)",
    "postgresql+asyncpg prepared_statement_cache_size=0&ssl=prefer": f"{ASYNCPG}prepared_statement_cache_size "
    f"({PLAIN}), ssl (write sslmode=prefer)",
    "postgresql+asyncpg command_timeout=hunter2&timeout=hunter2": f"{ASYNCPG}command_timeout (leave it out, or write "
    "options=-cstatement_timeout%3DMILLISECONDS), timeout (write connect_timeout=SECONDS)",
    "postgresql pgbouncer=true&schema=hunter2": f"{PSYCOPG}pgbouncer ({PLAIN}), "
    "schema (write options=-csearch_path%3DSCHEMA)",
    "postgresql currentSchema=hunter2": f"{PSYCOPG}currentSchema (write options=-csearch_path%3DSCHEMA)",
    "postgresql SSLMODE=require": f"{PSYCOPG}SSLMODE (write sslmode)",
    "postgresql nosuch=hunter2": f"{PSYCOPG}nosuch (leave it out, or write the name that this driver has for it)",
    "postgresql row_factory=hunter2": f"{PSYCOPG}row_factory (leave it out)",
    "mysql+mysqldb ssl_mode=REQUIRED": f"{MYSQLDB}ssl_mode (write ssl_check_hostname=false, which encrypts and checks "
    "nothing, or ssl_ca=FILE, which checks the certificate)",
    "mysql+mysqldb ssl_mode=VERIFY_CA": f"{MYSQLDB}ssl_mode (write ssl_ca=FILE&ssl_check_hostname=false)",
    "mysql ssl=true&useSSL=false&serverTimezone=hunter2": f"{PYMYSQL}serverTimezone (leave it out: no time zone "
    "matters here), ssl (write ssl_check_hostname=false, which",
    "mariadb useSSL=false": f"{PYMYSQL}useSSL (write ssl_disabled=true)",
    "mysql+mysqlconnector auth_plugin=hunter2": "pymysql, which is used instead of mysqlconnector, does not know these "
    "options of the url: auth_plugin (leave it out: the server names the plugin)",
    "mysql+pymysql cursorclass=hunter2": f"{PYMYSQL}cursorclass (leave it out)",
    "mysql+pyodbc driver=hunter2": "pymysql, which is used instead of pyodbc, does not know these options of the url: "
    "driver (leave it out)",
}
"""The kind of a url and its options, and what is said of them."""

REFUSED = {
    "postgresql connect_timeout=hunter2": "psycopg does not take the url; look at the value of connect_timeout",
    "postgresql+asyncpg connect_timeout=hunter2": "psycopg, which is used instead of asyncpg, does not take the url; "
    "look at the value of connect_timeout",
    "postgresql sslmode=hunter2&application_name=a": "look at the value of sslmode\n",
    "postgresql keepalives_idle=hunter2&port=hunter2": "look at the value of port, the value of keepalives_idle\n",
    "postgresql target_session_attrs=hunter2": "look at the value of target_session_attrs\n",
    "postgresql service=hunter2": "look at the value of service\n",
    "mysql read_timeout=hunter2&charset=utf8": "pymysql does not take the url; look at the value of read_timeout\n",
    "mysql port=hunter2": "look at the value of port\n",
    "mysql ssl_ca=/nosuch/hunter2": "look at the value of ssl_ca (No such file or directory)\n",
    "mysql ssl_ca=/nosuch/hunter2&ssl_verify_cert=true": "look at the value of ssl_ca (No such file or directory)\n",
    "mysql ssl_ca=/etc/passwd": "look at the value of ssl_ca (No certificate or crl found)\n",
    "mysql ssl_cert=/nosuch/hunter2&ssl_key=/nosuch/hunter2": "look at the value of ssl_cert (No such file",
    "mysql read_default_group=client&connect_timeout=0": "look at the value of connect_timeout\n",
}
"""Known options with a value that cannot be."""

TAKEN = {
    "postgresql": "sslmode=verify-full&sslrootcert=system&channel_binding=require&gssencmode=require&host=a,b&port=1,2"
    "&target_session_attrs=read-write&connect_timeout=2.5&options=-csearch_path%3Dapp&passfile=/nosuch&port=",
    "mysql": "ssl_check_hostname=false&charset=latin1&use_unicode=0&local_infile=1&read_timeout=5&client_flag=2"
    "&init_command=SELECT%201&autocommit=false&ssl_disabled=0&ssl_verify_identity=no",
    "sqlite": "check_same_thread=false&timeout=hunter2&cache=shared&mode=rw&isolation_level=x&nosuch=1",
}
"""Options that are taken as they are."""


def url_of(spelled: str) -> str:
    """The url for a key of the tables above."""
    kind, query = spelled.split()
    return f"{kind}://user:{PASSWORD}@127.0.0.1:1/app?{query}"


@pytest.mark.parametrize("cases", [UNKNOWN, REFUSED], ids=["unknown", "refused"])
def test_an_option_that_cannot_be_is_named(cli: Cli, named: Named, cases: dict[str, str]) -> None:
    """C05: with what to write in its place, and without its value; nothing is connected to."""
    for spelled, words in cases.items():
        with named(spelled):
            ran = cli("status", "--url", url_of(spelled), "--table", "creds", "--column", "token")

            assert (ran.code, ran.err.startswith("Error: target creds.token: p")) == (2, True), ran.err
            assert words in ran.err
            assert "hunter2" not in ran.err
            assert not shows_password(ran)


def test_each_way_to_a_database_says_so(
    cli: Cli, named: Named, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C05: a search, rotation.toml, the ledger of a command, and that of a service."""
    url = url_of("postgresql+asyncpg ssl=require")
    config = tmp_path / "rotation.toml"
    config.write_text('[[target]]\nurl = "$APP"\ntable = "creds"\ncolumns = ["token"]\n')
    ways = {
        "discover": (cli("discover", "--url", url), 2),
        "run": (cli("run", "--config", str(config), environ={**environ, "APP": url}), 2),
        "check": (cli("check", "--config", str(config), environ={**environ, "APP": url}), 3),
        "ledger": (cli("ledger", "init", environ={**environ, "ROTATION_LEDGER_URL": url}), 2),
    }
    for way, (ran, code) in ways.items():
        with named(way):
            assert ran.code == code
            assert "psycopg, which is used instead of asyncpg" in ran.out + ran.err
            assert "ssl (write sslmode=require)" in ran.out + ran.err
            assert not shows_password(ran)
    with pytest.raises(UsageError, match="ROTATION_LEDGER_URL: psycopg, which is used instead of asyncpg"):
        open_for_service(LedgerPlace(url, "ROTATION_LEDGER_URL"))


def test_options_that_the_driver_knows_are_taken(tmp_path: Path, named: Named) -> None:
    """Whatever another driver makes of them; SQLite looks at `mode` alone."""
    for kind, query in TAKEN.items():
        with named(kind):
            dialect = find_dialect(kind)
            assert dialect is not None
            place = f"/{tmp_path}/app.db" if kind == "sqlite" else "u:p@127.0.0.1/app"
            (tmp_path / "app.db").touch()

            dialect.create_engine(dialect.prepare_url(sa.make_url(f"{kind}://{place}?{query}")))


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_what_is_proposed_is_an_option_of_the_driver(kind: str, named: Named) -> None:
    """Each name in the table is unknown to the driver in use, and each that it proposes is known."""
    dialect = find_dialect(kind)
    assert dialect is not None
    known = dialect.options()
    assert known is not None
    for name, hint in dialect.other_options.items():
        with named(name):
            texts = [hint] if isinstance(hint, str) else [*hint.values.values(), hint.other]

            assert name not in known
            assert name == name.lower()
            assert {*re.findall(r"(?:write |and |&|or )(\w+)=", " ".join(texts))} <= known
            assert not isinstance(hint, Instead) or all(value == value.lower() for value in hint.values)


PARTS = [f"postgresql://user:pa@ss?{PASSWORD}=1@127.0.0.1:1/app", f"mysql://user:pa@ss?word={PASSWORD}@127.0.0.1:1/app"]


@pytest.mark.parametrize("url", PARTS)
def test_a_part_of_a_password_is_no_option(cli: Cli, url: str) -> None:
    """C05: an @ and a ? in it make it look like one; then no name is shown."""
    ran = cli("status", "--url", url, "--table", "creds", "--column", "token")

    assert ran.code == 2
    assert "does not know an option of the url; percent-encode @ : / % in the password" in ran.err
    assert not shows_password(ran)


def test_texts_are_texts_whatever_the_url_asks_for(cli: Cli, tmp_path: Path) -> None:
    """An old advice for Python 2, use_unicode=0, makes the driver hand out bytes."""
    with open_database("mariadb", tmp_path) as database:
        database.make_creds(make_tokens(2))
        database.url = sa.make_url(database.url).update_query_dict({"use_unicode": "0"}).render_as_string(False)

        ran = rotate(cli, database)

        assert ran.code == 0, ran.err
        assert ran.document["targets"][0]["rotated"] == 2
