"""Runs a package's tests, with a file of the folder `in_place` as one module of the package, or with its own.

    run.py OUTCOMES MODULE=FILE... -- PYTEST-ARGUMENTS...

It runs in the environment of the suites, in the folder of the package's source archive. It writes to OUTCOMES the
outcome of each test, as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest


class Outcomes:
    """Collects the outcome of each test: of the first of its phases that does not pass, such as its setup."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Takes the outcome of one phase."""
        name = report.nodeid.partition("::")[2]
        if self.by_test.get(name, "passed") == "passed":
            self.by_test[name] = report.outcome


class InPlace:
    """Finds the file for each module that it replaces: the package's own is never imported."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        """The file of module *name*; None leaves it to the next finder."""
        return importlib.util.spec_from_file_location(name, self.files[name]) if name in self.files else None


# The archive first: it has a folder `tests`, as this project does.
sys.path[:0] = [str(Path.cwd()), str(Path(__file__).parents[2])]
written, *arguments = sys.argv[1:]
end = arguments.index("--")
sys.meta_path.insert(0, InPlace(dict(each.split("=") for each in arguments[:end])))
outcomes = Outcomes()
code = pytest.main(["-p", "no:cacheprovider", "--tb=short", *arguments[end + 1 :]], plugins=[outcomes])
Path(written).write_text(json.dumps(outcomes.by_test))
sys.exit(code)
