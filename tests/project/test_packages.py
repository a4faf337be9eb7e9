"""Source archive and wheel: what is in them, and that the wheel works where nothing else is."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.databases import IN_CI
from tests.project.documents import ROOT
from tests.project.programs import program, run_program

# One process builds and installs; the others need not do so again.
pytestmark = [pytest.mark.xdist_group("packages"), pytest.mark.uncounted]

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SECRET = re.compile(r"(^|/)(\.env|[^/]*\.(key|keys|db|pem|sqlite3?)|tests)(/|$)")
"""Names of what no archive may hold: keys, databases, dotenv files, and the tests, which have keys of their own."""


@dataclass
class Packages:
    """What was built."""

    wheel: Path
    source: Path

    def wheel_files(self) -> dict[str, bytes]:
        """The files of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def source_files(self) -> set[str]:
        """The names in the source archive, below its one folder."""
        with tarfile.open(self.source) as archive:
            return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


def build(folder: Path, *arguments: str) -> None:
    """Builds into *folder*, without a network."""
    program("pyproject-build")
    argv = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), *arguments, str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """A source archive, and the wheel that is made of it."""
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    [wheel], [source] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Packages(wheel, source)


def test_twine_takes_both(packages: Packages) -> None:
    """The metadata are valid, and an index can show the README."""
    done = run_program("twine", "check", "--strict", str(packages.wheel), str(packages.source))

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_the_wheel_has_all_that_the_program_reads(packages: Packages) -> None:
    """Every file of both packages that git knows: code, presets, templates, types; and the licence."""
    listed = subprocess.run(
        ["git", "ls-files", "keyring_core", "rotation"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = packages.wheel_files()

    assert set(listed.stdout.split()) <= set(files)
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in files)
    assert {"keyring_core/py.typed", "rotation/py.typed", "rotation/output/html/page.html.jinja"} <= set(files)
    assert sum(name.startswith("rotation/applications/known/") and name.endswith(".toml") for name in files) > 30


def test_the_wheel_has_nothing_else(packages: Packages) -> None:
    """Two packages, their metadata, and at most a manual page."""
    folders = {re.sub(r"-[\d.]+\.", ".", name.partition("/")[0]) for name in packages.wheel_files()}

    assert folders - {"keyring_core.data"} == {"keyring_core", "rotation", "keyring_core.dist-info"}
    assert not [name for name in packages.wheel_files() if SECRET.search(name)]


def test_the_source_archive_has_what_a_user_of_it_needs(packages: Packages) -> None:
    """Documents, deploy/ and the files for containers, and no key, database or dotenv file."""
    files = packages.source_files()

    assert {"README.md", "LICENSE", "CHANGELOG.md", "Dockerfile", "compose.yaml", "deploy/install.sh"} <= files
    assert "docs/reference/checks.md" in files
    assert not [name for name in files if SECRET.search(name)]


@pytest.mark.parametrize("name", ["app.db", ".env", "old.key", "tests/keys.py", "a/retired.keys"])
def test_a_secret_would_be_found(name: str) -> None:
    """The pattern of the two tests above sees what it is there for."""
    assert SECRET.search(name)


def test_a_secret_in_the_work_folder_is_not_packed(packages: Packages) -> None:
    """The source archive names what is in it: a file of keys beside the code is not."""
    listed = (ROOT / "pyproject.toml").read_text().partition("only-include = [")[2].partition("]")[0]

    assert {name.partition("/")[0] for name in packages.source_files()} <= {
        *re.findall(r'"(.+)"', listed),
        *(".gitignore", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO"),
    }


def test_the_source_archive_makes_the_same_wheel(packages: Packages, tmp_path: Path) -> None:
    """The wheel that comes of the source archive is that of the checkout, byte for byte."""
    build(tmp_path, "--wheel")
    [direct] = tmp_path.glob("*.whl")

    assert Packages(direct, packages.source).wheel_files() == packages.wheel_files()


@pytest.fixture(scope="module")
def installed(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has SQLAlchemy 2.0, and then the wheel with its extra rotate. Skips without an index."""
    folder = tmp_path_factory.mktemp("venv")
    made = run_program("virtualenv", "-q", "--no-pip", "-p", sys.executable, str(folder))
    assert made.returncode == 0, made.stderr
    for wanted in ("SQLAlchemy<2.1", f"{packages.wheel}[rotate]"):
        argv = [sys.executable, "-m", "pip", "--python", str(folder), "install", "-q", wanted]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode and not IN_CI:
            pytest.skip(f"the wheel's requirements cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    return folder


Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(installed: Path, tmp_path: Path) -> Start:
    """Starts the installed program in an empty folder, without this checkout's settings."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        argv = [str(installed / "bin" / "keyring-rotate"), *arguments]
        clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ}
        return subprocess.run(argv, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    return run


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(("--help",), "keys"), (("--version",), VERSION), (("init", "--app"), "airflow"), (("demo",), "19,994 of 19,994")],
    ids=["help", "version", "presets", "rotation"],
)
def test_the_wheel_alone_works(start: Start, arguments: tuple[str, ...], shown: str) -> None:
    """Help, version, presets, and a whole rotation."""
    done = start(*arguments)

    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_an_application_keeps_its_sqlalchemy(installed: Path) -> None:
    """With 2.0 in an environment, the wheel comes without 2.1, and the tests here rotate with 2.0."""
    argv = [str(installed / "bin" / "python"), "-c", "import sqlalchemy; print(sqlalchemy.__version__)"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("2.0.")


def test_a_shell_can_complete(start: Start) -> None:
    """Bash gets its function, which asks the program by its name."""
    done = start(_KEYRING_ROTATE_COMPLETE="bash_source")

    assert done.returncode == 0, done.stderr
    assert re.search(r"^ *complete .*keyring-rotate$", done.stdout, re.MULTILINE), done.stdout


def test_the_manual_page_is_installed(installed: Path, packages: Packages) -> None:
    """`man keyring-rotate` finds the page in the environment's share/man."""
    assert (installed / "share" / "man" / "man1" / "keyring-rotate.1").read_text()


def test_the_components_can_be_listed(installed: Path) -> None:
    """CycloneDX lists the wheel and what it needs."""
    argv = ("--pyproject", str(ROOT / "pyproject.toml"), str(installed / "bin" / "python"))
    done = run_program("cyclonedx-py", "environment", *argv)
    listed = json.loads(done.stdout)

    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == "keyring-core"
    assert {"cryptography", "structlog", "SQLAlchemy"} <= {each["name"] for each in listed["components"]}


READY = """
[project]
version = "1.0.0"
dynamic = ["readme"]
urls = { Repository = "https://example.org", Changelog = "https://example.org", Documentation = "https://example.org" }
"""
LINKED = "[a](docs/a.md) [b](https://example.org) [c](#c)"
reasons = runpy.run_path(str(ROOT / ".ci" / "release.py"))["reasons"]


def test_a_release_that_is_ready_is_built() -> None:
    """With addresses, a dated section and nothing uncommitted there is no reason against it."""
    assert reasons(READY, "## 1.0.0 - 2027-01-31\n", LINKED, "") == []


def test_a_release_is_refused_with_every_reason() -> None:
    """No address, no section, links that an index breaks, and work that is not committed."""
    found = reasons('[project]\nversion = "1.0.0"\n', "## Unreleased\n", LINKED, " M README.md\n")

    assert len(found) == 6
    assert sum("[project.urls]" in reason for reason in found) == 3
    assert any("its 1 relative links" in reason for reason in found)
