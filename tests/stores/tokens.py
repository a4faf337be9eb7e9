"""Tokens for tables, and what a table should hold after a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.conftest import Cli, Ran
from tests.databases import Database
from tests.keys import key_text

ISSUED_AT = 1_600_000_000


def make_token(secret: str, key: str = "old") -> str:
    """A token from long ago."""
    return Fernet(key_text(key)).encrypt_at_time(secret.encode(), ISSUED_AT).decode()


def make_tokens(count: int, key: str = "old") -> list[str]:
    """Tokens of the secrets 0, 1, 2, ..."""
    return [make_token(f"secret {number}", key) for number in range(count)]


def secrets_of(tokens: Iterable[Any], key: str = "new") -> list[str]:
    """What stock Fernet opens under that one key, in order; the timestamps are as old as they were."""
    fernet = Fernet(key_text(key))
    held = [token if isinstance(token, bytes) else str(token).encode() for token in tokens]
    assert {fernet.extract_timestamp(token) for token in held} <= {ISSUED_AT}
    return [fernet.decrypt(token).decode() for token in held]


def secret_names(count: int) -> list[str]:
    """The secrets of make_tokens."""
    return [f"secret {number}" for number in range(count)]


def rotate(cli: Cli, database: Database, *more: str, table: str = "creds", column: str = "token") -> Ran:
    """A run of the real command line."""
    ran = cli("run", "--json", "--url", database.url, "--table", table, "--column", column, *more)
    assert "gAAAAA" not in ran.out + ran.err, "no token is ever shown"
    return ran


def report(ran: Ran) -> dict[str, Any]:
    """The only target's part of the document; the counts add up."""
    (target,) = ran.document["targets"]
    counted = ("current", "to_rotate", "rotated", "empty", "plaintext", "unreadable", "unsettled")
    assert target["scanned"] == sum(target[name] for name in counted)
    return dict(target)


def problems(ran: Ran) -> list[tuple[Any, str]]:
    """Keys and categories."""
    return [(entry["key"], entry["category"]) for entry in report(ran)["problems"]]


def prepare(database: Database, create: str, rows: list[dict[str, object]], table: str = "creds") -> None:
    """A table of a test's own."""
    database.execute(create)
    if rows:
        database.insert(table, rows)


def make_nocase(database: Database) -> None:
    """PostgreSQL's collation `nocase`, which takes `a` for `A`. Skips where the server cannot have one."""
    how = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
    try:
        database.execute(f"CREATE COLLATION IF NOT EXISTS nocase ({how})")
    except sa.exc.DBAPIError:
        pytest.skip("the server is built without ICU")
