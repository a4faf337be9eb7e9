"""What a page shows, gathered at the edge: keys, ledger, a census of each target, and what the checks say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import structs

from rotation.checks.book import Book
from rotation.checks.facts import Facts, TargetFacts
from rotation.checks.gather import Look, gather, key_files, load_keys, look_around
from rotation.checks.page_facts import PageFacts
from rotation.checks.verdict import Verdict
from rotation.cli.options import Common
from rotation.ledger.census_record import place_of
from rotation.ledger.ledger import service_name, utc_now
from rotation.ledger.records import RunRecord
from rotation.ledger.titles import titles
from rotation.model.failures import UsageError
from rotation.model.policy import Policy
from rotation.model.targets import Target, columns_of

KEPT_RUNS = 60
UNSEEN = dict.fromkeys(("retired_key", "double_encryption", "unnamed_columns"), "--last-census reads no target")
"""Checks of what no census keeps."""
NEVER = "the ledger has no count of it: make one with rotate.py check, or leave out --last-census"


def gather_page(common: Common, targets: Sequence[Target], policy: Policy, look: Look | None) -> PageFacts:
    """Counts each target by *look*; without one, shows the last counts that the ledger knows. Writes nothing.

    Raises UsageError where the keys cannot be loaded, LedgerError where the ledger fails half way, StoppedError.
    """
    keys = load_keys(common.environ, common.world.tell)
    if keys.keyring is None:
        raise UsageError(keys.fault or "there are no keys")
    with Book.open(partial(common.open_ledger, make=False), service_name(common.environ)) as book:
        book.read(keys.states)
        facts = gather(book, keys, key_files(common.environ, common.env_file))
        if look:
            facts = look_around(facts, targets, keys.keyring, book.entries, look=look, open_survey=common.open_survey)
        else:
            facts = _with_last_censuses(facts, targets, book)
            policy = structs.replace(policy, off={**UNSEEN, **policy.off})
        runs, certificates = _history(book)
    verdict = Verdict.of(facts, policy, utc_now())
    return PageFacts(
        made=verdict.now,
        service=facts.service,
        states={key_id: str(state) for key_id, state in (facts.keys or {}).items()},
        records=tuple(facts.own.values()),
        censuses=tuple(target.census for target in facts.targets),
        unreached=facts.unreached,
        results=verdict.results,
        runs=runs,
        certificates=certificates,
        instances=facts.instances,
        scope=columns_of(targets),
        uncovered={column.label: column.tokens + column.embedded for column in facts.uncovered},
    )


def _with_last_censuses(facts: Facts, targets: Sequence[Target], book: Book) -> Facts:
    kept = {census.place: census for census in book.entries.censuses}
    places = [(title, place_of(target, book.service)) for target, title in titles(targets).items()]
    return replace(
        facts,
        # Nothing in it is new since the last one: it is the last one.
        targets=tuple(
            TargetFacts(kept[place], before=kept[place], title=title) for title, place in places if place in kept
        ),
        unreached={title: NEVER for title, place in places if place not in kept},
        counted=min((kept[place].taken for _, place in places if place in kept), default=None),
        partial=any(target.where for target in targets),
    )


def _history(book: Book) -> tuple[Sequence[RunRecord], Sequence[Mapping[str, Any]]]:
    """The service's last runs and all its certificates."""
    if book.ledger is None or book.entries.fault is not None:
        return [], []
    certificates = [one for one in book.ledger.certificates() if one["service"] == book.service]
    return book.ledger.last_runs(KEPT_RUNS, book.service), certificates
