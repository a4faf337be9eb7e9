"""A first rotation during which the clock of the admin's machine is wrong at one step: it ends, and no message lies."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias, cast

import pytest
from freezegun import freeze_time

from rotation.ledger.records import InstanceRecord
from rotation.model.key_use import ReadRecord
from tests.conftest import Ran
from tests.databases import Database
from tests.fakes import token
from tests.keys import key_text
from tests.lifecycle.shop import OLD, Shop

pytestmark = pytest.mark.database

STEPS = (
    ("check",),
    ("keys", "stage"),
    ("keys", "promote"),
    ("run",),
    ("check",),
    ("keys", "retire", OLD.id, "--archive", "old.keys", "--no-wait"),
)
OFFSETS = {
    f"{name} {where}": sign * by
    for name, by in (
        ("a minute", timedelta(minutes=1)),
        ("ten minutes", timedelta(minutes=10)),
        ("a day", timedelta(1)),
    )
    for where, sign in (("behind", -1), ("ahead", 1))
}
LIES = (
    "the keys look swapped",
    "no run rotated them",
    "the ledger does not know when",
    "the ledger has no date of",
    "has ended complete",
    "still encrypts",
    "after it was replaced",
)
"""What no message may say here: the keys are right, there was one promotion, and it was recorded."""


class Admin:
    """Follows the tutorial; the keys, the tokens and the ledger are in *shop*."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        shop.fill([token("old", issued_at=int(time.time()) - 3600 * (age + 1)) for age in range(5)])
        shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
        monkeypatch.chdir(shop.folder)
        self.said = ""

    def type(self, argv: Sequence[str], offset: timedelta = timedelta()) -> Ran:
        """Runs a command on a machine whose clock is wrong by *offset*."""
        with freeze_time(datetime.now(UTC) + offset, tick=True):
            ran = self.shop.rotate(*argv)
        self.said += " ".join(f"{ran.out} {ran.err}".split())
        return ran

    def check_end(self) -> None:
        """Everything has ended well, and nothing that is false was said."""
        assert [lie for lie in LIES if lie in self.said] == [], self.said
        last = self.type(("check", "--json"))
        found = {check["check"] for check in last.document["checks"] if check["status"] != "OK"}
        assert found <= {"clock"}, last.out
        assert self.shop.settings().previous == ()
        assert self.type(("ledger", "verify")).code == 0

    def announce(self, reads_of: str = "") -> None:
        """A service on a machine with the right clock says which keys it has, and that it has read with one."""
        now, keys = datetime.now(UTC), self.shop.settings()
        previous, staged = tuple(key.id for key in keys.previous), keys.staged and keys.staged.id
        reads = [ReadRecord("default", "web-1", reads_of, now, opened=1, last_opened=now)] if reads_of else []
        with self.shop.ledger() as ledger:
            ledger.announce(
                InstanceRecord("web-1", "default", keys.primary.id, now, previous, staged), reads, clock=now
            )


def rotate(admin: Admin, wrong: int, offset: timedelta, *, with_service: bool) -> None:
    """The steps, with a clock that is wrong by *offset* at the step *wrong*; what a refusal advises is done."""
    for number, argv in enumerate(STEPS):
        if with_service:
            admin.announce(OLD.id if number <= 3 else "")
        ran = admin.type(argv, offset if number == wrong else timedelta())
        if ran.code and argv[0] != "check":
            advised = re.search(r"keyring-rotate (run|keys \w+ \w+)", " ".join((ran.out + ran.err).split()))
            assert advised, ran.out + ran.err
            admin.type(advised[1].split())
            if with_service:
                admin.announce()
            ran = admin.type(argv)
            assert ran.code == 0, ran.out + ran.err


Wrong: TypeAlias = tuple[int, timedelta]
"""The number of a step, and by how much the clock is wrong at it."""
CASES: dict[str, Wrong] = {
    f"{number} {argv[-1 if number < 5 else 1]}, {name}": (number, offset)
    for number, argv in enumerate(STEPS)
    for name, offset in OFFSETS.items()
}


# A minute is less, and a day more, than what a clock may be wrong by; ten minutes are between the two.
@pytest.fixture(
    params=[
        pytest.param(case, id=name, marks=pytest.mark.long if "ten minutes" in name else ())
        for name, case in CASES.items()
    ]
)
def wrong(request: pytest.FixtureRequest) -> Wrong:
    return cast("Wrong", request.param)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "with_service", [True, pytest.param(False, marks=pytest.mark.long)], ids=["with a service", "alone"]
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_first_rotation_ends_whatever_the_clock_says(
    tmp_path: Path,
    database: Database,
    wrong: Wrong,
    with_service: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each step, by a minute, ten minutes and a day: nothing is said that is false, and what is advised helps."""
    admin = Admin(Shop(tmp_path, database), monkeypatch)

    rotate(admin, *wrong, with_service=with_service)

    admin.check_end()


SERVED = [
    pytest.param(
        case, id=name, marks=() if name in {"2 promote, a minute behind", "3 run, a day ahead"} else pytest.mark.long
    )
    for name, case in CASES.items()
    if case[0] in {0, 2, 3, 5} and "ten" not in name
]


@pytest.mark.some(1)
@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("wrong", SERVED, indirect=True)
def test_beside_a_server_its_clock_alone_counts(
    tmp_path: Path, database: Database, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command has the right time from the ledger's server, and names the difference once it is a fault."""
    number, offset = wrong
    shop = Shop(tmp_path, database)
    shop.ledger_url = database.url
    shop.config.write_text(f'ledger = "{database.url}"\n{shop.config.read_text()}')
    admin, begun = Admin(shop, monkeypatch), datetime.now(UTC)

    rotate(admin, number, offset, with_service=True)

    admin.check_end()
    is_named = re.search(r"this machine's clock is 2[34] hours (behind|ahead of)", admin.said)
    assert bool(is_named) == (abs(offset) > timedelta(hours=1))
    with shop.ledger() as ledger:
        times = [time for run in ledger.runs() for time in (run.started, run.finished)]
        found = ledger.keys()
        times += [time for key in found for time in (key.first_seen, key.promotion and key.promotion.latest)]
        times += [census.taken for census in ledger.censuses()] + [event.at for event in ledger.chain().events]
    assert max(filter(None, times)) <= datetime.now(UTC) + timedelta(seconds=5)
    assert min(filter(None, times)) >= begun - timedelta(seconds=5)
