"""Calls to the database fail, one in each run: a run ends well or says so, and running again finds all of it."""

from __future__ import annotations

import os
import sys

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from rotation.world.process import Streams
from tests.conftest import Cli
from tests.databases import Database
from tests.faults.injector import calls_to_fail, failing, fault_named
from tests.keys import key_text
from tests.processes import ROOT, dialogue

pytestmark = [pytest.mark.database, pytest.mark.uncounted]

ISSUED_AT = 1_600_000_000
SECRETS = {row: f"secret {row}".encode() for row in range(1, 5)}
BROKEN = "x" * 40
LEAST_CALLS = 12


@pytest.fixture
def opening(request: pytest.FixtureRequest) -> bool:
    """Whether the calls that open a target fail, too; they touch nothing and are many. `--chaos-runs 2` has them."""
    return bool(request.config.getoption("chaos_runs") > 1)


@pytest.fixture
def steps(*, opening: bool, long_form: bool) -> tuple[int, int]:
    """How many calls further the next fault is, before and after the first commit.

    `--long` leaves out none before it, and later ones, which are of the same kinds, are shared by the faults.
    `--chaos-runs 2` leaves out none.
    """
    return (1, 1) if opening else (1, 3) if long_form else (6, 12)


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Streams, "wait", lambda self, seconds: None)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("first", "name", "codes"),
    [
        pytest.param(1, "passes", {1}, id="passes"),
        pytest.param(2, "snapshot", {1}, id="snapshot"),
        pytest.param(3, "stays", {3}, id="stays"),
        pytest.param(2, "unheard-of", {3}, id="unheard-of"),
        pytest.param(4, "cut", {1}, id="cut"),
        pytest.param(1, "answer lost", {1}, id="answer-lost"),
    ],
)
def test_a_fault_at_any_call_loses_nothing(  # noqa: PLR0913, PLR0917 - fixtures
    database: Database, cli: Cli, opening: bool, steps: tuple[int, int], first: int, name: str, codes: set[int]
) -> None:
    """R15, R17, R18, R19, R25: the Nth call fails, for many N; the run gets over it, or says 3.

    Deadlocks, conflicts of snapshots and cut connections pass. A full disk stays, and so does a fault that no list has.
    If an answer is lost, even a COMMIT's, the next read decides. A broken cell makes a good end 1.
    """
    # What is not known is easily told as a fault of the url or of the condition, which are tried first.
    opening = opening or name == "unheard-of"
    near, far = steps
    tokens = _make_table(database)
    found: list[int] = []
    for nth in calls_to_fail(*steps, first):
        with failing(nth, fault_named(name, database), opening=opening) as injected:
            ran = cli("run", *_target(database), "--batch-size", "3")
        if not injected.failed:
            break
        assert "gAAAAA" not in ran.out + ran.err
        found.append(ran.code)
        _check_after_rerun(database, cli)
        _reset(database, tokens)

    # An SQLite file has no connection to lose: what is like it stays.
    expected = {3} if database.kind == "sqlite" and name not in {"passes", "snapshot"} else codes
    assert ran.code == 1
    assert len(found) >= LEAST_CALLS // near
    assert set(found[-LEAST_CALLS // far :]) == expected
    assert set(found) <= {1, 3}, "no fault of a database is told as one of usage"


@pytest.mark.some(3)
@pytest.mark.parametrize("name", ["passes", "snapshot", "stays", "unheard-of", "cut", "answer lost"])
def test_a_fault_at_the_first_connection_is_the_databases(database: Database, cli: Cli, name: str) -> None:
    """R15, R24: what fails while the first connection is made and set up is no fault of the url: 3, or it passes."""
    tokens = _make_table(database)
    found = []

    for nth in range(1, 4):
        with failing(nth, fault_named(name, database), opening=True) as injected:
            found.append(cli("run", *_target(database)).code)
        assert injected.failed
        _reset(database, tokens)

    passing = name in {"passes", "snapshot"} or (name in {"cut", "answer lost"} and database.kind != "sqlite")
    assert found == [1 if passing else 3] * 3


def test_a_kill_at_any_call_loses_nothing(
    database: Database, cli: Cli, environ: dict[str, str], opening: bool, steps: tuple[int, int]
) -> None:
    """R10: a process that dies at the Nth call, for many N, leaves nothing that stops the next run."""
    tokens = _make_table(database)
    calls = [*map(str, steps), "opening" if opening else "rows"]
    command = [sys.executable, "-m", "tests.faults.dying", database.url, *calls]
    environment = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    codes: list[int] = []

    for line in dialogue(command, environment):
        codes.append(int(line))
        _check_after_rerun(database, cli)
        _reset(database, tokens)

    assert codes == [9] * (len(codes) - 1) + [1]
    assert len(codes) > LEAST_CALLS // steps[0]


def _check_after_rerun(database: Database, cli: Cli) -> None:
    again = cli("run", *_target(database), "--json")

    stock = Fernet(key_text("new"))
    stored = database.column()
    broken = stored.pop(0)
    assert again.code == 1
    assert again.document["targets"][0]["unsettled"] == 0
    assert broken == BROKEN
    assert {row: stock.decrypt(token) for row, token in stored.items()} == SECRETS
    assert {stock.extract_timestamp(token) for token in stored.values()} == {ISSUED_AT}


def _make_table(database: Database) -> dict[int, str]:
    """A table of tokens under the old key, and of one broken cell."""
    old = Fernet(key_text("old"))
    tokens = {row: old.encrypt_at_time(secret, ISSUED_AT).decode() for row, secret in SECRETS.items()}
    database.make_creds([])
    database.insert("creds", [{"id": row, "token": token} for row, token in ({0: BROKEN} | tokens).items()])
    return tokens


def _reset(database: Database, tokens: dict[int, str]) -> None:
    with database.engine.begin() as connection:
        rows = [{"id": row, "token": token} for row, token in tokens.items()]
        connection.execute(sa.text("UPDATE creds SET token = :token WHERE id = :id"), rows)


def _target(database: Database) -> list[str]:
    return ["--url", database.url, "--table", "creds", "--column", "token", "--where", "id >= 0"]
