"""Ways in which real libraries let a secret out, each shown to leak without redaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Named
from tests.keyring_core.redaction.leaks.canaries import Canaries
from tests.keyring_core.redaction.leaks.forks import forking

pytestmark = [pytest.mark.database, pytest.mark.long]

PACKAGE = "tests.keyring_core.redaction.libraries"
# The variables in which the cases of a module find their server.
SERVERS = {"postgresql": "TEST_POSTGRES_URL", "mariadb": "TEST_MARIADB_URL", "aws_and_redis": "TEST_REDIS_URL"}
# The cases of each module: none is left out in silence.
MODULES = {
    "aiohttp_": 45,
    "asgi_servers": 28,
    "aws_and_redis": 41,
    "django_": 65,
    "dumps": 31,
    "flask_": 45,
    "httpx_": 57,
    "loggers": 73,
    "mariadb": 24,
    "parsers": 38,
    "postgresql": 68,
    "processes": 54,
    "queues": 31,
    "reporters": 37,
    "requests_": 62,
    "rich_handlers": 19,
    "sql": 55,
    "starlette_": 21,
    "stdlib_http": 52,
    "stdlib_network": 30,
    "validation": 55,
    "wsgi_servers": 36,
}


def url_in(variable: str) -> str:
    """The server's URL. If none runs the test fails in CI, and is skipped elsewhere."""
    from tests import databases

    finders = {
        "TEST_POSTGRES_URL": databases.postgres_server,
        "TEST_MARIADB_URL": databases.mariadb_server,
        "TEST_REDIS_URL": databases.redis_server,
    }
    return finders[variable]()


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    """One set for all cases of a process: to spell it takes as long as a case."""
    return Canaries.make()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_leaks(
    module: str, canaries: Canaries, tmp_path: Path, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library shows without redaction it does not show with it, and it still says something."""
    if variable := SERVERS.get(module):
        monkeypatch.setenv(variable, url_in(variable))
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
