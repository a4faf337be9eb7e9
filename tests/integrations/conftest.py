"""The Django project of the tests, set up in a process when the first test asks for it, on each kind of database."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from keyring_core import get_keyring
from tests.conftest import NEW, OLD
from tests.keys import key_text
from tests.selection import DATABASES

# A failure shows the values that the assertions of a contract compared, too.
pytest.register_assert_rewrite("tests.integrations.contract")

ENGINES = {"sqlite": "sqlite3", "postgresql": "postgresql", "mariadb": "mysql"}


@pytest.fixture(scope="session")
def shop() -> ModuleType:
    """The models of the project. Its database is set by `django_database`."""
    import django
    import pymysql
    from django.conf import settings

    from tests.integrations.django_project import settings as project

    pymysql.install_as_MySQLdb()
    # Otherwise Django's imports would make these modules once more, and put them in place of PyMySQL's own.
    for name in ("constants", "converters", "cursors", "err"):
        sys.modules[f"MySQLdb.{name}"] = importlib.import_module(f"pymysql.{name}")
    # Not by the variable: Django would then set the time zone of the process.
    settings.configure(**{name: getattr(project, name) for name in dir(project) if name.isupper()})
    django.setup()
    from tests.integrations.django_project.shop import models

    return models


@pytest.fixture(scope="session", params=DATABASES)
def django_database(
    request: pytest.FixtureRequest, shop: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A database with the project's tables, and Django's connection to it. All tests of one kind run together."""
    from django.core.management import call_command
    from django.db import connections

    from tests.databases import open_database

    with open_database(request.param, tmp_path_factory.mktemp("django")) as database:
        connections.settings = connections.configure_settings({"default": django_settings(database)})
        if hasattr(connections._connections, "default"):
            del connections["default"]
        call_command("migrate", run_syncdb=True, verbosity=0, skip_checks=True)
        yield database
        # A read that failed left a cursor behind, which complains if its connection is gone first.
        gc.collect()
        connections["default"].close()
        del connections["default"]


def django_settings(database: Any) -> dict[str, Any]:
    """What `DATABASES` says of *database*."""
    url = database.engine.url
    place = {"NAME": url.database, "ENGINE": f"django.db.backends.{ENGINES[database.kind]}"}
    return place | {"USER": url.username or "", "HOST": url.host or "", "PORT": str(url.port or "")}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The keys of the process: a new one, and an old one."""
    use_keys(monkeypatch, NEW, OLD)
    yield
    get_keyring.reset()


def use_keys(monkeypatch: pytest.MonkeyPatch, primary: str | None, *previous: str) -> None:
    """Sets the keys of the process."""
    for name, labels in {"ENCRYPTION_KEY": [primary] if primary else [], "ENCRYPTION_PREVIOUS_KEYS": previous}.items():
        if labels:
            monkeypatch.setenv(name, ",".join(map(key_text, labels)))
        else:
            monkeypatch.delenv(name, raising=False)
    get_keyring.reset()


@pytest.fixture
def db(django_database: Any, keys: None) -> Iterator[Any]:
    """The database, whose tables of the project are empty afterwards."""
    from django.apps import apps

    yield django_database
    # Later models refer to earlier ones; those of shop know nobody else.
    others = [apps.get_model(name) for name in ("admin.LogEntry", "sessions.Session", "auth.User")]
    for model in [*reversed([*apps.get_app_config("shop").get_models()]), *others]:
        if not model._meta.proxy:
            model._base_manager.all()._raw_delete("default")


@contextmanager
def table_of(name: str, /, **attributes: Any) -> Iterator[Any]:
    """A model with *attributes*, in an app registry of its own, and its table, which is gone afterwards."""
    from django.db import connection, models
    from django.test.utils import isolate_apps

    meta = {"app_label": "shop", "db_table": name.lower()} | attributes.pop("meta", {})
    with isolate_apps("tests.integrations.django_project.shop"):
        model = type(name, (models.Model,), {"__module__": __name__, "Meta": type("Meta", (), meta)} | attributes)
        with connection.schema_editor() as editor:
            editor.create_model(model)
        try:
            yield model
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(model)
