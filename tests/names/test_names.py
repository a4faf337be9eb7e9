"""A name may hold anything: no command prints or writes one so that it is a line of its own, or moves a cursor."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import sqlalchemy as sa

from keyring_core.errors import printable
from rotation.cli.main import cli as group
from rotation.cli.main import main
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from rotation.model.next_steps import shell_word
from tests.conftest import Named, Ran
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text, make_key
from tests.names.hostile import LINE, MARKUP, NAME, faults
from tests.processes import ROOT, run
from tests.terminals import CTRL_C, talk

OLD = make_key("old").id
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "160"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Place:
    """A folder of a hostile name, with a database, a rotation.toml and a ledger full of them."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.database, self.folder = database, folder
        self.config, self.ledger = folder / "rotation.toml", folder / "ledger.db"
        self.environ = {
            "ENCRYPTION_KEY": key_text("new"),
            "ENCRYPTION_PREVIOUS_KEYS": key_text("old"),
            "ROTATION_SERVICE": f"shop{NAME}",
        }
        # MariaDB's columns with a line break in their names are refused.
        self.columns = "" if database.kind == "mariadb" else NAME
        self._make_tables()
        self._write_config()
        self._announce()

    def _make_tables(self) -> None:
        """The target, with cells of all kinds; a table that no target names, and one that is ignored."""
        refused = token("old")
        rows = {f"a{NAME}": token("old"), f"b{NAME}": "plain", f"c{NAME}": token("foreign"), "r": refused}
        for name in (f"t{NAME}", f"u{MARKUP}", f"v{NAME}", f"i{NAME}"):
            key = sa.Column(f"k{self.columns}", sa.String(190), primary_key=True)
            cell = sa.Column(f"c{self.columns}", sa.String(400))
            table = sa.Table(name, sa.MetaData(), key, cell)
            # A row that no run may change, for a reason with a name.
            stays = sa.or_(key != sa.literal("r"), cell == sa.literal(refused))
            table.append_constraint(sa.CheckConstraint(stays, name=f"q{NAME}"))
            with self.database.engine.begin() as connection:
                table.create(connection)
                connection.execute(
                    table.insert(), [dict(zip(table.c.keys(), row, strict=True)) for row in rows.items()]
                )

    def _write_config(self) -> None:
        url, dumps = toml(self.database.url), toml
        self.config.write_text(
            f"ledger = {dumps(f'sqlite:///{self.ledger}')}\n[policy.off]\nkey_files = {dumps(NAME)}\n"
            f"[[target]]\nurl = {url}\ntable = {dumps(f't{NAME}')}\ncolumns = [{dumps(f'c{self.columns}')}]\n"
            f"name = {dumps(f'n{NAME}')}\n[[target]]\nurl = {url}\ntable = {dumps(f'u{MARKUP}')}\n"
            f"columns = [{dumps(f'c{self.columns}')}]\nname = {dumps(MARKUP)}\ncontext = {dumps(f'x{NAME}')}\n"
            f"[[ignore]]\ntable = {dumps(f'i{NAME}')}\nreason = {dumps(f'r{NAME}')}\n"
            f"[[ignore]]\ntable = {dumps(f'gone{NAME}')}\nreason = {dumps(f'r{NAME}')}\n"
        )

    def _announce(self) -> None:
        """A service under another primary key, and another one that shares a key."""
        record = InstanceRecord(f"host{NAME}", f"bill{NAME}", OLD, datetime.now(UTC), (make_key("new").id,))
        with Ledger.open(f"sqlite:///{self.ledger}") as ledger:
            ledger.announce(record)
            ledger.mark(OLD, "promoted", f"bill{NAME}")

    def type(self, *argv: str, terminal: bool) -> Ran:
        """Runs a command."""
        out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
        code = main(argv, {**self.environ, **(TERMINAL if terminal else {})}, out, err)
        return Ran(code, out.getvalue(), err.getvalue())

    def commands(self) -> Iterator[tuple[str, ...]]:
        """Each command, in an order in which it has something to say."""
        config, made = ("--config", str(self.config)), str(self.folder / f"made{NAME}")
        target = ("--url", self.database.url, "--table", f"t{NAME}", "--column", f"c{NAME}")
        yield "status", *config
        yield "status", *target
        yield "status", *target[:4], "--column", f"none{NAME}"
        yield "status", "--config", made
        yield "run", "--dry-run", *config
        yield "run", *config, "--problems", f"{made}.jsonl"
        yield "adopt", *config
        for form in ("text", "nagios", "json"):
            yield "check", *config, "--format", form, "--prometheus", f"{made}.prom"
        yield "check", "--list", *config
        yield "report", *config, "--html", f"{made}.html"
        yield "discover", *config
        yield "discover", "--full", "--url", self.database.url, "--json"
        yield "init", "--config", f"{made}.toml", "--url", self.database.url, "--env-file", f"{made}.env"
        yield "init", "--app", "redash", "--config", f"{made}.redash", "--env-file", f"{made}.redash.env"
        yield "ledger", "init", *config
        yield "ledger", "init", "--url", f"sqlite:///{made}.ledger", "--sql"
        yield "keys", "generate"
        yield "keys", "derive", "--file", made
        yield "keys", "list", *config
        yield "keys", "list", "--keys", NAME, *config
        yield "keys", "suspend", OLD, *config, "--by", NAME
        yield "keys", "suspend", OLD, *config, "--force", OLD
        yield "keys", "resume", OLD, *config
        yield "keys", "retire", OLD, *config, "--archive", f"{made}.keys"
        yield "keys", "retire", OLD, *config, "--archive", f"{made}.keys", "--json"
        yield "keys", "retire", OLD, *config, "--archive", made, "--certificate", f"{made}.json", "--force", OLD
        yield "ledger", "verify", f"{made}.json", *config
        yield "ledger", "verify", f"{made}.jsonl", *config
        yield "ledger", "verify", f"{made}.none", *config
        yield "ledger", "keygen", f"{made}.pem", *config
        yield "ledger", "keygen", f"{made}.pem", *config
        yield "ledger", "verify", f"{made}.json", "--public", f"{made}.pem.pub", *config
        yield "ledger", "verify", f"{made}.json", "--public", f"{made}.pem", *config
        yield "keys", "restore", OLD, *config, "--archive", f"{made}.none"
        yield "keys", "restore", OLD, *config, "--archive", made
        yield "keys", "promote", OLD, *config
        yield "keys", "stage", *config, "--by", NAME
        yield "ledger", "verify", *config
        yield "demo", "--keep", f"{made}.demo"
        yield "help", "run"


def toml(text: str) -> str:
    """*text* as a string of TOML; all but what must not stand there is as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")


def leaves(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of each command."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from leaves(each, *path, name)
    else:
        yield path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / f"d{NAME}"
    folder.mkdir()
    with open_database("sqlite", folder) as database:
        yield Place(folder, database)


@pytest.mark.long
@pytest.mark.parametrize("terminal", [True, pytest.param(False, marks=pytest.mark.long)], ids=["terminal", "pipe"])
def test_no_command_lets_a_name_be_more(place: Place, named: Named, *, terminal: bool) -> None:
    """On a terminal, in a pipe and in every file: no line of a name's own, nothing that moves a cursor."""
    typed = list(place.commands())
    shown = ""
    for argv in typed:
        with named(*(word for word in argv if word.isprintable())):
            ran = place.type(*argv, terminal=terminal)
            shown += ran.out + ran.err

            assert "it failed (" not in ran.err + ran.out
            assert not [*faults(ran.out), *faults(ran.err)]
    for file in place.folder.glob("made*.*[!p]"):
        if file.is_file() and not {".demo", ".ledger"} & {file.suffix}:
            with named(file.suffix):
                assert not [*faults(file.read_text())]

    assert {path for path in leaves(group) if not any(argv[: len(path)] == path for argv in typed)} == set()
    # All kinds of names came up, and in a form that can be read.
    signs = {"t", "c", "k", "b", "v", "i", "r", "bill", "host", "q", "made", "gone", "none", "d"}
    assert {sign for sign in signs if f"{sign}x\\n{LINE}" not in " ".join(shown.split())} == set()
    assert MARKUP in shown


def test_a_name_in_a_document_is_exact(place: Place) -> None:
    """What is pasted from `discover` into rotation.toml, and what a program reads as JSON, is the name itself."""
    ran = place.type("discover", "--config", str(place.config), terminal=False)
    entry = ran.out.partition("Add to rotation.toml:")[2].partition("Then count")[0]
    found = place.type("discover", "--config", str(place.config), "--json", terminal=False).document

    assert {each["table"] for each in tomllib.loads(entry)["target"]} == {f"v{NAME}"}
    assert {each["table"] for each in tomllib.loads(found["targets"])["target"]} == {f"v{NAME}"}
    assert f"v{NAME}" in {each["table"] for each in found["columns"]}


@pytest.mark.parametrize("word", [NAME, MARKUP, "plain", "two words", "=ls", "\udcff"])
def test_a_word_of_a_next_line_can_be_pasted(word: str) -> None:
    """Bash reads it as it is, whatever is in it."""
    shown = subprocess.run(["bash", "-c", f"printf %s {shell_word(word)}"], capture_output=True, check=True).stdout

    assert shown == word.encode("utf-8", "surrogateescape")
    assert shell_word(word).isprintable()
    # zsh reads a bare `=ls` as the path of that program.
    assert not shell_word(word).startswith("=")


def test_no_question_is_more_than_one(place: Place) -> None:
    """`init` asks for a file in the folder of such a name."""
    argv = [sys.executable, ROOT / "scripts/rotate.py", "init", "--config", place.folder / "new.toml"]
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm"}
    talked = talk(
        argv, [("or Enter for your own service", "\n"), ("File of the keys", CTRL_C)], place.folder.parent, environ
    )

    # The question is broken between words.
    assert f"d{printable(NAME)}/.env]" in talked.shown.replace("\r", "").replace("\n", " ")
    assert not [*faults(talked.shown)]


@pytest.mark.parametrize("form", ["text", pytest.param("json", marks=pytest.mark.long)])
def test_no_name_is_a_line_of_the_log(place: Place, form: str) -> None:
    """With all that is logged, in both forms."""
    argv = [sys.executable, f"{ROOT}/scripts/rotate.py", "-vv", "--log-format", form]
    ran = run([*argv, "check", "--config", str(place.config)], place.environ)

    assert LINE in ran.stderr
    assert not [*faults(ran.stdout), *faults(ran.stderr)]


@pytest.mark.database
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_no_server_lets_a_name_be_more(kind: str, tmp_path: Path, named: Named) -> None:
    """The same with names from a server."""
    commands: Sequence[tuple[str, ...]] = (("run",), ("discover",), ("keys", "retire", OLD, "--archive", "old.keys"))
    with open_database(kind, tmp_path) as database:
        place = Place(tmp_path, database)
        for argv in commands:
            with named(*argv):
                ran = place.type(*argv, "--config", str(place.config), terminal=False)

                assert LINE in ran.out
                assert not [*faults(ran.out), *faults(ran.err)]
