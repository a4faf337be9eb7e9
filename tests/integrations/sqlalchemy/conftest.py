"""The keys of the process, and a session in a fresh database with the tables of the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from keyring_core import get_keyring
from tests.conftest import NEW, OLD
from tests.keys import key_text


@pytest.fixture
def use_keys(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the keys of the process by their labels: the primary one, then previous ones."""

    def use(primary: str, *previous: str) -> None:
        monkeypatch.setenv("ENCRYPTION_KEY", key_text(primary))
        monkeypatch.setenv("ENCRYPTION_PREVIOUS_KEYS", ",".join(map(key_text, previous)))
        get_keyring.reset()

    return use


@pytest.fixture(autouse=True)
def keys(use_keys: Callable[..., None]) -> Iterator[None]:
    """The keys of the process: a new one, and an old one."""
    use_keys(NEW, OLD)
    yield
    get_keyring.reset()


@pytest.fixture
def tables(database: Any) -> Any:
    """A fresh database of each kind, with the tables of the models."""
    from tests.integrations.sqlalchemy.models import Base

    Base.metadata.create_all(database.engine)
    return database


@pytest.fixture
def session(tables: Any) -> Iterator[Session]:
    """A session in that database."""
    with Session(tables.engine) as opened:
        yield opened
