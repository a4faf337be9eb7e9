"""A run whose primary key is the older one: it moves nothing back without --allow-demotion."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from freezegun import freeze_time

from keyring_core import Key
from tests.conftest import Cli, Ran
from tests.databases import Database
from tests.fakes import token
from tests.keys import key_text
from tests.stores.tokens import report, secret_names, secrets_of

pytestmark = pytest.mark.database

ROWS = 30
SWAPPED = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("new")}
RIGHT = {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")}
FIRST = {"ENCRYPTION_KEY": key_text("old")}


class Shop:
    """A database with tokens, and a ledger that saw each day's keys."""

    def __init__(self, cli: Cli, database: Database, ledger: str) -> None:
        self._cli, self.database, self.ledger = cli, database, ledger

    def on(self, day: str, environ: dict[str, str], command: str, *more: str, as_json: bool = True) -> Ran:
        target = ["--url", self.database.url, "--table", "creds", "--column", "token"]
        environ = {"ROTATION_LEDGER_URL": self.ledger, **environ} if self.ledger else environ
        with freeze_time(day):
            return self._cli(command, *target, *(["--json"] if as_json else []), *more, environ=environ)

    def under(self, label: str) -> list[str]:
        return secrets_of([cell for _, cell in sorted(self.database.column().items())], label)


@pytest.fixture
def shop(cli: Cli, database: Database, tmp_path: Path) -> Shop:
    """Its new key was promoted on the second of May, and everything is under it."""
    database.make_creds([token("old", f"secret {row}") for row in range(ROWS)])
    shop = Shop(cli, database, f"sqlite:///{tmp_path}/ledger.db")
    assert shop.on("2026-05-01", FIRST, "status").code == 0
    assert shop.on("2026-05-02", RIGHT, "run").code == 0
    return shop


def test_tokens_are_not_moved_back(shop: Shop, new: Key, old: Key) -> None:
    """R08: with an old configuration still scheduled somewhere, nothing is written, and the exit code is 1."""
    before = shop.database.column()

    ran = shop.on("2026-05-03", SWAPPED, "run")

    assert ran.code == 1
    assert shop.database.column() == before
    assert (report(ran)["rotated"], report(ran)["unsettled"]) == (0, ROWS)
    assert {problem["category"] for problem in report(ran)["problems"]} == {"newer-key"}
    assert ran.document["newer"] == {new.id: "2026-05-02T00:00:00+00:00"}
    assert shop.on("2026-05-04", SWAPPED, "run").code == 1, "and it is not forgotten by the next day"


def test_the_message_names_the_way_out(shop: Shop, new: Key, old: Key) -> None:
    """R08: which key, since when, and both ways to go on."""
    ran = shop.on("2026-05-03", SWAPPED, "run", as_json=False)

    words = " ".join(ran.out.split())
    assert (
        f"{ROWS} tokens are under {new.id}, promoted between 2026-05-01 00:00 UTC and 2026-05-02 00:00 UTC: later than "
        f"the primary key {old.id}" in words
    )
    assert f"Next: 1. if the keys are swapped: keyring-rotate keys promote {new.id}" in words
    assert "2. if you go back on purpose: keyring-rotate run --allow-demotion" in words


def test_dates_that_are_close_may_be_of_a_wrong_clock(shop: Shop, database: Database, new: Key, old: Key) -> None:
    """R08: a ledger from before the events has dates alone; with the advice the run ends, and so does the next one."""
    keys = "UPDATE keyring_ledger_keys SET promoted_after = NULL, promoted_before = '2026-05-02T00:0{}:00.000000Z'"
    with sa.create_engine(shop.ledger).begin() as ledger:
        ledger.exec_driver_sql("DELETE FROM keyring_ledger_events WHERE number > 1")
        for key, minute in (new, 0), (old, 1):
            ledger.exec_driver_sql(f"{keys.format(minute)} WHERE id = '{key.id}'")
    database.execute("UPDATE creds SET token = :token WHERE id = 1", token=token("old", "secret 0"))

    ran, checked = (shop.on("2026-05-03", RIGHT, command, as_json=False) for command in ("run", "check"))
    ended = [shop.on("2026-05-03", RIGHT, "run", *more).code for more in (["--allow-demotion"], [])]

    words = "the keys look swapped, this configuration is an old one, or a clock was wrong: the two dates are close"
    for each in ran, checked:
        assert words in " ".join(each.out.split())
        assert "2. if a clock was wrong, or you go back on purpose: keyring-rotate run --allow-demotion" in each.out
    assert (ran.code, ended) == (1, [0, 0])
    assert shop.under("new") == secret_names(ROWS)


@pytest.mark.parametrize("command", [("status",), ("run", "--dry-run")], ids=["status", "dry-run"])
def test_a_look_shows_that_it_would_be_back(shop: Shop, command: tuple[str, ...], new: Key) -> None:
    """R09: with the keys swapped by mistake, a look says so before anything is written."""
    ran = shop.on("2026-05-03", SWAPPED, *command, as_json=False)

    assert ran.code == 1
    assert f"{ROWS} tokens are under {new.id}, promoted between 2026-05-01" in " ".join(ran.out.split())
    assert "->" not in ran.out


def test_a_look_shows_the_direction(shop: Shop, new: Key, old: Key) -> None:
    """R09: the run says from which key to which, both if it moves tokens forward and with --allow-demotion."""
    back = shop.on("2026-05-03", SWAPPED, "run", "--dry-run", "--allow-demotion", as_json=False)
    shop.database.execute("UPDATE creds SET token = :token WHERE id = 1", token=token("old", "secret 0"))
    forth = shop.on("2026-05-03", RIGHT, "status", as_json=False)

    assert f"{ROWS} tokens {new.id} -> {old.id}" in back.out
    assert f"1 token {old.id} -> {new.id}" in forth.out


def test_a_roll_back_is_told_and_remembered(shop: Shop, old: Key) -> None:
    """R08: --allow-demotion moves them, and from then on the older key is the newest: the other way is the refused."""
    allowed = shop.on("2026-05-03", SWAPPED, "run", "--allow-demotion")
    again = shop.on("2026-05-04", SWAPPED, "run")
    shop.database.execute("UPDATE creds SET token = :token WHERE id = 1", token=token("new", "secret 0"))
    mixed = shop.on("2026-05-05", SWAPPED, "run")
    other_way = shop.on("2026-05-06", RIGHT, "run")

    assert (allowed.code, report(allowed)["rotated"]) == (0, ROWS)
    assert (again.code, report(again)["rotated"]) == (0, 0)
    assert (mixed.code, report(mixed)["rotated"]) == (0, 1)
    assert (other_way.code, report(other_way)["unsettled"]) == (1, ROWS)
    assert shop.under("old") == secret_names(ROWS)


def test_a_dry_run_remembers_no_roll_back(shop: Shop) -> None:
    """R08: only a run decides."""
    shop.on("2026-05-03", SWAPPED, "run", "--dry-run", "--allow-demotion")

    assert shop.on("2026-05-04", SWAPPED, "run").code == 1


def test_keys_swapped_before_the_ledger_saw_a_promotion(cli: Cli, database: Database, tmp_path: Path) -> None:
    """R09: a key that the ledger met as a previous one does not become the newest by being seen as primary."""
    database.make_creds([token("new", f"secret {row}") for row in range(ROWS)])
    shop = Shop(cli, database, f"sqlite:///{tmp_path}/ledger.db")
    shop.on("2026-05-01", RIGHT, "status")

    codes = [shop.on(day, SWAPPED, "run").code for day in ("2026-05-02", "2026-05-03")]

    assert codes == [1, 1]
    assert shop.under("new") == secret_names(ROWS)


def test_without_a_ledger_a_run_goes_on(cli: Cli, database: Database) -> None:
    """R08: nobody knows then which key is the newer one; two that run at once still notice each other."""
    database.make_creds([token("new", f"secret {row}") for row in range(ROWS)])
    shop = Shop(cli, database, "")

    ran = shop.on("2026-05-03", SWAPPED, "run")

    assert (ran.code, report(ran)["rotated"], ran.document["newer"]) == (0, ROWS, {})


def test_a_lost_token_is_told_with_its_probable_key(shop: Shop, old: Key) -> None:
    """R32: a backup from the time of a retired key is restored; each row says which key to restore."""
    only_new = {"ENCRYPTION_KEY": key_text("new")}
    with freeze_time("2026-06-01"):
        from rotation.ledger.ledger import Ledger

        with Ledger.open(shop.ledger) as ledger:
            ledger.mark(old.id, "retired", "default")
    shop.database.execute("UPDATE creds SET token = :token WHERE id = 2", token=token("old", "x", 1_777_600_000))
    told = f"probably under {old.id}, retired 2026-06-01: restore that key if a backup brought this token"

    for command in ("status", "run"):
        [problem] = report(shop.on("2026-07-01", only_new, command))["problems"]
        assert (problem["key"], problem["category"]) == ({"id": 2}, "unknown-key")
        assert problem["detail"].endswith(told)

    shop.database.execute("UPDATE creds SET token = :token", token=token("old", "x", 1_777_600_000))
    missing = shop.on("2026-07-01", only_new, "run")
    assert missing.code == 1
    assert f"They are {told}. Add the key to ENCRYPTION_PREVIOUS_KEYS" in report(missing)["stopped"]
