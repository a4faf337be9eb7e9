"""A target's report as the ledger keeps it."""

from __future__ import annotations

from datetime import datetime

from keyring_core.redaction.current import get_redactor
from rotation.ledger.records import KEPT_CENSUS_PROBLEMS, CensusPlace, CensusRecord
from rotation.model.report import TargetReport, legible_key
from rotation.model.row_marks import pack
from rotation.model.targets import Target
from rotation.stores.access import database_of


def census_record(  # noqa: PLR0913 - what a census is of, and how it was taken
    report: TargetReport, primary: str, service: str, taken: datetime, *, sampled: bool = False, by_run: bool = False
) -> CensusRecord:
    """The census that *report* came to, a dry run's or what a run left; *primary* is the primary key's id."""
    counts, place = report.counts, place_of(report.target, service)
    return CensusRecord(
        **place._asdict(),
        target=report.target.name,
        taken=taken,
        complete=report.complete and counts.under.keys() <= {primary} and not counts.unbound,
        sampled=sampled,
        by_run=by_run,
        identity=report.identity,
        scanned=counts.scanned,
        current=counts.current,
        to_rotate=counts.to_rotate,
        rotated=counts.rotated,
        empty=counts.empty,
        plaintext=counts.plaintext,
        unreadable=counts.unreadable,
        unsettled=counts.unsettled,
        null=counts.null,
        nested=counts.nested,
        suspects=counts.suspects,
        given_up=counts.given_up,
        under=dict(counts.under),
        inner=dict(counts.inner),
        categories=dict(counts.categories),
        oldest=dict(counts.oldest),
        youngest=dict(counts.youngest),
        ages=dict(counts.ages),
        unreadable_rows=pack(report.unreadable),
        problems=[
            {"key": legible_key(report.key_names, key), "category": category}
            for key, category, _ in counts.problems[:KEPT_CENSUS_PROBLEMS]
        ],
    )


def place_of(target: Target, service: str) -> CensusPlace:
    """Where the ledger keeps a target's census. A secret that somebody wrote into its condition is masked."""
    where = target.where and get_redactor().redact(target.where)
    return CensusPlace(service, database_of(target), target.table, target.column, where)
