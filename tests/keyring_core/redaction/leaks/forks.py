"""Runs the cases of some modules in forks of one interpreter, with redaction and without, and judges their output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.conftest import Named
from tests.keyring_core.redaction.leaks.canaries import Canaries, leaked

ROOT = Path(__file__).parents[4]


class Listed(NamedTuple):
    """A case of another interpreter, as `Case` has it."""

    name: str
    setup: str
    alone: bool


@dataclass(frozen=True)
class Forks:
    """An interpreter that has imported cases and run none: it forks for them."""

    process: subprocess.Popen[str]
    canaries: Canaries

    def cases(self) -> list[Listed]:
        """All that it has imported."""
        return [Listed(*case) for case in json.loads(self._ask("cases"))]

    def judge(self, cases: Sequence[Listed], folder: Path, named: Named, withheld: Sequence[str] = ()) -> None:
        """What shows a secret without redaction shows none with it, and still says something."""
        # A process is set up once: to spell all secrets takes as long as a case.
        by_setup = sorted((case.setup, case.name) for case in cases)
        runs = [[name for _, name in group] for _, group in groupby(by_setup, key=lambda case: case[0])]
        for number, names in enumerate(runs):
            bare = self.outputs(names, "off", folder / f"off{number}")
            redacted = self.outputs(names, "on", folder / f"on{number}")
            for name in names:
                with named(name):
                    assert leaked(self.canaries, bare[name]), f"not a leak at all: {bare[name][-2000:]}"
                    assert not leaked(self.canaries, redacted[name]), redacted[name][-2000:]
                    assert ("withheld" if name in withheld else "REDACTED") in redacted[name], redacted[name][-2000:]

    def outputs(self, names: Sequence[str], mode: str, folder: Path) -> dict[str, str]:
        """All that each of the cases prints and writes."""
        folder.mkdir()
        folder.with_suffix(".in").write_text(self.canaries.to_json())
        assert self._ask(f"{','.join(names)} {mode} {folder}") == "done\n"
        besides = folder.with_suffix(".out").read_bytes()
        assert not besides, besides.decode()
        return {name: "\n".join(map(_read, sorted((folder / name).glob("*")))) for name in names}

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()


@contextmanager
def forking(canaries: Canaries, *modules: str) -> Iterator[Forks]:
    """An interpreter that has imported *modules*."""
    command = [sys.executable, "-m", "tests.keyring_core.redaction.leaks.run_case", *modules]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as process:
        yield Forks(process, canaries)


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")
