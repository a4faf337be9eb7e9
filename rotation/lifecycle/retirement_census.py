"""What speaks for and against retiring a key, gathered afresh: censuses, a search of all columns, ledger and fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from keyring_core import Key, Keyring
from keyring_core.config import Settings
from rotation.discovery.discover import Discovery
from rotation.ledger.titles import titles
from rotation.ledger.unexplained import unexplained
from rotation.lifecycle.book import KeyBook
from rotation.model.batch import Counts
from rotation.model.failures import StoreError
from rotation.model.report import Report
from rotation.model.targets import Target, without_repeats
from rotation.retirement.decision import Evidence


@dataclass(frozen=True)
class Looks:
    """How to look at the databases; each reads only."""

    census: Callable[[list[Target], Keyring], Report]
    """Counts every token of some targets."""
    search: Callable[[list[Target], Keyring], Discovery]
    """Looks for tokens in every column of their servers, those of the targets with them."""


def gather(settings: Settings, key: Key, targets: list[Target], looks: Looks, book: KeyBook) -> tuple[Evidence, Report]:
    """The evidence on retiring *key*, and the census in it, which the ledger keeps.

    Raises StoreError where a target cannot be opened, and StoppedError.
    """
    keyring = Keyring(*settings)
    report = looks.census(targets, keyring)
    left_out = _left_out(targets, lambda some: looks.census(some, keyring))
    search, fault = _search(targets, keyring, looks)
    known = book.censuses()
    censuses = book.keep_censuses(report, known)
    named = titles(targets)
    evidence = Evidence(
        key_id=key.id,
        primary=settings.primary.id,
        previous=tuple(previous.id for previous in settings.previous),
        censuses=[(named[part.target], part.counts) for part in report.targets],
        unread={named[part.target]: part.stopped for part in report.targets if part.stopped},
        promoted=book.promotion(settings.primary.id, [previous.id for previous in settings.previous]),
        partial=any(target.where for target in targets),
        left_out=left_out,
        search=search,
        search_fault=fault,
        unexplained=tuple(unexplained(key.id, censuses, known, book.service)),
        # Asked last: a census may take an hour, and a service that came back in it still counts.
        fleet=book.fleet(),
    )
    return evidence, report


def _search(targets: list[Target], keyring: Keyring, looks: Looks) -> tuple[Discovery | None, str | None]:
    try:
        return looks.search(targets, keyring), None
    except StoreError as error:
        return None, str(error)


def _left_out(targets: Sequence[Target], take_census: Callable[[list[Target]], Report]) -> list[tuple[str, Counts]]:
    """What the rows hold that no target of their column names, per column."""
    rest = [complement for target in targets if (complement := _complement(target, targets))]
    found: dict[tuple[str, str], Counts] = {}
    for part in take_census(without_repeats(rest)).targets if rest else ():
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
