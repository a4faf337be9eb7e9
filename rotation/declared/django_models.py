"""The encrypted columns of a Django project's models, in each database that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.sources import variable_in
from rotation.configuration.declarations import Declaration, DeclaredColumn, check_found
from rotation.declared.django_urls import url_of
from rotation.model.failures import UsageError
from rotation.model.target import Index

if TYPE_CHECKING:
    from django.db.models import Field, Model

    from keyring_core.legacy import Legacy

SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"


def set_up(settings_module: str) -> None:
    """Loads the project's settings and models, and leaves logging as it is. Raises UsageError, or what they raise."""
    from django.apps import apps  # noqa: PLC0415 - only if a Django project is named
    from django.conf import settings  # noqa: PLC0415 - as above

    if settings.configured and settings_module != settings.SETTINGS_MODULE:
        raise UsageError(
            f"django {settings_module}: this process has the settings {settings.SETTINGS_MODULE} already, and a "
            "process has one Django project; give each its own rotation.toml"
        )
    os.environ[SETTINGS_MODULE] = settings_module
    apps.populate(settings.INSTALLED_APPS)


def columns_of_this_project() -> Sequence[DeclaredColumn]:
    """The columns of the project that runs in this process. Raises UsageError, also if it has none."""
    from django.conf import settings  # noqa: PLC0415 - only in a Django project

    source = Declaration(django=settings.SETTINGS_MODULE or "settings")
    return check_found(list(declared_columns(source)), source)


def declared_columns(source: Declaration) -> Iterator[DeclaredColumn]:
    """The columns of the project that is set up in this process. Raises UsageError."""
    from django.apps import apps  # noqa: PLC0415 - only if a Django project is named

    # A swapped model has no table, and a proxy model no column of its own.
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(cells := getattr(field, "cells", None), Cells):
                yield from _in_databases(source, model, field, cells)


def _in_databases(
    source: Declaration, model: type[Model], field: Field[Any, Any], cells: Cells
) -> Iterator[DeclaredColumn]:
    """The column of *field* in each database of its model."""
    for url, optional in _urls(model).items():
        yield DeclaredColumn(
            source,
            _unquoted(model._meta.db_table),
            field.column or field.name,
            cells.context_name,
            cells.legacy,
            _index_of(model, field.name),
            url,
            optional,
            binary=bool(getattr(field, "binary", False)) or cells.kind is ValueKind.BYTES,
            secrets=_secrets_of(cells.legacy),
        )


def _urls(model: type[Model]) -> dict[str, bool]:
    """The databases that may hold the table, and whether they may lack it.

    Django lets every database have every table, unless a router says no, and makes them by `migrate`. Only the one that
    the application writes to has to have it.
    """
    from django.db import connections, router  # noqa: PLC0415 - only if a Django project is named

    home = router.db_for_write(model)
    others = [alias for alias in connections if alias != home and _may_hold(alias, model)]
    # Two aliases may be of one database.
    return {**{_url(alias): True for alias in others}, _url(home): False}


def _secrets_of(legacy: Legacy | None) -> Mapping[str, object]:
    """The settings of the project that *legacy* names, as the fields themselves find them."""
    from django.conf import settings  # noqa: PLC0415 - only if a Django project is named

    spelled = chain.from_iterable((legacy.secret, legacy.encryption_secret or (), legacy.salt or ()) if legacy else ())
    names = filter(None, map(variable_in, spelled))
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}


def _may_hold(alias: str, model: type[Model]) -> bool:
    from django.db import connections, router  # noqa: PLC0415 - only if a Django project is named

    settings = connections.settings[alias]
    # A replica follows another database by itself, and takes no writes; Django's own mark of one is this.
    replica = (settings.get("TEST") or {}).get("MIRROR")
    unset = settings.get("ENGINE") == "django.db.backends.dummy"
    return not (replica or unset) and router.allow_migrate_model(alias, model)


def _url(alias: str) -> str:
    from django.db import connections  # noqa: PLC0415 - only if a Django project is named

    return url_of(alias, connections.settings[alias])


def _unquoted(table: str) -> str:
    """`schema.table`, which Django has no word for, and which projects write as `schema"."table`."""
    return table.replace('"."', ".").strip('"')


def _index_of(model: type[Model], name: str) -> Index | None:
    """The column of the model's table that holds the blind index of the field called *name*."""
    from keyring_core.integrations.django import BlindIndexField  # noqa: PLC0415 - imports Django

    for field in model._meta.local_concrete_fields:
        if isinstance(field, BlindIndexField) and field.of == name:
            return Index(field.column or field.name, field.context)
    return None
