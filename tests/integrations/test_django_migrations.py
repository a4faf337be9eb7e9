"""Migrations of encrypted fields: what they hold, that they need no key, and that the database follows them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from keyring_core import Keyring
from tests.conftest import NEW
from tests.integrations.conftest import django_settings
from tests.keys import make_key
from tests.warm.client import run

pytestmark = pytest.mark.xdist_group("django")

ROOT = Path(__file__).parents[2]
MIGRATION = Path(__file__).with_name("django_project") / "shop" / "first_migration.txt"
"""The whole file, as makemigrations writes it."""
PROGRAM = """
import sys, warnings, pymysql
warnings.simplefilter("error")
from django.core.management import execute_from_command_line
pymysql.install_as_MySQLdb()
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def manage(*argv: str, folder: Path, database: Any) -> str:
    """What a command of the project prints, in a process of its own and without any key."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENCRYPTION_")}
    environ |= {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "tests.integrations.django_project.settings",
        "DJANGO_PROJECT_DATABASES": json.dumps({"default": django_settings(database)}),
        "DJANGO_PROJECT_MIGRATIONS": "shop_migrations",
    }
    ran = run([sys.executable, "-c", PROGRAM, *argv], env=environ, cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_migrations_are_made_and_run_without_a_key(database: Any, tmp_path: Path) -> None:
    """A migration is made once and run without a key; it holds no secret and no way to read older cells."""
    (tmp_path / "shop_migrations").mkdir()
    (tmp_path / "shop_migrations" / "__init__.py").touch()

    manage("makemigrations", "shop", folder=tmp_path, database=database)

    (path,) = tmp_path.glob("shop_migrations/0001_*.py")
    text = "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("# Generated"))
    assert text == MIGRATION.read_text()
    assert not [word for word in ("legacy", "accept_", "SECRET", "secrets", "cells", "gAAAA") if word in text]
    assert "No changes" in manage("makemigrations", "shop", "--check", folder=tmp_path, database=database)
    manage("migrate", "--run-syncdb", folder=tmp_path, database=database)
    assert database.rows("SELECT api_key, token, email_index FROM accounts") == []
    kinds = {each["name"]: str(each["type"]).split("(")[0] for each in columns(database)}
    assert [kinds[name] for name in ("api_key", "options", "certificate", "token", "email_index")] == {
        "sqlite": ["TEXT", "TEXT", "BLOB", "BLOB", "VARCHAR"],
        "postgresql": ["TEXT", "TEXT", "BYTEA", "BYTEA", "VARCHAR"],
        "mariadb": ["LONGTEXT", "LONGTEXT", "LONGBLOB", "LONGBLOB", "VARCHAR"],
    }[database.kind]


def columns(database: Any) -> Any:
    import sqlalchemy as sa

    return sa.inspect(database.engine).get_columns("accounts")


def test_what_only_reads_makes_no_migration(shop: Any) -> None:
    """Fields that differ in it alone are the same to the autodetector; with another context, or keys, they are not."""
    from keyring_core.integrations.django import EncryptedTextField
    from keyring_core.legacy import Legacy

    legacy = Legacy("django-fernet-fields", secret="$OLD_SECRETS")
    before = EncryptedTextField(context="a", legacy=legacy, accept_plaintext=True, accept_unbound=True)
    after = EncryptedTextField(context="a")

    assert before.deconstruct()[1:] == after.deconstruct()[1:]
    for other in (EncryptedTextField(context="b"), EncryptedTextField(context="a", keys="shop")):
        assert other.deconstruct()[1:] != after.deconstruct()[1:]


def test_a_class_of_the_application_keeps_its_place(shop: Any) -> None:
    """A migration imports an application's own subclass from where it is."""
    from keyring_core.integrations.django import EncryptedTextField

    own = type("Own", (EncryptedTextField,), {"__module__": "shop.fields"})

    assert own().deconstruct()[1] == "shop.fields.Own"


def altered(name: str, before: Any, after: Any) -> None:
    """Makes a table with the field *before*, inserts a row with plaintext, and alters the column to *after*."""
    from django.db import connection, models
    from django.test.utils import isolate_apps

    def model(field: Any) -> Any:
        with isolate_apps("tests.integrations.django_project.shop"):
            meta = type("Meta", (), {"app_label": "shop", "db_table": name})
            return type("Altered", (models.Model,), {"__module__": __name__, "Meta": meta, "secret": field})

    old, new = model(before), model(after)
    with connection.schema_editor() as editor:
        editor.create_model(old)
    old.objects.create(secret={"a": 1} if before.get_internal_type() == "JSONField" else "plain")
    with connection.schema_editor() as editor:
        editor.alter_field(old, old._meta.get_field("secret"), new._meta.get_field("secret"))
    row = new.objects.get()
    row.save()
    new.objects.create(secret=row.secret)


@pytest.mark.parametrize("kind", ["Char", "Text", "JSON"])
def test_a_plain_column_becomes_an_encrypted_one(shop: Any, db: Any, kind: str) -> None:
    """A CharField, TextField or JSONField is altered in place; its rows are read as plaintext and saved as tokens."""
    from django.db import models

    from keyring_core.integrations.django import EncryptedJSONField, EncryptedTextField

    before = {"Char": models.CharField(max_length=20), "Text": models.TextField(), "JSON": models.JSONField()}[kind]
    encrypted = EncryptedJSONField if kind == "JSON" else EncryptedTextField
    name = f"altered_{kind.lower()}"
    try:
        altered(name, before, encrypted(accept_plaintext=True))

        cells = [Keyring(make_key(NEW)).decrypt(cell) for (cell,) in db.rows(f"SELECT secret FROM {name}")]
        assert cells == ['{"a":1}' if kind == "JSON" else "plain"] * 2
    finally:
        db.execute(f"DROP TABLE IF EXISTS {name}")


@pytest.mark.parametrize(
    ("kind", "options", "plaintext"),
    [
        ("Text", {"default": "first"}, "first"),
        ("Text", {"blank": True}, ""),
        ("Text", {"blank": True, "binary": True}, ""),
        ("JSON", {"default": dict}, "{}"),
    ],
)
def test_a_column_is_added(shop: Any, db: Any, kind: str, options: dict[str, Any], plaintext: str) -> None:
    """AddField gives the rows that are there a token of the default, an empty one, too, in both kinds of column."""
    from django.db import connection, models
    from django.test.utils import isolate_apps

    from keyring_core.integrations import django

    with isolate_apps("tests.integrations.django_project.shop"):
        meta = type("Meta", (), {"app_label": "shop", "db_table": "extended"})
        model: Any = type("Extended", (models.Model,), {"__module__": __name__, "Meta": meta})
    field = getattr(django, f"Encrypted{kind}Field")(**options)
    field.set_attributes_from_name("secret")
    field.model = model
    try:
        with connection.schema_editor() as editor:
            editor.create_model(model)
        model.objects.create()
        with connection.schema_editor() as editor:
            editor.add_field(model, field)

        ((cell,),) = db.rows("SELECT secret FROM extended")
        assert Keyring(make_key(NEW)).decrypt(cell) == plaintext
    finally:
        db.execute("DROP TABLE IF EXISTS extended")
