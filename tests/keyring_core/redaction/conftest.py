"""Every test starts and ends with logging as Python sets it up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyring_core.redaction import reset_logging


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    yield
    reset_logging()
