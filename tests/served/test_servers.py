"""A service under each server: its workers are counted, their reads keep a key, and they leave at its end.

Each server starts once here. `python -m benchmarks.served` starts each of them twenty times.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.databases import open_database, redis_server
from tests.processes import ROOT
from tests.served.servers import SERVERS, Server, play

# One database of the server for the broker.
pytestmark = [pytest.mark.database, pytest.mark.timeout(600), pytest.mark.xdist_group("redis-served")]

QUICK = ("multiprocessing fork",)
"""Played without `--long`, too."""
MINUTE = 60
PAGE = ROOT / "docs" / "how-to" / "servers.md"


def servers(*names: str) -> list[object]:
    """The servers of those names, as cases of a test."""
    return [pytest.param(SERVERS[name], id=name, marks=[] if name in QUICK else pytest.mark.long) for name in names]


@pytest.mark.parametrize("server", servers(*SERVERS))
def test_each_worker_is_counted_keeps_its_key_and_leaves(server: Server, tmp_path: Path) -> None:
    """Wherever the server loads the service: before it forks, or in each worker."""
    if server.asked != "web":
        redis_server()

    assert play(server, tmp_path).faults() == []


def test_the_page_names_each_server() -> None:
    """In the first cell of a row of its table; a server that is started here only is one that nobody can look up."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]

    assert SERVERS.keys() - set(re.findall(r"`([^`]+)`", "".join(rows))) == set()


@pytest.mark.parametrize("server", servers("gunicorn sync --preload", "uwsgi", "rq"))
def test_on_a_server_s_ledger(server: Server, tmp_path: Path) -> None:
    """With PostgreSQL, whose driver has threads and connections of its own."""
    if server.asked != "web":
        redis_server()
    with open_database("postgresql", tmp_path) as database:
        assert play(server, tmp_path, database.url).faults() == []


@pytest.mark.parametrize("server", servers("gunicorn gevent --preload", "uwsgi", "celery"))
def test_a_worker_that_ends_within_the_minute(server: Server, tmp_path: Path) -> None:
    """It is counted before its first beat, and its end records what it read."""
    if server.asked != "web":
        redis_server()

    assert play(server, tmp_path, seconds=MINUTE).faults() == []
