"""The recipe in docs/how-to/airflow.md, on a database that Apache Airflow made."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.conftest import Cli
from tests.keys import key_text, make_key
from tests.project.documents import ROOT, blocks, play, toml

pytestmark = pytest.mark.database

RECIPE = (ROOT / "docs/how-to/airflow.md").read_text()
CELLS = {"connection.password": 294, "connection.extra": 270, "variable.val": 40, "trigger.kwargs": 10}
NULLS = {"connection.password": 6, "connection.extra": 30, "variable.val": 0, "trigger.kwargs": 0}


@pytest.fixture
def airflow(tmp_path: Path) -> Path:
    """A copy of the database."""
    return Path(shutil.copy(ROOT / "tests/data/airflow.db", tmp_path / "airflow.db"))


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """The rotation.toml that the recipe shows, as a file's path."""
    path = tmp_path / "rotation.toml"
    path.write_text(toml(RECIPE))
    return str(path)


@pytest.fixture
def airflow_environ(airflow: Path) -> dict[str, str]:
    return {
        "ENCRYPTION_KEY": key_text("new"),
        "ENCRYPTION_PREVIOUS_KEYS": key_text("airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow}",
    }


def cells(path: Path) -> dict[str, list[str]]:
    with sqlite3.connect(path) as connection:
        return {
            label: [row[0] for row in connection.execute('SELECT {1} FROM "{0}"'.format(*label.split("."))) if row[0]]
            for label in CELLS
        }


def counted(document: dict, field: str) -> dict[str, int]:
    return {f"{target['name']}.{target['column']}": target[field] for target in document["targets"]}


def test_the_recipe_rotates_every_token_and_leaves_the_nulls(
    cli: Cli, airflow: Path, recipe: str, airflow_environ: dict[str, str]
) -> None:
    """The recipe rotates 294 + 270 + 40 + 10 tokens, which stock Fernet then opens with the new key alone."""
    before = {
        label: [Fernet(key_text("airflow")).decrypt(cell) for cell in found] for label, found in cells(airflow).items()
    }

    ran = cli("run", "--json", "--config", recipe, environ=airflow_environ)

    assert ran.code == 0
    assert counted(ran.document, "rotated") == CELLS
    assert counted(ran.document, "null") == NULLS
    stock = Fernet(key_text("new"))
    assert {label: [stock.decrypt(cell) for cell in found] for label, found in cells(airflow).items()} == before


def test_the_recipe_prints_what_it_shows(
    airflow: Path, recipe: str, airflow_environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dry run and the run of the document, typed in a folder with its rotation.toml and an .env."""
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("".join(f"{name}='{value}'\n" for name, value in airflow_environ.items()))
    names = {"cad550c0": make_key("new").id, "8bcfc2e5": make_key("airflow").id}
    shown = blocks(RECIPE)

    assert [play(block, names) for block in shown] == shown


def test_a_second_run_writes_nothing(cli: Cli, airflow: Path, recipe: str, airflow_environ: dict[str, str]) -> None:
    """R33: a second run rotates none, and the file stays byte for byte the same."""
    cli("run", "--config", recipe, environ=airflow_environ)
    rotated = airflow.read_bytes()

    again = cli("run", "--json", "--config", recipe, environ=airflow_environ)

    assert again.code == 0
    assert set(counted(again.document, "rotated").values()) == {0}
    assert airflow.read_bytes() == rotated


def test_without_the_old_key_nothing_is_touched(
    cli: Cli, airflow: Path, recipe: str, airflow_environ: dict[str, str]
) -> None:
    """Where the old key is missing the run says so and writes nothing."""
    untouched = airflow.read_bytes()
    del airflow_environ["ENCRYPTION_PREVIOUS_KEYS"]

    ran = cli("run", "--config", recipe, environ=airflow_environ)

    assert ran.code == 1
    assert "a key is missing" in ran.out
    assert airflow.read_bytes() == untouched


def test_a_plaintext_trigger_does_not_stop_the_rest(
    cli: Cli, airflow: Path, recipe: str, airflow_environ: dict[str, str]
) -> None:
    """A trigger whose kwargs are plain JSON is counted, stays, and stops nothing."""
    with sqlite3.connect(airflow) as connection:
        connection.execute("UPDATE trigger SET kwargs = '{\"moment\": 1}' WHERE id = 1")

    ran = cli("run", "--json", "--config", recipe, environ=airflow_environ)

    assert ran.code == 1
    assert counted(ran.document, "rotated") == CELLS | {"trigger.kwargs": 9}
    assert counted(ran.document, "plaintext")["trigger.kwargs"] == 1
    assert '{"moment": 1}' in cells(airflow)["trigger.kwargs"]
