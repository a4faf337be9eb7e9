"""A shop of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import open_database
from tests.lifecycle.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_database("sqlite", tmp_path) as database:
        yield Shop(tmp_path, database)
