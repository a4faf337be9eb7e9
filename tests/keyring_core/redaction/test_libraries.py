"""Ways in which real libraries let a secret out, each shown to leak without redaction."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Named
from tests.keyring_core.redaction.leaks.canaries import Canaries
from tests.keyring_core.redaction.leaks.forks import forking

pytestmark = [pytest.mark.long, pytest.mark.uncounted]

PACKAGE = "tests.keyring_core.redaction.libraries"


def postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.databases import postgres_server

    monkeypatch.setenv("TEST_POSTGRES_URL", postgres_server())


def mariadb(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.databases import mariadb_server

    monkeypatch.setenv("TEST_MARIADB_URL", mariadb_server())


def redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips if no server runs; fails in CI."""
    from redis import Redis, RedisError

    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    try:
        with Redis.from_url(url) as connection:
            connection.ping()
    except RedisError as error:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"no Redis server at TEST_REDIS_URL or its default: {type(error).__name__}")
    monkeypatch.setenv("TEST_REDIS_URL", url)


SERVERS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "postgresql": postgres,
    "mariadb": mariadb,
    "aws_and_redis": redis,
}
# The cases of each module: none is left out in silence.
MODULES = {}


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    """One set for all cases of a process: to spell it takes as long as a case."""
    return Canaries.make()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_leaks(
    module: str, canaries: Canaries, tmp_path: Path, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library shows without redaction it does not show with it, and it still says something."""
    if module in SERVERS:
        SERVERS[module](monkeypatch)
    with forking(canaries, f"{PACKAGE}.{module}") as forks:
        cases = [case for case in forks.cases() if case.name.startswith(f"{module}.")]

        assert len(cases) == MODULES[module]
        forks.judge(cases, tmp_path, named)


def test_there_are_enough_cases() -> None:
    """The suite covers at least 400 ways, in every module of the folder."""
    folder = Path(__file__).with_name("libraries")
    helpers = {"__init__", "ways", "web"}

    assert {path.stem for path in folder.glob("*.py")} - helpers == set(MODULES)
    assert sum(MODULES.values()) >= 400
