"""What speaks for and against retiring a key, gathered afresh: censuses, a search of all columns, ledger and fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keyring_core import Key, Keyring
from keyring_core.config import Settings
from rotation import job
from rotation.context import Context
from rotation.discovery.discover import Discovery, databases_of, discover
from rotation.ledger.ledger import Ledger
from rotation.ledger.promotions import took_over
from rotation.ledger.session import Session
from rotation.ledger.unexplained import unexplained
from rotation.model.counts import Counts
from rotation.model.failures import StoreError
from rotation.model.report import Report
from rotation.model.targets import Target, without_repeats
from rotation.retirement.decision import Evidence, evidence_of


def gather(
    context: Context, session: Session, settings: Settings, key: Key, targets: Sequence[Target]
) -> tuple[Evidence, Report]:
    """The evidence on retiring *key*, and the census in it, which the ledger keeps.

    Raises StoreError if a target cannot be opened, and StoppedError.
    """
    keyring = Keyring(*settings)
    report = job.census(context, targets, keyring)
    left_out = _left_out(context, targets, keyring)
    search, fault = _search(context, targets, keyring)
    known = session.censuses()
    censuses = session.keep_censuses(report, known)
    previous = [each.id for each in settings.previous]
    records = session.attempt(Ledger.keys) or ()
    evidence = replace(
        evidence_of(report, key.id),
        previous=previous,
        promoted=took_over(settings.primary.id, previous, records, session.service),
        left_out=left_out,
        search=search,
        search_fault=fault,
        unexplained=tuple(unexplained(key.id, censuses, known, session.service)),
        # Asked last: a census may take an hour, and a service that came back in it still counts.
        fleet=session.fleet([each.id for each in keyring.states]),
    )
    return evidence, report


def _search(context: Context, targets: Sequence[Target], keyring: Keyring) -> tuple[Discovery | None, str | None]:
    """A search of every row, since a sample may miss the one token that needs the key; or why it failed."""
    try:
        return discover(databases_of(targets), targets, keyring, context.open_survey, full=True, schemas=None), None
    except StoreError as error:
        return None, str(error)


def _left_out(context: Context, targets: Sequence[Target], keyring: Keyring) -> list[tuple[str, Counts]]:
    """What the rows hold that no target of their column covers, per column."""
    rest = without_repeats(complement for target in targets if (complement := _complement(target, targets)))
    found: dict[tuple[str, str], Counts] = {}
    for part in job.census(context, rest, keyring).targets if rest else ():
        if part.stopped:
            raise StoreError(f"{part.target.label}, outside of its `where`: it was not read to the end: {part.stopped}")
        counts = found.setdefault((part.target.url, part.target.label), part.counts)
        if counts is not part.counts:
            _add_context(counts, part.counts)
    return [(label, counts) for (_, label), counts in found.items()]


def _complement(target: Target, targets: Sequence[Target]) -> Target | None:
    """The rows of *target*'s column that no target takes, each context by itself; None where one takes all."""
    wheres = [other.where for other in targets if (other.url, other.label) == (target.url, target.label)]
    if None in wheres:
        return None
    rest = " AND ".join(f"(({where}) IS NOT TRUE)" for where in dict.fromkeys(wheres))
    return replace(target, where=rest)


def _add_context(counts: Counts, other: Counts) -> None:
    """Takes in what the same rows hold under another context: unreadable is what no context opens."""
    counts.under |= other.under
    counts.inner |= other.inner
    counts.unreadable = min(counts.unreadable, other.unreadable)
