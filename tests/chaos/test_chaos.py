"""Services write, rotators are killed, and nothing is lost. `--chaos-runs 20` is the long form."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.server import Server, own_mariadb, own_postgres
from tests.chaos.storm import storm, written
from tests.databases import Database

pytestmark = pytest.mark.database

SHORT_WRITES = 120
"""By each service."""
WRITES = 500
"""With `--long`."""
LONG_WRITES = 1500
RESTARTS = 5
"""In the long form, how many runs on PostgreSQL and on MariaDB have a restart; most restarts are crashes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per run. Its seed is its id, so that a failure can be repeated."""
    if "seed" in metafunc.fixturenames:
        runs = metafunc.config.getoption("chaos_runs")
        restarts = "restart" in metafunc.function.__name__
        metafunc.parametrize("seed", [f"seed{number}" for number in range(min(runs, RESTARTS) if restarts else runs)])


def test_nothing_is_lost(database: Database, seed: str, run: Callable[..., list[str]]) -> None:
    """R01, R02, R03, R04, R05, R07, R10, R11, R12, R15: whatever happens to rotators, each row keeps its last write."""
    found = run(database, seed)

    assert found == []


@pytest.mark.parametrize(
    ("shape", "database"),
    [
        ("json", "postgresql"),
        ("json", "mariadb"),
        ("companion", "postgresql"),
        ("companion", "mariadb"),
    ],
    indirect=["database"],
)
@pytest.mark.long
def test_nothing_is_lost_around_a_token(
    database: Database, shape: str, seed: str, run: Callable[..., list[str]]
) -> None:
    """R01, R02, R10, D33: so does a row of tokens in JSON, and a companion fits its token at any moment."""
    found = run(database, seed, shape=shape)

    assert found == []


@pytest.mark.long
def test_nothing_is_lost_while_plaintext_becomes_tokens(
    database: Database, seed: str, run: Callable[..., list[str]]
) -> None:
    """R01, R02, R10: no value is lost, and none is encrypted twice, although a service goes on to write plaintext."""
    found = run(database, seed, shape="adopt")

    assert found == []


@pytest.mark.long
@pytest.mark.parametrize("own_server", [own_postgres, own_mariadb], ids=["postgresql", "mariadb"])
def test_nothing_is_lost_when_the_server_restarts(
    own_server: Callable[[], AbstractContextManager[Server]], seed: str, run: Callable[..., list[str]]
) -> None:
    """R16: a restart, or a crash with a recovery, loses no acknowledged write."""
    with own_server() as server:
        mode = "fast" if seed.endswith(("1", "3")) else "immediate"
        found = run(server.database, seed, disturb=partial(server.restart, mode))

    assert found == []


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path, *, long_form: bool) -> Callable[..., list[str]]:
    """Runs a storm, and prints how many writes it had."""

    def blow(database: Database, seed: str, **more: Any) -> list[str]:
        writes = WRITES if long_form else SHORT_WRITES
        if request.config.getoption("chaos_runs") > 1:
            writes = LONG_WRITES
        found = storm(database, seed, tmp_path, writes, **more)
        # pytest shows it with a failure.
        print(f"{database.kind}, seed {seed}: {written(tmp_path)} writes by services")  # noqa: T201
        return found

    return blow
