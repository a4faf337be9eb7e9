"""A tiny Django project in a folder, and its manage.py in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import sqlalchemy as sa

from tests.conftest import Ran
from tests.keys import key_text
from tests.warm.client import run

ROOT = Path(__file__).parents[2]

MANAGE = """
import os, sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""

SETTINGS = """
import json, os
SECRET_KEY = "of Django alone"
FERNET_KEYS = ["an old secret", "an older secret"]
DATABASES = json.loads(os.environ["DATABASES"])
DATABASE_ROUTERS = ["project.routers.Router"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "simple_history",
                  "keyring_core.integrations.django", "rotation.manage", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
TIME_ZONE = "Asia/Kathmandu"
"""

ROUTERS = """
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return db == "crm" if model_name == "lead" else None

    def db_for_read(self, model, **hints):
        return "crm" if model.__name__ == "Lead" else None

    db_for_write = db_for_read
"""

MODELS = """
from django.db import models
from keyring_core.legacy import Legacy
from simple_history.models import HistoricalRecords
from keyring_core.integrations.django import BlindIndexField, EncryptedTextField

class Account(models.Model):
    owner = models.TextField()
    api_key = EncryptedTextField(null=True, context=True)
    note = EncryptedTextField(null=True, db_column="Memo")
    note_index = BlindIndexField(of="note", context="shop.note.index", normalize="casefold", null=True)
    history = HistoricalRecords()

class Company(Account):
    vat = EncryptedTextField(null=True)

class SameAccount(Account):
    class Meta:
        proxy = True

class Lead(models.Model):
    phone = EncryptedTextField()

class TakenOver(models.Model):
    pin = EncryptedTextField(legacy=Legacy("django-fernet-fields", secret="$FERNET_KEYS"))

class Abstract(models.Model):
    pin = EncryptedTextField()

    class Meta:
        abstract = True
"""


Start = Callable[..., CompletedProcess[str]]


@dataclass
class Project:
    """The project: its folder, its databases as settings write them, and variables beside the keys."""

    folder: Path
    databases: Mapping[str, Mapping[str, Any]]
    environ: dict[str, str] = field(default_factory=lambda: {"ENCRYPTION_KEY": key_text("old")})

    def write(self) -> Project:
        """Writes its files."""
        files = {
            "manage.py": MANAGE,
            "project/__init__.py": "",
            "project/settings.py": SETTINGS,
            "project/routers.py": ROUTERS,
            "shop/__init__.py": "",
            "shop/models.py": MODELS,
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text)
        return self

    def rotate_with(self, new: str = "new", old: str = "old") -> None:
        """The keys after a promotion."""
        self.environ |= {"ENCRYPTION_KEY": key_text(new), "ENCRYPTION_PREVIOUS_KEYS": key_text(old)}

    def manage(self, *argv: str, start: Start = run) -> Ran:
        """Runs `manage.py`, by default in a warm process."""
        return self._run("manage.py", *argv, start=start)

    def keyring_rotate(self, *argv: str, cwd: Path | None = None) -> Ran:
        """Runs `keyring-rotate`, by default in the project's folder."""
        return self._run("-m", "rotation", *argv, cwd=cwd)

    def python(self, code: str) -> Any:
        """What *code*, which may use the models, puts into `found`."""
        setup = "import django, json\nfrom pathlib import Path\ndjango.setup()\nfrom shop.models import *\n"
        done = self._run("-c", f"{setup}{code}\nprint(json.dumps(found))")
        assert done.code == 0, done.err
        # structlog's own default prints on stdout.
        return json.loads(done.out.splitlines()[-1])

    def _run(self, *argv: str, cwd: Path | None = None, start: Start = run) -> Ran:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "ENCRYPTION_"))}
        own = {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATABASES": json.dumps(self.databases),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(self.folder)]),
        }
        done = start([sys.executable, *argv], cwd=cwd or self.folder, env=kept | own | self.environ)
        return Ran(done.returncode, done.stdout, done.stderr)


def settings_of(url: str) -> dict[str, Any]:
    """An entry of DATABASES for the database at *url*."""
    parts = sa.make_url(url)
    engine = {"sqlite": "sqlite3"}.get(parts.get_backend_name(), parts.get_backend_name())
    found = {"NAME": parts.database, "USER": parts.username, "PASSWORD": parts.password, "HOST": parts.host}
    options = {"options": parts.query["options"]} if "options" in parts.query else {}
    return {"ENGINE": f"django.db.backends.{engine}", **found, "PORT": parts.port or "", "OPTIONS": options}


COLUMNS = [
    "shop_account.api_key",
    "shop_account.Memo",
    "shop_historicalaccount.api_key",
    "shop_historicalaccount.Memo",
    "shop_company.vat",
    "shop_lead.phone",
    "shop_takenover.pin",
]

MIGRATE = """
from django.core.management import call_command
for alias in ("default", "crm"):
    # Tables without migrations refer to those that have some.
    call_command("migrate", "auth", database=alias, verbosity=0)
    call_command("migrate", run_syncdb=True, database=alias, verbosity=0)
found = None
"""

FILL = """
for number in range(3):
    Company.objects.create(owner="o", api_key=f"key {number}", note=None, vat=f"vat {number}")
account = Account.objects.create(owner="p", api_key="its key", note="its note")
account.note = "another"
account.save()
Account.objects.using("crm").create(owner="q", api_key="over there")
Lead.objects.create(phone="555")
from django.db import connection
from keyring_core.derivation import Derivation
from cryptography.fernet import Fernet
name = "django-fernet-fields"
key = Derivation("hkdf-sha256", salt=f"{name}-hkdf-salt", info=name).key("an older secret", "here")
with connection.cursor() as cursor:
    cell = Fernet(key.reveal()).encrypt(b"1234").decode()
    cursor.execute("INSERT INTO shop_takenover (id, pin) VALUES (1, %s)", [cell])
found = Account.history.count()
"""

READ = """
found = {
    "accounts": sorted(map(list, Account.objects.values_list("api_key", "note")), key=str),
    "companies": sorted(Company.objects.values_list("vat", flat=True)),
    "history": sorted(map(list, Account.history.values_list("api_key", "note")), key=str),
    "there": list(Account.objects.using("crm").values_list("api_key", flat=True)),
    "by_index": Account.objects.filter(note_index="another").count(),
    "taken_over": list(TakenOver.objects.values_list("pin", flat=True)),
    "leads": list(Lead.objects.values_list("phone", flat=True)),
}
"""


def filled(folder: Path, urls: list[str]) -> Project:
    """The project in *folder*, with rows under the old key in both databases."""
    aliases = dict(zip(("default", "crm"), map(settings_of, urls), strict=True))
    made = Project(folder, aliases).write()
    assert made.python(MIGRATE + FILL) == 3
    return made
