"""The document of `run`: what is in it, and how it is printed."""

from __future__ import annotations

import json
from typing import Any

from rotation.model.report import Report
from rotation.output.documents.parts import json_text
from rotation.output.documents.run import RunJson
from tests.model.test_report import report_of


def document(report: Report) -> dict[str, Any]:
    """The document as a program reads it."""
    return dict(json.loads(json_text(RunJson.of(report))))


def test_what_becomes_a_token_is_in_the_document() -> None:
    """The document has the number of these cells, and some of them by their rows; nothing of their content."""
    report = report_of(scanned=3, to_rotate=3, taken_over=2, dry_run=True)
    report.targets[0].counts.samples.append(((7,), "9 characters: digits"))

    [target] = document(report)["targets"]

    assert (target["taken_over"], target["samples"]) == (2, [{"key": {"id": 7}, "holds": "9 characters: digits"}])
    assert document(report_of(scanned=1, current=1))["targets"][0]["samples"] == []


def test_keys_of_rows_are_as_the_database_has_them() -> None:
    """A number of any size, text of any language, and no value at all."""
    report = report_of(scanned=3, plaintext=3)
    for key in (2**70, "\u00e9\U0001f511", None, 1.5, True):
        report.targets[0].counts.note((key,), "plaintext", "text")

    shown = document(report)["targets"][0]

    assert [problem["key"]["id"] for problem in shown["problems"]] == [2**70, "\u00e9\U0001f511", None, 1.5, True]
    assert (shown["problems_total"], shown["categories"]) == (5, {"plaintext": 5})
    assert json_text(RunJson.of(report)).isascii()


def test_numbers_are_in_the_order_of_keys() -> None:
    """The same counts make the same document, byte for byte."""
    report = report_of(scanned=2, current=2)
    report.targets[0].counts.under.update({"5f0c1a9e": 1, "0d0d0d0d": 1})

    assert [*document(report)["targets"][0]["under"]] == ["0d0d0d0d", "5f0c1a9e"]
