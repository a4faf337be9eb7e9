"""The ledger keeps dates and counts, on any database, under any number of writers."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import KeyState
from rotation.audit.differences import differences
from rotation.ledger import schema as ledger_schema
from rotation.ledger.database import LedgerError, NewerLedgerError, open_for_service
from rotation.ledger.ledger import Ledger, service_name
from rotation.ledger.records import LIVE, CensusRecord, InstanceRecord
from rotation.model.failures import UsageError
from rotation.model.key_history import Promotion
from rotation.model.key_use import ReadRecord
from rotation.model.searched_table import SearchedTable
from rotation.stores.databases import file_of, read_url
from tests.conftest import Named
from tests.databases import Database, postgres_in
from tests.ledger.censuses import census_of
from tests.processes import ROOT, end_of
from tests.warm.client import Program

pytestmark = pytest.mark.database

T0 = datetime(2026, 1, 3, 12, 0, tzinfo=UTC)
OLD, NEW = "0d0d0d0d", "4e4e4e4e"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = T0

    def __call__(self) -> datetime:
        return self.time

    def step(self, **by: float) -> None:
        self.time += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def opened_by(clock: Clock, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger whose time is that of *clock*: here, and on its server if it has one."""
    with Ledger.open(database.url, now=clock) as opened:
        monkeypatch.setattr(opened._access, "clock", lambda _: clock())
        monkeypatch.setattr("rotation.ledger.clock.ASK_AGAIN_SECONDS", 0)
        yield opened


@pytest.fixture
def ledger(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    with opened_by(clock, database, monkeypatch) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger in an SQLite file, with one key in it."""
    path = tmp_path / "rotation-ledger.db"
    with Ledger.open(f"sqlite:///{path}") as opened:
        opened.see_keys({OLD: KeyState.PRIMARY}, "billing")
    return path


def test_a_key_gets_its_dates_when_it_is_seen(ledger: Ledger, clock: Clock) -> None:
    """First seen and staged are when we saw it so for the first time; a date that stands stays."""
    ledger.see_keys({OLD: KeyState.PRIMARY, NEW: KeyState.STAGED}, "billing")
    clock.step(days=1)
    ledger.see_keys({NEW: KeyState.PRIMARY, OLD: KeyState.PREVIOUS}, "billing")
    clock.step(days=1)
    ledger.see_keys({OLD: KeyState.PRIMARY, NEW: KeyState.PREVIOUS}, "billing")

    old, new = ledger.keys()
    day = T0 + timedelta(days=1)
    assert (old.id, old.first_seen, old.staged, old.promotion) == (OLD, T0, None, Promotion(None, T0))
    assert (new.id, new.first_seen, new.staged, new.promotion) == (NEW, T0, T0, Promotion(T0, day))
    assert old.promoted is new.promoted is None


def test_a_promotion_that_nobody_saw_lies_between_two_looks(ledger: Ledger, clock: Clock) -> None:
    """Since the last look at another primary key: a run's, or one that found or made a key primary."""
    third = "77777777"
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    clock.step(days=1)
    ledger.see_keys({NEW: KeyState.PRIMARY, OLD: KeyState.PREVIOUS}, "billing")
    clock.step(days=1)
    ledger.begin_run("check", "billing", NEW)
    clock.step(hours=12)
    ledger.begin_run("check", "shop", OLD)
    ledger.begin_run("check", "billing", "")
    clock.step(hours=12)
    ledger.see_keys({third: KeyState.PRIMARY, NEW: KeyState.PREVIOUS}, "billing")

    promotions = {key.id: key.promotion for key in ledger.keys()}  # noqa: SIM118
    days = [T0 + timedelta(days=number) for number in range(4)]
    assert promotions == {
        OLD: Promotion(None, days[0]),
        NEW: Promotion(days[0], days[1]),
        third: Promotion(days[2], days[3]),
    }


def test_a_key_that_was_a_previous_one_at_first_gets_no_date_by_being_found_primary(
    ledger: Ledger, clock: Clock
) -> None:
    """Otherwise a run would treat it as the newest; if an operator decides so, it gets bounds."""
    ledger.see_keys({NEW: KeyState.PRIMARY, OLD: KeyState.PREVIOUS}, "billing")
    clock.step(days=1)
    ledger.see_keys({OLD: KeyState.PRIMARY, NEW: KeyState.PREVIOUS}, "billing")
    before = {key.id: key.promotion for key in ledger.keys()}  # noqa: SIM118
    ledger.mark_newest(OLD, "billing")
    after = {key.id: key.promotion for key in ledger.keys()}  # noqa: SIM118

    assert before == {NEW: Promotion(None, T0), OLD: None}
    assert after == {NEW: Promotion(None, T0), OLD: Promotion(T0, T0 + timedelta(days=1))}


def test_what_a_clock_that_was_ahead_wrote_bounds_nothing(ledger: Ledger, clock: Clock) -> None:
    """R27: a promotion lies not after the time at which it was found."""
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    clock.step(days=-1)
    ledger.see_keys({NEW: KeyState.PRIMARY, OLD: KeyState.PREVIOUS}, "billing")

    promotions = [key.promotion for key in ledger.keys()]  # noqa: SIM118
    assert promotions == [Promotion(None, clock.time), Promotion(None, T0)]


def test_an_event_is_marked_again(ledger: Ledger, clock: Clock) -> None:
    """A step of an admin replaces the date; a key that was never seen before is recorded, too."""
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    clock.step(days=1)
    ledger.mark(OLD, "promoted", "billing")
    ledger.mark(NEW, "retired", "billing", forced=True)

    old, new = ledger.keys()
    assert old.promotion == Promotion(T0 + timedelta(days=1), T0 + timedelta(days=1))
    assert old.promoted_before is None
    assert (new.retired, new.forced) == (T0 + timedelta(days=1), True)


def test_services_do_not_mix(ledger: Ledger) -> None:
    """One key of two services has two records, whatever the case of their names."""
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    ledger.see_keys({OLD: KeyState.PREVIOUS}, "Billing")

    kept = ledger.keys()
    assert {(key.service, key.promoted_before) for key in kept} == {("billing", T0), ("Billing", None)}


def test_seeing_the_same_again_writes_nothing(file: Path) -> None:
    """So a read-only ledger serves as long as nothing is new."""
    with Ledger.open(f"sqlite:///file:{file}?mode=ro&uri=true") as opened:
        before = file.read_bytes()
        opened.see_keys({OLD: KeyState.PRIMARY}, "billing")

    assert file.read_bytes() == before


def test_a_run_is_kept_with_its_counts(ledger: Ledger, clock: Clock) -> None:
    """Begun, then ended; one that died has no end. The last comes first."""
    first = ledger.begin_run("run", "billing", NEW)
    clock.step(minutes=3)
    ledger.begin_run("check", "billing", NEW)
    ledger.end_run(first, "complete", {"rotated": 7})

    check, run = ledger.runs()
    assert (check.command, check.started, check.finished, check.outcome) == ("check", clock.time, None, None)
    assert (run.started, run.finished, run.outcome, run.counts) == (T0, clock.time, "complete", {"rotated": 7})
    assert ledger.runs(limit=1) == [check]


def test_runs_that_died_hide_neither_the_last_end_nor_the_last_good_one(ledger: Ledger) -> None:
    """For each command of a service, however many runs began since; their number is known, too."""
    check = ledger.begin_run("check", "billing", NEW)
    ledger.end_run(check, "left")
    good = ledger.begin_run("run", "billing", NEW)
    ledger.end_run(good, "complete")
    failed = ledger.begin_run("run", "billing", NEW)
    ledger.end_run(failed, "failed")
    dead = [ledger.begin_run("run", "billing", NEW) for _ in range(5)]
    ledger.end_run(ledger.begin_run("run", "shop", NEW), "complete")

    last, runs = [dead[4], dead[3]], ledger.last_runs(2, "billing", "run")
    assert [run.id for run in runs] == [*last, failed, good]
    assert [run.id for run in ledger.last_runs(2, "billing")] == [*last, failed, good, check]
    assert [run.id for run in ledger.last_runs(9, "billing", "run")] == [*reversed(dead), failed, good]
    assert ledger.begun_since_an_end("billing", "run") == 6
    assert ledger.begun_since_an_end("billing", "check") == 0
    assert ledger.begun_since_an_end("nobody", "run") == 0


def census(**values: Any) -> CensusRecord:
    named = {"service": "billing", "table": "creds", "column": "token", "taken": T0} | values
    return census_of(complete=False, **named)


def test_the_last_census_of_each_target_is_kept(ledger: Ledger) -> None:
    """A new one takes the old one's place; another column, database or condition is another target."""
    ledger.keep_censuses([census(under={OLD: 3}, oldest={OLD: 5}, ages={"2026-01": 3})])
    last = census(under={NEW: 3}, problems=[{"key": {"id": 7}, "category": "truncated"}])
    ledger.keep_censuses([last])
    others = [census(column="other"), census(database="here"), census(where="a = 1")]
    for other in others:
        ledger.keep_censuses([other])

    assert len(ledger.censuses()) == 4
    assert replace(last, number=0) in ledger.censuses()


def test_certificates_are_kept_in_order(ledger: Ledger) -> None:
    """As they were given, with their place in the chain behind that."""
    documents: list[dict[str, Any]] = [{"key": OLD, "targets": [{"rows": 1}]}, {"key": NEW, "targets": []}]
    issued = [ledger.keep_certificate(document) for document in documents]

    [first, *_, last] = ledger.chain().events
    assert ledger.certificates() == issued
    assert [{name: one[name] for name in given} for one, given in zip(issued, documents, strict=True)] == documents
    assert [[*one][-3:] for one in issued] == [["ledger", "event", "head"]] * 2
    assert (issued[0]["event"], issued[0]["head"], issued[1]["ledger"]) == (2, first.digest, first.digest)
    assert (issued[1]["event"], issued[1]["head"]) == (last.number, last.previous)


def test_an_instance_counts_for_as_long_as_it_is_heard_of(ledger: Ledger, clock: Clock) -> None:
    """Its last word is what counts; after a month of silence a new instance's word makes the ledger forget it."""
    one = InstanceRecord("web-1:7", "billing", OLD, T0, (), NEW)
    ledger.announce(InstanceRecord("web-1:7", "billing", OLD, T0))
    ledger.announce(one)
    clock.step(minutes=10)
    two = InstanceRecord("web-2:8", "billing", NEW, clock.time, (OLD,))
    ledger.announce(two)

    assert ledger.instances(timedelta(minutes=10)) == [replace(one, seen_before=T0), two]
    assert ledger.instances(timedelta(minutes=9)) == [two]
    clock.step(days=31)
    ledger.announce(InstanceRecord("web-3:9", "billing", NEW, clock.time))
    assert [instance.instance for instance in ledger.instances(timedelta(days=400))] == ["web-3:9"]


def reads(instance: str = "web-1:7", key_id: str = OLD, seen: datetime = T0, **numbers: Any) -> ReadRecord:
    return ReadRecord("billing", instance, key_id, seen, **numbers)


def test_an_instance_that_announces_itself_each_minute_is_known(ledger: Ledger) -> None:
    """By its last two times: one that did so once, or seldom, may stay silent for long."""
    seen = []
    for seconds in (0, 60, 1000, 1065):
        ledger.announce(InstanceRecord("web-1:7", "billing", OLD, T0 + timedelta(seconds=seconds)))
        seen += [each.is_regular for each in ledger.instances(timedelta(days=1))]

    assert seen == [False, True, False, True]


@pytest.mark.some(2)
@pytest.mark.parametrize("days", [-700, -0.0005, 0, 7000])
def test_times_of_a_wrong_clock_are_put_right(ledger: Ledger, database: Database, days: float) -> None:
    """By the clock of the ledger's server, if there is one: with the entry, its last reads, and what they delete."""
    now, has_server = datetime.now(UTC), database.kind != "sqlite"
    clock, wrong = now + timedelta(days=days), days != 0 and has_server
    ledger.announce(InstanceRecord("web-0:1", "billing", OLD, now), [reads("web-0:1", opened=1, last_opened=now)])
    with Ledger.open(database.url, now=lambda: clock) as service:
        one = InstanceRecord("web-1:7", "billing", OLD, clock)
        written = service.announce(one, [reads(opened=1, last_opened=clock, seen=clock)], clock=clock)
        found = {each.instance: each for each in ledger.instances(timedelta(days=1))}
        last = max(each.last_opened for each in ledger.reads() if each.last_opened)
        service.withdraw(written, [reads(opened=2, last_opened=clock, seen=clock)])

    assert ("web-1:7" in found) == (days > -1 or wrong)
    assert (written.ahead is not None, written.has_wrong_clock) == (wrong, wrong and abs(days) > 1)
    assert "web-0:1" in found or not has_server
    if wrong or days == 0:
        assert abs(last - now) < timedelta(seconds=20)
        assert [each.instance for each in ledger.instances(timedelta(days=1))] == ["web-0:1"]
        assert {each.last_opened.year for each in ledger.reads() if each.last_opened} == {now.year}


def test_a_time_that_is_still_to_come_counts_as_now(ledger: Ledger, database: Database) -> None:
    """Once, and no longer: a later look finds it in the past. Without a server nobody knows what is to come."""
    later = datetime.now(UTC) + timedelta(days=2)
    ledger.announce(InstanceRecord("web-1:7", "billing", OLD, later), [reads(opened=1, last_opened=later, seen=later)])
    told, again = ledger.settle(timedelta(minutes=1)), ledger.settle(timedelta(minutes=1))
    [read], has_server = ledger.reads(), database.kind != "sqlite"

    assert [words.partition(": ")[0] for words in told] == ["billing on web-1:7"] * 2 * has_server
    assert again == []
    assert read.last_opened is not None
    assert (read.last_opened < later) == has_server
    assert read.seen == read.last_opened


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_command_whose_clock_is_ahead_sees_who_runs(ledger: Ledger, database: Database) -> None:
    """To its own clock they would be long gone."""
    now = datetime.now(UTC)
    ledger.announce(InstanceRecord("web-1:7", "billing", OLD, now))

    with Ledger.open(database.url, now=lambda: now + timedelta(days=1)) as ahead:
        assert [each.instance for each in ahead.instances(timedelta(minutes=10))] == ["web-1:7"]


def test_a_command_whose_clock_is_ahead_dates_nothing_later_than_the_server(ledger: Ledger, database: Database) -> None:
    """What services read from now until that time would be from before the run, or from before the promotion."""
    now, has_server = datetime.now(UTC), database.kind != "sqlite"
    with Ledger.open(database.url, now=lambda: now + timedelta(days=1)) as ahead:
        ahead.end_run(ahead.begin_run("run", "billing", NEW, whole=True), "complete")
        ahead.see_keys({OLD: KeyState.PRIMARY}, "billing")
        ahead.mark(NEW, "promoted", "billing")
        ahead.mark_newest(OLD, "billing")

    [run], records = ledger.runs(), ledger.keys()
    times = [run.started, run.finished, *(key.promotion.latest for key in records if key.promotion)]
    assert [each and abs(each - now) < timedelta(minutes=1) for each in times] == [has_server] * 4


def test_the_reads_of_an_instance_are_kept_with_its_last_word(ledger: Ledger, clock: Clock) -> None:
    """Each key's numbers, as they were announced last; a key that was never met has no row."""
    one, none = InstanceRecord("web-1:7", "billing", NEW, T0, (OLD,)), reads(key_id=NEW)
    ledger.announce(one, [reads(opened=3, last_opened=T0), none])
    clock.step(minutes=1)
    last = reads(opened=5, last_opened=T0, refused=1, last_refused=clock.time, seen=clock.time)
    ledger.announce(replace(one, seen=clock.time), [last, none])

    assert ledger.reads() == [last]
    assert (last.last, last.words) == (clock.time, "billing on web-1:7 (last read 2026-01-03 12:01:00 UTC)")
    assert (none.last, none.words) == (None, "billing on web-1:7 (never read)")


def test_a_process_that_began_again_takes_no_last_time_away(ledger: Ledger, clock: Clock) -> None:
    """Of each time the later one stays; the numbers are those of the new process."""
    one, hour = InstanceRecord("web-1:7", "billing", NEW, T0, (OLD,)), T0 + timedelta(hours=1)
    ledger.announce(one, [reads(opened=3, last_opened=hour, refused=2, last_refused=T0)])
    ledger.announce(one, [reads()])
    before = ledger.reads()
    ledger.announce(one, [reads(refused=1, last_refused=hour)])
    after = ledger.reads()

    assert before == [reads(opened=3, last_opened=hour, refused=2, last_refused=T0)]
    assert after == [reads(last_opened=hour, refused=1, last_refused=hour)]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_heartbeat_waits_for_no_other_one(ledger: Ledger, database: Database) -> None:
    """While another service is about to write, with its rows locked."""
    one, other = (InstanceRecord(name, "billing", OLD, T0) for name in ("web-1:7", "web-2:8"))
    for each in (one, other):
        ledger.announce(each, [reads(each.instance, opened=1, last_opened=T0)])
    with database.engine.begin() as connection:
        for table, more in (("instances", ""), ("reads", f" AND key_id = '{OLD}'")):
            row = f"service = 'billing' AND instance = 'web-2:8'{more}"
            connection.exec_driver_sql(f"UPDATE keyring_ledger_{table} SET seen = seen WHERE {row}")
        ledger.announce(one, [reads(one.instance, opened=2, last_opened=T0)])

    assert sorted(each.opened for each in ledger.reads()) == [1, 2]


def test_reads_outlive_their_instance(ledger: Ledger, clock: Clock) -> None:
    """Those with what is its primary key in one row for all that ended; after 400 days all are forgotten."""
    one = InstanceRecord("web-1:7", "billing", NEW, T0, (OLD,))
    two = replace(one, instance="web-2:8")
    hour = T0 + timedelta(hours=1)
    ledger.announce(one, [reads(opened=1, last_opened=T0), reads(key_id=NEW, opened=1, last_opened=hour)])
    ledger.announce(two)
    ledger.withdraw(one)
    ledger.withdraw(two, [reads("web-2:8", key_id=NEW, opened=2, last_opened=T0)])
    clock.step(days=400)
    ledger.announce(replace(one, seen=clock.time))
    kept = ledger.reads()
    within = ledger.reads(timedelta(days=399))
    clock.step(seconds=1)
    ledger.announce(replace(two, seen=clock.time))

    assert within == []
    assert kept == [
        reads("a process that ended", key_id=NEW, opened=2, last_opened=hour),
        reads(opened=1, last_opened=T0),
    ]
    assert ledger.reads() == []


def test_the_last_reads_stay_if_another_process_has_the_name_since(ledger: Ledger) -> None:
    """In a rolling restart the next process of that name announces itself before the last one ends."""
    one, hour = InstanceRecord("web-1", "billing", NEW, T0, (OLD,)), T0 + timedelta(hours=1)
    ledger.announce(one)
    ledger.announce(replace(one, seen=hour))
    ledger.withdraw(one, [reads("web-1", opened=1, last_opened=hour)])

    assert ledger.reads() == [reads("web-1", opened=1, last_opened=hour)]


def test_of_many_that_end_at_once_the_last_read_stays(database: Database) -> None:
    """In one row with the others, or in its own, if the ledger was busy; no entry stays."""
    count, ready = 8, threading.Barrier(8)
    hours = [T0 + timedelta(hours=number) for number in range(count)]
    Ledger.open(database.url).close()

    def end(number: int) -> None:
        one = InstanceRecord(f"web-{number}", "billing", NEW, T0)
        with Ledger.open(database.url, now=lambda: T0) as ledger:
            ledger.announce(one)
            ready.wait(60)
            with suppress(LedgerError):
                ledger.withdraw(one, [reads(one.instance, key_id=NEW, opened=1, last_opened=hours[number])])

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(end, range(count)))

    with Ledger.open(database.url, now=lambda: T0) as ledger:
        assert max(each.last_opened for each in ledger.reads() if each.last_opened) == hours[-1]
        assert ledger.instances(timedelta(hours=1)) == []


def test_a_suspension_has_its_date_until_it_ends(ledger: Ledger, clock: Clock) -> None:
    """A step of an admin sets it, and its end removes it; a key that is found in the other state likewise."""

    def suspended() -> datetime | None:
        [key] = ledger.keys()
        return key.suspended

    ledger.see_keys({OLD: KeyState.PREVIOUS}, "billing")
    seen = [suspended()]
    for act in (
        lambda: ledger.mark(OLD, "suspended", "billing"),
        lambda: ledger.see_keys({OLD: KeyState.SUSPENDED}, "billing"),
        lambda: ledger.mark(OLD, "resumed", "billing"),
        lambda: ledger.see_keys({OLD: KeyState.SUSPENDED}, "billing"),
        lambda: ledger.see_keys({OLD: KeyState.PREVIOUS}, "billing"),
    ):
        clock.step(days=1)
        act()
        seen.append(suspended())

    days = [T0 + timedelta(days=number) for number in range(6)]
    assert seen == [None, days[1], days[1], None, days[4], None]


def test_a_restored_key_keeps_its_last_retirement(ledger: Ledger, clock: Clock) -> None:
    """It is a previous key again, so it is not suspended; its next retirement replaces the date."""
    for event in ("suspended", "retired", "restored"):
        ledger.mark(OLD, event, "billing", forced=event == "retired")

    [key] = ledger.keys()
    assert (key.retired, key.forced, key.suspended) == (T0, True, None)


def test_the_last_complete_run_was_of_all_targets(ledger: Ledger) -> None:
    """Of the command run, with that primary key; one of a part, or one that left rows, is none."""
    numbers = [
        ledger.begin_run(command, service, primary, whole=whole)
        for command, service, primary, whole in (
            ("run", "billing", NEW, True),
            ("run", "billing", NEW, True),
            ("run", "billing", NEW, True),
            ("run", "billing", NEW, False),
            ("check", "billing", NEW, True),
            ("run", "shop", NEW, True),
            ("run", "billing", OLD, True),
        )
    ]
    for number in numbers:
        ledger.end_run(number, "left" if number == numbers[2] else "complete")

    found = ledger.uses("billing", NEW).run
    assert found is not None
    assert found.id == numbers[1]
    assert ledger.uses("nobody", NEW).run is None


def test_a_clock_that_steps_back_loses_nothing(ledger: Ledger, clock: Clock) -> None:
    """R27: an instance from the future is alive; dates that came later stay, and nothing fails."""
    ledger.announce(InstanceRecord("web-1:7", "billing", OLD, T0))
    ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    clock.step(days=-400)
    ledger.mark(OLD, "retired", "billing")

    assert [instance.seen for instance in ledger.instances(timedelta(minutes=1))] == [T0]
    [kept] = ledger.keys()
    assert (kept.first_seen, kept.retired) == (T0, clock.time)


def test_progress_is_kept_per_plan(ledger: Ledger) -> None:
    """The last key that a plan has reached stands; forgetting one plan leaves the others."""
    ledger.reach("plan", "[7]")
    ledger.reach("plan", "[14]")
    ledger.reach("other", "[1]")

    assert ledger.reached("plan") == "[14]"
    ledger.forget("plan")
    assert ledger.reached("plan") is None
    assert ledger.reached("other") == "[1]"


WRITER = """
import sys
from datetime import UTC, datetime
from keyring_core import KeyState
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
url, me = sys.argv[1:]
for number in range(5):
    with Ledger.open(url) as ledger:
        ledger.see_keys({"0d0d0d0d": KeyState.PRIMARY, f"{number:08x}": KeyState.PREVIOUS}, "billing")
        ledger.mark(f"{number:08x}", "staged", "billing", by=me)
        ledger.announce(InstanceRecord(me, "billing", "0d0d0d0d", datetime.now(UTC)))
        run = ledger.begin_run("run", "billing", "0d0d0d0d")
        ledger.reach("plan", me)
        ledger.end_run(run, "complete", {"rotated": number})
"""


def test_many_processes_write_at_once(database: Database, tmp_path: Path) -> None:
    """Four processes make, announce and record at once, from the first table on: nobody fails, and all is there."""
    command = [sys.executable, "-c", WRITER, database.url]
    log = tmp_path / "log"
    with log.open("w") as words:
        started = [Program([*command, f"web-{number}"], cwd=ROOT, stderr=words) for number in range(4)]
    codes = [end_of(process, "a writer", log) for process in started]

    assert (codes, log.read_text()) == ([0] * 4, "")
    with Ledger.open(database.url) as ledger:
        assert len(ledger.keys()) == 6
        assert len(ledger.instances(timedelta(hours=1))) == 4
        assert [run.outcome for run in ledger.runs(100)] == ["complete"] * 20
        chain = ledger.chain()
        assert (differences(chain), len(chain.events)) == ([], 1 + 6 + 20)
        assert ledger.reached("plan") in {f"web-{number}" for number in range(4)}


@pytest.mark.parametrize("half_done", [False, True], ids=["fresh", "half-done"])
def test_a_ledger_of_version_1_tells_bounds(database: Database, half_done: bool) -> None:
    """It dated a key that it found primary as one that a step made so: each may be the former. Other dates stay."""
    Ledger.open(database.url).close()
    # Whoever made the tables alters them.
    database = replace(database, engine=sa.create_engine(database.url, poolclass=sa.NullPool))
    dates = ", ".join(f"{name} VARCHAR(27)" for name in ("first_seen", "staged", "promoted", "retired"))
    database.execute(
        "DROP TABLE keyring_ledger_keys",
        f"CREATE TABLE keyring_ledger_keys (id VARCHAR(8), service VARCHAR(100), {dates}, forced BOOLEAN NOT NULL)",
        "UPDATE keyring_ledger_schema SET version = 1",
    )
    rows = [
        ("found", "01", None, "01", "03"),
        ("staged", "01", "02", "03", None),
        ("previous", "01", None, "02", None),
        ("never", "01", None, None, None),
    ]
    for key_id, *months in rows:
        known = zip(("first_seen", "staged", "promoted", "retired"), months, strict=True)
        dated = {name: month and f"2026-{month}-01T00:00:00.000000Z" for name, month in known}
        database.insert("keyring_ledger_keys", [{"id": key_id, "service": "billing", "forced": False} | dated])
    if half_done:
        database.execute("ALTER TABLE keyring_ledger_keys ADD COLUMN promoted_before VARCHAR(27)")

    with Ledger.open(database.url) as ledger:
        kept = {key.id: key for key in ledger.keys()}  # noqa: SIM118
    jan, feb, mar = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
    assert {key.id: key.promotion for key in kept.values()} == {
        "found": Promotion(None, jan),
        "staged": Promotion(feb, mar),
        "previous": Promotion(jan, feb),
        "never": None,
    }
    assert (kept["found"].retired, kept["staged"].staged, kept["found"].promoted) == (mar, feb, None)
    assert database.rows("SELECT version FROM keyring_ledger_schema") == [(ledger_schema.VERSION,)]


STORED = {
    "service": "billing",
    "target": "creds",
    "table": "creds",
    "column": "token",
    "database": "SQLite file app.db",
    "where": None,
    "complete": False,
    "sampled": False,
    "identity": "1",
    "unexplained": {OLD: 9},
    "home": "2",
    "seen": T0.isoformat(),
    "checked": True,
    "scanned": 9,
    "current": 2,
    "rotated": 3,
    "empty": 1,
    "plaintext": 1,
    "unreadable": 1,
    "conflicts": 1,
    "nulls": 4,
    "nested": 1,
    "suspects": 1,
    "given_up": 1,
    "under": {OLD: 3},
    "inner": {NEW: 1},
    "categories": {"truncated": 1},
    "oldest": {OLD: 5},
    "youngest": {OLD: 6},
    "ages": {"2026-01": 5},
    "problems": [{"key": {"id": 7}, "category": "truncated"}],
    "unreadable_rows": "AAAA",
}
"""A census as the ledger has it."""


@pytest.mark.parametrize(("by_run", "numbers"), [(True, (0, 3)), (False, (3, 0))], ids=["a-run's", "a-dry-run's"])
def test_a_stored_census_keeps_its_form(database: Database, by_run: bool, numbers: tuple[int, int]) -> None:
    """An older program can read it, and this one reads an older program's: the names of its numbers stay."""
    stored = STORED | {"by_run": by_run}
    Ledger.open(database.url).close()
    row = {"place": "a", "document": json.dumps(stored), "taken": "2026-01-03T12:00:00.000000Z"}
    database.insert("keyring_ledger_censuses", [row])

    with Ledger.open(database.url) as ledger:
        [kept] = ledger.censuses()

    assert (kept.counts.to_rotate, kept.counts.rotated) == numbers
    assert (kept.counts.unsettled, kept.counts.null, kept.counts.under) == (1, 4, {OLD: 3})
    assert (kept.name, kept.label, kept.target.database) == ("creds", "creds.token", "SQLite file app.db")
    assert kept.document() == stored


@pytest.mark.parametrize("half_done", [False, True], ids=["fresh", "half-done"])
def test_an_older_ledger_is_migrated(database: Database, monkeypatch: pytest.MonkeyPatch, half_done: bool) -> None:
    """Each migration runs once, in order; an interrupted one is continued. Rows stay."""
    with Ledger.open(database.url) as ledger:
        ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    done = []

    def add_column(connection: sa.Connection) -> None:
        done.append("first")
        names = {column["name"] for column in sa.inspect(connection).get_columns("keyring_ledger_keys")}
        if "note" not in names:
            connection.execute(sa.text("ALTER TABLE keyring_ledger_keys ADD COLUMN note VARCHAR(10)"))

    if half_done:
        database.execute("ALTER TABLE keyring_ledger_keys ADD COLUMN note VARCHAR(10)")
    monkeypatch.setattr(ledger_schema, "MIGRATIONS", {5: add_column, 6: lambda _: done.append("second")})
    for module in ("schema", "database"):
        monkeypatch.setattr(f"rotation.ledger.{module}.VERSION", 7)

    with Ledger.open(database.url) as migrated:
        kept = migrated.keys()
    assert [key.id for key in kept] == [OLD]
    Ledger.open(database.url).close()
    assert done == ["first", "second"]
    assert database.rows("SELECT version FROM keyring_ledger_schema") == [(7,)]
    assert database.rows("SELECT note FROM keyring_ledger_keys") == [(None,)]


@pytest.mark.parametrize("half_done", [False, True], ids=["fresh", "half-done"])
def test_a_ledger_of_version_2_remembers_searches(database: Database, half_done: bool) -> None:
    """Its rows stay, and it gets the table that it lacks."""
    with Ledger.open(database.url) as ledger:
        ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
    database = replace(database, engine=sa.create_engine(database.url, poolclass=sa.NullPool))
    gone = [] if half_done else ["DROP TABLE keyring_ledger_searches"]
    database.execute(*gone, "UPDATE keyring_ledger_schema SET version = 2")

    with Ledger.open(database.url) as migrated:
        searched = SearchedTable(datetime.now(UTC), 7, ["a", 1])
        migrated.keep_search("a" * 64, searched)
        assert migrated.searches() == {"a" * 64: searched}
        kept = migrated.keys()
    assert [key.id for key in kept] == [OLD]
    assert database.rows("SELECT version FROM keyring_ledger_schema") == [(ledger_schema.VERSION,)]


@pytest.mark.parametrize("half_done", [False, True], ids=["fresh", "half-done"])
def test_a_ledger_of_version_3_gets_reads_and_suspensions(database: Database, half_done: bool) -> None:
    """Its rows stay, its chain begins with them, and none of its runs counts as one of all targets."""
    with Ledger.open(database.url) as ledger:
        ledger.see_keys({OLD: KeyState.PRIMARY}, "billing")
        ledger.end_run(ledger.begin_run("run", "billing", OLD, whole=True), "complete")
        ledger.keep_certificate({"key": OLD, "service": "billing"})
    # Whoever made the tables alters them.
    database = replace(database, engine=sa.create_engine(database.url, poolclass=sa.NullPool))
    last = [] if half_done else ["ALTER TABLE keyring_ledger_keys DROP COLUMN suspended"]
    database.execute(
        *last,
        "DROP TABLE keyring_ledger_reads",
        "DROP TABLE keyring_ledger_events",
        "ALTER TABLE keyring_ledger_runs DROP COLUMN whole",
        "ALTER TABLE keyring_ledger_keys DROP COLUMN event",
        "ALTER TABLE keyring_ledger_certificates DROP COLUMN digest",
        "ALTER TABLE keyring_ledger_certificates DROP COLUMN event",
        "ALTER TABLE keyring_ledger_instances DROP COLUMN seen_before",
        *([] if half_done else ["ALTER TABLE keyring_ledger_instances DROP COLUMN ahead"]),
        "UPDATE keyring_ledger_schema SET version = 3",
    )

    with Ledger.open(database.url) as migrated:
        assert "a service with an older version of this package can no longer announce" in (migrated.migrated or "")
        [began] = migrated.chain().events
        assert differences(migrated.chain()) == []
        migrated.mark(OLD, "suspended", "billing")
        assert differences(migrated.chain()) == []
        migrated.announce(InstanceRecord("web-1:7", "billing", OLD, T0), [reads(opened=1, last_opened=T0)])
        assert migrated.reads() == [reads(opened=1, last_opened=T0)]
        assert migrated.uses("billing", OLD).run is None
        [key], [run] = migrated.keys(), migrated.runs()
    with Ledger.open(database.url) as again:
        assert again.migrated is None
    assert (key.id, key.suspended is not None, run.outcome) == (OLD, True, "complete")
    assert (began.event, [*began.document], len(began.document["certificates"])) == (
        "began",
        ["ledger", "keys", "certificates"],
        1,
    )
    assert database.rows("SELECT version FROM keyring_ledger_schema") == [(ledger_schema.VERSION,)]


def test_a_search_is_remembered_for_an_hour(ledger: Ledger, clock: Clock) -> None:
    """Not longer, and not ahead of time; what is over is deleted as another one is kept."""

    def keep(place: str) -> set[str]:
        ledger.keep_search(place, SearchedTable(clock.time, 1, None))
        return set(ledger.searches())

    early = keep("early")
    clock.step(minutes=50)
    both = keep("late")
    clock.step(minutes=20)
    over, last = set(ledger.searches()), keep("last")
    clock.step(minutes=-70)
    ahead = set(ledger.searches())

    assert (early, both) == ({"early"}, {"early", "late"})
    assert (over, last, ahead) == ({"late"}, {"late", "last"}, set())


def test_a_search_is_remembered_as_the_last_one_was(ledger: Ledger, clock: Clock) -> None:
    """Each table has one record."""
    for rows in (1, 2):
        ledger.keep_search("place", SearchedTable(clock.time, rows, None))

    assert [one.rows for one in ledger.searches().values()] == [2]


def test_a_newer_ledger_is_left_alone(database: Database) -> None:
    """It is refused by its version, with what to do; nothing in it changes."""
    Ledger.open(database.url).close()
    database.execute("UPDATE keyring_ledger_schema SET version = 99")

    with pytest.raises(NewerLedgerError, match=r"has version 99, and this program knows 5.*Install"):
        Ledger.open(database.url)
    assert database.rows("SELECT version FROM keyring_ledger_schema") == [(99,)]


def _read_only(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        connection.execute("SELECT 1")
    return f"sqlite:///file:{path}?mode=ro&uri=true"


def _garbage(path: Path) -> str:
    path.write_bytes(b"not a database at all" * 100)
    return f"sqlite:///{path}"


def _folder(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return f"sqlite:///{path}"


def _bad_row(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE keyring_ledger_keys SET first_seen = 'yesterday'")
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(_read_only, "read-only", id="read-only"),
        pytest.param(_garbage, "not an SQLite database", id="corrupt-file"),
        pytest.param(_folder, "cannot be opened", id="folder"),
        pytest.param(_bad_row, "a row in it is corrupt", id="corrupt-row"),
    ],
)
def test_a_ledger_that_does_not_work_says_why(file: Path, spoil: Callable[[Path], str], words: str) -> None:
    """It ends in a LedgerError that names the file and the fault; no driver's error comes out."""
    url = spoil(file)

    with pytest.raises(LedgerError, match=f"{file}.*{words}") as caught, Ledger.open(url) as ledger:
        ledger.see_keys({NEW: KeyState.PRIMARY}, "billing")
    assert caught.value.__context__ is None


CHANGED: dict[str, tuple[Callable[[Ledger], object], list[object]]] = {
    "keyring_ledger_keys.id": (lambda ledger: ledger.see_keys({OLD: KeyState.PRIMARY}, "billing"), [b"\x00"]),
    "keyring_ledger_keys.service": (Ledger.keys, [b"billing"]),
    "keyring_ledger_keys.staged": (Ledger.keys, [7, "yesterday", b"2026-01-03T12:00:00.000000Z"]),
    "keyring_ledger_keys.event": (Ledger.keys, ["three", 1.5]),
    "keyring_ledger_runs.command": (Ledger.runs, [b"run"]),
    "keyring_ledger_runs.counts": (Ledger.runs, ["[]", "7", "null", '"text"', "{", "[" * 100_000, '{"a": 1e999}', 7]),
    "keyring_ledger_instances.previous_ids": (
        lambda ledger: ledger.instances(LIVE),
        ["{}", "7", "null", '"0d0d0d0d"', "[null]", "[[1]]", '[{"a": 1}]', "x"],
    ),
    "keyring_ledger_instances.staged_id": (lambda ledger: ledger.instances(LIVE), [b"\x00"]),
    "keyring_ledger_reads.opened": (Ledger.reads, ["many", 1.5, b"\x00"]),
    "keyring_ledger_reads.last_opened": (Ledger.reads, ["2026-13-45T00:00:00.000000Z"]),
}


def test_a_value_of_another_type_is_a_corrupt_row(file: Path, named: Named) -> None:
    """In each column that somebody may have changed, and whichever part of the ledger reads it; SQLite keeps all."""
    other = sqlite3.connect(file, isolation_level=None)
    with closing(other), Ledger.open(f"sqlite:///{file}") as ledger:
        ledger.begin_run("run", "billing", OLD)
        seen = datetime.now(UTC)
        reads = [ReadRecord("billing", "web", OLD, seen, 1, seen)]
        ledger.announce(InstanceRecord("web", "billing", OLD, seen), reads)
        for place, (act, values) in CHANGED.items():
            table, _, column = place.partition(".")
            [(before,)] = other.execute(f"SELECT {column} FROM {table}")
            for value in values:
                other.execute(f"UPDATE {table} SET {column} = ?", (value,))
                with (
                    named(place, repr(value)[:40]),
                    pytest.raises(LedgerError, match="a row in it is corrupt; restore"),
                ):
                    act(ledger)
            other.execute(f"UPDATE {table} SET {column} = ?", (before,))
            act(ledger)


def test_a_name_that_the_database_has_no_letters_for_is_said(named: Named) -> None:
    """In PostgreSQL's LATIN1: of a service, an instance, or the one who runs the command. A target's may be any."""
    name, seen = "b\N{GRINNING FACE}b", datetime.now(UTC)
    acts: dict[str, Callable[[Ledger], object]] = {
        "service": lambda ledger: ledger.see_keys({OLD: KeyState.PRIMARY}, name),
        "run": lambda ledger: ledger.begin_run("run", name, OLD),
        "by": lambda ledger: ledger.mark(OLD, "staged", "billing", by=name),
        "certificate": lambda ledger: ledger.keep_certificate({"key": OLD, "by": name}),
        "instance": lambda ledger: ledger.announce(InstanceRecord(name, "billing", OLD, seen)),
    }
    with postgres_in("LATIN1") as database, Ledger.open(database.url) as ledger:
        for place, act in acts.items():
            with named(place), pytest.raises(LedgerError, match="its encoding lacks a character that was sent"):
                act(ledger)
        ledger.keep_censuses([census_of("billing", name, "token", taken=seen, complete=True)])
        assert [census.name for census in ledger.censuses()] == [name]


def test_a_locked_ledger_is_waited_for_and_then_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer that never ends: some tries, then a LedgerError."""
    monkeypatch.setattr("rotation.stores.sqlite.dialect.BUSY_SECONDS", 0.01)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(LedgerError, match="locked by another process"):
            Ledger.open(f"sqlite:///{file}")
    finally:
        other.close()


def test_a_lock_that_ends_is_outlasted_and_a_lasting_fault_is_said_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one is tried again; the other would only be said later."""
    monkeypatch.setattr("rotation.stores.sqlite.dialect.BUSY_SECONDS", 0.01)
    errors = list[BaseException]()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    def fails(context: sa.ExceptionContext) -> None:
        errors.append(context.original_exception)
        other.close()

    sa.event.listen(sa.Engine, "handle_error", fails)
    try:
        with Ledger.open(f"sqlite:///{file}") as ledger:
            assert [str(error) for error in errors] == ["database is locked"]
            with closing(sqlite3.connect(file)) as third:
                third.execute("DROP TABLE keyring_ledger_keys")
            with pytest.raises(LedgerError, match="the database failed"):
                ledger.keys()
    finally:
        sa.event.remove(sa.Engine, "handle_error", fails)
    assert len(errors) == 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("hunter2", "not of the form", id="no-url"),
        pytest.param("sqlite://", "names a file", id="memory"),
        pytest.param("sqlite://data/ledger.db", "names a file", id="two slashes"),
        pytest.param("sqlite:////nowhere/at/all.db", "no folder /nowhere/at", id="no-folder"),
        pytest.param("nosuch://u:hunter2@h/d", "not of the form", id="dialect"),
        pytest.param("postgresql://u:hun@ter2@h/d", "percent-encode @", id="password"),
    ],
)
def test_a_url_that_cannot_work_is_a_usage_error(url: str, words: str) -> None:
    """It names the variable and shows no password."""
    with pytest.raises(UsageError, match=f"ROTATION_LEDGER_URL: .*{words}") as caught:
        Ledger.open(url)
    assert "ter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_uri_names_the_file_that_every_guard_sees(tmp_path: Path) -> None:
    """Its escapes are read as those of a target's url; a service's engine with one has the same name."""
    url, file = f"sqlite:///file:{tmp_path}/a%2520b?uri=true", tmp_path / "a b"
    with Ledger.open(url) as ledger:
        assert (ledger.name, file_of(url)) == (f"ledger {file}", file)
    engine = sa.create_engine(read_url(url))
    assert Ledger(open_for_service(engine)).name == f"ledger {file}"
    engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_the_name_of_a_service() -> None:
    """It is that of the variable, without blanks around it."""
    assert service_name({"ROTATION_SERVICE": " billing "}) == "billing"
    assert service_name({}) == "default"


def test_records_go_through_json(ledger: Ledger) -> None:
    """What a census holds can be written as JSON as it is."""
    ledger.keep_censuses([census(under={OLD: 1})])

    [kept] = ledger.censuses()
    assert json.loads(json.dumps(kept.document()))["under"] == {OLD: 1}


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_an_older_ledger_that_may_not_be_changed_says_who_can(database: Database) -> None:
    """A user without the right to change its tables learns which command its owner runs once."""
    Ledger.open(sa.make_url(database.url).render_as_string(hide_password=False)).close()
    database.execute("UPDATE keyring_ledger_schema SET version = 1", "REVOKE ALL ON keyring_ledger_schema FROM PUBLIC")
    user = sa.make_url(database.url).username
    database.execute(
        f"ALTER TABLE keyring_ledger_schema OWNER TO CURRENT_USER; GRANT SELECT ON keyring_ledger_schema TO {user}"
    )

    with pytest.raises(
        LedgerError, match=r"it has version 1, and could not be brought to version 5; run `keyring-rotate"
    ):
        Ledger.open(database.url)


@pytest.mark.parametrize(("by_run", "moved"), [(True, "rotated"), (False, "to_rotate")])
def test_a_census_of_cells_that_were_no_tokens_is_kept(ledger: Ledger, by_run: bool, moved: str) -> None:
    """Their number comes back; without any an older program, which does not know it, can read the census."""
    ledger.keep_censuses([census(taken_over=2, by_run=by_run, **{moved: 3}), census(column="other")])

    some, none = sorted(ledger.censuses(), key=lambda each: each.counts.taken_over, reverse=True)
    assert (some.counts.taken_over, getattr(some.counts, moved)) == (2, 3)
    assert not {"taken_over", "others"} & none.document().keys()
    assert "samples" not in some.document()
