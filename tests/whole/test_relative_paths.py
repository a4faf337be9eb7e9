"""Relative SQLite urls of rotation.toml, from whatever folder a command is typed in."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rotation.configuration.config_file import read_config
from rotation.configuration.targets import unsealed
from rotation.context import entries_of_apps
from rotation.job.options import RunOptions
from rotation.job.ranges import Bounds
from rotation.job.worker import make_order, make_task
from rotation.stores.databases import identify
from tests.conftest import Cli, Named
from tests.fakes import token

OLD, FOREIGN = token("old"), token("somebody's")
TARGET = '[[target]]\nurl = "{}"\ntable = "creds"\ncolumns = ["token"]\n'
LEDGER = 'ledger = "{}"\n'
MODELS = '[[target]]\nmodels = "tests.integrations.sqlalchemy.models:Base"\nurl = "{}"\noptional = true\n'
IGNORE = '[[ignore]]\ntable = "old"\nreason = "of another service"\nurl = "{}"\n'


def make_database(path: Path, cell: str = OLD) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        database.execute("INSERT INTO creds (token) VALUES (?)", (cell,))
    return path


def cell_in(path: Path) -> str:
    with sqlite3.connect(path) as database:
        return str(database.execute("SELECT token FROM creds").fetchone()[0])


def places(ledger: Path) -> set[str]:
    """The digests by which the ledger knows the targets that were counted."""
    with sqlite3.connect(ledger) as database:
        return {place for (place,) in database.execute("SELECT place FROM keyring_ledger_censuses")}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a rotation.toml and its database, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "p %41"
    folder.mkdir()
    make_database(folder / "app.db")
    return folder


def test_a_relative_url_counts_from_the_folder_of_rotation_toml(
    project: Path, cli: Cli, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command finds target and ledger there, and the ledger knows the target by one name from every folder."""
    config = project / "rotation.toml"
    config.write_text(LEDGER.format("sqlite:///ledger.db") + TARGET.format("sqlite:///app.db"))
    at = ("--config", str(config))

    for words, code in ((("status",), 1), (("discover",), 0), (("run",), 0), (("check",), 0), (("keys", "list"), 0)):
        with named(*words):
            ran = cli(*words, *at)

            assert ran.code == code, ran.out + ran.err

    assert cell_in(project / "app.db") != OLD
    assert not Path("ledger.db").exists()
    known = places(project / "ledger.db")
    monkeypatch.chdir(project)
    assert [cli(*words).code for words in (("run",), ("check",))] == [0, 0]
    assert places(project / "ledger.db") == known


def test_a_file_of_that_name_in_the_current_folder_is_refused_by_name(
    project: Path, environ: Mapping[str, str], cli: Cli, named: Named
) -> None:
    """C05: no command opens the wrong one of two databases, or begins a ledger beside the one that is there."""
    other = make_database(Path("app.db"), FOREIGN).absolute()
    alone = make_database(Path("alone.db"), FOREIGN).absolute()
    cases: dict[str, Any] = {
        "target": (TARGET, ("status",)),
        "run": (TARGET, ("run",)),
        "variable": (TARGET.format("$PLACE"), ("status",)),
        "models": (MODELS, ("status",)),
        "ledger": (LEDGER + TARGET.format(f"sqlite:///{project}/app.db"), ("run",)),
        "app": ('[[app]]\nname = "redash"\nurl = "{}"\n', ("status",)),
        "ignore": (TARGET.format(f"sqlite:///{project}/app.db") + IGNORE, ("discover",)),
        "check": (TARGET, ("check",)),
    }
    for name, (text, words) in cases.items():
        for file, found in (("app.db", other), ("alone.db", alone)):
            with named(name, file):
                (project / "rotation.toml").write_text(text.format(f"sqlite:///{file}"))
                variables = {**environ, "PLACE": f"sqlite:///{file}"}
                ran = cli(*words, "--config", str(project / "rotation.toml"), environ=variables)

                assert ran.code == (3 if name == "check" else 2)
                assert str(project / file) in ran.out + ran.err
                assert str(found) in ran.out + ran.err
    assert (cell_in(other), cell_in(alone), cell_in(project / "app.db")) == (FOREIGN, FOREIGN, OLD)


@pytest.mark.parametrize("name", ["a?b", "p%41q", "50% #1"])
def test_the_ledger_that_nothing_names_is_beside_rotation_toml(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In a folder with any sign of a url in its name; another file of the folder around it is not touched."""
    folder = tmp_path / name
    folder.mkdir()
    make_database(folder / "app.db")
    (folder / "rotation.toml").write_text(TARGET.format("sqlite:///app.db"))
    monkeypatch.chdir(folder)

    assert cli("run").code == 0
    assert places(folder / "rotation-ledger.db")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_no_url_can_name_is_refused(tmp_path: Path, cli: Cli) -> None:
    """Its name is in Latin-1, say."""
    folder = tmp_path / "schl\udcfcssel"
    folder.mkdir()
    make_database(folder / "app.db")
    (folder / "rotation.toml").write_text(TARGET.format("sqlite:///app.db"))
    for words in (("status", "--config", str(folder / "rotation.toml")), ("ledger", "init")):
        ran = cli(*words, "--config", str(folder / "rotation.toml"))

        assert ran.code == 2
        assert "since the name is not UTF-8; rename it" in ran.err
    ran = cli("status", "--url", f"sqlite:///{folder}/app.db", "--table", "creds", "--column", "token")
    assert (ran.code, "an SQLite url names a file" in ran.err) == (2, True)


def test_a_worker_in_another_folder_opens_the_same_file(
    project: Path, keyring: Any, monkeypatch: pytest.MonkeyPatch, named: Named
) -> None:
    """What is sent to a worker leads to the database of rotation.toml, with its url written out or in a variable."""
    environ = {"PLACE": "sqlite:///app.db"}
    elsewhere = project / "worker"
    elsewhere.mkdir()
    for written in ("sqlite:///app.db", "$PLACE"):
        with named(written):
            monkeypatch.chdir(project)
            Path("rotation.toml").write_text(TARGET.format(written))
            [target] = read_config(Path("rotation.toml"), entries_of_apps).targets(environ)
            order = make_order(keyring, RunOptions())
            task = make_task(order, target, "", Bounds(None, None))
            monkeypatch.chdir(elsewhere)
            opened = unsealed(task.target, environ)

            assert opened.url == f"sqlite:///{str(project).replace('%', '%25').replace(' ', '%20')}/app.db"
            assert identify(opened).digest == task.database


def test_init_spells_a_relative_url_for_the_file_that_it_writes(project: Path, cli: Cli) -> None:
    """A url of the command line counts from the current folder, and the new rotation.toml leads to the same file."""
    make_database(Path("here.db"))
    config = str(project / "rotation.toml")

    assert cli("init", "--url", "sqlite:///here.db", "--config", config).code == 0
    assert 'url = "sqlite:///../here.db"' in Path(config).read_text()
    assert cli("run", "--config", config).code == 0
    assert cell_in(Path("here.db")) != OLD
