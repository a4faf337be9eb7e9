"""`report` on real databases and a real ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freezegun import freeze_time

from keyring_core import Key, KeyState
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text
from tests.output.html.samples import certificate
from tests.output.html.test_page import Parsed

pytestmark = pytest.mark.database

CELLS = [token("new"), token("new"), token("old"), token("old")[:60], "", None]


def configure(folder: Path, database: Database) -> tuple[str, ...]:
    """A rotation.toml for creds.token, and a file for the page."""
    path = folder / "rotation.toml"
    path.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n')
    return ("--config", str(path), "--html", str(folder / "page.html"))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as opened:
        opened.make_creds(CELLS)
        yield opened


@pytest.fixture
def options(app: Database, tmp_path: Path) -> tuple[str, ...]:
    return configure(tmp_path, app)


def ledger(folder: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{folder / 'rotation-ledger.db'}")


def shown(folder: Path) -> str:
    return Parsed((folder / "page.html").read_text("utf-8")).text


def test_it_counts_every_target(cli: Cli, database: Database, tmp_path: Path, new: Key, old: Key) -> None:
    """On each database: cells per key and kind, what is wrong, exit code 1, and the verdict on stdout."""
    database.make_creds(CELLS)
    options = configure(tmp_path, database)
    cli("check", *options[:2])
    ran = cli("report", *options)

    assert (ran.code, ran.err) == (1, "")
    assert re.fullmatch(r"Wrote .*page\.html\. Not complete, and \d findings?\.", " ".join(ran.out.split()))
    words = shown(tmp_path)
    assert f"Not complete. 1 of 3 tokens is not under the primary key {new.id}. 1 cell cannot be read" in words
    assert f"{new.id} primary 40.0 % 2 {old.id} previous 20.0 % 1 unreadable 20.0 % 1 empty 20.0 % 1" in words
    assert "creds.token 1 cell unreadable, as at the last check" in words
    assert key_text("new") not in words
    assert "gAAAA" not in words


def test_a_complete_state_is_exit_code_0(cli: Cli, options: tuple[str, ...], app: Database, tmp_path: Path) -> None:
    """Every token under the primary key, and nothing to look at."""
    app.execute("DELETE FROM creds WHERE id > 2")
    ran = cli("report", *options)

    assert ran.code == 0
    assert "Complete. Every one of the 2 tokens of the column named in rotation.toml" in shown(tmp_path)


def test_a_column_that_no_target_names_is_found(
    cli: Cli, options: tuple[str, ...], app: Database, tmp_path: Path
) -> None:
    """As in a check."""
    app.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, secret TEXT)")
    app.insert("other", [{"id": 1, "secret": token("old")}])
    cli("report", *options)

    assert "other.secret this column holds tokens" in shown(tmp_path)
    assert "Checks that were not made" not in shown(tmp_path)


def test_the_ledgers_facts_are_shown_and_none_is_written(cli: Cli, options: tuple[str, ...], tmp_path: Path) -> None:
    """Dates, runs, certificates and instances of this service; those of another one stay out."""
    with freeze_time("2026-03-01 12:00"):
        cli("run", *options[:2])
    with ledger(tmp_path) as book:
        for service in ("default", "another"):
            book.keep_certificate(certificate(f"{service}-key", service=service))
            book.announce(InstanceRecord(f"web of {service}", service, "5f0c1a9e", datetime.now(UTC)))
        book.see_keys({"another-key-id": KeyState.PRIMARY}, "another")
        book.end_run(book.begin_run("another-run", "another", "5f0c1a9e"), "complete")
    before = (tmp_path / "rotation-ledger.db").read_bytes()
    cli("report", *options)

    words = shown(tmp_path)
    assert "2026-03-01 12:00 run left" in words
    assert re.search(r"primary 3 . . before 2026-03-01 .", words)
    assert "Key default-key was retired" in words
    assert "web of default" in words
    assert "another" not in words
    assert (tmp_path / "rotation-ledger.db").read_bytes() == before


def test_without_a_ledger_none_is_made(cli: Cli, options: tuple[str, ...], tmp_path: Path) -> None:
    """The page says that there is none."""
    cli("report", *options)

    assert not (tmp_path / "rotation-ledger.db").exists()
    assert "The ledger has no run." in shown(tmp_path)


def test_the_last_census_is_that_of_the_ledger(
    cli: Cli, options: tuple[str, ...], app: Database, tmp_path: Path
) -> None:
    """--last-census reads no target: the counts are the last check's, with their time."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with freeze_time(yesterday):
        cli("check", *options[:2])
    app.execute("DROP TABLE creds")
    ran = cli("report", *options, "--last-census", "--json")

    assert ran.code == 1
    assert ran.document["unreached"] == {}
    assert f"counted {yesterday:%Y-%m-%d %H:%M}" in shown(tmp_path)
    assert "1 of 3 tokens" in shown(tmp_path)
    assert "1 cell unreadable, as at the last check" in shown(tmp_path)
    assert "retired_key: --last-census reads no target" in shown(tmp_path)


def test_a_target_without_a_last_census_is_named(cli: Cli, options: tuple[str, ...], tmp_path: Path) -> None:
    """What was never counted is not complete."""
    ran = cli("report", *options, "--last-census", "--json")

    assert (ran.code, ran.document["complete"]) == (1, False)
    assert "make one with keyring-rotate check" in ran.document["unreached"]["creds.token"]
    assert "1 target was not reached" in shown(tmp_path)


def test_a_target_that_cannot_be_reached_is_exit_code_3(
    cli: Cli, options: tuple[str, ...], app: Database, tmp_path: Path
) -> None:
    """The page is written, and says so."""
    app.execute("DROP TABLE creds")
    ran = cli("report", *options, "--json")

    assert (ran.code, ran.document["complete"], list(ran.document["unreached"])) == (3, False, ["creds.token"])
    assert "creds.token was not reached" in shown(tmp_path)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param(["--html", "/nowhere/page.html"], "/nowhere/page.html: cannot be written", id="no folder"),
        pytest.param(["--env-file", "no-key.env"], "ENCRYPTION_KEY", id="no key"),
        pytest.param(["--config", "missing.toml"], "missing.toml", id="no rotation.toml"),
    ],
)
def test_what_does_not_fit_is_exit_code_2(cli: Cli, options: tuple[str, ...], argv: list[str], words: str) -> None:
    """No page, no traceback, and the thing by its name."""
    folder = Path(options[-1]).parent
    (folder / "no-key.env").write_text("ENCRYPTION_KEY=\n")
    ran = cli("report", *options, *(argument.replace("no-key", f"{folder}/no-key") for argument in argv))

    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert not (folder / "page.html").exists()


def test_html_is_needed(cli: Cli) -> None:
    """`report` alone says which option is missing."""
    ran = cli("report")

    assert (ran.code, "--html" in ran.err) == (2, True)
