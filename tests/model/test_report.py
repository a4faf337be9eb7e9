"""Reports: complete or not, with which exit code, and as JSON."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from dataclasses import replace

import pytest

from rotation.ledger.records import census_record
from rotation.model.counts import Counts
from rotation.model.report import Report, TargetReport, legible_key
from rotation.stores.databases import identify
from tests.conftest import Named
from tests.fakes import TARGET


def report_of(*, dry_run: bool = False, stopped: str | None = None, interrupted: bool = False, **counts: int) -> Report:
    target = TargetReport(TARGET, identify(TARGET), ("id",), Counts(**counts), stopped=stopped, interrupted=interrupted)
    target.read_to = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
    return Report(dry_run, "5f0c1a9e", [], [target])


def test_the_exit_code_says_what_is_left(named: Named) -> None:
    """0 complete, 1 something is left, 3 interrupted."""
    cases = {
        "all done": (report_of(scanned=2, current=1, rotated=1), True, 0),
        "a look finds work": (report_of(scanned=1, to_rotate=1, dry_run=True), False, 1),
        "a look finds none": (report_of(scanned=1, current=1, dry_run=True), True, 0),
        "empty cells": (report_of(scanned=1, empty=1), True, 0),
        "plaintext": (report_of(scanned=1, plaintext=1), False, 1),
        "unreadable": (report_of(scanned=1, unreadable=1), False, 1),
        "unsettled": (report_of(scanned=1, unsettled=1), False, 1),
        "stopped by itself": (report_of(stopped="a key is missing"), False, 1),
        "interrupted": (report_of(stopped="lost", interrupted=True), False, 3),
        "nothing to look at": (Report(False, "5f0c1a9e", []), True, 0),
    }

    for name, (report, complete, code) in cases.items():
        with named(name):
            assert (report.complete, report.exit_code) == (complete, code)


def test_nothing_is_complete_before_the_last_questions() -> None:
    """Whatever the counts say, a pass that nobody asked about proves nothing."""
    report = report_of(scanned=1, current=1)
    report.targets[0].read_to = None

    assert (report.complete, report.exit_code) == (False, 1)


def test_a_key_of_any_type_is_legible(named: Named) -> None:
    """Whatever a key column holds, a report can show it, and JSON can carry it."""
    cases = [
        (7, 7),
        (None, None),
        (True, True),
        (1.5, 1.5),
        ("a\udcff", "a\\udcff"),
        (b"\x00\xff", "00ff"),
        (memoryview(b"\x01"), "01"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.datetime(2026, 2, 28, tzinfo=datetime.UTC), "2026-02-28T00:00:00+00:00"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
    ]

    for part, shown in cases:
        with named(part):
            legible = legible_key(("id",), (part,))

            assert legible == {"id": shown}
            assert json.loads(json.dumps(legible)) == legible


def part_of(key_set: str | None, key_id: str, **counts: int) -> Report:
    """The report of one key set, with one target."""
    report = report_of(**counts)
    target = replace(report.targets[0], target=replace(TARGET, keys=key_set))
    return Report(False, key_id, [{"id": key_id, "state": "primary"}], [target], key_set=key_set)


def test_reports_of_key_sets_are_joined() -> None:
    """Targets, keys and notes follow each other; whatever one part leaves, the whole has left."""
    done, left = part_of("a", "11111111", scanned=2, rotated=2), part_of(None, "22222222", scanned=1, unreadable=1)
    left.left_out, left.fault = ["b.c: left out: there is no table b"], "the file is full"

    whole = Report.of_parts([done, left])

    assert (whole.complete, whole.exit_code, whole.primary) == (False, 1, "11111111")
    assert [key["id"] for key in whole.keys] == ["11111111", "22222222"]
    assert [target.target.keys for target in whole.targets] == ["a", None]
    assert (whole.left_out, whole.fault) == (left.left_out, left.fault)
    assert whole.by_keys == [done, left]


def test_a_whole_is_as_good_as_its_worst_part() -> None:
    """All complete: 0. One interrupted: 3, whatever the others came to."""
    done, lost = part_of("a", "11111111", scanned=1, current=1), report_of(stopped="lost", interrupted=True)

    assert Report.of_parts([done, part_of("b", "22222222", scanned=1, rotated=1)]).exit_code == 0
    assert Report.of_parts([done, lost]).exit_code == 3


def test_a_report_of_one_key_set_is_that_report() -> None:
    """It has no parts, and shows no set."""
    done = part_of("a", "11111111", scanned=1, current=1)

    assert Report.of_parts([done]) is done
    assert done.by_keys == (done,)


@pytest.mark.parametrize(
    ("counts", "complete"),
    [({"to_rotate": 1}, False), ({"to_rotate": 1, "taken_over": 1}, False), ({"rotated": 1, "taken_over": 1}, True)],
)
def test_a_census_with_work_left_is_not_complete(counts: dict[str, int], complete: bool) -> None:
    """Cells of another package are under no key of the keyring, and are work all the same."""
    [target] = report_of(scanned=1, **counts).targets

    assert (
        census_record(target, "5f0c1a9e", "default", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)).complete
        is complete
    )
