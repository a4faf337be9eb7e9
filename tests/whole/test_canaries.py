"""Every cell, key and password is a known canary; no command ever shows eight characters of one."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.conftest import Cli
from tests.databases import Database
from tests.processes import ROOT, run

pytestmark = pytest.mark.database

RUN = 8


class Canaries:
    """Secrets of one test, and the search for them."""

    def __init__(self) -> None:
        self.new, self.old, self.foreign = (Fernet.generate_key().decode() for _ in range(3))
        self.password = f"{secrets.token_hex(8)}@:/%{secrets.token_hex(8)}"
        self._runs: set[str] = set()
        for secret in (self.new, self.old, self.foreign, self.password):
            self.watch(secret)

    @property
    def environ(self) -> dict[str, str]:
        return {"ENCRYPTION_KEY": self.new, "ENCRYPTION_PREVIOUS_KEYS": self.old}

    def watch(self, secret: str) -> str:
        """Searches for *secret*, too."""
        self._runs |= {secret[start : start + RUN] for start in range(len(secret) - RUN + 1)}
        return secret

    def plaintext(self) -> str:
        return self.watch(secrets.token_hex(16))

    def token(self, key: str) -> str:
        token = Fernet(key).encrypt(self.plaintext().encode()).decode()
        # All tokens of one day begin alike.
        self.watch(token[14:])
        return token

    def shown(self, *outputs: str) -> set[str]:
        """The runs of canaries that stand in *outputs*."""
        return {
            output[start : start + RUN]
            for output in outputs
            for start in range(len(output) - RUN + 1)
            if output[start : start + RUN] in self._runs
        }

    def fill(self, database: Database) -> None:
        """A table with sound and broken cells of every kind."""
        good = [self.token(self.old) for _ in range(30)] + [self.token(self.new)]
        foreign = self.token(self.foreign)
        broken = [
            good[0][:60],
            good[1] + good[2],
            f"b'{good[3]}'",
            f'"{good[4]}"',
            foreign,
            self.plaintext(),
            f"{{{good[5]}}}",
        ]
        database.make_creds(good + broken)


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def target(database: Database) -> tuple[str, ...]:
    return ("--url", database.url, "--table", "creds", "--column", "token")


@pytest.fixture
def quiet(canaries: Canaries, capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Outputs to search when the test is done, with all that this process printed besides."""
    outputs: list[str] = []
    yield outputs
    assert canaries.shown(*outputs, *capfd.readouterr()) == set()
    assert any(outputs)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "argv",
    [("status",), ("status", "--json"), ("run", "--dry-run"), ("run",), ("run", "--json")],
    ids=" ".join,
)
def test_broken_cells_are_named_and_not_shown(
    cli: Cli, database: Database, canaries: Canaries, quiet: list[str], argv: tuple[str, ...]
) -> None:
    """Whatever a cell holds, its row and its fault are reported, and nothing of its content."""
    canaries.fill(database)

    ran = cli(*argv, *target(database), environ=canaries.environ)

    assert ran.code == 1
    quiet += [ran.out, ran.err]


def test_the_problems_file_shows_no_secret(
    cli: Cli, database: Database, canaries: Canaries, quiet: list[str], tmp_path: Path
) -> None:
    """The file of all problems names rows and categories only."""
    canaries.fill(database)
    problems = tmp_path / "problems.jsonl"

    cli("run", "--problems", str(problems), *target(database), environ=canaries.environ)

    assert len(problems.read_text().splitlines()) == 7
    quiet.append(problems.read_text())


def test_a_check_shows_no_secret(
    cli: Cli, database: Database, canaries: Canaries, quiet: list[str], tmp_path: Path
) -> None:
    """Findings in every format, metrics and the ledger name rows and numbers only."""
    canaries.fill(database)
    metrics, ledger = tmp_path / "keys.prom", tmp_path / "ledger.db"
    environ = canaries.environ | {"ROTATION_LEDGER_URL": f"sqlite:///{ledger}"}

    for form in ("text", "nagios", "json"):
        ran = cli("check", *target(database), "--format", form, "--prometheus", str(metrics), environ=environ)
        assert ran.code == 2
        quiet += [ran.out, ran.err]
    quiet += [metrics.read_text(), ledger.read_text("latin-1")]


def test_the_page_shows_no_secret(
    cli: Cli, database: Database, canaries: Canaries, quiet: list[str], tmp_path: Path
) -> None:
    """The report's page counts broken cells, and shows none; nor a token that a condition quotes."""
    canaries.fill(database)
    page, where = tmp_path / "page.html", f"token <> '{canaries.token(canaries.old)}'"

    cli("report", "--html", str(page), *target(database), "--where", where, environ=canaries.environ)

    assert "rows where" in page.read_text("utf-8")
    quiet.append(page.read_text("utf-8"))


def test_a_constraint_that_shows_the_value_is_not_quoted(
    cli: Cli, database: Database, canaries: Canaries, quiet: list[str]
) -> None:
    """Where the database refuses a row and quotes it, we name the constraint only."""
    canaries.fill(database)
    if database.kind == "sqlite":
        database.execute(
            "CREATE TRIGGER guard BEFORE UPDATE ON creds WHEN new.id = 7 BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        old = database.column()[7]
        database.execute(f"ALTER TABLE creds ADD CONSTRAINT guard CHECK (id <> 7 OR token = '{old}')")

    ran = cli("run", *target(database), environ=canaries.environ)

    assert ran.code == 1
    assert "id=7: refused" in ran.out
    quiet += [ran.out, ran.err]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"--table": "nosuch"}, id="no such table"),
        pytest.param({"--column": "nosuch"}, id="no such column"),
        pytest.param({"--where": "nosuch = 1"}, id="bad condition"),
        pytest.param({"--key-column": "note"}, id="no key"),
    ],
)
def test_a_target_that_does_not_fit_shows_no_secret(
    cli: Cli, database: Database, canaries: Canaries, quiet: list[str], change: dict[str, str]
) -> None:
    """A refused target is named, and neither its url's password nor a cell is shown."""
    canaries.fill(database)
    options = dict(zip(target(database)[::2], target(database)[1::2], strict=True)) | change

    ran = cli("run", *(word for pair in options.items() for word in pair), environ=canaries.environ)

    assert ran.code == 2
    quiet += [ran.out, ran.err]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_shows_no_password(
    cli: Cli, canaries: Canaries, quiet: list[str], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that fails ends with exit code 3, and the url's password stays unsaid."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)
    url = sa.URL.create(scheme, "user", canaries.password, "127.0.0.1", 1, "db").render_as_string(hide_password=False)

    ran = cli("run", "--url", url, "--table", "creds", "--column", "token", environ=canaries.environ)

    assert ran.code == 3
    quiet += [ran.out, ran.err]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda key: key[:-1], id="cut"),
        pytest.param(lambda key: f"{key},{key}", id="list"),
        pytest.param(lambda key: f'"{key}', id="quote"),
        pytest.param(lambda key: key.replace(key[20], "é"), id="not ASCII"),
        pytest.param(lambda key: key * 3, id="glued"),
    ],
)
def test_a_malformed_key_is_not_shown(cli: Cli, canaries: Canaries, quiet: list[str], tmp_path: Path, damage) -> None:
    """A refused key is reported by its fault, from the environment and from a dotenv file alike."""
    bad = damage(canaries.new)
    env = tmp_path / ".env"
    env.write_text(f"ENCRYPTION_KEY='{bad}'\n")

    ran = [
        cli("keys", "list", environ={"ENCRYPTION_KEY": bad}),
        cli("keys", "list", "--env-file", str(env), environ={}),
    ]

    assert [one.code for one in ran] == [2, 2]
    quiet += [text for one in ran for text in (one.out, one.err)]


def test_a_crash_in_the_middle_shows_no_secret(database: Database, canaries: Canaries, quiet: list[str]) -> None:
    """An error that nobody foresaw, with a key, a token and locals in it, is masked on its way to stderr."""
    canaries.fill(database)
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from rotation.stores.store import Store\n"
        "from rotation.cli.main import entry\n"
        "import os\n"
        "def crash(self, swaps, *_):\n"
        "    key = os.environ['ENCRYPTION_KEY']\n"
        "    raise RuntimeError(f'{swaps.old[0]} {swaps.new[0]} {key} {key.encode()!r}', swaps)\n"
        "Store.write = crash\n"
        "entry()\n"
    )

    argv = [sys.executable, "-c", script, str(ROOT), "run", *target(database)]
    ran = run(argv, canaries.environ | {"PATH": os.environ["PATH"]})

    assert ran.returncode != 0
    assert "RuntimeError" in ran.stderr
    quiet += [ran.stdout, ran.stderr]


def test_the_search_finds_what_is_shown(canaries: Canaries) -> None:
    """Eight characters of any canary are found, seven are not."""
    secret = canaries.plaintext()

    assert canaries.shown(json.dumps({"x": secret[3:11]})) == {secret[3:11]}
    assert canaries.shown(f"-{secret[3:10]}-") == set()
