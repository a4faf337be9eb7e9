"""A ledger that does not work stops the steps before anything is touched, and never stops a run."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from keyring_core import KeyState
from rotation.cli.main import main
from rotation.ledger.session import OnFailure, Session
from rotation.lifecycle.gathering import _plan, known_columns
from tests.conftest import Named
from tests.lifecycle.shop import OLDER, Shop, old_token

pytestmark = pytest.mark.database


@contextmanager
def _newer(shop: Shop) -> Iterator[str]:
    with sqlite3.connect(shop.folder / "rotation-ledger.db") as connection:
        connection.execute("UPDATE keyring_ledger_schema SET version = 99")
    connection.close()
    yield "its schema has version 99"


@contextmanager
def _corrupt(shop: Shop) -> Iterator[str]:
    (shop.folder / "rotation-ledger.db").write_bytes(b"no database" * 999)
    yield "not an SQLite database"


@contextmanager
def _locked(shop: Shop) -> Iterator[str]:
    other = sqlite3.connect(shop.folder / "rotation-ledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield "locked by another process"
    other.close()


@contextmanager
def _read_only(shop: Shop) -> Iterator[str]:
    with shop.env_file.open("a") as file:
        file.write(f"ROTATION_LEDGER_URL=sqlite:///{shop.folder}/rotation-ledger.db?mode=ro\n")
    yield "read-only"


FAULTS = pytest.mark.parametrize(
    "fault", [_newer, _corrupt, _locked, _read_only], ids=["newer", "corrupt", "locked", "read-only"]
)
Fault = Callable[[Shop], AbstractContextManager[str]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotation.stores.sqlite.dialect.BUSY_SECONDS", 0.01)


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """With a ledger that has seen no key yet."""
    shop.fill([old_token("older")])
    with shop.ledger() as ledger:
        ledger.see_keys({"00000000": KeyState.PRIMARY}, "else")
    return shop


def test_damaged_names_of_columns_are_none(shop: Shop, named: Named) -> None:
    """What the ledger has of an earlier retirement, if somebody changed it: everything is searched, as without it."""
    with shop.ledger() as ledger:
        session = Session("default", OnFailure.RAISE, lambda _: None, ledger)
        for text in ("x", "7", "null", '"t"', "{}", "[[]]", "[7]", "[[1, 2, 3]]", '[[["a"], "b", "c"]]', "[" * 100_000):
            with named(text[:40]):
                ledger.reach(_plan(session, OLDER.id), text)
                assert known_columns(session, OLDER.id) == []
        ledger.reach(_plan(session, OLDER.id), '[["a", "b", "c"]]')
        assert known_columns(session, OLDER.id) == [("a", "b", "c")]


@pytest.mark.some(3)
@FAULTS
@pytest.mark.parametrize(
    "step", [["stage"], ["promote", OLDER.id], ["retire", OLDER.id, "--no-archive"]], ids=lambda step: step[0]
)
def test_a_step_ends_before_anything_is_touched(shop: Shop, fault: Fault, step: list[str]) -> None:
    """Exit code 3, the ledger's name and what is wrong with it."""
    with fault(shop) as words:
        before = shop.env_file.read_bytes()
        ran = shop.keys(*step)

    assert ran.code == 3
    assert words in ran.err
    assert "rotation-ledger.db" in ran.err
    assert shop.env_file.read_bytes() == before


@FAULTS
def test_a_run_goes_on(shop: Shop, fault: Fault) -> None:
    """All is rotated, exit code 0; one warning says that nothing was written down."""
    with fault(shop) as words:
        ran = shop.rotate("run")

    assert ran.code == 0
    assert ran.err.count("Warning") == 1
    assert words in ran.err


@FAULTS
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_the_keys_are_listed(shop: Shop, fault: Fault, options: list[str]) -> None:
    """To fix a ledger you need the keys' ids, too; only a ledger that can be read gives dates."""
    with fault(shop) as words:
        ran = shop.keys("list", *options)

    assert ran.code == 0
    assert OLDER.id in ran.out
    assert (words in ran.err) != (words == "read-only")


def test_a_ledger_that_is_lost_costs_dates_alone(shop: Shop) -> None:
    """Every step works as before; the dates begin again."""
    (shop.folder / "rotation-ledger.db").unlink()

    assert shop.rotate("run").code == 0
    assert shop.keys("retire", OLDER.id, "--no-archive").code == 0


def test_one_target_by_options_makes_no_ledger(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """--url, --table and --column are for one look: no surprise file, though a rotation.toml lies around."""
    (shop.folder / "rotation-ledger.db").unlink()
    monkeypatch.chdir(shop.folder)
    options = ["--table", "creds", "--column", "token", "--env-file", str(shop.env_file)]

    assert main(["run", "--url", shop.database.url, *options], {}, io.StringIO(), io.StringIO()) == 0
    assert not list(shop.folder.glob("*ledger*"))


def test_a_run_is_recorded(shop: Shop) -> None:
    """Command, end, outcome, counts; and the census of each target."""
    shop.rotate("run")
    shop.rotate("run", "--dry-run")

    with shop.ledger() as ledger:
        [run] = ledger.runs()
        [census] = ledger.censuses()
    assert (run.command, run.outcome, run.counts["rotated"]) == ("run", "complete", 1)
    assert run.finished
    assert (census.label, census.complete, census.counts.scanned) == ("creds.token", True, 1)
