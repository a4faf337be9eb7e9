"""What speaks for and against retiring a key, gathered afresh: censuses, unnamed columns, the fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from keyring_core import Key, Keyring
from keyring_core.config import Settings
from rotation.discover import TokenColumn
from rotation.errors import StoreError
from rotation.life.book import KeyBook
from rotation.life.proof import Evidence
from rotation.report import Report
from rotation.targets import Target, without_repeats


@dataclass(frozen=True)
class Looks:
    """How to look at the databases; each reads only."""

    census: Callable[[list[Target], Keyring], Report]
    """Counts every token of some targets."""
    unnamed: Callable[[list[Target], Keyring], list[TokenColumn]]
    """Finds the columns that hold tokens and that no target names."""


def gather(settings: Settings, key: Key, targets: list[Target], looks: Looks, book: KeyBook) -> Evidence:
    """The evidence on retiring *key*. Raises StoreError where a target cannot be opened, and StoppedError."""
    keyring = Keyring(*settings)
    report = looks.census(targets, keyring)
    unnamed, unseen = _unnamed(targets, keyring, looks)
    return Evidence(
        key_id=key.id,
        previous=tuple(previous.id for previous in settings.previous),
        census=report,
        promoted=book.promotion(settings.primary.id, [previous.id for previous in settings.previous]),
        left_out=_left_out(key.id, targets, report, lambda some: looks.census(some, keyring)),
        unnamed=[column.label for column in unnamed if column.under or column.large],
        unopened=[column.label for column in unnamed if not (column.under or column.large)],
        unseen=unseen,
        # Asked last: a census may take an hour, and a service that came back in it still counts.
        fleet=book.fleet(),
    )


def _unnamed(targets: list[Target], keyring: Keyring, looks: Looks) -> tuple[list[TokenColumn], str | None]:
    try:
        return looks.unnamed(targets, keyring), None
    except StoreError as error:
        return [], str(error)


def _left_out(
    key_id: str, targets: list[Target], report: Report, take_census: Callable[[list[Target]], Report]
) -> dict[str, int]:
    """Tokens under the key in rows that a `where` leaves out: a second look does without it."""
    whole = without_repeats(replace(target, where=None) for target in targets if target.where)
    if not whole:
        return {}
    counted: Counter[tuple[object, ...]] = Counter()
    for part in report.targets:
        counted[_column(part.target)] += part.counts.under[key_id]
    left_out: Counter[str] = Counter()
    for part in take_census(whole).targets:
        if part.stopped:
            raise StoreError(f"{part.target.label}, without its `where`: it was not read to the end: {part.stopped}")
        left_out[part.target.label] += part.counts.under[key_id] - counted[_column(part.target)]
    return left_out


def _column(target: Target) -> tuple[object, ...]:
    # Each context is looked for by itself: the tokens of another are unreadable to it.
    return target.url, target.label, target.context
