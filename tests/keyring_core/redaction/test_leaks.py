"""Every way to leak that we know, each shown to leak without redaction; what does more than log, in its own process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack
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
def forks(canaries: Canaries) -> Iterator[dict[bool, Forks]]:
    """Without rich and with it: structlog looks for it when it is imported."""
    with ExitStack() as stack:
        yield {
            with_rich: stack.enter_context(
                forking(
                    canaries,
                    *(
                        f"tests.keyring_core.redaction.leaks.{each}"
                        for each in MODULES
                        if is_with_rich(each) is with_rich
                    ),
                )
            )
            for with_rich in (False, True)
        }


def is_with_rich(module: str) -> bool:
    return module.startswith("rich_")


@pytest.mark.parametrize("module", MODULES)
def test_nothing_leaks(module: str, forks: dict[bool, Forks], tmp_path: Path, named: Named) -> None:
    """What shows a secret without redaction shows none with it, and still says something."""
    cases = [Listed(case.name, case.setup, case.alone) for case in CASES.values() if case.name.startswith(f"{module}.")]

    forks[is_with_rich(module)].judge(cases, tmp_path, named, WITHHELD)


def test_there_are_enough_cases() -> None:
    """The suite covers at least 200 ways."""
    assert len(CASES) >= 200
