"""Fixtures that many tests share."""

from __future__ import annotations

import fcntl
import gc
import io
import json
import os
import shutil
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
import structlog
from hypothesis import settings

from keyring_core import Key, Keyring, loaded_keys
from keyring_core.redaction import redactor, reset_logging
from tests.budget import Costs
from tests.keys import key_text, make_key
from tests.selection import DATABASES, is_elsewhere, left_out

OLD, OLDER, NEW = "old", "older", "new"

ON_DATABASES = {"database", "whole"}
"""The parameters that are kinds of databases."""

ENOUGH_MEMORY = 4 << 30
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-runs", type=int, default=1, help="Runs of each chaos test; more than one are longer, too."
    )
    parser.addoption("--long", action="store_true", help="Runs the tests that are marked long, too, and long forms.")
    parser.addoption("--write-budget", action="store_true", help="Writes what the tests cost into tests/budget.toml.")
    parser.addoption(
        "--applications", action="store_true", help="Runs the tests with real applications, too, and installs these."
    )


@pytest.fixture
def long_form(request: pytest.FixtureRequest) -> bool:
    """Whether a test that has a short and a long form takes the long one."""
    return bool(request.config.getoption("long"))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, object]:
    """In a first run, one process compiles a file while the others wait, as to compile takes longer than all else."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with collector.path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_finish() -> None:
    """To look through the items of all tests for cycles, again and again, takes a tenth of the tests' time."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_configure(config: pytest.Config) -> None:
    """Gives properties many examples with --long alone: the slower, the fewer.

    Puts tests' folders into memory if it has room: SQLite waits for its disk at each commit.
    """
    if hasattr(config, "workerinput"):
        # Until the tests are collected: that leaves nothing behind which is worth a search.
        gc.disable()
    # On a busy machine any example can be held up, which says nothing about the code.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")
    for name, plain, long in (("many", 200, 2000), ("slow", 60, 300), ("slowest", 20, 60)):
        settings.register_profile(name, max_examples=long if config.getoption("long") else plain)
    config.pluginmanager.register(Costs(config), "costs")
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ENOUGH_MEMORY:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Beside each case with a database on MariaDB one on MySQL, if TEST_MYSQL_URL names a server."""
    if not os.environ.get("TEST_MYSQL_URL") or metafunc.definition.get_closest_marker("mariadb_only"):
        return
    parametrize = metafunc.parametrize

    def with_mysql(argnames: str | Sequence[str], argvalues: Iterable[Any], *args: Any, **options: Any) -> None:
        names = [name.strip() for name in argnames.split(",")] if isinstance(argnames, str) else argnames
        if ON_DATABASES & {*names}:
            argvalues = [each for value in argvalues for each in (value, *_on_mysql(value))]
        parametrize(argnames, argvalues, *args, **options)

    metafunc.parametrize = with_mysql  # type: ignore[method-assign]


def _on_mysql(value: Any) -> list[Any]:
    """The same case on MySQL, if *value* is one on MariaDB."""
    case = value if hasattr(value, "marks") else pytest.param(*(value if isinstance(value, tuple) else [value]))
    if "mariadb" not in case.values:
        return []
    return [case._replace(values=["mysql" if each == "mariadb" else each for each in case.values])]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests that need an option; the summary says how many."""
    items[:] = [item for item in items if not is_elsewhere(item)]
    of_plain_run = left_out(items, config, long=False)
    needed = left_out(items, config, long=True) if config.getoption("long") else of_plain_run
    if costs := config.pluginmanager.get_plugin("costs"):
        costs.long_cases = {item.nodeid for item in of_plain_run if item not in needed}
    config.hook.pytest_deselected(items=list(needed))
    items[:] = [item for item in items if item not in needed]
    config.stash[LEFT_OUT] = dict(Counter(needed.values()))


@pytest.fixture
def announcing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has this process announce itself as often as it says, and wait for that; it is no service that ends."""
    from rotation import fleet
    from rotation.ledger import engines

    monkeypatch.setattr(fleet, "_process", fleet._Process())
    monkeypatch.setattr(fleet._Process, "_prepare_to_leave", lambda _: None)
    monkeypatch.setattr(fleet, "SECONDS", 0)
    monkeypatch.setattr(fleet, "ANSWER_SECONDS", 60)
    # A busy machine is no silent server.
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 60)
    monkeypatch.delenv("ROTATION_LEDGER_URL", raising=False)


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--workers` starts threads, which get their work pickled and read keys from this process's environment."""
    from rotation.job import workers
    from tests.fakes import Sending

    @contextmanager
    def processes(count: int, _log_format: str) -> Iterator[workers.Workers]:
        with Sending(count) as executor:
            yield workers.Workers(executor, count)

    monkeypatch.setattr(workers, "_processes", processes)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Drops the databases of this process, and ends its warm process.

    A worker of pytest-xdist reports to the process that started it.
    """
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, {})
    if databases := sys.modules.get("tests.databases"):
        databases.drop_databases()
    if warm := sys.modules.get("tests.warm.client"):
        warm.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each worker of pytest-xdist collects all tests, and leaves out the same ones."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """No test is missing without a word."""
    for option, number in config.stash.get(LEFT_OUT, {}).items():
        runs = f"--{option} runs them" if option.islower() else f"they take a server that {option} names"
        terminalreporter.write_line(f"{number} tests left out; {runs}")


Named = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def named(subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch) -> Iterator[Named]:
    """Goes around each of many cases, in a with statement: all that fail are reported, and each by its name.

    As a test does, a case starts with the keys that fixtures loaded, and without those of the cases before it.
    """
    loaded = dict(loaded_keys._keys), dict(loaded_keys._secrets), list(loaded_keys._subscribers)
    cases = []

    @contextmanager
    def case(*name: object) -> Iterator[None]:
        cases.append(name)
        load_only(monkeypatch, *loaded)
        try:
            yield
        except (Exception, pytest.fail.Exception):
            with subtests.test(" ".join(part if isinstance(part, str) else repr(part) for part in name)):
                raise

    yield case
    assert cases, "there was no case at all"


@pytest.fixture(autouse=True)
def keys_loaded_by_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process masks every key that it ever loaded: without this, each test would mask those of all before it."""
    load_only(monkeypatch, {}, {}, [])


def load_only(
    monkeypatch: pytest.MonkeyPatch, keys: dict[bytes, str], secrets: dict[str | bytes, str], subscribers: list[Any]
) -> None:
    """Leaves the process with copies of these, and without the default redactor that learned of others."""
    redactor._default.cache_clear()
    monkeypatch.setattr(loaded_keys, "_keys", dict(keys))
    monkeypatch.setattr(loaded_keys, "_held", Counter())
    monkeypatch.setattr(loaded_keys, "_released", deque())
    monkeypatch.setattr(loaded_keys, "_secrets", dict(secrets))
    monkeypatch.setattr(loaded_keys, "_subscribers", WeakSet(subscribers))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Logging is a process's own, and what a test configures, `capture_logs` of structlog included, would stay."""
    yield
    reset_logging()
    structlog.reset_defaults()


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


@pytest.fixture(params=DATABASES)
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
