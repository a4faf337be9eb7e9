"""Every way to leak that we know, each in a fork or a process of its own, each shown to leak without redaction."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """An interpreter that has imported all cases and run none: it forks for each."""
    modules = [f"tests.keyring_core.redaction.leaks.{module}" for module in MODULES if module != "rich_chains"]
    with subprocess.Popen([*RUN, "serve", *modules], cwd=ROOT, stdin=-1, stdout=-1, text=True) as process:
        yield process


def output_of(name: str, mode: str, canaries: Canaries, folder: Path, forks: subprocess.Popen[str] | None) -> str:
    """All that the case prints and writes, in a fork, or in an interpreter of its own."""
    folder.mkdir()
    if forks is not None:
        assert forks.stdin is not None
        assert forks.stdout is not None
        folder.with_suffix(".in").write_text(canaries.to_json())
        print(name, mode, folder, file=forks.stdin, flush=True)
        assert forks.stdout.readline() == "done\n"
        told = folder.with_suffix(".out").read_bytes()
    else:
        done = subprocess.run(
            [*RUN, name, mode, str(folder)],
            input=canaries.to_json().encode(),
            capture_output=True,
            timeout=600,
            cwd=ROOT,
            check=False,
        )
        told = done.stdout + b"\n" + done.stderr
    written = [path.read_bytes() for path in sorted(folder.iterdir())]
    return b"\n".join([told, *written]).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    """One set for all cases of a process: to spell it takes as long as a case."""
    return Canaries.make()


@pytest.mark.parametrize("name", CASES)
def test_nothing_leaks(name: str, canaries: Canaries, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What shows a secret without redaction shows none with it, and still says something."""
    # structlog looks for rich when it is imported.
    forks = None if name.startswith("rich_") else request.getfixturevalue("forks")

    bare = output_of(name, "off", canaries, tmp_path / "off", forks)
    redacted = output_of(name, "on", canaries, tmp_path / "on", forks)

    assert leaked(canaries, bare), f"not a leak at all: {bare[-2000:]}"
    assert not leaked(canaries, redacted)
    assert ("withheld" if name in WITHHELD else "REDACTED") in redacted, redacted[-2000:]


def test_there_are_enough_cases() -> None:
    """The suite covers at least 200 ways."""
    assert len(CASES) >= 200
