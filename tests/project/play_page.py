"""Plays a page: runs or checks each of its blocks in their order. documents.py says how a page is written for that.

`python -m tests.project.play_page [--write] PAGE` ends at the first fault, or writes what the commands print now.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import json
import os
import re
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import dotenv
import yaml

from keyring_core import Key, KeyConfigWarning
from keyring_core.environment import warn_of_misspelt_names
from rotation.configuration.config_file import read_config
from rotation.context import entries_of_apps
from tests.databases import Database, drop_databases, open_database
from tests.project.bash import Bash, commands_in, fault
from tests.project.documents import ROOT, Block, commands_of, page_blocks
from tests.project.kubernetes import invalid
from tests.warm.client import programs

STAND_INS = Path(__file__).parent / "stand_ins"
FOLDER = "/srv/app"
"""What the pages call the folder that they are played in."""
SERVERS = {"-- PostgreSQL": "postgresql", "-- MariaDB": "mariadb"}
KEY_ID = re.compile(r"\b[0-9a-f]{8}\b")
CHANGING = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(\+00:00|Z| UTC)?|\d+(\.\d+)? (m?s|seconds?|minutes?)\b"
)
"""Dates, times and durations."""


class PageError(Exception):
    """A block does not do what the page shows."""


class Player:
    """An empty folder, and what a page does in it."""

    def __init__(self, folder: Path, scratch: Path, undo: ExitStack) -> None:
        self.folder, self._undo = folder, undo
        self.ids: dict[str, str] = {}
        """The ids that the page shows, and those of the keys in their place."""
        self._names: dict[str, Any] = {"__name__": "page"}
        self._databases: dict[str, Database] = {}
        system = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        path = os.pathsep.join(map(str, [STAND_INS, programs(), Path(sys.executable).parent, *system]))
        environ = {"PATH": path, "HOME": str(scratch), "LANG": "C.UTF-8", "COLUMNS": "200"}
        self._bash = Bash(folder, environ | {"PYTHONPATH": str(ROOT)}, scratch)
        undo.callback(self._bash.close)

    def play(self, block: Block) -> str:
        """Runs or checks *block*; returns what it is when its commands are typed now. Raises what is wrong with it."""
        assert hasattr(self, f"_{block.language}"), f"unknown language {block.language!r}; output is ```text"
        for command in block.setup:
            self._execute(block.text, command) if block.language == "sql" else self._succeed(command)
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o600)
            path.write_text(self._here(block.text))
        return getattr(self, f"_{block.language}")(block) or block.text

    def _text(self, block: Block) -> None:
        """Output is not looked at."""

    def _sh(self, block: Block) -> None:
        assert not fault(block.text), fault(block.text)
        for command in () if block.compiled or block.file else commands_in(block.text):
            self._succeed(command)

    def _succeed(self, command: str) -> None:
        code, output = self._bash.run(self._here(command))
        assert code == 0, f"exit code {code}:\n$ {command}\n{output}"

    def _console(self, block: Block) -> str:
        played = ""
        for command, shown in commands_of(block.text):
            assert not fault(command), fault(command)
            typed = "$ " + command.replace("\n", "\n> ")
            played += f"{typed}\n{shown if block.compiled else self._typed(command, shown)}"
        return played

    def _typed(self, command: str, shown: str) -> str:
        """What *command* prints, by the page's ids and folder; nothing if the page shows none of it."""
        code, output = self._bash.run(KEY_ID.sub(lambda name: self.ids.get(name[0], name[0]), self._here(command)))
        assert shown or code == 0, f"exit code {code}:\n$ {command}\n{output}"
        output = re.sub(r"[ \t]+$", "", output.replace(str(self.folder), FOLDER), flags=re.MULTILINE)
        named, found = (dict.fromkeys(KEY_ID.findall(text)) for text in (shown, output))
        if len(named) == len(found):
            self.ids = dict(zip(named, found, strict=True)) | self.ids
        shown_as = {real: name for name, real in self.ids.items()}
        return KEY_ID.sub(lambda real: shown_as.get(real[0], real[0]), output) if shown else ""

    def _here(self, text: str) -> str:
        return text.replace(FOLDER, str(self.folder))

    def _python(self, block: Block) -> None:
        program = compile(block.text, f"<the block in line {block.line}>", "exec", dont_inherit=True)
        if not (block.compiled or block.file):
            with contextlib.chdir(self.folder):
                exec(program, self._names)

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.text)
        if not block.compiled:
            path = self.folder / "shown.toml"
            path.write_text(block.text)
            config = read_config(path, entries_of_apps)
            config.key_sets()
            anywhere = dict.fromkeys(re.findall(r"\$\{?(\w+)", block.text), "sqlite:///app.db")
            config.targets(anywhere, needed=False)
            path.unlink()

    def _yaml(self, block: Block) -> None:
        for found in yaml.safe_load_all(block.text):
            if isinstance(found, dict) and "apiVersion" in found and not block.compiled:
                assert not (wrong := invalid(found, "1.31")), wrong

    def _json(self, block: Block) -> None:
        json.loads(block.text)

    def _ini(self, block: Block) -> None:
        if block.text.startswith("["):
            configparser.RawConfigParser(strict=False).read_string(block.text)
            return
        for name, value in dotenv.dotenv_values(stream=StringIO(block.text), interpolate=False).items():
            assert value is not None, f"not NAME=value: {name}"
            with warnings.catch_warnings():
                warnings.simplefilter("error", KeyConfigWarning)
                warn_of_misspelt_names({name: value})

    def _sql(self, block: Block) -> None:
        self._execute(block.text, block.text)

    def _execute(self, text: str, statements: str) -> None:
        """Runs *statements* where the first line of *text* says."""
        kind = SERVERS.get(text.splitlines()[0], "sqlite")
        if kind not in self._databases:
            self._databases[kind] = self._undo.enter_context(open_database(kind, self.folder))
        self._databases[kind].execute(*filter(str.strip, re.sub(r"--.*", "", statements).split(";")))


def played(page: str) -> Iterator[tuple[Block, str]]:
    """Each block of *page*, with what it is when its commands are typed now. Raises PageError."""
    with ExitStack() as undo:
        scratch = Path(undo.enter_context(tempfile.TemporaryDirectory())).resolve()
        (folder := scratch / "app").mkdir()
        undo.enter_context(mock.patch.dict(os.environ, {"ENCRYPTION_KEY": Key.generate().reveal()}))
        undo.callback(drop_databases)
        player = Player(folder, scratch, undo)
        for block in page_blocks(page):
            try:
                now = player.play(block)
            except Exception as error:
                fault = error if isinstance(error, AssertionError) and error.args else repr(error)
                raise PageError(f"line {block.line}, {block.language or 'no language'}: {fault}") from error
            yield block, now


def check(page: str) -> None:
    """Raises PageError if a block of *page* does not do what it shows."""
    for block, now in played(page):
        if CHANGING.sub("", block.text) != CHANGING.sub("", now):
            raise PageError(f"line {block.line}: the page shows\n{block.text}\nand it prints\n{now}")


def main() -> None:
    """Plays the page, and compares or writes it."""
    parser = argparse.ArgumentParser(description="Plays a page of the documents.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--write", action="store_true", help="write what its commands print into the page")
    given = parser.parse_args()
    warnings.simplefilter("error")
    text = given.page.read_text()
    try:
        if given.write:
            for block, now in played(text):
                text = text.replace(block.fenced(block.text), block.fenced(now))
            given.page.write_text(text)
        else:
            check(text)
    except PageError as error:
        sys.exit(f"{given.page}: {error}")


if __name__ == "__main__":
    main()
