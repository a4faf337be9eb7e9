"""A target's report as the ledger keeps it."""

from __future__ import annotations

from datetime import datetime

from rotation.ledger.records import KEPT_CENSUS_PROBLEMS, CensusRecord
from rotation.model.report import TargetReport, legible_key
from rotation.model.row_marks import pack


def census_record(  # noqa: PLR0913 - what a census is of, and how it was taken
    report: TargetReport, primary: str, service: str, taken: datetime, *, sampled: bool = False, by_run: bool = False
) -> CensusRecord:
    """The census in *report*, of a dry run or of what a run left; *primary* is the primary key's id."""
    counts = report.counts
    return CensusRecord(
        service,
        report.target.name,
        report.id,
        taken,
        complete=report.complete and counts.under.keys() <= {primary} and not counts.unbound,
        counts=counts,
        sampled=sampled,
        by_run=by_run,
        identity=report.identity,
        unreadable_rows=pack(report.unreadable),
        problems=[
            {"key": legible_key(report.key_names, key), "category": category}
            for key, category, _ in counts.problems[:KEPT_CENSUS_PROBLEMS]
        ],
    )
