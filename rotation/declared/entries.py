"""An entry of rotation.toml that names models in; the encrypted columns that they declare, and their targets, out.

Imports the application's code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rotation.configuration.application import in_application
from rotation.configuration.declarations import DeclaredColumn, check_found
from rotation.configuration.sections import Declaration, TargetEntry
from rotation.configuration.targets import make_targets, refuse_rivals, without_repeats
from rotation.model.target import Target


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
