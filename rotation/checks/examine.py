"""A check from first to last: gather, judge, take down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rotation.checks.book import Book
from rotation.checks.gather import Look, gather, kept, key_files, load_keys, look_around
from rotation.checks.verdict import Verdict
from rotation.cli.options import Common
from rotation.ledger.ledger import service_name, utc_now
from rotation.model.policy import Policy
from rotation.model.targets import Target


def examine(common: Common, targets: Sequence[Target], policy: Policy, look: Look, sample: int | None) -> Verdict:
    """What the checks say now of these *targets*; the ledger keeps it.

    Raises StoppedError where somebody asked to stop.
    """
    keys = load_keys(common.environ, common.world.tell)
    with Book.open(common.open_ledger, service_name(common.environ)) as book:
        book.begin(keys.states, keys.keyring.primary.id if keys.keyring else "")
        facts = gather(book, keys, key_files(common.environ, common.env_file))
        if keys.keyring:
            facts = look_around(
                facts, targets, keys.keyring, book.entries, look=look, open_survey=common.open_survey, sample=sample
            )
        # The clock is read last: a token that was written meanwhile is not of the future.
        verdict = Verdict.of(facts, policy, utc_now())
        book.keep(kept(facts), well=verdict.level == 0, counts=_counts(verdict))
    return verdict


def _counts(verdict: Verdict) -> dict[str, object]:
    levels = Counter(result.level.name for result in verdict.results)
    return {"status": verdict.level.name, **levels}
