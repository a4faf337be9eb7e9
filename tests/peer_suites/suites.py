"""The tests of other packages, from their source archives, run on the types and fields of this one."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.applications.environments import environment
from tests.keys import key_text

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Difference:
    """Tests that do not pass, for one reason."""

    kind: str
    why: str
    tests: Sequence[str]


@dataclass(frozen=True)
class Suite:
    """What `suites.toml` says of a package's tests."""

    name: str
    archive: str
    """The name of the source archive, without its ending."""
    replaced: str
    """The module of the package that has its types: a file of `in_place` has the types under test by its names."""
    arguments: Sequence[str]
    """For pytest: the place of the tests, and which to leave out."""
    tests: int
    """The number that runs."""
    added: Mapping[str, str]
    """Lines for the end of a file of the archive, by its path."""
    own_failures: Sequence[str]
    """The tests that do not pass with the package's own types."""
    differences: Sequence[Difference]

    @property
    def not_passing(self) -> list[str]:
        """The tests that do not pass with the types under test."""
        return [test for each in self.differences for test in each.tests]

    def run(self, folder: Path, *, own: bool) -> tuple[dict[str, str], str]:
        """The outcome of each test, and what pytest printed; with the *own* types, or with the types under test.

        The archive is unpacked in the empty *folder*.
        """
        lists = HERE / "requirements"
        made = environment(lists / "peer-suites.txt", with_pip=False, archives=lists / "archives.txt")
        with tarfile.open(made / f"archives/{self.archive}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        for path, lines in self.added.items():
            with (folder / self.archive / path).open("a") as file:
                file.write(lines)
        outcomes = folder / "outcomes.json"
        in_place = [] if own else [f"{self.replaced}={HERE}/in_place/{self.name.replace('-', '_')}.py"]
        done = subprocess.run(
            [made / "bin/python", "-I", HERE / "run.py", outcomes, *in_place, "--", *self.arguments],
            cwd=folder / self.archive,
            env={"HOME": str(folder), "PATH": os.environ["PATH"], "ENCRYPTION_KEY": key_text("peer suites")},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert outcomes.exists(), printed
        return json.loads(outcomes.read_text()), printed


def _suite(name: str, facts: dict[str, Any]) -> Suite:
    differences = [Difference(**each) for each in facts.pop("differs")]
    return Suite(name, added=facts.pop("added", {}), differences=differences, **facts)


SUITES = [_suite(name, facts) for name, facts in tomllib.loads((HERE / "suites.toml").read_text()).items()]
