"""The encrypted columns of a Django project's models, in each database that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.sources import variable_in
from rotation.configuration.declarations import DeclaredColumn, check_found
from rotation.configuration.sections import Declaration
from rotation.model.failures import UsageError
from rotation.model.target import Index
from rotation.stores.databases import write_url

if TYPE_CHECKING:
    from django.db.models import Model

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
                column = DeclaredColumn(
                    source,
                    _unquoted(model._meta.db_table),
                    field.column or field.name,
                    cells.context_name,
                    cells.legacy,
                    _index_of(model, field.name),
                    binary=bool(getattr(field, "binary", False)) or cells.kind is ValueKind.BYTES,
                    secrets=_secrets_of(cells.legacy),
                    keys=cells.keys,
                )
                for url, optional in _urls(model).items():
                    yield replace(column, url=url, optional=optional)


def _urls(model: type[Model]) -> dict[str, bool]:
    """The databases that may hold the table, and whether they may lack it.

    Django lets every database have every table, unless a router says no, and makes them by `migrate`. Only the one that
    the application writes to has to have it.
    """
    from django.db import connections, router  # noqa: PLC0415 - only if a Django project is named

    home = router.db_for_write(model)
    others = [alias for alias in connections if alias != home and _may_hold(alias, model)]
    # Two aliases may be of one database.
    databases = connections.settings
    return {**{url_of(alias, databases[alias]): True for alias in others}, url_of(home, databases[home]): False}


def _secrets_of(legacy: Legacy | None) -> Mapping[str, object]:
    """The settings of the project that *legacy* names, as the fields themselves find them."""
    from django.conf import settings  # noqa: PLC0415 - only if a Django project is named

    options = (legacy.secret, legacy.encryption_secret, legacy.key, legacy.salt) if legacy else ()
    spelled = chain.from_iterable(option or () for option in options)
    names = filter(None, map(variable_in, spelled))
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}


def _may_hold(alias: str, model: type[Model]) -> bool:
    from django.db import connections, router  # noqa: PLC0415 - only if a Django project is named

    settings = connections.settings[alias]
    # A replica follows another database by itself, and takes no writes; Django's own mark of one is this.
    replica = (settings.get("TEST") or {}).get("MIRROR")
    unset = settings.get("ENGINE") == "django.db.backends.dummy"
    return not (replica or unset) and router.allow_migrate_model(alias, model)


def _unquoted(table: str) -> str:
    """`schema.table`, which Django has no word for, and which projects write as `schema"."table`."""
    return table.replace('"."', ".").strip('"')


def _index_of(model: type[Model], name: str) -> Index | None:
    """The column of the model's table that holds the blind index of the field called *name*."""
    from keyring_core.integrations.django import BlindIndexField  # noqa: PLC0415 - imports Django

    fields = (each for each in model._meta.local_concrete_fields if isinstance(each, BlindIndexField))
    return next(
        (Index(each.column or each.name, each.context, each.normalize) for each in fields if each.of == name), None
    )


_POSTGRESQL_OPTIONS = (
    "service",
    "passfile",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "target_session_attrs",
)
"""The options that name the database and its schema, and how to reach it; all are texts of libpq."""
_MYSQL_OPTIONS = ("unix_socket", "charset", "read_default_file", "read_default_group")
_MYSQL_SSL = ("ca", "cert", "key")
_MYSQL_SSL_MODES = {
    "DISABLED": {"ssl_disabled": "true"},
    "REQUIRED": {"ssl_check_hostname": "false"},
    "VERIFY_CA": {"ssl_verify_cert": "true"},
    "VERIFY_IDENTITY": {"ssl_verify_identity": "true"},
}
"""What `ssl_mode` of mysqlclient is in the options of PyMySQL, which by itself takes TLS if the server has it."""


def url_of(alias: str, settings: Mapping[str, Any]) -> str:
    """The url of a database, with its password. Raises UsageError, which shows names alone, if there can be none."""
    engine = str(settings.get("ENGINE") or "")
    # Wrappers of a backend, such as django_prometheus.db.backends.postgresql, keep its name.
    make = _MAKERS.get(engine.rpartition(".")[2])
    if make is None:
        raise UsageError(
            f"DATABASES, {alias}: its ENGINE is {engine or 'not set'}; "
            f"those that can be rotated end with {', '.join(_MAKERS)}"
        )
    return write_url(make(alias, settings))


def _postgresql(alias: str, settings: Mapping[str, Any]) -> sa.URL:
    options = settings.get("OPTIONS") or {}
    query = {name: str(options[name]) for name in _POSTGRESQL_OPTIONS if options.get(name)}
    if not settings.get("NAME") and "service" not in query:
        raise UsageError(f"DATABASES, {alias}: it has neither NAME nor a service in OPTIONS")
    return _server("postgresql+psycopg", settings, query, "host")


def _mysql(alias: str, settings: Mapping[str, Any]) -> sa.URL:
    options = settings.get("OPTIONS") or {}
    query = {name: str(options[name]) for name in _MYSQL_OPTIONS if options.get(name)}
    given = options.get("ssl")
    certificates = given if isinstance(given, Mapping) else {}
    query |= {f"ssl_{name}": str(certificates[name]) for name in _MYSQL_SSL if certificates.get(name)}
    query |= _MYSQL_SSL_MODES.get(str(options.get("ssl_mode")), {})
    if not settings.get("NAME") and "read_default_file" not in query:
        raise UsageError(f"DATABASES, {alias}: it has no NAME")
    return _server("mysql+pymysql", settings, query, "unix_socket")


def _server(driver: str, settings: Mapping[str, Any], query: Mapping[str, str], socket: str) -> sa.URL:
    """The url; a host that is the path of a socket becomes the option *socket* of *query* instead."""
    host, port = settings.get("HOST") or "", settings.get("PORT")
    return sa.URL.create(
        driver,
        username=settings.get("USER") or None,
        password=settings.get("PASSWORD") or None,
        host=None if host.startswith("/") else host or None,
        port=int(port) if port else None,
        database=settings.get("NAME") or None,
        query={**query, socket: host} if host.startswith("/") else query,
    )


def _sqlite(alias: str, settings: Mapping[str, Any]) -> sa.URL:
    name = str(settings.get("NAME") or "")
    if not name or name == ":memory:" or "mode=memory" in name:
        raise UsageError(f"DATABASES, {alias}: it is in the memory of one process; only a file can be rotated")
    if name.startswith("file:"):
        raise UsageError(f"DATABASES, {alias}: its NAME is a URI; give the path of the file")
    return sa.URL.create("sqlite", database=name)


_MAKERS = {"postgresql": _postgresql, "postgis": _postgresql, "mysql": _mysql, "sqlite3": _sqlite}
"""By the last part of ENGINE. No backend is imported: its driver may be another one than SQLAlchemy's."""
