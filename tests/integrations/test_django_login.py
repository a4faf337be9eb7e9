"""docs/how-to/django-login.md: Django's own login works by an encrypted e-mail address, on each kind of database."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NEW, OLD, Named
from tests.databases import open_database
from tests.integrations.conftest import django_settings
from tests.integrations.login_steps import STEPS
from tests.keys import key_text
from tests.project.documents import page_blocks
from tests.selection import DATABASES
from tests.warm.client import run

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "django-login.md"
SETTINGS = """
import json, os
from tests.integrations.django_project.settings import *
from settings_of_login import *
ROOT_URLCONF = "urls"
LOGIN_URL = "/login/"
# What Django 6.1 wants; an older one asks for EMAIL_BACKEND, which `setup_test_environment` sets.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"}]
TEMPLATES[0]["DIRS"] = ["templates"]
MIGRATION_MODULES |= {"accounts": None}
INSTALLED_APPS = [each for each in INSTALLED_APPS if "." in each and "shop" not in each] + ["accounts"]
"""


@pytest.fixture(params=DATABASES)
def done(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str | None]]:
    """What each step came to, in a project that is made of the page's files."""
    with open_database(request.param, tmp_path) as database:
        files = {block.file: block.text for block in page_blocks(PAGE.read_text()) if block.file}
        files |= {
            "accounts/__init__.py": "",
            "settings.py": SETTINGS,
            "templates/registration/login.html": "{{ form }}",
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ENCRYPTION_")} | {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "settings",
            "DJANGO_PROJECT_DATABASES": json.dumps({"default": django_settings(database)}),
            "ENCRYPTION_KEY": key_text(OLD),
            "NEXT_KEY": key_text(NEW),
        }
        ran = run([sys.executable, "-m", "tests.integrations.login_steps"], env=environ, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        yield json.loads(ran.stdout)


def test_the_login_of_the_page(done: dict[str, str | None], named: Named) -> None:
    """Each thing that users and admins do works as the docstring of the step says."""
    for step in STEPS:
        with named(step.__name__):
            assert done[step.__name__] is None, done[step.__name__]
