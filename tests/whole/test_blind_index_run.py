"""Blind indexes beside tokens, on real databases, through the command line: a run keeps them right."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from keyring_core.blind_index import BlindIndex
from rotation.job import passes
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.model.batch import Written
from rotation.model.target import Index, Target
from rotation.stores.access import Access
from rotation.stores.dialect import Mode
from rotation.stores.store import IndexValue, Store
from rotation.world.process import Streams
from tests.conftest import Cli, Named, Ran
from tests.databases import Database
from tests.fakes import ISSUED_AT, Silence, token
from tests.keys import key_text, make_key
from tests.stores.test_locks import locking
from tests.stores.tokens import problems, report

pytestmark = pytest.mark.database

KEYRING = Keyring(make_key("new"), previous=[make_key("old")])
ENVIRON = {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")}
OLD, NEW = make_key("old").id, make_key("new").id
INDEX = 'index = { column = "token_index", context = "creds.token" }\n'
COLUMNS = "id INTEGER PRIMARY KEY, token VARCHAR(400)"


def index_of(label: str, value: str) -> str:
    """What a service whose primary key is of that label stores beside the token of *value*."""
    return BlindIndex("creds.token").of(Keyring(make_key(label)), value)


def pair(label: str, value: str, age: int = 0) -> tuple[str, str]:
    """Token and index, as that service writes them."""
    return token(label, value, ISSUED_AT + age), index_of(label, value)


def fill(database: Database, rows: Sequence[tuple[Any, Any]], kind: str = "VARCHAR(60)") -> None:
    """The table creds with *rows* of token and index, keyed from 1."""
    database.execute(f"CREATE TABLE creds ({COLUMNS}, token_index {kind})")
    database.insert("creds", [{"id": n, "token": t, "token_index": i} for n, (t, i) in enumerate(rows, 1)])


def held(database: Database) -> dict[int, tuple[Any, Any]]:
    """Token and index by row."""
    return {
        row: (cell, index) for row, cell, index in database.rows("SELECT id, token, token_index FROM creds ORDER BY 1")
    }


def check_found(database: Database, values: dict[int, str]) -> None:
    """Each value is found by its index under the primary key alone, and its token opens to it."""
    for row, (cell, index) in held(database).items():
        if row in values:
            assert (KEYRING.decrypt(cell), index.rstrip()) == (values[row], index_of("new", values[row]))
            assert not KEYRING.needs_rotation(cell)


@pytest.fixture
def command(database: Database, cli: Cli, tmp_path: Path) -> Callable[..., Ran]:
    """A command on creds.token with its index."""

    def run(name: str, *options: str, settings: str = INDEX, environ: dict[str, str] = ENVIRON) -> Ran:
        config = tmp_path / "rotation.toml"
        config.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n{settings}')
        return cli(*name.split(), "--config", str(config), *options, environ=environ)

    return run


MIXED: list[tuple[Any, Any]] = [
    pair("old", "moves"),
    (token("new", "stale"), index_of("old", "stale")),
    (token("new", "missing"), None),
    (token("new", "wrong"), index_of("new", "another")),
    pair("new", "right"),
    (token("old", "no index"), None),
    (None, index_of("old", "gone")),
    (None, None),
    ("", None),
    (token("nobody", "lost"), index_of("old", "lost")),
    ("hunter2", "by hand"),
]
VALUES = {1: "moves", 2: "stale", 3: "missing", 4: "wrong", 5: "right", 6: "no index"}


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", ["VARCHAR(60)", "CHAR(60)", "TEXT"])
def test_a_run_makes_every_index_right(database: Database, command: Callable[..., Ran], kind: str) -> None:
    """Of tokens that move, and of current ones; beside NULL there is none; what does not open keeps what it has."""
    fill(database, MIXED, kind)
    before = held(database)

    looked, dry = command("status", "--json"), command("run", "--json", "--dry-run")
    assert held(database) == before
    ran = command("run", "--json")
    after = held(database)
    again = command("run", "--json")

    for found in map(report, (looked, dry)):
        assert (found["to_rotate"], found["current"], found["unreadable"], found["plaintext"]) == (5, 1, 1, 1)
        # Two tokens, the stale index, and the one beside NULL.
        assert found["under"] == {OLD: 4, NEW: 4}
    assert (ran.code, report(ran)["rotated"], report(ran)["current"], report(ran)["under"]) == (1, 5, 1, {NEW: 6})
    check_found(database, VALUES)
    assert after[7] == (None, None)
    assert [after[row] for row in range(8, 12)] == [before[row] for row in range(8, 12)]
    assert (again.code, report(again)["rotated"], report(again)["current"]) == (1, 0, 6)
    assert held(database) == after


class Halting(Store):
    """A store whose process ends between a token and its index, or that a service comes before."""

    def __init__(self, target: Target, before: Callable[[], None]) -> None:
        super().__init__(target, read_only=False, sleep=lambda _: None)
        self._before = before

    def write_indexes(self, values: Sequence[IndexValue]) -> Written:
        self._before()
        return super().write_indexes(values)


def target_of(database: Database) -> Target:
    return Target(database.url, "creds", "token", "creds", index=Index("token_index", "creds.token"))


def die() -> None:
    raise KeyboardInterrupt


def test_an_index_is_made_right_after_a_crash(database: Database, command: Callable[..., Ran]) -> None:
    """The process died between the token's write and the index's: the next run does the rest."""
    fill(database, [pair("old", f"value {row}") for row in range(1, 31)])
    store = Halting(target_of(database), die)
    with pytest.raises(KeyboardInterrupt):
        rotate([target_of(database)], KEYRING, lambda _: store, RunOptions(), Silence())
    store.close()
    assert {KEYRING.key_for(cell).id for cell, _ in held(database).values()} == {NEW}
    assert {index.partition(":")[0] for _, index in held(database).values()} == {OLD}

    looked = command("status", "--json")
    ran = command("run", "--json")

    assert (looked.code, report(looked)["to_rotate"], report(looked)["under"]) == (1, 30, {OLD: 30, NEW: 30})
    assert (ran.code, report(ran)["rotated"]) == (0, 30)
    check_found(database, {row: f"value {row}" for row in range(1, 31)})


def test_a_service_that_writes_meanwhile_keeps_its_index(database: Database) -> None:
    """Between the token's write and the index's: its value, with its own index, stays; the others are done."""
    fill(database, [pair("old", f"value {row}") for row in range(1, 6)])
    theirs = iter([pair("new", "theirs", 1), pair("old", "theirs, too", 1)])

    def write() -> None:
        for row in (2, 4):
            if new := next(theirs, None):
                update = "UPDATE creds SET token = :token, token_index = :index WHERE id = :row"
                database.execute(update, token=new[0], index=new[1], row=row)

    store = Halting(target_of(database), write)
    [done] = rotate([target_of(database)], KEYRING, lambda _: store, RunOptions(), Silence()).targets
    store.close()

    assert done.complete
    assert done.counts.scanned == done.counts.rotated + done.counts.current
    check_found(database, {1: "value 1", 2: "theirs", 3: "value 3", 4: "theirs, too", 5: "value 5"})


def test_an_index_is_written_only_beside_its_own_cell(database: Database) -> None:
    """Compare and swap, row by row: beside another cell, NULL, or none at all, the index stays what it is."""
    rows = [pair("new", "a"), pair("new", "b"), (None, "theirs"), pair("new", "d")]
    fill(database, rows)
    store = Store(target_of(database), read_only=False, sleep=lambda _: None)
    read = [token("old", "a"), rows[1][0], None, None, rows[0][0]]

    written = store.write_indexes([IndexValue((row,), cell, "ours") for row, cell in enumerate(read, 1)])
    store.close()

    assert (written.lost, written.refused) == ({(1,), (4,), (5,)}, {})
    assert [index for _, index in held(database).values()] == [rows[0][1], "ours", "ours", rows[3][1]]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_locked_row_keeps_its_index_for_later(
    database: Database, command: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other indexes are written, and the next run has it."""
    monkeypatch.setattr(Streams, "wait", lambda self, seconds: None)
    monkeypatch.setattr(passes, "MAX_PASSES", 2)
    values = {row: f"value {row}" for row in range(1, 41)}
    fill(database, [(token("new", value), index_of("old", value)) for value in values.values()])

    with locking(database, "id IN (7, 23)"):
        ran = command("run", "--json")
    again = command("run", "--json")

    assert (ran.code, report(ran)["rotated"]) == (1, 38)
    assert problems(ran) == [({"id": 7}, "locked"), ({"id": 23}, "locked")]
    assert (again.code, report(again)["rotated"]) == (0, 2)
    check_found(database, values)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_locked_row_is_waited_for_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again for each half of the batch: the rows that are written already keep services waiting meanwhile."""
    fill(database, [pair("new", "a")] * 20)
    [cell, _] = held(database)[1]
    modes, write = [], Access.write

    def recorded(self: Access, act: Callable[[sa.Connection], Any], mode: Mode = Mode.WRITE) -> Any:
        modes.append(mode)
        return write(self, act, mode)

    store = Store(target_of(database), read_only=False, sleep=lambda _: None)
    monkeypatch.setattr(Access, "write", recorded)
    with locking(database, "id IN (7, 17)"):
        written = store.write_indexes([IndexValue((row,), cell, "ours") for row in range(1, 21)])
    store.close()

    assert written.refused.keys() == {(7,), (17,)}
    assert (modes[0], {*modes[1:]}) == (Mode.WRITE, {Mode.HURRIED})


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_writes_indexes_is_the_run_itself(database: Database) -> None:
    """Its transactions are known as the run's own, and not taken for those of a service, which a run gives way to."""
    fill(database, [pair("new", "a"), pair("new", "b")])
    store = Store(target_of(database), read_only=False, sleep=lambda _: None)

    written, unwritten = (
        store.write_indexes([IndexValue((1,), cell, "ours")]) for cell in (held(database)[1][0], token("old", "a"))
    )
    store.close()

    assert (len(written.transactions), unwritten.transactions) == (1, [])


def test_no_key_goes_while_an_index_is_under_it(
    database: Database, command: Callable[..., Ran], tmp_path: Path
) -> None:
    """Not even if every token is current: without the key nobody finds that row by its value."""
    fill(database, [(token("new", "a"), index_of("old", "a")), pair("new", "b")])
    archive = str(tmp_path / "archive")
    env = tmp_path / ".env"
    env.touch(0o600)
    env.write_text("".join(f"{name}={value}\n" for name, value in ENVIRON.items()))
    retire = (f"keys retire {OLD}", "--json", "--archive", archive, "--env-file", str(env))

    refused = command(*retire, environ={})
    ran = command("run", "--json")
    retired = command(*retire, environ={})

    assert (refused.code, ran.code, retired.code) == (1, 0, 0), refused.out + retired.out
    assert any("creds.token" in each["reason"] for each in refused.document["refused"])


def test_no_key_goes_while_an_index_has_no_target(
    database: Database, command: Callable[..., Ran], tmp_path: Path
) -> None:
    """A list of targets by hand may forget the index: the run says so, and no key is retired before it is named."""
    fill(database, [(None, None), pair("old", "a value"), pair("old", "another")], kind="VARCHAR(52)")
    env, archive = tmp_path / ".env", str(tmp_path / "archive")
    env.write_text("".join(f"{name}={text}\n" for name, text in ENVIRON.items()))
    env.chmod(0o600)
    retire = (f"keys retire {OLD}", "--json", "--archive", archive, "--env-file", str(env))

    forgetful = command("run", settings="")
    refused = command(*retire, settings="", environ={})
    repaired = command("run", "--json")
    retired = command(*retire, environ={})

    assert forgetful.code == 0
    assert "creds.token: token_index holds blind indexes" in forgetful.out
    assert "keys retire" not in forgetful.out
    assert (refused.code, repaired.code, retired.code) == (1, 0, 0), refused.out + retired.out
    assert "set `index` in the target" in refused.out
    assert repaired.document["targets"][0]["rotated"] == 2


def test_a_census_sees_an_index_behind_many_rows_without_one(database: Database, command: Callable[..., Ran]) -> None:
    """A run looks at the first rows alone, before it begins; a census reads every row in any case."""
    fill(database, [*[(None, None)] * 1_000, pair("old", "a value")], kind="VARCHAR(52)")

    assert "creds.token: token_index holds blind indexes" in command("status", settings="").out


def test_a_token_under_one_key_and_its_index_under_another_keep_both(
    database: Database, command: Callable[..., Ran]
) -> None:
    """Of two older keys, the one that only the index is under is in use as well."""
    fill(database, [(token("old", "a"), index_of("older", "a")), pair("new", "b")])
    keys = f"{key_text('old')},{key_text('older')}"

    looked = command("status", "--json", environ=ENVIRON | {"ENCRYPTION_PREVIOUS_KEYS": keys})

    assert report(looked)["under"] == {OLD: 1, make_key("older").id: 1, NEW: 1}
    assert report(looked)["to_rotate"] == 1


def test_a_companion_and_an_index_are_counted_once(database: Database, command: Callable[..., Ran]) -> None:
    """A row in which both are wrong is one cell to move."""
    fill(database, [pair("old", "a"), (token("new", "b"), None), pair("new", "c")])
    database.execute("ALTER TABLE creds ADD key_id VARCHAR(8)")
    settings = INDEX + 'set = { key_id = "primary-key-id" }\n'

    looked, ran = command("status", "--json", settings=settings), command("run", "--json", settings=settings)

    assert (report(looked)["to_rotate"], report(looked)["current"]) == (3, 0)
    assert (ran.code, report(ran)["rotated"], report(ran)["current"]) == (0, 3, 0)
    check_found(database, {1: "a", 2: "b", 3: "c"})
    assert set(database.column("creds", "key_id").values()) == {NEW}


def test_adopted_and_bound_cells_have_an_index(database: Database, command: Callable[..., Ran]) -> None:
    """Made of the value itself, in the same run, and each cell is counted once."""
    fill(database, [("plain", None), pair("old", "token"), ("näme, 🔑", "by hand")])

    ran = command("adopt", "--yes", "--json", settings=INDEX + 'context = "creds.token"\n')

    assert (ran.code, report(ran)["rotated"], report(ran)["taken_over"]) == (0, 3, 2)
    strict = Keyring(make_key("new")).bind("creds.token")
    values = [(strict.decrypt(cell), index) for cell, index in held(database).values()]
    assert values == [(value, index_of("new", value)) for value in ("plain", "token", "näme, 🔑")]


def test_an_index_that_the_database_refuses_is_reported(database: Database, command: Callable[..., Ran]) -> None:
    """By its row, as unsettled; all others are written."""
    check = "CHECK (id <> 2 OR token_index IS NULL OR token_index = 'fixed')"
    database.execute(f"CREATE TABLE creds ({COLUMNS}, token_index VARCHAR(60), {check})")
    rows = [pair("old", "a"), (token("old", "b"), "fixed"), (token("new", "c"), None)]
    database.insert("creds", [{"id": n, "token": t, "token_index": i} for n, (t, i) in enumerate(rows, 1)])

    ran = command("run", "--json")

    assert (ran.code, report(ran)["rotated"], report(ran)["unsettled"]) == (1, 2, 1)
    assert problems(ran) == [({"id": 2}, "refused")]
    check_found(database, {1: "a", 3: "c"})
    assert held(database)[2][1] == "fixed"


def test_threads_write_indexes(
    database: Database, command: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In threads on PostgreSQL and MariaDB; each has a connection of its own."""
    if database.kind == "sqlite":
        pytest.skip("there threads take turns")
    monkeypatch.setattr("rotation.job.loop.THREAD_ROWS", 50)
    fill(database, [pair("old", f"value {row}") for row in range(1, 301)])

    ran = command("run", "--json", "--full-speed")

    assert (ran.code, report(ran)["rotated"]) == (0, 300)
    check_found(database, {row: f"value {row}" for row in range(1, 301)})


REFUSED = {
    "missing": ("token_indx", "index: it has no column token_indx; did you mean token_index"),
    "key": ("id", "index: column id is a key column, which must stay"),
    "number": ("number", "index: column number is of type"),
    "bytes": ("raw", "index: column raw is of type"),
    "generated": ("made", "index: column made is a generated column"),
    "narrow": ("narrow", "index: column narrow is of at most 51 characters, and the value has 52"),
}


def test_an_index_column_that_does_not_do_is_refused(
    database: Database, command: Callable[..., Ran], named: Named
) -> None:
    """By name, before anything is written."""
    raw = "BYTEA" if database.kind == "postgresql" else "BLOB"
    made = "VARCHAR(90) GENERATED ALWAYS AS (token_index) STORED"
    more = f"token_index VARCHAR(60), narrow VARCHAR(51), number INTEGER, raw {raw}, made {made}"
    database.execute(f"CREATE TABLE creds ({COLUMNS}, {more})")
    cell = token("old", "a")
    for case, (column, words) in REFUSED.items():
        with named(case):
            database.execute("DELETE FROM creds")
            database.insert("creds", [{"id": 1, "token": cell}])

            ran = command("run", settings=INDEX.replace("token_index", column))

            if (database.kind, case) == ("sqlite", "narrow"):
                assert ran.code == 0
            else:
                assert (ran.code, database.column()) == (2, {1: cell})
                assert words in " ".join(ran.err.split())


FOLDED = INDEX.replace(" }", ', normalize = "casefold" }')


def folded(label: str, value: str) -> str:
    """The index of the folded *value*."""
    return index_of(label, value.casefold())


def test_a_run_says_how_many_indexes_get_another_normal_form(database: Database, command: Callable[..., Ran]) -> None:
    """In JSON and in words, a dry run before and the run itself after; an index that only follows its token is none."""
    rows = [
        *((token(label, "A@B"), index_of(label, "A@B")) for label in ("old", "new")),
        *((token(label, "A@B"), folded(label, "A@B")) for label in ("old", "new")),
        (token("new", "A@B"), folded("old", "A@B")),
        (token("new", "c@d"), None),
    ]
    fill(database, rows)

    dry, looked = command("run", "--dry-run", settings=FOLDED), command("status", "--json", settings=FOLDED)
    ran, again = command("run", "--json", settings=FOLDED), command("run", settings=FOLDED)

    assert (report(looked)["reindexed"], report(looked)["to_rotate"], report(looked)["current"]) == (2, 5, 1)
    assert "creds.token: the blind index of 2 rows changes, and not only its key" in " ".join(dry.out.split())
    assert "5 tokens are under older keys or have a blind index of another form" in " ".join(dry.out.split())
    assert (ran.code, report(ran)["reindexed"], report(ran)["rotated"]) == (0, 2, 5)
    assert [index for _, index in held(database).values()] == [folded("new", "A@B")] * 5 + [index_of("new", "c@d")]
    assert (again.code, "the blind index" in again.out) == (0, False)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(token("new", "a"), None), (token("new", "b"), None)], "2 tokens lack a blind index. Nothing"),
        ([(token("new", "a"), None)], "1 token lacks a blind index. Nothing"),
        ([(token("new", "a"), None), pair("old", "b")], "2 tokens are under older keys or lack a blind index. Nothing"),
        ([(token("new", "a"), index_of("old", "a"))], "1 token is under older keys. Nothing"),
    ],
    ids=["all", "one", "some", "none"],
)
def test_a_dry_run_says_that_indexes_are_missing(
    database: Database, command: Callable[..., Ran], rows: list[Any], words: str
) -> None:
    """After a column was added to rows that are there, whose tokens are under the primary key."""
    fill(database, rows)

    for ran in (command("run", "--dry-run"), command("status")):
        assert words in " ".join(ran.out.split())


def test_a_real_run_has_the_same_words(database: Database, command: Callable[..., Ran]) -> None:
    """In the past tense."""
    fill(database, [pair("new", "A@B")])

    ran = command("run", settings=FOLDED)

    assert "creds.token: the blind index of 1 row changed, and not only its key" in " ".join(ran.out.split())


def test_two_rows_of_one_normal_form_are_named(database: Database, command: Callable[..., Ran]) -> None:
    """If the index is unique, the database refuses the second one: the message names the first. All others are done."""
    fill(database, [pair("old", value) for value in ("A@b", "c@d", "a@B", "e@f")])
    database.execute("CREATE UNIQUE INDEX one_of_each ON creds (token_index)")

    ran = command("run", "--json", settings=FOLDED)

    [problem] = report(ran)["problems"]
    assert (ran.code, report(ran)["unsettled"], problem["key"], problem["category"]) == (1, 1, {"id": 3}, "refused")
    assert problem["detail"].startswith("row id=1 has the same blind index: two rows have one value, or one normal")
    assert report(ran)["under"] == {NEW: 4, OLD: 1}
    assert {row: index for row, (_, index) in held(database).items()} == {
        1: folded("new", "A@b"),
        2: folded("new", "c@d"),
        3: index_of("old", "a@B"),
        4: folded("new", "e@f"),
    }


FUNCTION = """
print("hello")
import os
def form(text):
    if text == "bad":
        raise LookupError(text)
    return text.casefold()
"""
OWN = INDEX.replace(" }", ', normalize = "own_forms:form" }')


def test_a_function_of_the_application_makes_the_normal_form(
    database: Database, command: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for beside rotation.toml. A value that it cannot take is a problem in words, and keeps its key."""
    (tmp_path / "own_forms.py").write_text(FUNCTION)
    monkeypatch.delitem(sys.modules, "own_forms", raising=False)
    fill(database, [pair("old", "A@B"), pair("old", "bad"), (token("new", "bad"), None)])

    dry, ran = command("status", "--json", settings=OWN), command("run", "--json", settings=OWN)

    for found in (dry, ran):
        assert (found.code, report(found)["unsettled"]) == (1, 1 if found is dry else 2)
        assert [(entry["key"], entry["category"]) for entry in report(found)["problems"]] == [
            ({"id": 2}, "no-index"),
            ({"id": 3}, "no-index"),
        ]
        assert {entry["detail"] for entry in report(found)["problems"]} == {
            "creds.token: normalize takes a text and returns one; it raised LookupError"
        }
    assert report(ran)["under"] == {NEW: 3, OLD: 1}
    assert [index for _, index in held(database).values()] == [folded("new", "A@B"), index_of("old", "bad"), None]
