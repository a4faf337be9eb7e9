"""Reports: complete or not, with which exit code, and as JSON."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid

import pytest

from rotation.model.counts import Counts
from rotation.model.report import Report, TargetReport, legible_key
from rotation.stores.open import identify
from tests.fakes import TARGET


def report_of(*, dry_run: bool = False, stopped: str | None = None, interrupted: bool = False, **counts: int) -> Report:
    target = TargetReport(TARGET, identify(TARGET), ("id",), Counts(**counts), stopped=stopped, interrupted=interrupted)
    return Report(dry_run, "5f0c1a9e", [], [target])


@pytest.mark.parametrize(
    ("report", "complete", "code"),
    [
        pytest.param(report_of(scanned=2, current=1, rotated=1), True, 0, id="all done"),
        pytest.param(report_of(scanned=1, to_rotate=1, dry_run=True), False, 1, id="a look finds work"),
        pytest.param(report_of(scanned=1, current=1, dry_run=True), True, 0, id="a look finds none"),
        pytest.param(report_of(scanned=1, empty=1), True, 0, id="empty cells"),
        pytest.param(report_of(scanned=1, plaintext=1), False, 1, id="plaintext"),
        pytest.param(report_of(scanned=1, unreadable=1), False, 1, id="unreadable"),
        pytest.param(report_of(scanned=1, unsettled=1), False, 1, id="unsettled"),
        pytest.param(report_of(stopped="a key is missing"), False, 1, id="stopped by itself"),
        pytest.param(report_of(stopped="lost", interrupted=True), False, 3, id="interrupted"),
        pytest.param(Report(False, "5f0c1a9e", []), True, 0, id="nothing to look at"),
    ],
)
def test_the_exit_code_says_what_is_left(report: Report, complete: bool, code: int) -> None:
    """0 complete, 1 something is left, 3 interrupted."""
    assert (report.complete, report.exit_code) == (complete, code)
    assert report.document()["complete"] is complete


@pytest.mark.parametrize(
    ("part", "shown"),
    [
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
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_key_of_any_type_is_legible(part: object, shown: object) -> None:
    """Whatever a key column holds, a report can show it, and JSON can carry it."""
    legible = legible_key(("id",), (part,))

    assert legible == {"id": shown}
    assert json.loads(json.dumps(legible)) == legible
