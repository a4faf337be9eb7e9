"""Fixtures that many tests share."""

from __future__ import annotations

import io
import json
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-runs", type=int, default=1, help="Runs of each chaos test; more than one are longer, too."
    )


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
