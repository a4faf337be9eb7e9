"""Urls mean the same under every version of SQLAlchemy that is allowed."""

from __future__ import annotations

import pytest

from rotation.model.target import Target
from rotation.stores.databases import identify, read_url, served_url, write_url

pytestmark = pytest.mark.database

NAMES = {
    "postgresql+psycopg://u:p%40ss@db:5433/app?sslmode=require": "app",
    "postgresql://u@db/my app%3F%25": "my app?%",
    "sqlite:////srv/a%2520b.db": "/srv/a%20b.db",
    "sqlite:////srv/été.db": "/srv/été.db",
    "mysql://u@db": None,
    "mysql://u@db/": "",
}
"""Urls, and the name of the database or of its file in each."""


@pytest.mark.parametrize(("text", "name"), NAMES.items())
def test_the_name_of_a_database_is_decoded(text: str, name: str | None) -> None:
    """C05: as a password is; and what is written of a url is read as the same url again."""
    url = read_url(text)

    assert url.database == name
    assert read_url(write_url(url)) == url


def test_a_password_is_hidden_on_request() -> None:
    """In the form that is compared from machine to machine."""
    assert write_url(read_url("postgresql://u:p%40ss@db/a%3F"), hide_password=True) == "postgresql://u:***@db/a%3F"


def test_an_identity_stays_when_sqlalchemy_is_replaced() -> None:
    """Otherwise a ledger would take the target for another one, and a stopped run would begin again."""
    target = Target("postgresql://u:p@db/a%20%3F?sslmode=require", "creds", "token", "creds")

    found = identify(target)

    assert found.database == "PostgreSQL database a ? on db"
    assert found.digest == "2f6f166aa97a89562e13f118811dbce966c06f4edaf48d50d958ca0f6cc623ae"


def test_postgresql_is_reached_with_psycopg_3() -> None:
    """Whatever driver a url names, or stands for: without a name, it is psycopg2 for SQLAlchemy 2.0."""
    for kind in ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg"):
        _, url = served_url(f"{kind}://u@db/app", "the target")
        assert url.get_dialect().driver == "psycopg"
