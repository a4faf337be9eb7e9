"""Every way to leak that we know, each shown to leak without redaction; what does more than log, in its own process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Named
from tests.keyring_core.redaction.leaks.canaries import Canaries
from tests.keyring_core.redaction.leaks.case import CASES
from tests.keyring_core.redaction.leaks.forks import Forks, Listed, forking

MODULES = ("walkers", "spellings", "names", "shapes", "exceptions", "channels", "handlers", "rich_chains", "events")

# Here logging itself fails: of such an event nothing is shown.
WITHHELD = (
    "handlers.wrong_arguments",
    "handlers.wrong_arguments_in_foreign_handler",
    "handlers.handler_that_fails",
)

for _module in MODULES:
    importlib.import_module(f"tests.keyring_core.redaction.leaks.{_module}")


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    """One set for all cases of a process: to spell it takes as long as a case."""
    return Canaries.make()


@pytest.fixture(scope="module")
def forks(canaries: Canaries) -> Iterator[Forks]:
    modules = [f"tests.keyring_core.redaction.leaks.{module}" for module in MODULES if module != "rich_chains"]
    with forking(canaries, *modules) as running:
        yield running


@pytest.mark.parametrize("module", MODULES)
def test_nothing_leaks(
    module: str, canaries: Canaries, tmp_path: Path, request: pytest.FixtureRequest, named: Named
) -> None:
    """What shows a secret without redaction shows none with it, and still says something."""
    # structlog looks for rich when it is imported.
    forks = Forks(None, canaries) if module.startswith("rich_") else request.getfixturevalue("forks")
    cases = [Listed(case.name, case.setup, case.alone) for case in CASES.values() if case.name.startswith(f"{module}.")]

    forks.judge(cases, tmp_path, named, WITHHELD)


def test_there_are_enough_cases() -> None:
    """The suite covers at least 200 ways."""
    assert len(CASES) >= 200
