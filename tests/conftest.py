"""Fixtures that many tests share."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from keyring_core import Key, Keyring, loaded_keys
from keyring_core.redaction import current
from tests.keys import key_text, make_key

OLD, OLDER, NEW = "old", "older", "new"

ENOUGH_MEMORY = 4 << 30
LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-runs", type=int, default=1, help="Runs of each chaos test; more than one are longer, too."
    )
    parser.addoption("--long", action="store_true", help="Runs the tests that are marked long, too, and long forms.")


@pytest.fixture
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether a test that has a short and a long form takes the long one."""
    return bool(request.config.getoption("long"))


@pytest.fixture
def uncounted() -> Iterator[None]:
    """For tests that run the same lines hundreds of times: to count them for coverage doubles their time.

    pytest-cov's own marker does nothing in a worker of pytest-xdist, which has two tracers: one takes over.
    """
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    yield
    threading.settrace(of_threads)
    sys.settrace(tracer)


def pytest_configure(config: pytest.Config) -> None:
    """Puts tests' folders into memory if it has room: SQLite waits for its disk at each commit."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ENOUGH_MEMORY:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the long tests; the summary says how many."""
    if config.getoption("long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.stash[LEFT_OUT] = len(left_out)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Drops the databases of this process. A worker of pytest-xdist reports to the process that started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)
    if databases := sys.modules.get("tests.databases"):
        databases.drop_databases()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each worker of pytest-xdist collects all tests, and leaves out the same ones."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """No test is missing without a word."""
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"{left_out} long tests left out; --long runs them")


@pytest.fixture(autouse=True)
def keys_loaded_by_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process masks every key that it ever loaded: without this, each test would mask those of all before it."""
    current._default.cache_clear()
    monkeypatch.setattr(loaded_keys, "_keys", {})
    monkeypatch.setattr(loaded_keys, "_subscribers", WeakSet())


@pytest.fixture
def old() -> Key:
    return make_key(OLD)


@pytest.fixture
def older() -> Key:
    return make_key(OLDER)


@pytest.fixture
def new() -> Key:
    return make_key(NEW)


@pytest.fixture
def keyring(new: Key, old: Key, older: Key) -> Keyring:
    """The new key is primary, the old and the older one are previous."""
    return Keyring(new, previous=[old, older])


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of the keyring."""
    return {"ENCRYPTION_KEY": key_text(NEW), "ENCRYPTION_PREVIOUS_KEYS": f"{key_text(OLD)},{key_text(OLDER)}"}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A fresh database of each kind that is served."""
    from tests.databases import open_database

    with open_database(request.param, tmp_path) as opened:
        yield opened


@dataclass
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return dict(json.loads(self.out))


Cli = Callable[..., Ran]


@pytest.fixture
def cli(environ: dict[str, str]) -> Cli:
    """Runs the command line in this process, with the keyring's environment."""

    def run(*argv: str, environ: Mapping[str, str] = environ) -> Ran:
        from rotation.cli.main import main

        out, err = io.StringIO(), io.StringIO()
        code = main(argv, environ, out, err)
        return Ran(code, out.getvalue(), err.getvalue())

    return run
