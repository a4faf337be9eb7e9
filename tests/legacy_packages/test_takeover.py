"""Tables that real packages wrote, each in an environment of its own: read, and taken over by a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.conftest import Cli, Ran
from tests.databases import Database, open_database
from tests.keys import key_text
from tests.legacy_packages.packages import CASES, TYPED_CASES, Case

pytestmark = [pytest.mark.database, pytest.mark.long]

_BARE = {"advanced-alchemy", "sqlalchemy-utils Fernet in bytes", "django-cryptography-5"}
ON_POSTGRESQL = [case for case in CASES if case.label in _BARE or case.json_column]
"""Each type of column: text, bytes and JSON."""


class Written:
    """The table of a package, and what the package reads there."""

    def __init__(self, case: Case, database: Database, folder: Path, cli: Cli) -> None:
        self.case, self._database, self._cli = case, database, cli
        self.values = {int(key): value for key, value in case.write(database.url).items()}
        if case.json_column:
            # It has to hold tokens afterwards, as docs/how-to/taking-over.md has it.
            _make_text(database)
        self._config = folder / "rotation.toml"
        self._config.write_text(_config(case, database.url))

    @property
    def stored(self) -> dict[int, bytes]:
        """The plaintext of each cell that is not NULL."""
        return {key: self.case.plaintext(value) for key, value in self.values.items() if value is not None}

    def cells(self) -> dict[int, Any]:
        """What is in the table now."""
        return {key: cell for key, cell in self._database.column("records", "value").items() if cell is not None}

    def run(self, environ: Mapping[str, str]) -> Ran:
        """A run with these secrets."""
        keys = {"ENCRYPTION_KEY": key_text("new")}
        return self._cli("run", "--json", "--config", str(self._config), environ={**keys, **environ})


def _make_text(database: Database) -> None:
    if database.kind == "postgresql":
        database.execute("ALTER TABLE records ALTER COLUMN value TYPE text")
        return
    # SQLite's column has a constraint: it holds JSON. A migration makes the table again.
    database.execute(
        "CREATE TABLE new_records (id INTEGER PRIMARY KEY, value TEXT)",
        "INSERT INTO new_records SELECT id, value FROM records",
        "DROP TABLE records",
        "ALTER TABLE new_records RENAME TO records",
    )


def _variables(case: Case) -> dict[str, list[tuple[str, str]]]:
    """For each variable of the case those of a process, where a list is several variables, and their values."""
    return {
        name: [(name, value)] if isinstance(value, str) else [(f"{name}_{n}", each) for n, each in enumerate(value)]
        for name, value in case.environ.items()
    }


def _config(case: Case, url: str) -> str:
    """The entry of rotation.toml that says what `Case.legacy` says."""
    secrets = [f"${name}" for name, _ in _variables(case)["OLD_SECRET"]]
    options = {"package": case.package, "secret": secrets, **case.options}
    source = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
    return f'[[target]]\nurl = "{url}"\ntable = "records"\ncolumns = ["value"]\nfrom = {{ {source} }}\n'


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        *((case, "sqlite") for case in CASES),
        *((case, "postgresql") for case in ON_POSTGRESQL),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_a_table_of_the_package_is_taken_over(case: Case, kind: str, tmp_path: Path, cli: Cli) -> None:
    """Every cell becomes a token of stock Fernet with the value that the package reads; with a wrong secret none does.

    And no plaintext is longer than the reader says, by which the width of a column is checked.
    """
    right = {name: text for several in _variables(case).values() for name, text in several}
    wrong = {name: f"not {text}" if name not in {"SALT_KEY", "FIELD_KEY"} else text for name, text in right.items()}
    wrong |= {name: key_text("another") for name, text in right.items() if len(text) >= 44 and text.endswith("=")}
    with open_database(kind, tmp_path) as database:
        written = Written(case, database, tmp_path, cli)
        before = written.cells()
        refused = written.run(wrong)
        untouched = written.cells()
        done = written.run(right)
        after = written.cells()

    longest = case.reader.longest_plaintext
    assert all(len(written.stored[key]) <= longest(len(cell)) for key, cell in before.items())
    assert refused.code == 1
    assert "Nothing was written here" in refused.document["targets"][0]["stopped"]
    assert untouched == before
    assert (done.code, done.document["complete"]) == (0, True)
    assert done.document["targets"][0]["taken_over"] == len(after) >= len(case.values) - 1
    assert {key: Fernet(key_text("new")).decrypt(cell) for key, cell in after.items()} == written.stored
    assert {type(cell) for cell in after.values()} == {type(cell) for cell in before.values()}


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        # On SQLite django-cryptography itself cannot read its durations.
        *((case, "sqlite") for case in TYPED_CASES if not case.label.endswith("Duration")),
        *((case, "postgresql") for case in TYPED_CASES if case.label.endswith(("DateTime", "Duration"))),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_typed_cells_of_the_package_are_read(case: Case, kind: str, tmp_path: Path, cli: Cli) -> None:
    """A typed field reads each cell of the package as the value that was stored, before the run and after it.

    A datetime is the same instant, also if the package stored it without its zone.
    """
    with open_database(kind, tmp_path) as database:
        written = Written(case, database, tmp_path, cli)
        before = written.cells()
        done = written.run(case.environ)
        after = written.cells()

    assert (done.code, {*before}) == (0, {*after})
    read = case.form.read if case.form else str
    stored = {key: read(case.values[str(key)]) for key in before}
    opened = {key: case.reader.open(cell) for key, cell in before.items()}
    assert {key: read(found.plaintext.decode()) for key, found in opened.items() if found} == stored
    plaintexts = {key: Fernet(key_text("new")).decrypt(cell) for key, cell in after.items()}
    assert {key: read(plaintext.decode()) for key, plaintext in plaintexts.items()} == stored
    assert 1 in stored
