"""What a command leaves in the ledger: a run that began, and nothing of a command that was mistyped."""

from __future__ import annotations

from pathlib import Path

import pytest
from freezegun import freeze_time

from rotation.ledger.ledger import Ledger
from rotation.ledger.records import RunRecord
from tests.conftest import Cli, Ran
from tests.databases import Database
from tests.fakes import token
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

CLOCK = "Warning: the clock says 2026-01-03 12:00 UTC, and the ledger holds an entry of 2026-05-01 12:00 UTC."


class Shop:
    """A database, a rotation.toml and a ledger."""

    def __init__(self, cli: Cli, folder: Path, database: Database) -> None:
        self._cli, self.folder = cli, folder
        self.config = folder / "rotation.toml"
        self.env_file = folder / ".env"
        self.ledger = folder / "rotation-ledger.db"
        self.configure(database.url)
        self.env_file.write_text(f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n")

    def configure(self, url: str, *tables: str, policy: str = "") -> None:
        entries = [
            f'[[target]]\nurl = "{url}"\ntable = "{table}"\ncolumns = ["token"]\n' for table in tables or ("creds",)
        ]
        self.config.write_text("".join(entries) + policy)

    def __call__(self, *argv: str) -> Ran:
        return self._cli(*argv, "--config", str(self.config), "--env-file", str(self.env_file), environ={})

    def runs(self) -> list[RunRecord]:
        if not self.ledger.exists():
            return []
        with Ledger.open(f"sqlite:///{self.ledger}") as ledger:
            return ledger.runs(200)


@pytest.fixture
def shop(cli: Cli, tmp_path: Path, database: Database) -> Shop:
    database.make_creds([token("old")])
    return Shop(cli, tmp_path, database)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["run", "--shard", "4/4"], id="shard"),
        pytest.param(["run", "--problems", "no/such/folder/list"], id="problems"),
        pytest.param(["run", "--workers", "2", "--dask", "tcp://x"], id="workers"),
        pytest.param(["run", "--where", "id = 1"], id="half a target"),
        pytest.param(["check", "--sample", "0"], id="a check's option"),
        pytest.param(["check", "--where", "id = 1"], id="a check's target"),
    ],
)
def test_a_mistyped_command_is_no_run(shop: Shop, argv: list[str]) -> None:
    """Or the check would page somebody tonight for a typing error."""
    assert shop(*argv).code in {2, 3}
    assert shop.runs() == []


def test_a_run_whose_target_does_not_fit_has_not_begun(shop: Shop, database: Database) -> None:
    """Even if its first target works: all targets are opened before one is written."""
    shop.configure(database.url, "creds", "nosuch")

    assert shop("run").code == 2
    assert shop.runs() == []


def test_a_run_is_recorded_with_its_end(shop: Shop, database: Database) -> None:
    """What begins is recorded, once, however many targets it has; a look at what it would do is none."""
    database.execute("CREATE TABLE others (id INTEGER PRIMARY KEY, token TEXT)")
    shop.configure(database.url, "creds", "others")
    shop("run", "--dry-run")
    shop("status")
    assert shop.runs() == []
    shop("run")

    [run] = shop.runs()
    assert (run.command, run.outcome, run.counts["rotated"]) == ("run", "complete", 1)


def test_a_run_that_cannot_reach_its_database_has_failed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its arguments stand: a nightly run that finds no database is one that somebody should hear of."""
    monkeypatch.setattr("rotation.context.Streams.wait", lambda self, seconds: None)
    shop.configure("postgresql://nobody@127.0.0.1:1/x")

    assert shop("run").code == 3
    assert [run.outcome for run in shop.runs()] == ["failed"]


def dated(shop: Shop) -> None:
    """A ledger with an entry of May."""
    with freeze_time("2026-05-01 12:00"):
        shop("status")


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["run"], id="run"),
        pytest.param(["status"], id="status"),
        pytest.param(["keys", "stage"], id="stage"),
        pytest.param(["keys", "promote", make_key("old").id], id="promote"),
        pytest.param(["keys", "retire", make_key("old").id, "--no-archive"], id="retire"),
    ],
)
def test_a_clock_that_is_behind_is_reported_before_a_date_is_written(shop: Shop, argv: list[str]) -> None:
    """R27: in the words of the check, on stderr, and the command goes on."""
    dated(shop)
    with freeze_time("2026-01-03 12:00"):
        ran, checked = shop(*argv), shop("check")

    assert f"{CLOCK} Next: set this machine's clock by NTP: timedatectl" in ran.err
    assert ran.code in {0, 1}
    assert CLOCK.removeprefix("Warning: ").removesuffix(".") in " ".join(checked.out.split())


def test_a_clock_that_is_behind_is_reported_when_a_key_comes_back(shop: Shop) -> None:
    """R27: as with the other steps of a key's life."""
    archive = shop.folder / "archive"
    archive.write_text(key_text("older") + "\n")
    dated(shop)
    with freeze_time("2026-01-03 12:00"):
        assert CLOCK in shop("keys", "restore", make_key("older").id, "--archive", str(archive)).err


def test_a_clock_may_be_as_far_behind_as_the_policy_allows(shop: Shop, database: Database) -> None:
    """The limit is that of the check: max_clock_skew of rotation.toml."""
    shop.configure(database.url, policy='[policy]\nmax_clock_skew = "200d"\n')
    dated(shop)
    with freeze_time("2026-01-03 12:00"):
        assert shop("status").err.startswith(
            "Note: the ledger holds an entry of 2026-05-01 12:00:00 UTC, 118 days after"
        )
    shop.config.write_text(shop.config.read_text().replace("200d", "30d"))
    with freeze_time("2026-01-03 12:00"):
        assert CLOCK in shop("status").err
