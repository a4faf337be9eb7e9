"""The table that a search reads in vain: a name, an e-mail, a note and a document of settings, and no token.

Nor anything that looks like a part of one: no number or hex id repeats the digits that a token turns into.
"""

from __future__ import annotations

import json
import random

import sqlalchemy as sa

from benchmarks.creds import BASE_ROWS, copy_base
from tests.databases import Database

COLUMNS = ("name", "email", "note", "settings")
_SEED = 20260105
# Without 0, 1 and 4, of which the hex forms of a token's beginning are made.
_DIGITS = "2356789abcdef"
_NAMES = ("Ada", "Ben", "Carla", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kofi", "Lena", "Malik")
_PROSE = (
    "the customer asked for an invoice in spring and paid it late because of a new bank, then moved to another town; "
    "please call before noon, never on a Monday, and offer the larger plan with support once more when the old "
    "contract ends, as agreed with the team that looks after schools and libraries"
)
_WORDS = _PROSE.split()


def create(table: str) -> str:
    """The statement that makes it, with its key and those four columns."""
    # Text, not JSON, so that LIKE can be asked about each column.
    columns = "name VARCHAR(50), email VARCHAR(100), note TEXT, settings TEXT"
    return f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {columns})"


def fill(database: Database, rows: int) -> None:
    """A fresh table `accounts` with *rows* rows; after BASE_ROWS of them they repeat."""
    dice = random.Random(_SEED)
    database.execute(create("base"), create("accounts"))
    database.insert("base", [{"id": number, **_account(dice)} for number in range(1, min(rows, BASE_ROWS) + 1)])
    copy_base(database, rows, "accounts", ", ".join(COLUMNS))
    database.execute("DROP TABLE base")


def scan(database: Database) -> None:
    """The least that a search could cost: one LIKE on each column in one statement, over one connection."""
    likes = " OR ".join(f"{column} LIKE '%gAAAA%'" for column in COLUMNS)
    with database.engine.connect() as connection:
        if database.kind == "postgresql":
            connection.execute(sa.text("SET max_parallel_workers_per_gather = 0"))
        assert connection.scalar(sa.text(f"SELECT count(*) FROM accounts WHERE {likes}")) == 0


def _account(dice: random.Random) -> dict[str, str]:
    name, town = dice.choices(_NAMES, k=2)
    settings = {
        "theme": dice.choice(("dark", "light")),
        "device": "".join(dice.choices(_DIGITS, k=32)),
        "page_size": dice.randrange(10, 100),
        "zoom": dice.randrange(50, 200) / 100,
        "quota": dice.randrange(10_000),
        "labels": dice.choices(_WORDS, k=5),
        "mail": {"weekly": dice.random() < 0.5, "hour": dice.randrange(24)},
    }
    return {
        "name": f"{name} {town}",
        "email": f"{name}.{town}{dice.randrange(1000)}@example.org".lower(),
        "note": " ".join(dice.choices(_WORDS, k=24)),
        "settings": json.dumps(settings),
    }
