"""Databases of Django's settings as urls."""

from __future__ import annotations

from typing import Any

import pytest

from rotation.declared.django_models import url_of
from rotation.model.failures import UsageError
from rotation.stores.databases import read_url

pytestmark = pytest.mark.database

POSTGRESQL, MYSQL, SQLITE = "django.db.backends.postgresql", "django.db.backends.mysql", "django.db.backends.sqlite3"

URLS: dict[str, tuple[dict[str, Any], str]] = {
    "PostgreSQL": (
        {"ENGINE": POSTGRESQL, "NAME": "app", "USER": "u", "PASSWORD": "p@ss:/%", "HOST": "db", "PORT": "5433"},
        "postgresql+psycopg://u:p%40ss%3A%2F%25@db:5433/app",
    ),
    "a local PostgreSQL, of the user of the system": (
        {"ENGINE": POSTGRESQL, "NAME": "app", "USER": "", "PASSWORD": "", "HOST": "", "PORT": ""},
        "postgresql+psycopg:///app",
    ),
    "a socket of PostgreSQL": (
        {"ENGINE": POSTGRESQL, "NAME": "app", "HOST": "/run/postgresql", "PORT": 5432},
        "postgresql+psycopg://:5432/app?host=%2Frun%2Fpostgresql",
    ),
    "a service of PostgreSQL": (
        {"ENGINE": POSTGRESQL, "OPTIONS": {"service": "app", "passfile": ".pgpass", "pool": True}},
        "postgresql+psycopg://?passfile=.pgpass&service=app",
    ),
    "TLS and a schema of PostgreSQL": (
        {"ENGINE": POSTGRESQL, "NAME": "app", "OPTIONS": {"sslmode": "require", "options": "-csearch_path=crm"}},
        "postgresql+psycopg:///app?options=-csearch_path%3Dcrm&sslmode=require",
    ),
    "PostGIS, wrapped": (
        {"ENGINE": "django_prometheus.db.backends.postgis", "NAME": "app"},
        "postgresql+psycopg:///app",
    ),
    "MariaDB": (
        {"ENGINE": MYSQL, "NAME": "app", "USER": "u", "PASSWORD": "p", "HOST": "db", "OPTIONS": {"charset": "latin1"}},
        "mysql+pymysql://u:p@db/app?charset=latin1",
    ),
    "a socket of MariaDB": (
        {"ENGINE": MYSQL, "NAME": "app", "HOST": "/run/mysqld.sock", "OPTIONS": {"ssl": {"ca": "ca.pem"}}},
        "mysql+pymysql:///app?ssl_ca=ca.pem&unix_socket=%2Frun%2Fmysqld.sock",
    ),
    "TLS of mysqlclient": (
        {"ENGINE": MYSQL, "NAME": "app", "OPTIONS": {"ssl_mode": "REQUIRED"}},
        "mysql+pymysql:///app?ssl_check_hostname=false",
    ),
    "TLS of mysqlclient, verified": (
        {"ENGINE": MYSQL, "NAME": "app", "OPTIONS": {"ssl_mode": "VERIFY_CA", "ssl": {"ca": "ca.pem"}}},
        "mysql+pymysql:///app?ssl_ca=ca.pem&ssl_verify_cert=true",
    ),
    "SQLite": ({"ENGINE": SQLITE, "NAME": "/srv/a file?.db"}, "sqlite:////srv/a file%3F.db"),
}


@pytest.mark.parametrize(("settings", "url"), URLS.values(), ids=URLS)
def test_a_database_has_its_url(settings: dict[str, Any], url: str) -> None:
    """With all that says which database it is and how it is reached; other options are left out."""
    made = url_of("default", settings)

    assert read_url(made) == read_url(url)
    assert read_url(made).password == (settings.get("PASSWORD") or None)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another engine": ({"ENGINE": "django.db.backends.oracle"}, "its ENGINE is django.db.backends.oracle"),
    "no engine": ({}, "its ENGINE is not set"),
    "no name": ({"ENGINE": POSTGRESQL}, "neither NAME nor a service"),
    "no name of MariaDB": ({"ENGINE": MYSQL}, "it has no NAME"),
    "in memory": ({"ENGINE": SQLITE, "NAME": ":memory:"}, "in the memory of one process"),
    "in memory, shared": ({"ENGINE": SQLITE, "NAME": "file:x?mode=memory&cache=shared"}, "in the memory"),
    "a URI": ({"ENGINE": SQLITE, "NAME": "file:app.db"}, "its NAME is a URI"),
}


@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=REFUSED)
def test_a_database_that_cannot_be_rotated_is_refused_by_name(settings: dict[str, Any], words: str) -> None:
    """The message names the alias, and shows no value but ENGINE."""
    with pytest.raises(UsageError, match=r"^DATABASES, reports: ") as caught:
        url_of("reports", settings | {"PASSWORD": "correct-horse"})

    assert words in str(caught.value)
    assert "horse" not in str(caught.value)
