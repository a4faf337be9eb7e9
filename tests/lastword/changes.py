"""What may change under a pass, in statements and in moves of files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.databases import Database
from tests.keys import key_text
from tests.processes import until
from tests.stores.tokens import ISSUED_AT

ROWS, BATCH = 20, 10
"""A change comes behind the first batch, or range, of a pass."""

GOOD, STALE = "new", "old"
MOVED = "the file was moved, replaced or deleted while it was open"
REPLACED = "its name leads to another table by now, or to none"
HIDDEN = "row security was switched on meanwhile"

ARE_OLD = (
    "SELECT UNIX_TIMESTAMP(MAX(CREATE_TIME)) < UNIX_TIMESTAMP() FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = DATABASE()"
)
CREATE = "CREATE TABLE {} (id INTEGER PRIMARY KEY, token VARCHAR(500))"
EVERYBODY = ("GRANT USAGE ON SCHEMA {0} TO PUBLIC", "GRANT ALL ON ALL TABLES IN SCHEMA {0} TO PUBLIC")


@dataclass(frozen=True)
class Change:
    """Something that changes behind the first batch of a pass."""

    name: str
    before: Sequence[str] = ()
    """Statements, before the run."""
    act: Sequence[str] = ()
    undo: Sequence[str] = ()
    """Behind the last batch of the pass."""
    table: str = "creds"
    """As the target names it."""
    tail: bool = True
    """Whether a service has just written old tokens where the pass has not been yet."""
    move: Callable[[Path], None] | None = None
    """Done with the file of the database in place of `act`."""
    options: Mapping[str, str] = field(default_factory=dict)
    """More options of the url."""
    stops: str | None = None
    """With which words the run stops, exit code 3; None: it goes on, and ends with exit code 0."""
    ages: bool = False
    """Whether the table must be a second old: on MariaDB a rename shows only in its time, which has whole seconds."""
    span: bool = False
    """Whether a pass that nothing watches may miss it: then the report says from when to when it read."""


def token(label: str) -> str:
    """A token under that key, with a time of its own: one that comes back with its old time is another rotation's."""
    time = ISSUED_AT + next(_times)
    return Fernet(key_text(label)).encrypt_at_time(b"secret", time).decode()


_times = count(1)


def rows_of(table: str, head: str, tail: str) -> str:
    """The statement that inserts the rows 1, 2, ..., with tokens under two keys: the first batch, and the rest."""
    rows = ", ".join(f"({number}, '{token(head if number <= BATCH else tail)}')" for number in range(1, ROWS + 1))
    return f"INSERT INTO {table} VALUES {rows}"


def apart(database: Database, *statements: str) -> None:
    """Each of *statements* in a transaction of its own."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def make(database: Database, change: Change, label: str) -> None:
    """The target's table, with tokens under the key *label*, and whatever the change needs beside it."""
    schema, dot, _ = change.table.rpartition(".")
    if dot:
        apart(database, f"CREATE SCHEMA {schema}")
    apart(database, CREATE.format(change.table))
    if dot:
        apart(database, *(grant.format(schema) for grant in EVERYBODY))
    apart(database, rows_of(change.table, label, label), *change.before)
    if change.ages:
        until(lambda: database.rows(ARE_OLD) == [(1,)], "the next second of the server")


def copy_of(name: str, head: str) -> tuple[str, str]:
    """Statements that make another table like the target's, which is in order but for its *head*, perhaps."""
    return CREATE.format(name), rows_of(name, head, GOOD)


def in_schema(name: str) -> tuple[str, ...]:
    """Statements that make a schema with such a table, which is in order."""
    return f"CREATE SCHEMA {name}", *copy_of(f"{name}.creds", GOOD), *(grant.format(name) for grant in EVERYBODY)


def swapped(one: str, other: str, kind: str = "TABLE") -> list[str]:
    """Statements that give *other* the name of *one*, which is called `aside` from then on; at once."""
    return ["BEGIN", f"ALTER {kind} {one} RENAME TO aside", f"ALTER {kind} {other} RENAME TO {one}", "COMMIT"]


def back(one: str, other: str, kind: str = "TABLE") -> list[str]:
    """Statements that undo `swapped`."""
    return ["BEGIN", f"ALTER {kind} {one} RENAME TO {other}", f"ALTER {kind} aside RENAME TO {one}", "COMMIT"]


def backup_of(path: Path) -> Path:
    """A backup of the file, which is made before the run."""
    return path.with_name("backup.db")


def replace(path: Path) -> None:
    """A backup is moved over the file."""
    backup_of(path).replace(path)


def replace_and_delete(path: Path) -> None:
    """The file is deleted, and so is its journal."""
    path.unlink()


def back_up(path: Path) -> None:
    """Makes the backup."""
    shutil.copy(path, backup_of(path))


BEHIND = f"UPDATE creds SET token = '{token(STALE)}' WHERE id = 1"
TAIL = "UPDATE {} SET token = '{}' WHERE id = {}"
SWAP, BACK = "RENAME TABLE creds TO aside, green TO creds", "RENAME TABLE creds TO green, aside TO creds"

BEHIND_THE_PASS = Change("an old token behind it", act=[BEHIND], tail=False, span=True)
SWAPPED = Change(
    "another table for a while",
    before=copy_of("green", GOOD),
    act=swapped("creds", "green"),
    undo=back("creds", "green"),
)
TAKEN = Change(
    "another table takes the name", before=copy_of("green", STALE), act=swapped("creds", "green"), tail=False
)
AGAIN = Change(
    "the table is made again", act=["BEGIN", "DROP TABLE creds", *copy_of("creds", STALE), "COMMIT"], tail=False
)

CHANGES: Mapping[str, Sequence[Change]] = {
    "sqlite": [
        BEHIND_THE_PASS,
        SWAPPED,
        TAKEN,
        AGAIN,
        Change("a backup is moved over the file", move=replace, stops=MOVED),
        Change("the file is deleted", move=replace_and_delete, stops=MOVED),
    ],
    "postgresql": [
        BEHIND_THE_PASS,
        SWAPPED,
        Change(**{**vars(TAKEN), "stops": REPLACED}),
        Change(**{**vars(AGAIN), "stops": REPLACED}),
        Change(
            "another schema for a while",
            before=in_schema("green"),
            act=swapped("app", "green", "SCHEMA"),
            undo=back("app", "green", "SCHEMA"),
            table="app.creds",
        ),
        Change(
            "another table earlier on the search path for a while",
            before=["CREATE SCHEMA early", "GRANT USAGE ON SCHEMA early TO PUBLIC"],
            act=[*copy_of("early.creds", GOOD), EVERYBODY[1].format("early")],
            undo=["DROP TABLE early.creds"],
            options={"options": "-csearch_path=early,public"},
        ),
        Change(
            "another table earlier on the search path",
            before=["CREATE SCHEMA early", "GRANT USAGE ON SCHEMA early TO PUBLIC"],
            act=[*copy_of("early.creds", STALE), EVERYBODY[1].format("early")],
            options={"options": "-csearch_path=early,public"},
            stops=REPLACED,
        ),
        Change(
            "row security is switched on",
            before=["CREATE POLICY few ON creds USING (id <= 10)"],
            act=["ALTER TABLE creds ENABLE ROW LEVEL SECURITY"],
            stops=HIDDEN,
        ),
        Change(
            "row security is on for a while",
            before=["CREATE POLICY few ON creds USING (id <= 10)"],
            act=["ALTER TABLE creds ENABLE ROW LEVEL SECURITY"],
            undo=["ALTER TABLE creds DISABLE ROW LEVEL SECURITY"],
        ),
    ],
    "mariadb": [
        BEHIND_THE_PASS,
        Change(
            "another table for a while",
            before=copy_of("green", GOOD),
            act=[SWAP],
            undo=[BACK],
            ages=True,
        ),
        Change(
            "another table takes the name",
            before=copy_of("green", STALE),
            act=[SWAP],
            tail=False,
            ages=True,
        ),
    ],
    # As of gh-ost and pt-online-schema-change; both were made in one second, perhaps.
    "mysql": [
        Change("another table takes the name", before=copy_of("green", STALE), act=[SWAP], tail=False),
        BEHIND_THE_PASS,
    ],
}
