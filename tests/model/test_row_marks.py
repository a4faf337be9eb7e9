"""Rows whose cells cannot be read are known again, all of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rotation.ledger.records import census_record
from rotation.model import report as row_marks
from rotation.model.counts import Problem
from rotation.model.report import SIZE, TargetReport, mark, pack, unpack
from rotation.model.target import Target
from rotation.stores.databases import identify

TARGET = Target(url=f"sqlite:///{__file__}", table="creds", column="token", name="creds")


def test_marks_go_through_text() -> None:
    """Eight bytes a row, whatever its key is."""
    marks = {mark({"id": number}) for number in range(150)}

    assert len(marks) == 150
    assert unpack(pack(marks)) == marks
    assert len(pack(marks)) == 150 * SIZE * 4 // 3
    assert unpack("") == frozenset()


def test_a_row_is_known_by_all_columns_of_its_key() -> None:
    """And by their types: the text "1" is another key than the number."""
    keys = [{"id": 1}, {"id": "1"}, {"id": 1, "tenant": 2}, {"id": 1, "tenant": 3}, {"id": None}]

    assert len({mark(key) for key in keys}) == len(keys)
    assert mark({"id": 1}) == mark({"id": 1})


def test_a_report_remembers_the_rows_that_cannot_be_read() -> None:
    """Plaintext and rows that only this run could not settle are others' business."""
    report = TargetReport(TARGET, identify(TARGET), ("id",))
    report.remember([Problem((number,), "truncated", "") for number in range(150)])
    report.remember([Problem((200,), "plaintext", ""), Problem((None,), "no-key", "")])

    record = census_record(report, "4e4e4e4e", "billing", datetime(2026, 1, 3, tzinfo=UTC))

    assert record.unreadable_marks == {mark({"id": number}) for number in range(150)}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of which nothing opens fills neither the memory nor the ledger."""
    for module in ("rotation.model.report", "rotation.model.report"):
        monkeypatch.setattr(f"{module}.MOST_MARKS", 3)
    report = TargetReport(TARGET, identify(TARGET), ("id",))
    report.remember(Problem((number,), "truncated", "") for number in range(10))

    assert len(report.unreadable) == 3
    assert len(unpack(pack({mark({"id": number}) for number in range(10)}))) == row_marks.MOST_MARKS == 3
