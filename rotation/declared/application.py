"""Imports an application's code, which may do anything, and names what fails there."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TypeVar

from keyring_core.redaction import get_redactor
from rotation.model.failures import UsageError

Result = TypeVar("Result")


def in_application(folder: Path, environ: Mapping[str, str], place: str, work: Callable[[], Result]) -> Result:
    """What *work* returns, which imports code of an application, as that would find it.

    *folder* and the current folder are the first that modules are looked for in, and stay so. Meanwhile the variables
    of *environ* are those of the process, and what the code prints goes to stderr. Raises UsageError, which begins
    with *place*, for whatever the code raises.
    """
    for path in (os.getcwd(), str(folder.resolve())):
        if path not in sys.path:
            sys.path.insert(0, path)
    before = dict(os.environ)
    try:
        os.environ.update(environ)
        with redirect_stdout(sys.stderr):
            return work()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        # Its frames and its context may hold values of the application: only its words go on.
        fault = _words(error)
    finally:
        os.environ.clear()
        os.environ.update(before)
        # Django sets the time zone of the process.
        time.tzset()
    raise UsageError(f"{place}: {fault}")


def import_path(path: str) -> object:
    """What *path* names, as `module:attribute.attribute`. Raises UsageError, or whatever the module raises."""
    name, colon, attributes = path.partition(":")
    if not (colon and name and attributes):
        raise UsageError(f'models {path}: write it as "module:attribute", such as "app.models:Base.metadata"')
    found: object = _imported(name)
    for attribute in attributes.split("."):
        # `db.metadatas` of Flask-SQLAlchemy is a mapping, with one for each bind.
        item = found.get(attribute) if isinstance(found, Mapping) else None
        found = getattr(found, attribute, None) if item is None else item
        if found is None:
            raise UsageError(f"models {path}: {name} is imported, and has no {attributes}")
    return found


def _imported(name: str) -> object:
    """The module. Raises UsageError if there is none of that name, or whatever it raises."""
    fault = None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        fault = f"there is no module {error.name}"
    raise UsageError(
        f"models {name}: {fault}; it is looked for in the folder of rotation.toml, in the current folder, and where "
        "this Python finds modules: run the command in the application's environment"
    )


def _words(error: BaseException) -> str:
    """The class and the message of *error*, on one line, with secrets masked."""
    message = get_redactor().redact(" ".join(str(error).split()))
    return f"importing it fails: {type(error).__name__}{f': {message}' if message else ''}"
