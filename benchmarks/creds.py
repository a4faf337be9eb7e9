"""The table that is rotated: as many rows as wanted, made by the server from a small one."""

from __future__ import annotations

import sqlalchemy as sa

from keyring_core import Keyring
from tests.databases import Database
from tests.keys import key_text

BASE_ROWS = 100_000
"""So many different tokens; a larger table holds each of them several times."""


def secret_of(number: int, size: int) -> str:
    """The plaintext of row *number*, of *size* characters."""
    return f"{(number - 1) % BASE_ROWS + 1:0{size}}"


def make_base(database: Database, rows: int, size: int, key: str = "old") -> None:
    """The table to copy from: at most BASE_ROWS tokens under *key*."""
    keyring = Keyring(key_text(key))
    database.execute("DROP TABLE IF EXISTS base", _create(database, "base"))
    step = max(1, 10_000_000 // size)
    for start in range(1, min(rows, BASE_ROWS) + 1, step):
        numbers = range(start, min(start + step, rows + 1, BASE_ROWS + 1))
        tokens = zip(numbers, keyring.encrypt_many(secret_of(number, size) for number in numbers), strict=True)
        database.insert("base", [{"id": number, "token": token, "note": f"note {number}"} for number, token in tokens])


def fill(database: Database, rows: int, table: str = "creds") -> None:
    """A fresh table `creds`, or another *table*, with *rows* rows, copied on the server."""
    database.execute(f"DROP TABLE IF EXISTS {table}", _create(database, table))
    copy_base(database, rows, table, "token, note")


def copy_base(database: Database, rows: int, table: str, columns: str) -> None:
    """Copies the table `base` into *table* until that has *rows* rows; *columns* are those beside `id`."""
    copy = f"INSERT INTO {table} SELECT id + :offset, {columns} FROM base WHERE id <= :left"
    for offset in range(0, rows, BASE_ROWS):
        database.execute(copy, offset=offset, left=rows - offset)
    settle(database, table)


def settle(database: Database, table: str) -> None:
    """Does at once what autovacuum and the checkpointer would do in the middle of a turn."""
    if database.kind == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in (f"VACUUM ANALYZE {table}", "CHECKPOINT"):
                connection.execute(sa.text(statement))


def wrong_rows(database: Database, size: int) -> int:
    """How many cells do not open, under the key `new` alone, to what they were made from."""
    keyring, wrong, last = Keyring(key_text("new")), 0, 0
    page = sa.text("SELECT id, token FROM creds WHERE id > :last ORDER BY id LIMIT :rows")
    with database.engine.connect() as connection:
        while found := connection.execute(page, {"last": last, "rows": max(1, 20_000_000 // size // 100)}).all():
            last = found[-1][0]
            opened = keyring.decrypt_many([token for _, token in found])
            wrong += sum(text != secret_of(row, size) for (row, _), text in zip(found, opened, strict=True))
    return wrong


def _create(database: Database, table: str) -> str:
    # A larger token does not fit into MariaDB's TEXT.
    kind = "MEDIUMTEXT" if database.kind == "mariadb" else "TEXT"
    return f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, token {kind} NOT NULL, note VARCHAR(50))"
