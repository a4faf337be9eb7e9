"""Imports the code of an application, which may do anything, as that would find it; names what fails there."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from keyring_core.redaction import get_redactor
from rotation.model.failures import UsageError

Result = TypeVar("Result")

_imports = 0
"""The calls of `in_application` in progress."""


def is_importing() -> bool:
    """True while a command imports the code of an application, which is no service then."""
    return _imports > 0


def in_application(folder: Path, environ: Mapping[str, str], place: str, work: Callable[[], Result]) -> Result:
    """Returns the result of *work*, which imports code of an application, as that would find it.

    *folder* and the current folder are the first that modules are looked for in, and stay so. Meanwhile the variables
    of *environ* are the process's own, and the output of the code goes to stderr. Raises UsageError, which begins
    with *place*, for whatever the code raises.
    """
    global _imports  # noqa: PLW0603 - one a process
    for path in (os.getcwd(), str(folder.resolve())):
        if path not in sys.path:
            sys.path.insert(0, path)
    before = dict(os.environ)
    _imports += 1
    try:
        os.environ.update(environ)
        with redirect_stdout(sys.stderr):
            return work()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        # Its frames and its context may hold values of the application: only its words go on.
        message = get_redactor().redact(" ".join(str(error).split()))
        fault = f"importing it fails: {type(error).__name__}{f': {message}' if message else ''}"
    finally:
        _imports -= 1
        os.environ.clear()
        os.environ.update(before)
        # Django sets the time zone of the process.
        time.tzset()
    raise UsageError(f"{place}: {fault}")


def imported(name: str, place: str) -> ModuleType:
    """The module of that *name*, for *work* of `in_application`.

    Raises UsageError, which begins with *place*, if there is none, or whatever the module raises.
    """
    fault = None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        fault = f"there is no module {error.name}"
    raise UsageError(
        f"{place}: {fault}; it is looked for in the folder of rotation.toml, in the current folder, and where "
        "this Python finds modules: run the command in the application's environment"
    )
