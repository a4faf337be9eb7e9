"""MariaDB and MySQL speak alike, and each is called by its own name once it has answered."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from rotation.ledger.records import place_of
from rotation.ledger.session import carried, settled
from rotation.model.target import TargetId
from rotation.stores.mysql import servers
from rotation.stores.mysql.dialect import MySQL
from tests.databases import Database
from tests.ledger.censuses import census_of
from tests.lifecycle.shop import OLDER, Shop, old_token

pytestmark = pytest.mark.database


def test_a_url_names_both_products_until_a_server_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """After that each url that leads to it does, whatever database it names."""
    monkeypatch.setattr(servers, "_products", {})
    url = sa.make_url("mysql+pymysql://db-1/app")
    assert MySQL().describe(url) == "MySQL or MariaDB database app on db-1"

    class Connection:
        host, port, unix_socket = "db-1", 3306, None

    servers.note_product(Connection(), servers.product_of("11.8.9-MariaDB-0+deb13u1 from Debian"))

    assert MySQL().describe(url.set(database="other")) == "MariaDB database other on db-1"
    assert servers.product_of("9.7.4-2") == "MySQL"


def test_a_ledger_knows_a_place_by_each_name_of_its_product() -> None:
    """A census that an earlier version recorded is found again, and no other database is taken for it."""

    def place(database: str) -> object:
        return place_of("web", TargetId(database, "", "creds", "token"))

    known = place("MariaDB database app on db-1")
    assert place("MySQL database app on db-1") == place("MySQL or MariaDB database app on db-1") == known
    other = place("PostgreSQL database MySQL database app on db-1")
    assert "PostgreSQL database MySQL database app on db-1" in str(other)


def test_a_run_explains_what_was_counted_under_another_name_of_the_product() -> None:
    """The first run of this version finds the census of an earlier one, and no token of it is missed."""
    of = {"identity": "table 1", "complete": True, "taken": datetime(2026, 1, 3, tzinfo=UTC)}
    before = census_of("web", "creds", "token", database="MariaDB database app on db-1", under={"0d0d0d0d": 3}, **of)
    run = census_of(
        "web", "creds", "token", database="MySQL database app on db-1", under={"4e4e4e4e": 3}, by_run=True, **of
    )

    assert carried(run, [before]).unexplained == {}
    assert settled(before, [replace(run, target=replace(run.target, where="id > 1"))]).counts.under == {}


@pytest.mark.world("TEST_MYSQL_URL")
@pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")
def test_mysql_is_called_mysql(tmp_path: Path) -> None:
    """In messages, the page, the ledger and the certificate; no word of all these says MariaDB."""
    server = sa.make_url(os.environ["TEST_MYSQL_URL"])
    with sa.create_engine(server).begin() as connection:
        connection.exec_driver_sql("CREATE DATABASE IF NOT EXISTS products")
    url = server.set(database="products")
    database = Database("mysql", url.render_as_string(hide_password=False), sa.create_engine(url))
    shop, page, certificate = Shop(tmp_path, database), tmp_path / "page.html", tmp_path / "cert.json"
    database.execute("DROP TABLE IF EXISTS creds")
    shop.fill([old_token("older")])

    status = shop.rotate("run", "--dry-run", "--json")
    refused = shop.keys("retire", OLDER.id, "--no-archive", "--no-wait")
    ran = shop.rotate("run")
    written = shop.rotate("report", "--html", str(page))
    discovered = shop.rotate("discover", "--json")
    retired = shop.keys("retire", OLDER.id, "--no-archive", "--no-wait", "--certificate", str(certificate))

    assert (ran.code, retired.code) == (0, 0), ran.err + retired.err
    said = [status.out, refused.out, refused.err, ran.out, written.out, discovered.out, retired.out, retired.err]
    with shop.ledger() as ledger:
        said += [repr(census) for census in ledger.censuses()]
    said += [page.read_text(), certificate.read_text()]
    assert not [words for words in said if "MariaDB" in words]
    assert "MySQL database products on" in page.read_text()
    assert "MySQL database products on" in json.dumps(json.loads(certificate.read_text()))
