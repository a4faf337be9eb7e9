"""Targets with a context: a column moves from unbound to bound tokens, on real databases, through the command line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keyring_core import Key, Keyring
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.ledger.records import census_record
from rotation.model.target import Target
from rotation.stores.store import Store
from tests.conftest import Cli, Named
from tests.databases import Database, open_database
from tests.fakes import ISSUED_AT, MemoryStore, Silence, token
from tests.keyring_core.test_binding import bound_fernet
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

CONTEXT = "users.api_key"


def bound(label: str, text: str = "secret", context: str = CONTEXT) -> str:
    """A token that a service wrote through the bound keyring, under the key of that label."""
    return bound_fernet(label, context).encrypt_at_time(text.encode(), ISSUED_AT).decode()


def options(database: Database, *more: str) -> tuple[str, ...]:
    return ("--url", database.url, "--table", "creds", "--column", "token", "--json", *more)


@pytest.fixture
def sqlite_app(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as database:
        yield database


def counts_of(target: dict[str, Any]) -> tuple[int, ...]:
    numbers = {**target, "rotated": target["to_rotate"] + target["rotated"]}
    return tuple(numbers[name] for name in ("current", "rotated", "unreadable", "unsettled", "unbound"))


def test_a_column_moves(database: Database, cli: Cli, new: Key, old: Key) -> None:
    """Whatever an unbound token is under, the primary too, a run binds it; then nothing is left to do."""
    labels = ["new", "old", "older"]
    texts = {row: f"secret {row}" for row in range(1, 7)}
    cells = [token(label, texts[row]) for row, label in enumerate(labels, 1)]
    database.make_creds([*cells, *(bound(label, texts[row]) for row, label in enumerate(labels, 4))])

    looked = cli("status", *options(database, "--context", CONTEXT))
    assert (looked.code, looked.document["complete"]) == (1, False)
    [target] = looked.document["targets"]
    assert counts_of(target) == (1, 5, 0, 0, 3)
    assert target["under"] == {new.id: 2, old.id: 2, make_key("older").id: 2}

    ran = cli("run", *options(database, "--context", CONTEXT))
    assert (ran.code, ran.document["complete"]) == (0, True)
    [target] = ran.document["targets"]
    assert counts_of(target) == (1, 5, 0, 0, 0)
    assert target["under"] == {new.id: 6}
    stock = bound_fernet("new")
    assert {row: stock.decrypt(cell).decode() for row, cell in database.column().items()} == texts
    assert {stock.extract_timestamp(cell) for cell in database.column().values()} == {ISSUED_AT}

    before = database.column()
    again = cli("run", *options(database, "--context", CONTEXT))
    assert (again.code, counts_of(again.document["targets"][0])) == (0, (6, 0, 0, 0, 0))
    assert database.column() == before


def test_a_look_says_what_is_not_bound(sqlite_app: Database, cli: Cli) -> None:
    """A person who reads the last line sees why a token under the primary key is to be rotated."""
    sqlite_app.make_creds([token("new")])
    named = options(sqlite_app, "--context", CONTEXT)

    looked = cli("run", "--dry-run", *(option for option in named if option != "--json"))

    assert "1 token is under older keys or not bound yet. Nothing was written." in looked.out


def test_a_service_that_does_not_bind_is_told_of(keyring: Keyring) -> None:
    """Where unbound tokens keep coming, the run ends and says what every service needs."""
    numbers = itertools.count(2)

    def insert(store: MemoryStore) -> None:
        if store.reads % 2 == 0:
            store.cells[next(numbers)] = keyring.encrypt("secret")

    store = MemoryStore({1: token("old")}, between=insert)
    target = Target("sqlite:///app.db", "creds", "token", "creds", context=CONTEXT)
    report = rotate([target], keyring, lambda _: store, RunOptions(), Silence())

    assert "Give every service the new primary key, bound to 'users.api_key'" in str(report.targets[0].stopped)


def test_what_another_context_wrote_is_left_alone(database: Database, cli: Cli) -> None:
    """A token that was copied from another column is unreadable here: reported by its row, and not changed."""
    cells = [bound("new"), bound("new", context="users.refresh_token"), token("unknown")]
    database.make_creds(cells)

    ran = cli("run", *options(database, "--context", CONTEXT))

    [target] = ran.document["targets"]
    assert (ran.code, counts_of(target)) == (1, (1, 0, 2, 0, 0))
    assert [problem["key"]["id"] for problem in target["problems"]] == [2, 3]
    assert all(CONTEXT in problem["detail"] for problem in target["problems"])
    assert list(database.column().values()) == cells


def test_without_its_context_a_bound_column_is_not_touched(database: Database, cli: Cli) -> None:
    """If rotation.toml lacks the context, the run says so and writes nothing."""
    cells = [bound("old")] * 30
    database.make_creds(cells)

    ran = cli("run", *options(database))

    assert ran.code == 1
    assert "`context`" in ran.document["targets"][0]["stopped"]
    assert list(database.column().values()) == cells


def test_an_unbound_token_under_the_staged_key_waits(database: Database, cli: Cli, environ: dict[str, str]) -> None:
    """A service that is ahead wrote it: it is left for after the promotion, bound or not."""
    cells = [token("staged"), bound("staged"), token("new")]
    database.make_creds(cells)
    staged = environ | {"ENCRYPTION_STAGED_KEY": key_text("staged")}

    ran = cli("run", *options(database, "--context", CONTEXT), environ=staged)

    [target] = ran.document["targets"]
    assert (ran.code, counts_of(target)) == (1, (0, 1, 0, 2, 0))
    assert list(database.column().values())[:2] == cells[:2]


def test_each_tenant_has_its_context(sqlite_app: Database, cli: Cli, tmp_path: Path) -> None:
    """Entries with a `where` of their own bind the rows of one column to different contexts."""
    sqlite_app.make_creds([token("old")] * 4)
    config = tmp_path / "rotation.toml"
    entry = (
        '[[target]]\nurl = "{url}"\ntable = "creds"\ncolumns = ["token"]\nwhere = "{where}"\ncontext = "{context}"\n'
    )
    config.write_text(
        entry.format(url=sqlite_app.url, where="id <= 2", context="tenant-1")
        + entry.format(url=sqlite_app.url, where="id > 2", context="tenant-2")
    )

    ran = cli("run", "--json", "--config", str(config))

    assert ran.code == 0
    cells = sqlite_app.column()
    assert {bound_fernet("new", "tenant-1").decrypt(cells[row]) for row in (1, 2)} == {b"secret"}
    assert {bound_fernet("new", "tenant-2").decrypt(cells[row]) for row in (3, 4)} == {b"secret"}


@pytest.mark.parametrize("context", ["", " users.api_key"], ids=["empty", "a blank"])
def test_a_context_that_is_none_is_a_usage_error(sqlite_app: Database, cli: Cli, context: str) -> None:
    """Nothing is touched, and the target is named."""
    cells = [token("old")]
    sqlite_app.make_creds(cells)

    ran = cli("run", *options(sqlite_app, "--context", context))

    assert (ran.code, list(sqlite_app.column().values())) == (2, cells)
    assert "target creds: the context" in ran.document["error"]


def test_an_unbound_token_under_the_primary_keeps_a_census_incomplete(sqlite_app: Database, keyring: Keyring) -> None:
    """The ledger does not take a column for done while a run would still move a token in it."""
    sqlite_app.make_creds([token("new")])
    target = Target(sqlite_app.url, "creds", "token", "creds", context=CONTEXT)

    def taken(*, dry_run: bool) -> bool:
        def open_store(target: Target) -> Store:
            return Store(target, read_only=dry_run, sleep=lambda _: None)

        report = rotate([target], keyring, open_store, RunOptions(dry_run=dry_run), Silence())
        now = datetime(2026, 1, 2, tzinfo=UTC)
        return census_record(report.targets[0], report.primary, "service", now).complete

    assert [taken(dry_run=dry_run) for dry_run in (True, False, True)] == [False, True, True]


def test_tokens_that_may_be_bound_are_no_alarm_about_a_key_alone(
    sqlite_app: Database, cli: Cli, tmp_path: Path, old: Key, named: Named
) -> None:
    """Each command that reports cells which no key opens names the context, too, unless the target has one."""
    sqlite_app.make_creds([token("new"), token("new", "b"), token("new", "c"), bound("new")])
    config, page = tmp_path / "rotation.toml", "name that in its target: docs/how-to/bind-tokens.md"
    entry = f'[[target]]\nurl = "{sqlite_app.url}"\ntable = "creds"\ncolumns = ["token"]\n'
    for name, command in {
        "status": ["status"],
        "run": ["run"],
        "check": ["check"],
        "keys retire": ["keys", "retire", old.id, "--archive", str(tmp_path / "old.keys")],
    }.items():
        with named(name):
            config.write_text(entry)
            ran = cli(*command, "--config", str(config))

            assert ran.code in {1, 2}
            assert page in ran.out + ran.err
    config.write_text(f'{entry}context = "users.other"\n')
    assert page not in cli("status", "--config", str(config)).out
