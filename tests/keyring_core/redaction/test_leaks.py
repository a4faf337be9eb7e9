"""Every way to leak that we know, each shown to leak without redaction; what does more than log, in its own process."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Named
from tests.keyring_core.redaction.leaks.canaries import Canaries, leaked
from tests.keyring_core.redaction.leaks.case import CASES

ROOT = Path(__file__).parents[3]
MODULES = ("walkers", "spellings", "names", "shapes", "exceptions", "channels", "handlers", "rich_chains", "events")

# Here logging itself fails: of such an event nothing is shown.
WITHHELD = {
    "handlers.wrong_arguments",
    "handlers.wrong_arguments_in_foreign_handler",
    "handlers.handler_that_fails",
}

for _module in MODULES:
    importlib.import_module(f"tests.keyring_core.redaction.leaks.{_module}")


RUN = [sys.executable, "-m", "tests.keyring_core.redaction.leaks.run_case"]


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    """An interpreter that has imported all cases and run none: it forks for them."""
    modules = [f"tests.keyring_core.redaction.leaks.{module}" for module in MODULES if module != "rich_chains"]
    with subprocess.Popen([*RUN, "serve", *modules], cwd=ROOT, stdin=-1, stdout=-1, text=True) as process:
        yield process


def outputs_of(
    names: list[str], mode: str, canaries: Canaries, folder: Path, forks: subprocess.Popen[str] | None
) -> dict[str, str]:
    """All that each of the cases prints and writes, in one fork, or in an interpreter of its own."""
    folder.mkdir()
    if forks is not None:
        assert forks.stdin is not None
        assert forks.stdout is not None
        folder.with_suffix(".in").write_text(canaries.to_json())
        print(",".join(names), mode, folder, file=forks.stdin, flush=True)
        assert forks.stdout.readline() == "done\n"
        besides = folder.with_suffix(".out").read_bytes()
    else:
        command = [*RUN, ",".join(names), mode, str(folder)]
        done = subprocess.run(
            command, input=canaries.to_json().encode(), capture_output=True, timeout=600, cwd=ROOT, check=False
        )
        besides = done.stdout + done.stderr
    assert not besides, besides.decode()
    return {name: "\n".join(map(read, sorted((folder / name).glob("*")))) for name in names}


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    """One set for all cases of a process: to spell it takes as long as a case."""
    return Canaries.make()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_leaks(
    module: str, canaries: Canaries, tmp_path: Path, request: pytest.FixtureRequest, named: Named
) -> None:
    """What shows a secret without redaction shows none with it, and still says something."""
    # structlog looks for rich when it is imported.
    forks = None if module.startswith("rich_") else request.getfixturevalue("forks")
    cases = [case for case in CASES.values() if case.name.startswith(f"{module}.")]
    together = [case.name for case in cases if not case.alone]

    runs = [[case.name] for case in cases if case.alone] + [together] * bool(together)

    for number, names in enumerate(runs):
        bare = outputs_of(names, "off", canaries, tmp_path / f"off{number}", forks)
        redacted = outputs_of(names, "on", canaries, tmp_path / f"on{number}", forks)
        for name in names:
            with named(name):
                assert leaked(canaries, bare[name]), f"not a leak at all: {bare[name][-2000:]}"
                assert not leaked(canaries, redacted[name])
                assert ("withheld" if name in WITHHELD else "REDACTED") in redacted[name], redacted[name][-2000:]


def test_there_are_enough_cases() -> None:
    """The suite covers at least 200 ways."""
    assert len(CASES) >= 200
