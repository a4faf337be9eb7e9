"""The time of a ledger and the dates of steps: by its server, in their order, and asked for once."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from keyring_core import KeyState
from rotation.ledger.clock import Clocks, dated
from rotation.ledger.database import LedgerAccess, LedgerError
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import KeyRecord, history_of, next_promotion
from rotation.model.key_history import Promotion
from tests.databases import Database
from tests.ledger.censuses import census_of
from tests.ledger.test_ledger import NEW, OLD, T0, Clock, clock, ledger

pytestmark = pytest.mark.database
__all__ = ["clock", "ledger"]

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


@pytest.mark.parametrize(
    ("latest", "expected"),
    [
        pytest.param(None, T0, id="nothing is known"),
        pytest.param(T0 - DAY, T0, id="before"),
        pytest.param(T0 + MINUTE, T0 + MINUTE, id="a minute later"),
        pytest.param(T0 + MINUTE + timedelta(microseconds=1), T0, id="still to come"),
    ],
)
def test_a_date_is_never_before_what_is_known(latest: datetime | None, expected: datetime) -> None:
    """Unless that is later than two clocks may differ: then it is not carried on."""
    assert dated(T0, latest, MINUTE) == expected


def test_no_step_is_dated_before_the_one_before_it(ledger: Ledger, clock: Clock, database: Database) -> None:
    """With a clock that goes back by 30 seconds before each of them, also if another process made the step before."""
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    clock.step(seconds=-30)
    ledger.mark(NEW, "staged", "billing")
    clock.step(seconds=-30)
    ledger.mark(NEW, "promoted", "billing")
    ledger.end_run(ledger.begin_run("run", "billing", NEW), "complete")
    ledger.keep_certificate({"key": OLD})
    ledger.mark_newest(OLD, "billing")

    [new, old] = sorted(ledger.keys(), key=lambda key: key.id != NEW)
    [run] = ledger.runs()
    dates = [
        new.staged,
        new.promoted,
        old.promoted_before,
        run.started,
        run.finished,
        ledger.chain().certificates[0].written,
    ]
    assert [date and date - T0 for date in dates] == [timedelta()] * 6
    assert ledger.clocks() == replace(ledger.clocks(), now=T0 - MINUTE, latest=T0, carried=T0)


def test_a_time_that_is_still_to_come_moves_no_date(ledger: Ledger, clock: Clock) -> None:
    """A clock that was a day ahead wrote it; the promotion that follows is the later one all the same."""
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    clock.step(days=-1)
    ledger.mark(NEW, "promoted", "billing")
    old, new = sorted(ledger.keys(), key=lambda key: key.id != OLD)

    assert (new.promoted, old.promoted_before) == (T0 - DAY, T0)
    assert history_of(NEW, [OLD], [old, new], "billing").newer == {}
    assert next_promotion(old, [old, new]) == new.promotion
    assert [*history_of(OLD, [NEW], [old, new], "billing").newer] == [NEW]
    assert next_promotion(new, [old, new]) is None


def test_a_key_that_counts_as_the_newest_is_the_newest(ledger: Ledger, clock: Clock) -> None:
    """As an operator decided with `run --allow-demotion`, whatever the dates of the others are."""
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    ledger.mark(NEW, "promoted", "billing")
    clock.step(days=-1)
    ledger.mark_newest(OLD, "billing")
    ledger.mark(NEW, "suspended", "billing")

    assert history_of(OLD, [NEW], ledger.keys(), "billing").newer == {}


def test_keys_from_before_the_chain_have_their_dates_alone() -> None:
    """Two that are closer than clocks may differ are marked; a key with an event is newer than one without."""
    old, new = (KeyRecord(each, "billing", T0, promoted=T0 + by) for each, by in ((OLD, MINUTE), (NEW, timedelta())))
    wrong = Promotion(T0 + MINUTE, T0 + MINUTE, is_close=True)

    assert history_of(NEW, [OLD], [old, new], "billing").newer == {OLD: wrong}
    assert history_of(NEW, [OLD], [old, new], "billing", skew=MINUTE / 2).newer == {OLD: wrong._replace(is_close=False)}
    assert history_of(NEW, [OLD], [old, replace(new, promoted_in=7)], "billing").newer == {}
    assert "or a clock was wrong" in wrong.causes
    assert "clock" not in wrong._replace(is_close=False).causes


def test_the_last_count_is_that_of_the_last_run(ledger: Ledger, clock: Clock) -> None:
    """Of a check and of a run: by the numbers that they had in the ledger, also if the clock went back a day."""
    counted = census_of("billing", "creds", "token", taken=T0, complete=False, under={OLD: 3})
    ledger.begin_run("check", "billing", OLD)
    ledger.keep_censuses([replace(counted, checked=True)])
    ledger.begin_run("run", "billing", NEW)
    moved = replace(counted, taken=T0 - DAY, by_run=True, counts=replace(counted.counts, under=Counter({NEW: 3})))
    ledger.keep_censuses([moved])
    [after_run] = ledger.censuses()
    ledger.begin_run("check", "billing", NEW)
    ledger.keep_censuses([replace(moved, by_run=False, checked=True)])
    [after_check] = ledger.censuses()

    assert (after_run.number, after_run.by_run) == (2, True)
    assert (after_check.number, after_check.checked) == (3, True)
    assert [census.number for census in ledger.censuses(checked=True)] == [3]


def test_counts_of_an_older_program_have_their_times_alone(database: Database) -> None:
    """They have no number, and come before those that have one."""
    older = [census_of("billing", "creds", "token", taken=T0 + day * DAY, complete=False) for day in (2, 1)]
    with Ledger.open(database.url) as ledger:
        for place, census in enumerate(older):
            row = {
                "place": str(place),
                "document": json.dumps(census.document()),
                "taken": f"2026-01-0{place + 1}T12:00:00.000000Z",
            }
            database.insert("keyring_ledger_censuses", [row])
        last = ledger.censuses()[0].taken
        ledger.keep_censuses([older[0]])

        assert "number" not in older[0].document()
        assert last.day == 2
        assert ledger.censuses()[0].number == 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[sa.Connection]:
    """Each time that a ledger asks its server for the time."""
    found: list[sa.Connection] = []
    ask = LedgerAccess.clock

    def counted(access: LedgerAccess, connection: sa.Connection) -> datetime:
        found.append(connection)
        return ask(access, connection)

    monkeypatch.setattr(LedgerAccess, "clock", counted)
    return found


@SERVERS
def test_the_server_is_asked_once(
    database: Database, asked: list[sa.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all that a command does within a minute; each is a round trip, and a server may be far away."""
    with Ledger.open(database.url) as ledger:
        ledger.clocks()
        ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
        ledger.settle(MINUTE)
        ledger.end_run(ledger.begin_run("run", "billing", OLD), "complete")
        ledger.instances(MINUTE)
        times = [ledger.time(), ledger.time()]
        once = len(asked)
        monkeypatch.setattr("rotation.ledger.clock.ASK_AGAIN_SECONDS", 0)
        ledger.time()

    assert (once, len(asked)) == (1, 2)
    assert times[0] < times[1]


@SERVERS
def test_a_server_that_fails_is_not_asked_for_each_target(
    database: Database, asked: list[sa.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time goes on without it for another minute; a ledger that never answered has no time."""
    ledger = Ledger.open(database.url)
    before = ledger.time()
    monkeypatch.setattr(LedgerAccess, "clock", lambda access, _: (_ for _ in ()).throw(access.fault("it is gone")))
    passed = time.monotonic() + 90
    monkeypatch.setattr("rotation.ledger.clock.time.monotonic", lambda: passed)
    after = [ledger.time(), ledger.time()]
    unasked = Ledger.open(database.url)

    assert timedelta(seconds=89) < after[0] - before < timedelta(seconds=100)
    assert after[0] == after[1]
    with pytest.raises(LedgerError, match="it is gone"):
        unasked.time()
    ledger.close()
    unasked.close()


@SERVERS
@pytest.mark.parametrize("by", [-DAY, DAY], ids=["behind", "ahead"])
def test_the_clock_of_a_server_counts_alone(database: Database, by: timedelta) -> None:
    """A machine whose clock is wrong dates nothing by it, in either direction; the difference is named."""
    now = datetime.now(UTC)
    with Ledger.open(database.url, now=lambda: now + by) as ledger:
        ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
        ledger.mark(NEW, "promoted", "billing")
        ledger.begin_run("run", "billing", NEW)
        clocks = ledger.clocks()
        [run], records = ledger.runs(), ledger.keys()

    times = [run.started, *(key.promotion.latest for key in records if key.promotion), clocks.now]
    assert [abs(each - now) < MINUTE for each in times] == [True] * 4
    [(fault, remedy)] = clocks.faults(MINUTE)
    assert fault.endswith(
        f"{'behind' if by < timedelta() else 'ahead of'} the one of the ledger's server, which counts"
    )
    assert remedy.startswith("set the clock of the one that is wrong by NTP")


def test_a_command_knows_its_clocks() -> None:
    """A fault beyond the limit, and up to it a note on the dates that are moved."""
    fine, behind = Clocks(T0, T0, T0), Clocks(T0, T0 + MINUTE, T0 + MINUTE)
    later = Clocks(T0, T0 + DAY, T0)
    beside = Clocks(T0, T0 + DAY, T0, ahead=-MINUTE)

    assert (fine.faults(MINUTE), fine.note) == ([], None)
    assert behind.faults(MINUTE) == []
    assert behind.note == (
        "the ledger holds an entry of 2026-01-03 12:01:00 UTC, 60 seconds after the clock: until then each step gets "
        "that date"
    )
    assert [words for words, _ in later.faults(MINUTE)] == [
        "the clock says 2026-01-03 12:00 UTC, and the ledger holds an entry of 2026-01-04 12:00 UTC"
    ]
    assert later.faults(MINUTE, T0 + DAY) == []
    assert [words[:35] for words, _ in beside.faults(MINUTE)] == ["the clock of the ledger's server sa"]
