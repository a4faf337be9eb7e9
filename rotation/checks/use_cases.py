"""The two uses of the checks: a scheduled one that the ledger records, and one for a page that writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from msgspec import structs

from rotation.checks.gather import ColumnSearch, census_targets, facts_without_targets, kept, last_censuses, load_keys
from rotation.checks.verdict import Verdict, check_names
from rotation.configuration.policy import Policy
from rotation.configuration.targets import own_targets
from rotation.context import Context
from rotation.ledger.ledger import Ledger, Outcome, utc_now
from rotation.ledger.records import RunRecord
from rotation.ledger.session import OnFailure, Session
from rotation.model.failures import UsageError
from rotation.model.target import Target

PAGE_RUNS = 60
NOT_IN_A_CENSUS = dict.fromkeys(
    ("retired_key", "uncovered_columns", "declared_columns"), "--last-census reads no target"
)
"""Checks that need more than a recorded census."""


@dataclass(frozen=True)
class Overview:
    """The content of a page: a verdict, and the history in the ledger."""

    verdict: Verdict
    targets: Sequence[Target]
    runs: Sequence[RunRecord] = ()
    """The service's last runs, the newest first."""
    certificates: Sequence[Mapping[str, Any]] = ()


def examine(
    context: Context, targets: Sequence[Target], policy: Policy | None = None, *, sample: int | None = None
) -> Verdict:
    """Counts every row of *targets*, or about *sample* rows of each, and judges what it finds by *policy*.

    Records the keys' dates, the counts and the check in the ledger.

    Raises UsageError for a policy that turns off an unknown check, and StoppedError. All other faults are findings.
    """
    policy = policy or Policy()
    check_names(policy)
    search = ColumnSearch(context, targets)
    return Verdict.of_parts(
        [_examine(own, some, policy, search, sample=sample) for own, some in context.by_keys(targets)]
    )


def _examine(
    context: Context, targets: Sequence[Target], policy: Policy, search: ColumnSearch, *, sample: int | None
) -> Verdict:
    """The verdict on the *targets* of one key set."""
    keys, service = load_keys(context), context.service
    with Session.open(context.open_ledger, service, OnFailure.NOTE) as session:
        facts = facts_without_targets(session, keys, context)
        number = None
        if facts.ledger_fault is None:
            session.fault = None
            session.attempt(lambda ledger: ledger.see_keys(keys.states, service))
            if session.fault is None:
                primary = keys.keyring.primary.id if keys.keyring else ""
                number = session.attempt(lambda ledger: ledger.begin_run("check", service, primary))
            unwritten = session.fault
            # Read again, with the dates that were recorded just now.
            facts = replace(facts_without_targets(session, keys, context), ledger_unwritten=unwritten)
        if keys.keyring:
            facts = census_targets(facts, context, targets, keys.keyring, search, sample=sample)
        # The clock is read last, so that a token written meanwhile is not in the future.
        verdict = Verdict.of(facts, policy, utc_now())
        if facts.ledger_fault is None:
            session.fault = None
            session.keep(kept(facts))
            if number is not None and session.fault is None:
                outcome: Outcome = "complete" if verdict.level == 0 else "left"
                counts = {"status": verdict.level.name, **Counter(each.level.name for each in verdict.results)}
                session.attempt(partial(Ledger.end_run, number=number, outcome=outcome, counts=counts))
    return verdict


def overview(
    context: Context, targets: Sequence[Target], policy: Policy | None = None, *, last_census: bool = False
) -> Overview:
    """The facts and findings of `examine` for a page; writes nothing. With *last_census* no target is read.

    A page is about one key set: it shows the *targets* that have the keys of *context*.

    Raises UsageError if no target has them, the keys cannot be loaded, or the policy turns off an unknown check;
    LedgerError if the ledger fails after it was opened; StoppedError.
    """
    policy = policy or Policy()
    check_names(policy)
    own = own_targets(targets, context.key_set)
    keys, service = load_keys(context), context.service
    if keys.keyring is None:
        raise UsageError(keys.fault or "there are no keys")
    with Session.open(partial(context.open_ledger, make=False), service, OnFailure.NOTE) as session:
        facts = facts_without_targets(session, keys, context)
        if last_census:
            facts = last_censuses(facts, own)
            policy = structs.replace(policy, off={**NOT_IN_A_CENSUS, **policy.off})
        else:
            facts = census_targets(facts, context, own, keys.keyring, ColumnSearch(context, targets))
        runs: Sequence[RunRecord] = ()
        certificates: Sequence[Mapping[str, Any]] = ()
        if session.ledger is not None and facts.ledger_fault is None:
            certificates = [one for one in session.ledger.certificates() if one.get("service") == session.service]
            runs = session.ledger.last_runs(PAGE_RUNS, session.service)
    return Overview(Verdict.of(facts, policy, utc_now()), own, runs, certificates)
