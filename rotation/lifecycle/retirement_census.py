"""Counts what speaks for and against retiring a key: a new census, the ledger and the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keyring_core import Key, Keyring
from keyring_core.environment import Settings
from rotation import job
from rotation.configuration.targets import without_repeats
from rotation.context import Context
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import took_over
from rotation.ledger.session import Session
from rotation.ledger.unexplained import unexplained
from rotation.model.counts import Counts
from rotation.model.failures import StoreError
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.retirement.evidence import Evidence, of_report


def count(  # noqa: PLR0913 - what the evidence is about
    context: Context,
    session: Session,
    settings: Settings,
    key: Key,
    *,
    targets: Sequence[Target],
    everything: Sequence[Target],
) -> tuple[Evidence, Report]:
    """The evidence on retiring *key* without a search, and the census in it, which is recorded in the ledger.

    *targets* are those whose key set it is of, and *everything* are the targets of all key sets.

    Raises StoreError if a target cannot be opened, and StoppedError.
    """
    keyring = Keyring(*settings)
    report = job.census(context, targets, keyring)
    left_out = _left_out(context, targets, everything, keyring)
    known = session.censuses()
    censuses = session.keep_censuses(report, known)
    records = session.attempt(Ledger.keys) or ()
    evidence = replace(
        of_report(report, key.id),
        promoted=took_over(settings.primary.id, [each.id for each in settings.previous], records, session.service),
        left_out=left_out,
        unexplained=tuple(unexplained(key.id, censuses, known, session.service)),
        fleet=session.fleet(keyring.states_by_id),
    )
    return evidence, report


def _left_out(
    context: Context, targets: Sequence[Target], everything: Sequence[Target], keyring: Keyring
) -> list[tuple[str, Counts]]:
    """The counts of the rows that no target of their column covers, per column of *targets*."""
    rest = without_repeats(complement for target in targets if (complement := _complement(target, everything)))
    found: dict[tuple[str, str], Counts] = {}
    for part in job.census(context, rest, keyring).targets if rest else ():
        if part.stopped:
            raise StoreError(f"{part.target.label}, outside of its `where`: it was not read to the end: {part.stopped}")
        counts = found.setdefault((part.target.url, part.target.label), part.counts)
        if counts is not part.counts:
            _add_context(counts, part.counts)
    return [(label, counts) for (_, label), counts in found.items()]


def _complement(target: Target, targets: Sequence[Target]) -> Target | None:
    """A target for the rows of *target*'s column that no target covers, per context; None if one covers all."""
    wheres = [other.where for other in targets if (other.url, other.label) == (target.url, target.label)]
    if None in wheres:
        return None
    rest = " AND ".join(f"(({where}) IS NOT TRUE)" for where in dict.fromkeys(wheres))
    return replace(target, where=rest)


def _add_context(counts: Counts, other: Counts) -> None:
    """Merges the counts of the same rows under another context: a cell is unreadable if no context opens it."""
    counts.under |= other.under
    counts.inner |= other.inner
    counts.other_sets |= other.other_sets
    # A cell may need a key if it may in each context.
    may_need = min(counts.unreadable - counts.identified, other.unreadable - other.identified)
    counts.unreadable = min(counts.unreadable, other.unreadable)
    counts.identified = counts.unreadable - may_need
