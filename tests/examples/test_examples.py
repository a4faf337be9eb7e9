"""The examples in docs/examples do what their pages say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.databases import open_database
from tests.examples.pages import CREDENTIAL, FOLDER, NAMES, ROOT, environ_of, page, play, steps

TABLES = dict.fromkeys(NAMES, "connections") | {"django": "connections_connection"}
CASES = [
    pytest.param(name, kind, marks=[] if (name, kind) == ("flask", "sqlite") else pytest.mark.long)
    for name in NAMES
    for kind in ("sqlite", "postgresql")
]
"""Each page on each database; the quickest one in every run."""


@pytest.mark.database
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_commands_of_the_page_rotate_and_leak_nothing(name: str, kind: str, tmp_path: Path) -> None:
    """What the page stores is read with the new key alone, by stock Fernet too; no log and no output shows it."""
    folder = tmp_path / "app"
    folder.mkdir()
    with open_database(kind, tmp_path) as database:
        played = play(name, folder, environ_of(name, database.url))
        tokens = list(database.column(TABLES[name], "api_key", "name").values()) if played.code == 0 else []

    assert played.code == 0, played.output
    assert [Fernet(played.key()).decrypt(token) for token in tokens] == [CREDENTIAL.encode()]
    assert (folder / "keys" / "previous").read_text() == (folder / "keys" / "staged").read_text() == ""
    texts = played.texts()
    assert texts["service.log"].count("ENCRYPTION_KEY configured (key id ") == page(name).count(">> service.log")
    assert played.output.count(f"...{CREDENTIAL[-4:]}") >= len(re.findall(r"/billing\"|call billing", page(name)))
    assert any("IntegrityError" in text for text in texts.values()), "a traceback is in a log"
    secrets = {CREDENTIAL, *played.keys(), "gAAAAA"}
    assert len(secrets) == 4, "with the old key and the new one"
    assert [log for log, text in texts.items() if any(secret in text for secret in secrets)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_short(name: str) -> None:
    """Each program has at most 60 lines, a Django project without its manage.py."""
    files = [path for path in sorted((FOLDER / name).rglob("*.py")) if path.name != "manage.py"]

    assert files
    assert sum(len(path.read_text().splitlines()) for path in files) <= 60


@pytest.mark.parametrize("name", NAMES)
def test_the_page_installs_what_the_example_needs(name: str) -> None:
    """The first commands install extras of this project and packages that these tests have, and copy the example."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [(named, packages)] = re.findall(r'pip install "\$\{CHECKOUT\}\[([\w,]+)\]" ?(.*)', steps(name)[0])

    assert set(named.split(",")) <= set(extras)
    for package in re.findall(r"[\w-]+", re.sub(r"\[\w+\]", "", packages)):
        assert __import__(package.replace("-", "_"))
    assert f'cp -r "$CHECKOUT"/docs/examples/{name}/* .' in steps(name)[0]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_pages_keep_the_rules_of_documents(name: str) -> None:
    """One sentence a line, and links that lead to files."""
    text = page(name)
    prose = re.sub(r"`[^`\n]+`|\([^)]*\)", "X", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [re.sub(r"^ *(- )?(\*\*.*?\*\*)?", "", line) for line in prose.splitlines() if line[:1] not in "|#"]

    assert not [line for line in lines if re.search(r"[a-z)\]X]\. [A-Z[]", line)]
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert links
    assert all((FOLDER / name / link).is_file() for link in links)
