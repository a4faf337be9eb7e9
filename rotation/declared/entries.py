"""An entry of rotation.toml that names models in; the encrypted columns that they declare, and their targets, out.

Imports the application's code, which may do anything, and names what fails there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from keyring_core.redaction import get_redactor
from rotation.configuration.declarations import DeclaredColumn, check_found
from rotation.configuration.sections import Declaration, TargetEntry
from rotation.configuration.targets import make_targets, refuse_rivals, without_repeats
from rotation.model.failures import UsageError
from rotation.model.target import Target

Result = TypeVar("Result")


def declared_columns(source: Declaration, folder: Path, environ: Mapping[str, str]) -> Sequence[DeclaredColumn]:
    """The columns that the models of *source* declare: imports the application's code, *folder* first.

    Raises UsageError, which says what the code raised, also if no column is of an encrypted type.
    """
    return check_found(in_application(folder, environ, source.place, lambda: _found(source)), source)


def declared_targets(
    columns: Iterable[DeclaredColumn], environ: Mapping[str, str], folder: Path | None = None
) -> list[Target]:
    """The target of each of *columns*, each once. A relative path in a url counts from *folder*, rotation.toml's.

    Raises UsageError, also if models contradict each other.
    """
    targets = [_target(column, environ, folder) for column in columns]
    refuse_rivals(targets)
    return without_repeats(targets)


def _found(source: Declaration) -> list[DeclaredColumn]:
    if source.django is None:
        from rotation.declared import sqlalchemy_models  # noqa: PLC0415 - imports SQLAlchemy

        return list(sqlalchemy_models.declared_columns(source))
    from rotation.declared import django_models  # noqa: PLC0415 - imports Django

    django_models.set_up(source.django)
    return list(django_models.declared_columns(source))


def _target(column: DeclaredColumn, environ: Mapping[str, str], folder: Path | None) -> Target:
    source = column.source
    entry = TargetEntry(
        url=source.url or column.url or "",
        table=column.table,
        columns=(column.column,),
        context=column.context,
        keys=column.key_set,
        optional=source.optional or column.optional,
        name=source.name,
    )
    [target] = make_targets(entry, environ=environ, folder=folder)
    # The url of a Django project holds its password, and is written nowhere.
    return replace(
        target,
        source=column.legacy,
        index=column.index,
        written=source.url or "",
        declared=True,
        binary=column.binary,
        local=not set(column.secrets) <= set(environ),
    )


def in_application(folder: Path, environ: Mapping[str, str], place: str, work: Callable[[], Result]) -> Result:
    """Returns the result of *work*, which imports code of an application, as that would find it.

    *folder* and the current folder are the first that modules are looked for in, and stay so. Meanwhile the variables
    of *environ* are the process's own, and the output of the code goes to stderr. Raises UsageError, which begins
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
        message = get_redactor().redact(" ".join(str(error).split()))
        fault = f"importing it fails: {type(error).__name__}{f': {message}' if message else ''}"
    finally:
        os.environ.clear()
        os.environ.update(before)
        # Django sets the time zone of the process.
        time.tzset()
    raise UsageError(f"{place}: {fault}")
