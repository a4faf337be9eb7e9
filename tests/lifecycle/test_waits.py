"""What a service has read since its last announcement is known to nobody: a retirement waits for one more word."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotation.context import Context
from rotation.ledger.records import InstanceRecord
from rotation.lifecycle import in_flight, operations
from rotation.lifecycle.steps import StepResult
from rotation.model.key_use import ReadRecord
from rotation.world.process import Streams
from tests.databases import open_database
from tests.lifecycle.shop import OLD, OLDER, Shop, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Nothing stored needs the older key, and one service announces itself each minute."""
    monkeypatch.setattr(in_flight, "LOOK_SECONDS", 0.011)
    with open_database("sqlite", tmp_path) as database:
        made = Shop(tmp_path, database)
        made.fill([old_token("old")])
        announce(made, -60)
        announce(made)
        return made


def announce(shop: Shop, seconds: float = 0, *, opened: int = 0) -> datetime:
    """The service announces itself, that many seconds from now, and has just read with the key; returns the time."""
    now = datetime.now(UTC)
    seen, web = now + timedelta(seconds=seconds), ("web", "web-1:2")
    with shop.ledger() as ledger:
        record = InstanceRecord(web[1], web[0], OLD.id, seen, (OLDER.id,))
        ledger.announce(record, [ReadRecord(*web, OLDER.id, seen, opened, now)])
    return seen


def read(shop: Shop) -> None:
    """The service says that it read with the key."""
    announce(shop, opened=1)


def silence(shop: Shop) -> None:
    """The service says that it read nothing."""
    announce(shop)


def end(shop: Shop) -> None:
    """The service ends, and takes its entry back."""
    with shop.ledger() as ledger:
        [record] = ledger.instances(timedelta(days=1))
        ledger.withdraw(record)


def retire(shop: Shop, meanwhile: Callable[[Shop], None] | None, **options: bool) -> tuple[StepResult, int]:
    """The result of a retirement while *meanwhile* happens, and how often it looked for a word."""

    class Waiting(Streams):
        looked = 0

        def wait(self, seconds: float) -> None:
            if seconds == in_flight.LOOK_SECONDS:
                self.looked += 1
                if meanwhile:
                    meanwhile(shop)
            super().wait(seconds)

    streams = Waiting()
    with Context({}, shop.config, shop.env_file, streams=streams) as ready:
        return operations.retire(ready, OLDER.id, ready.targets(), **options), streams.looked


def test_a_read_since_the_last_announcement_keeps_the_key(shop: Shop) -> None:
    """The service reads with it, and the key is retired half a minute later."""
    done, looked = retire(shop, read)

    assert ["reads with" in reason for reason, _ in done.refused] == [True]
    assert looked == 1


@pytest.mark.parametrize("meanwhile", [silence, end])
def test_the_key_goes_after_one_more_word(shop: Shop, meanwhile: Callable[[Shop], None]) -> None:
    """Or after the end of the service, which announces its last reads."""
    done, looked = retire(shop, meanwhile)

    assert (done.refused, looked) == ((), 1)
    assert OLDER not in shop.settings().previous


def test_a_service_that_falls_silent_keeps_the_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with the time at which it counts as gone, and how to do without its word."""
    monkeypatch.setattr(in_flight, "ANNOUNCED_SECONDS", 0.1)
    ran = shop.keys("retire", OLDER.id, "--no-archive", "--json")

    [reason] = refusals(ran)
    assert reason.startswith("web on web-1:2 (seen ")
    assert reason.endswith("announced itself each minute, and does no more: nobody knows what it has read since")
    assert "--no-wait" in json.loads(ran.out)["refused"][0]["remedy"]


def test_nobody_waits_for_who_announces_itself_seldom_or_if_told_not_to(shop: Shop) -> None:
    """The output and the certificate say up to when its reads are known."""
    proof = shop.folder / "proof.json"
    seen = announce(shop, 300)
    ran = shop.keys("retire", OLDER.id, "--no-archive", "--certificate", str(proof))

    known = f"web on web-1:2, up to {seen:%Y-%m-%d %H:%M:%S} UTC"
    assert ran.code == 0
    assert f"reads are known of {known}" in " ".join(ran.out.split())
    assert json.loads(proof.read_text())["reads"]["asked"] == [known]


def test_without_a_wait_the_last_word_counts(shop: Shop) -> None:
    """As the operator wants it."""
    done, looked = retire(shop, None, wait=False)

    assert (done.refused, looked) == ((), 0)


def test_a_refusal_waits_for_nobody(shop: Shop) -> None:
    """It would only keep the operator."""
    shop.database.insert("creds", [{"id": 9, "token": old_token("older"), "note": ""}])
    done, looked = retire(shop, silence)

    assert (len(done.refused), looked) == (1, 0)
