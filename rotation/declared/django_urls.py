"""A database of Django's DATABASES in, its SQLAlchemy url out. Imports no Django."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from rotation.model.failures import UsageError

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
"""Those that say which database and which schema it is, and how it may be reached; all are texts of libpq."""
_MYSQL_OPTIONS = ("unix_socket", "charset", "read_default_file", "read_default_group")
_MYSQL_SSL = ("ca", "cert", "key")


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
    return make(alias, settings).render_as_string(hide_password=False)


def _postgresql(alias: str, settings: Mapping[str, Any]) -> sa.URL:
    options = settings.get("OPTIONS") or {}
    query = {name: str(options[name]) for name in _POSTGRESQL_OPTIONS if options.get(name)}
    host = _host(settings, query, "host")
    if not settings.get("NAME") and "service" not in query:
        raise UsageError(f"DATABASES, {alias}: it has neither NAME nor a service in OPTIONS")
    return _server("postgresql+psycopg", settings, host, query)


def _mysql(alias: str, settings: Mapping[str, Any]) -> sa.URL:
    options = settings.get("OPTIONS") or {}
    query = {name: str(options[name]) for name in _MYSQL_OPTIONS if options.get(name)}
    given = options.get("ssl")
    certificates = given if isinstance(given, Mapping) else {}
    query |= {f"ssl_{name}": str(certificates[name]) for name in _MYSQL_SSL if certificates.get(name)}
    host = _host(settings, query, "unix_socket")
    if not settings.get("NAME") and "read_default_file" not in query:
        raise UsageError(f"DATABASES, {alias}: it has no NAME")
    return _server("mysql+pymysql", settings, host, query)


def _host(settings: Mapping[str, Any], query: dict[str, str], socket: str) -> str | None:
    """The host; the path of a socket becomes the option *socket* of *query* instead."""
    host: str | None = settings.get("HOST") or None
    if host is None or not host.startswith("/"):
        return host
    query[socket] = host
    return None


def _server(driver: str, settings: Mapping[str, Any], host: str | None, query: Mapping[str, str]) -> sa.URL:
    port = settings.get("PORT")
    return sa.URL.create(
        driver,
        username=settings.get("USER") or None,
        password=settings.get("PASSWORD") or None,
        host=host,
        port=int(port) if port else None,
        database=settings.get("NAME") or None,
        query=query,
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
