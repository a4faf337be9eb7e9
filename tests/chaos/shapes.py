"""How the table of a storm keeps tokens: alone, in JSON, beside a column that changes with the key, or not all yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.keys import key_text


@dataclass(frozen=True)
class Shape:
    """A table creds(id, token, note), with key_hash where there is a companion."""

    kinds: dict[str, str]
    """The type of the column, by database."""
    entry: str = ""
    """Settings of the target in rotation.toml; none: it is named on the command line."""
    is_json: bool = False
    companion: bool = False
    adopts: bool = False
    """Whether some cells are plaintext, and a service goes on to write such."""

    @property
    def commands(self) -> list[list[str]]:
        """What rotators run, each as likely as another; the first one leaves nothing to do."""
        return [["adopt", "--yes"], ["run"]] if self.adopts else [["run"]]

    def columns(self, kind: str) -> str:
        """What CREATE TABLE takes for the columns behind the key."""
        more = ", key_hash VARCHAR(40)" if self.companion else ""
        return f"token {self.kinds[kind]}, note VARCHAR(50){more}"

    @property
    def names(self) -> list[str]:
        """The columns behind the key."""
        return ["token", "note", *(["key_hash"] if self.companion else [])]

    def place(self, kind: str) -> str:
        """What stands for a cell in a statement that writes it."""
        return "CAST(:token AS JSONB)" if self.is_json and kind == "postgresql" else ":token"

    def selected(self, kind: str) -> str:
        """The columns behind the key, as a SELECT reads them: JSON as its text."""
        cell = "CAST(token AS text)" if self.is_json and kind == "postgresql" else "token"
        return ", ".join([cell, *self.names[1:]])

    def target(self, url: str, folder: Path) -> list[str]:
        """The options that name the target."""
        if not self.entry:
            return ["--url", url, "--table", "creds", "--column", "token"]
        config = folder / "rotation.toml"
        config.write_text(f'[[target]]\nurl = "{url}"\ntable = "creds"\ncolumns = ["token"]\n{self.entry}\n')
        return ["--config", str(config)]

    def cell(self, token: Callable[[], str]) -> str:
        """A cell with one token or several."""
        if not self.is_json:
            return token()
        return f'{{"tokens": ["{token()}", "{token()}"], "price": 1.00, "words": "\\"é\\", \\\\ and 😀"}}'


PLAIN = {"sqlite": "VARCHAR(400)", "postgresql": "VARCHAR(400)", "mariadb": "VARCHAR(400)"}
SHAPES = {
    "plain": Shape(PLAIN),
    "json": Shape({"sqlite": "JSON", "postgresql": "JSONB", "mariadb": "JSON"}, 'format = "embedded"', is_json=True),
    "companion": Shape(PLAIN, 'set = { key_hash = "sha1-of-primary-key-text" }', companion=True),
    "adopt": Shape(PLAIN, adopts=True),
}


def hash_of(label: str) -> str:
    """What the companion of a token under the test key of that label holds."""
    return hashlib.sha1(key_text(label).encode(), usedforsecurity=False).hexdigest()
