"""The last questions about a target, before anything calls it complete. The same after each whole pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from rotation.job.ranges import RANGE_KEPT, RangeWorker, UndoDetector
from rotation.model.batch import Plan, count_swaps, traces_of
from rotation.model.counts import Counts, Moved, Times
from rotation.model.report import WHOLE, TargetReport
from rotation.model.target import Format
from rotation.stores.change_tracker import CellTotals, Changed, Doubt, Unknown
from rotation.stores.opened_table import Watch

MOST_LOOKS = 5
"""The most looks in a row at the rows of others; then a whole pass is due."""

UNSETTLED = ("rewritten", "locked")
"""Problems that the next pass may find gone."""

log = structlog.get_logger(__name__)


class LastWord:
    """Decides whether a pass was the last one of its target, and writes into the report by what proof, and of when."""

    def __init__(self, worker: RangeWorker, report: TargetReport, moved: Moved, undo_detector: UndoDetector) -> None:
        self._planner, self._report, self._moved, self._undo_detector = worker.planner, report, moved, undo_detector
        self._pace = worker.pace
        self._store, self._primary = worker.opened.store, worker.opened.keyring.primary.id
        self._disturbed = False
        """True if others disturbed a pass that found nothing to do: then the next one counts, disturbed or not."""
        self.reason = ""
        """The reason for another pass."""

    def is_over(
        self, counts: Counts, watch: Watch, started: datetime, *, is_last: bool = False, by_pages: bool = False
    ) -> bool:
        """True if a whole pass leaves nothing for another one. *watch* has watched it since it *started*.

        *by_pages*: it read the table in the order of its pages, and so it says nothing without a proof.

        The only place that says so, after a pass of any kind, whatever it found. Raises StoreError if the table is not
        the one that was opened any more, or if rows of it were hidden meanwhile.
        """
        dry_run, report = self._planner.dry_run, self._report
        self._disturbed = self._disturbed or is_last
        # A conflict may be a token under an old key by now.
        idle = dry_run or not (counts.rotated or unsettled_in(counts))
        proof = self._proof(counts, watch, idle=idle, by_pages=by_pages)
        if proof is None:
            return False
        report.proof = None if dry_run else proof
        report.read_from, report.read_to = started, datetime.now(UTC)
        return True

    def _proof(self, counts: Counts, watch: Watch, *, idle: bool, by_pages: bool) -> str | None:
        """The name of the proof that nothing is left, by what others wrote since the pass began; None without a proof.

        *idle*: the pass found nothing to do. Rotates what others wrote and needs it. The report then has the counts of
        that moment; a list of problems, and the counts of cells with several tokens, are for a pass to make.
        """
        if counts.categories and not idle:
            return self._none("there are problems to list")
        others, correctable = Counts(), self._planner.format is Format.TOKEN and not counts.categories
        for _ in range(MOST_LOOKS):
            changed = watch.changed(wrote=not idle)
            if isinstance(changed, Unknown):
                return self._despite(changed, idle=idle and not by_pages)
            plan = self._planner.plan(changed.batch)
            if idle and plan.counts.categories and not plan.changes:
                # Perhaps the pass has listed them, perhaps the next one does: nothing else can be done about them.
                return self._despite(Unknown("others wrote cells that need a person"), idle=not by_pages)
            if not correctable and not (plan.is_clean if idle else _is_as_counted(changed, counts)):
                break
            if plan.is_clean:
                others.add(plan.counts)
                if correctable and changed.totals:
                    self._report.counts = _as_changed(counts, self._moved, changed.totals, others, self._primary)
                return watch.name
            idle = False
            if not self._rotate(plan, others, watch):
                break
        return self._none("others wrote meanwhile")

    def _rotate(self, plan: Plan, others: Counts, watch: Watch) -> bool:
        """Writes what *plan* makes of the rows of others; whether nothing stood in the way."""
        written = self._store.write(plan.swaps, plan.blocks, self._pace.rows_at_once)
        self._store.settle()
        watch.wrote(written.transactions)
        self._moved.cells += plan.changes
        others.taken_over += plan.counts.taken_over
        count_swaps(plan._replace(counts=others), written, self._primary)
        self._undo_detector.take(traces_of(plan, written, RANGE_KEPT))
        return not (written.lost or written.refused or plan.counts.categories or self._undo_detector.undone)

    def _despite(self, unknown: Unknown, *, idle: bool) -> str | None:
        """The proof if it is not known what others wrote during the pass: the pass itself, if it was *idle*."""
        if idle and unknown.doubt is not Doubt.ALTERED:
            if self._disturbed or unknown.doubt is Doubt.SPAN:
                return WHOLE
            self._disturbed = True
        return self._none(unknown.words)

    def _none(self, reason: str) -> str | None:
        self.reason = reason
        log.info("rotation.whole_pass", target=self._report.target.label, reason=reason)
        return None


def unsettled_in(counts: Counts) -> int:
    """The number of problems that the next pass may find gone."""
    return sum(counts.categories[category] for category in UNSETTLED)


def _is_as_counted(changed: Changed, counts: Counts) -> bool:
    """True if nobody wrote to the cells that a pass has counted."""
    totals = changed.totals
    return not changed.batch.rows and (totals is None or (totals.held, totals.null) == (counts.scanned, counts.null))


def _as_changed(last: Counts, moved: Moved, totals: CellTotals, others: Counts, primary: str) -> Counts:
    """The counts of the *last* pass, corrected by what *others* wrote since; all is under the primary key now."""
    tokens = totals.held - totals.empty
    counts = replace(last, scanned=totals.held, null=totals.null, empty=totals.empty, rotated=min(moved.cells, tokens))
    counts.current = tokens - counts.rotated
    counts.taken_over = min(moved.taken_over + others.taken_over, counts.rotated)
    counts.reindexed = min(moved.reindexed, counts.rotated)
    counts.under = Counter({primary: tokens})
    if others.under:
        # A token that a service replaced since counts twice among the months.
        counts.hold_times(primary, Times(0, others.oldest[primary], others.youngest[primary], others.ages))
    return counts
