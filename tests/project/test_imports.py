"""Importing the package does nothing but import, and imports run one way."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import keyring_core

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "keyring_core").rglob("*.py"))

# Run in a fresh interpreter, whose environment refuses to be read for this project's names.
WATCH = """
import collections.abc, json, os, sys, threading

class Poisoned(collections.abc.MutableMapping):
    def __init__(self, real):
        self.real, self.touched = real, []
    def check(self, name):
        if str(name).startswith(("ENCRYPTION_", "ROTATION_")):
            self.touched.append(name)
    def __getitem__(self, name):
        self.check(name)
        return self.real[name]
    def __setitem__(self, name, value):
        self.touched.append("set " + name)
    def __delitem__(self, name):
        self.touched.append("delete " + name)
    def __iter__(self):
        self.touched.append("all names")
        return iter(self.real)
    def __len__(self):
        return len(self.real)

os.environ = poisoned = Poisoned(os.environ)
events = []
WATCHED = ("open", "os.system", "os.fork", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.", "_thread.start",
           "sqlite3.", "os.putenv")

def hook(event, arguments):
    if not event.startswith(WATCHED):
        return
    # The import system opens the modules themselves.
    if event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".so")):
        return
    events.append([event, str(arguments[0]) if arguments else ""])

sys.addaudithook(hook)
# Not every Python raises an event for a new thread.
started, start = [], threading.Thread.start
threading.Thread.start = lambda thread: started.append(thread.name) or start(thread)
import keyring_core
print(json.dumps({
    "events": events,
    "touched": poisoned.touched,
    "threads": started,
    "modules": sorted(sys.modules),
}))
"""
OF_EXTRAS = {
    "keyring_core/integrations/pydantic.py": {"pydantic", "pydantic_core", "annotated_types"},
    "keyring_core/integrations/django": {"django"},
    "keyring_core/integrations/sqlalchemy": {"sqlalchemy"},
    # For type checkers alone, which bring it.
    "keyring_core/integrations/sqlalchemy/encrypted.py": {"typing_extensions"},
    "keyring_core/integrations/alembic.py": {"alembic"},
}
"""Files and folders that only the users of a library import, with what that is."""
DATABASES = {"sqlite3", "sqlalchemy", "psycopg", "psycopg2", "pymysql", "MySQLdb", "redis", "django", "pydantic"}


@pytest.fixture(scope="module")
def watched() -> dict:
    """What a fresh interpreter did while it imported keyring_core."""
    # Measuring coverage would import modules of its own.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", WATCH],
        env=environ | {"ENCRYPTION_KEY": "not even looked at", "ENCRYPTION_KEY_FILE": "/nor/this"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_importing_reads_no_environment(watched):
    """No variable of this project is read, though the environment holds two that contradict each other."""
    assert watched["touched"] == []


def test_importing_opens_no_file_and_starts_nothing(watched):
    """No file but the modules, no process, no socket, no thread."""
    assert watched["events"] == []
    assert watched["threads"] == []


def test_importing_imports_no_database_library(watched):
    """A service that only encrypts pays for no database, and for nothing of rotation."""
    tops = {name.partition(".")[0] for name in watched["modules"]}

    assert "keyring_core" in tops
    assert tops & (DATABASES | {"rotation", "click", "msgspec"}) == set()


def imports_of(path: Path) -> set[str]:
    """The modules that a file names in its import statements."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_the_core_needs_cryptography_and_structlog_alone(named):
    """A file imports the standard library, the two dependencies, and the core; one of an extra, its library, too."""
    for path in CORE:
        with named(str(path.relative_to(ROOT))):
            allowed = {*sys.stdlib_module_names, "cryptography", "structlog", "keyring_core"}
            for place in (path, path.parent):
                allowed |= OF_EXTRAS.get(str(place.relative_to(ROOT)), set())

            assert {name for name in imports_of(path) if name.partition(".")[0] not in allowed} == set()


def test_rotation_imports_nothing_from_above():
    """What is installed needs no script, no test and no benchmark of this repository."""
    tops = {path: {name.partition(".")[0] for name in imports_of(path)} for path in (ROOT / "rotation").rglob("*.py")}

    assert set.union(*tops.values()) >= {"keyring_core", "rotation"}
    assert [path for path, names in tops.items() if names & {"scripts", "tests", "benchmarks"}] == []


def test_only_environment_knows_the_variables():
    """No other file of the core names a variable in a string of its code."""
    for path in CORE:
        if path.stem == "environment":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        strings = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not [text for text in strings if text.startswith(("ENCRYPTION_", "ROTATION_"))], path


def test_everything_promised_is_there():
    """Each name of __all__ exists, once, in order, and a star import gives it."""
    namespace: dict[str, object] = {}

    exec("from keyring_core import *", namespace)

    assert sorted(set(keyring_core.__all__)) == sorted(keyring_core.__all__)
    assert set(keyring_core.__all__) <= set(namespace)


def test_types_are_promised():
    """The marker that lets a type checker trust the package's annotations is there."""
    assert (ROOT / "keyring_core" / "py.typed").exists()
