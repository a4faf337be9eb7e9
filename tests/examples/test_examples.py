"""The examples in docs/examples do what their pages in docs/how-to say."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.databases import open_database
from tests.examples.typed import Typist, free_port
from tests.project.documents import ROOT, Block, page_blocks

FOLDER = ROOT / "docs" / "examples"
NAMES = ("celery", "django", "fastapi", "flask")
TABLES = dict.fromkeys(NAMES, "connections") | {"django": "connections_connection"}
CREDENTIAL = "sk-live-Zq3vK9tLxW7eRb-4242"
"""What each page stores."""
CASES = [
    pytest.param("flask", "sqlite"),
    pytest.param("django", "sqlite", marks=pytest.mark.long),
    pytest.param("celery", "postgresql", marks=pytest.mark.long),
    pytest.param("fastapi", "postgresql", marks=pytest.mark.long),
]
"""Each page on one database, in turns; the quickest one in every run."""


def page(name: str) -> str:
    """The page of the example."""
    return (ROOT / "docs" / "how-to" / f"{name}.md").read_text()


@pytest.mark.database
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_commands_of_the_page_rotate_and_leak_nothing(name: str, kind: str, tmp_path: Path) -> None:
    """What the page stores is read with the new key alone, by stock Fernet too; no log and no output shows it."""
    with open_database(kind, tmp_path) as database:
        folder = shutil.copytree(FOLDER / name, tmp_path / "app")
        # The page's variable for the database is set already.
        changed = {"8000": str(free_port()), ' DATABASE_URL="': ' PAGES_URL="'}
        with Typist(folder, environ_of(name, database.url), changed) as typist:
            for block in typist.type(page(name)):
                if block.language == "sh" and CREDENTIAL in block.text:
                    typist.run(store_again(block))
        tokens = list(database.column(TABLES[name], "api_key", "name").values())

    [key] = _keys(folder / "keys" / "primary")
    assert [Fernet(key).decrypt(token) for token in tokens] == [CREDENTIAL.encode()]
    assert (folder / "keys" / "previous").read_text() == (folder / "keys" / "staged").read_text() == ""
    texts = {"the output": typist.output, **_texts(folder)}
    assert texts["service.log"].count("ENCRYPTION_KEY configured (key id ") == page(name).count(">> service.log")
    assert typist.output.count(f"...{CREDENTIAL[-4:]}") >= len(re.findall(r"/billing$|call billing$", page(name), re.M))
    assert any("IntegrityError" in text for text in texts.values()), "a traceback is in a log"
    secrets = {CREDENTIAL, key, *_keys(folder / "retired.keys"), "gAAAAA"}
    assert len(secrets) == 4, "with the old key and the new one"
    assert [log for log, text in texts.items() if any(secret in text for secret in secrets)] == []


def store_again(block: Block) -> str:
    """The command of the page that stores something, once more: it fails, with a traceback in the service's log."""
    [command] = re.findall(rf"^(?:.*\\\n)?.*{CREDENTIAL}.*$", block.text, re.MULTILINE)
    # curl would try again after an error of the server, too.
    return f"! {command.replace('--retry 30', '--retry 0')}"


def environ_of(name: str, url: str) -> dict[str, str]:
    """The variables by which the example's program finds the database at *url*."""
    parts = sa.make_url(url)
    if name != "django":
        return {"DATABASE_URL": url.replace("sqlite:", "sqlite+aiosqlite:") if name == "fastapi" else url}
    engine = {"sqlite": "sqlite3"}.get(parts.get_backend_name(), parts.get_backend_name())
    found = {"NAME": parts.database, "USER": parts.username, "HOST": parts.host, "PORT": parts.port}
    return {"DB_ENGINE": engine, **{f"DB_{key}": str(value) for key, value in found.items() if value}}


def _keys(file: Path) -> list[str]:
    return re.findall(r"^[\w-]{43}=", file.read_text(), re.MULTILINE)


def _texts(folder: Path) -> dict[str, str]:
    """Every file in *folder* that is not there to hold a key, by name."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "retired.keys"]
    names = {str(path.relative_to(folder)): path for path in files}
    return {
        name: path.read_bytes().decode("latin-1")
        for name, path in names.items()
        if not name.startswith((".venv/", "keys/"))
    }


def _code(name: str) -> dict[str, str]:
    """The files of the example, by name."""
    files = [path for path in (FOLDER / name).rglob("*") if path.suffix in (".py", ".toml")]
    return {str(path.relative_to(FOLDER / name)): path.read_text() for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_files_as_they_are(name: str) -> None:
    """A page needs no look into the folder: it shows each of its files, but for the manage.py that Django makes."""
    assert {block.file: block.text for block in page_blocks(page(name)) if block.file} == {
        file: text for file, text in _code(name).items() if file != "manage.py"
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_short(name: str) -> None:
    """Each program has at most 60 lines, a Django project without its manage.py."""
    programs = {file: text for file, text in _code(name).items() if file.endswith(".py") and file != "manage.py"}

    assert programs
    assert sum(len(text.splitlines()) for text in programs.values()) <= 60


@pytest.mark.parametrize("name", NAMES)
def test_the_page_installs_what_the_example_needs(name: str) -> None:
    """The first commands install extras of this project and packages that these tests have, and copy the example."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    first = next(block.text for block in page_blocks(page(name)) if block.language == "sh")
    [installed] = re.findall(r"pip install (.*)", first)
    checkout, *packages = shlex.split(installed)

    assert set(re.findall(r"\w+", checkout.partition("[")[2])) <= set(extras)
    for package in packages:
        assert __import__(package.partition("[")[0].replace("-", "_"))
    assert f"cp -r /path/to/checkout/docs/examples/{name}/* ." in first
