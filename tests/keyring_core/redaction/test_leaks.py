"""Every way to leak that we know, each in a fresh interpreter, each shown to leak without redaction."""

from __future__ import annotations

import importlib
import subprocess
import sys
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


def output_of(name: str, mode: str, canaries: Canaries, folder: Path) -> str:
    """All that the case prints and writes."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.keyring_core.redaction.leaks.run_case", name, mode, str(folder)],
        input=canaries.to_json().encode(),
        capture_output=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    written = [path.read_bytes() for path in sorted(folder.iterdir())]
    return b"\n".join([done.stdout, done.stderr, *written]).decode("utf-8", "replace")


@pytest.mark.parametrize("name", CASES)
def test_nothing_leaks(name: str, tmp_path: Path) -> None:
    """What shows a secret without redaction shows none with it, and still says something."""
    canaries = Canaries.make()

    bare = output_of(name, "off", canaries, tmp_path / "off")
    redacted = output_of(name, "on", canaries, tmp_path / "on")

    assert leaked(canaries, bare), f"not a leak at all: {bare[-2000:]}"
    assert not leaked(canaries, redacted)
    assert ("withheld" if name in WITHHELD else "REDACTED") in redacted, redacted[-2000:]


def test_there_are_enough_cases() -> None:
    """The suite covers at least 200 ways."""
    assert len(CASES) >= 200
