"""A condition that the database refuses is explained, and not quoted."""

from __future__ import annotations

import pytest

from tests.conftest import Cli, Named
from tests.databases import Database
from tests.stores.tokens import make_tokens

pytestmark = pytest.mark.database

UNKNOWN, BROKEN = "it names a column that is not there", "it is no SQL condition"
CONDITIONS = {
    "a misspelt column": ("tokn IS NOT NULL", f"{UNKNOWN}; did you mean token?"),
    "no column": ("hunter2hunter2 = 1", f"{UNKNOWN}."),
    "broken": ("id = = 1", BROKEN),
}


def test_the_cause_is_named(database: Database, cli: Cli, named: Named) -> None:
    """Target, code, cause and the nearest column, and how SQL writes texts and names."""
    database.make_creds(make_tokens(1))

    for name, (condition, words) in CONDITIONS.items():
        with named(name):
            ran = cli("run", "--url", database.url, "--table", "creds", "--column", "token", "--where", condition)

            assert ran.code == 2
            assert ran.err.startswith("Error: creds.token: the database does not take the condition in where (code ")
            assert words in ran.err
            assert "In SQL 'this' is a text, and " in ran.err
            assert "hunter2" not in ran.err


def test_a_text_in_double_quotes_is_a_name(database: Database, cli: Cli) -> None:
    """On SQLite and PostgreSQL the words say so; for MariaDB it is a text."""
    database.make_creds(make_tokens(1))

    ran = cli("run", "--url", database.url, "--table", "creds", "--column", "token", "--where", 'token <> "hunter2"')

    assert ran.code == (0 if database.kind == "mariadb" else 2), ran.err
    assert (UNKNOWN in ran.err) is (database.kind != "mariadb")


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("WHERE id = 1", "target creds: where begins with the word WHERE; write the condition alone"),
        ("id = 1; ", "target creds: where ends with a semicolon; leave it out"),
    ],
    ids=["the word", "the semicolon"],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_belongs_to_a_statement_is_left_out(database: Database, cli: Cli, condition: str, words: str) -> None:
    """The word WHERE and the semicolon at the end are refused with what to do, before the database is asked."""
    ran = cli("run", "--url", database.url, "--table", "creds", "--column", "token", "--where", condition)

    assert (ran.code, ran.err) == (2, f"Error: {words}\n")
