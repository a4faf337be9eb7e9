"""An application in a folder of its own: a module of SQLAlchemy models, or a Django project."""

from __future__ import annotations

import secrets
import shutil
import sys
from pathlib import Path

import pytest

from tests.declared.django_project import Project, filled, settings_of
from tests.declared.models import MODELS, Write


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module of an application, into the current folder, and returns its name; no other test has that."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str = MODELS) -> str:
        name = f"app_{secrets.token_hex(6)}"
        Path(f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project on SQLite, its databases inside, to be copied: to make it takes longer than a test."""
    folder = tmp_path_factory.mktemp("template") / "app"
    filled(folder, [f"sqlite:///{folder}/{name}.db" for name in ("default", "crm")])
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    """The project on SQLite."""
    folder = tmp_path / "app"
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Project(folder, {name: settings_of(f"sqlite:///{folder}/{name}.db") for name in ("default", "crm")})
