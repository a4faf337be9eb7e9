"""The two uses of the checks: a scheduled one that the ledger records, and one for a page that writes nothing.

Both gather the facts: keys and their files, the ledger, and one census of each target.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import structs

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring, KeyringError, KeyState
from keyring_core.errors import WeakKeyError, WeakKeyWarning
from keyring_core.sources import key_path
from rotation import job
from rotation.checks.facts import ARCHIVE, Facts, SeenFile, TargetFacts
from rotation.checks.verdict import Verdict, check_names
from rotation.configuration.policy import Policy
from rotation.configuration.targets import own_targets
from rotation.context import Context
from rotation.discovery.result import uncovered_columns
from rotation.ledger.clock import utc_now
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.ledger import Ledger, Outcome
from rotation.ledger.records import (
    KEPT_CENSUS_PROBLEMS,
    CensusRecord,
    RunRecord,
    census_record,
    place_of,
)
from rotation.ledger.session import OnFailure, Session, carried
from rotation.model.failures import MissingError, StoppedError, StoreError, UsageError
from rotation.model.report import pack
from rotation.model.target import Target, distinct_labels
from rotation.retirement.words import NAME_LEDGER
from rotation.stores.databases import identify

Columns: TypeAlias = Callable[[Keyring], Mapping[str, Any]]
"""Finds the facts on columns without a target; see `search_columns`."""
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
    found: dict[str, Any] = {}

    def columns(keyring: Keyring) -> Mapping[str, Any]:
        # One search is for all key sets.
        found.update(found or search_columns(context, targets, keyring))
        return found

    return Verdict.of_parts(
        [_examine(own, some, policy, columns, sample=sample) for own, some in context.by_keys(targets)]
    )


def _examine(
    context: Context, targets: Sequence[Target], policy: Policy, columns: Columns, *, sample: int | None
) -> Verdict:
    """The verdict on the *targets* of one key set."""
    keyring, facts = load_keys(context)
    with Session.open(context.open_ledger, facts.service, OnFailure.NOTE) as session:
        number = None
        unwritten: str | None = None
        late_times: list[str] = []
        if session.attempt(Ledger.time) is None:
            # Nothing more is asked of a ledger that does not answer: each question would wait again.
            session.close()
        else:
            late_times = session.settle(policy.max_clock_skew)
            if session.fault is None:
                session.attempt(partial(Ledger.see_keys, states=facts.keys or {}, service=facts.service))
            if session.fault is None:
                begin = partial(Ledger.begin_run, command="check", service=facts.service, primary=facts.primary or "")
                number = session.attempt(begin)
            unwritten = session.fault
        # Read once, with the dates that were recorded just now: over a slow line each question takes its time.
        facts = facts_without_targets(session, facts, context)
        if facts.ledger_fault is None:
            facts = replace(facts, ledger_unwritten=unwritten, late_times=tuple(late_times))
        clock = session.date if facts.ledger_fault is None else utc_now
        if keyring:
            facts = census_targets(facts, context, targets, keyring, columns, sample=sample, clock=clock)
        # The clock is read last, so that a token written meanwhile is not in the future.
        verdict = Verdict.of(facts, policy, clock())
        if facts.ledger_fault is None:
            session.fault = None
            session.keep(kept(facts))
            if number is not None and session.fault is None:
                outcome: Outcome = "complete" if verdict.level == 0 else "left"
                counts = {"status": verdict.level.name, **Counter([each.level.name for each in verdict.results])}
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
    keyring, facts = load_keys(context)
    if keyring is None:
        raise UsageError(facts.keys_fault or "there are no keys")
    with Session.open(partial(context.open_ledger, make=False), facts.service, OnFailure.NOTE) as session:
        facts = facts_without_targets(session, facts, context)
        if last_census:
            facts = last_censuses(facts, own)
            policy = structs.replace(policy, off={**NOT_IN_A_CENSUS, **policy.off})
        else:
            columns = partial(search_columns, context, targets)
            facts = census_targets(facts, context, own, keyring, columns, clock=session.date)
        runs: Sequence[RunRecord] = ()
        if session.ledger is not None and facts.ledger_fault is None:
            runs = session.ledger.last_runs(PAGE_RUNS, session.service)
        verdict = Verdict.of(facts, policy, session.date())
    return Overview(verdict, own, runs, facts.certificates)


NO_LEDGER = f"there is none: {NAME_LEDGER}"
NEVER = "the ledger has no count of it: make one with keyring-rotate check, or leave out --last-census"
KEPT_RUNS = 20


def load_keys(context: Context) -> tuple[Keyring | None, Facts]:
    """The keys of *context*, and the facts about them. Faults and weak keys are facts; other warnings go to stderr."""
    keyring, fault, weak = None, None, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", KeyConfigWarning)
        try:
            keyring = context.load_keyring()
        except (KeyConfigError, StoreError) as error:
            fault = str(error)
            if isinstance(error, WeakKeyError):
                weak.append(fault)
    for warning in caught:
        if issubclass(warning.category, WeakKeyWarning):
            weak.append(str(warning.message))
        else:
            context.streams.warn(f"Warning: {warning.message}")
    return keyring, Facts(
        service=context.service,
        key_set=context.key_set,
        keys=keyring.states_by_id if keyring else None,
        salted=keyring.salted_ids if keyring else frozenset(),
        keys_fault=fault,
        weak=tuple(weak),
    )


def key_files(context: Context, archives: Iterable[str]) -> Iterator[SeenFile]:
    """The files that hold keys, with their modes. Loading the keys reports a missing one.

    The *archives* of retired keys are among them, if they are still where `keys retire` wrote them.
    """
    environ, dotenv, keys = context.inputs.environ, context.inputs.dotenv, context.keys
    if keys.written is None:
        variables: Sequence[str] = keys.variables
        named = [(f"{name}_FILE", environ[f"{name}_FILE"]) for name in variables if environ.get(f"{name}_FILE")]
    else:
        sources = list(keys.written.sources())
        variables = [source.variable for _, _, source in sources if source.variable]
        named = [(f"[keys.{keys.name}] {place}", source.file) for _, place, source in sources if source.file]
    if dotenv and any(environ.get(name) for name in variables):
        named.append((dotenv.named_by.rstrip(":"), str(dotenv.path)))
    for variable, value in named:
        with suppress(OSError, ValueError):
            path = key_path(value, environ, variable)
            yield SeenFile(variable, str(path), path.stat().st_mode)
    for archive in dict.fromkeys(archives):
        with suppress(OSError, ValueError):
            yield SeenFile(ARCHIVE, archive, Path(archive).stat().st_mode)


def facts_without_targets(session: Session, facts: Facts, context: Context) -> Facts:
    """*facts*, with those from the ledger and from the files of keys; reads no target."""
    known = session.attempt(lambda ledger: _from_ledger(ledger, facts.service, facts.keys or {}))
    fault = None if known is not None else session.fault or NO_LEDGER
    known = known or {}
    files = tuple(key_files(context, known.get("archives", {}).values()))
    return replace(facts, key_files=files, ledger_fault=fault, **known)


def search_columns(context: Context, targets: Sequence[Target], keyring: Keyring) -> dict[str, Any]:
    """The facts on columns without a target: of a search of a sample of all columns, and of the models' declarations.

    Raises StoppedError.
    """
    found: dict[str, Any] = {}
    # First, since models may name key sets.
    try:
        left = uncovered_columns(context.declared_columns(context.inputs.models()), targets, context.inputs.ignored())
        found["declared"] = tuple(dict.fromkeys(column.label for column in left))
    except UsageError as error:
        found["models_fault"] = str(error)
    try:
        found["search"] = context.search(context.search_plan(targets, keyring))
        unseen = [f"{remark.subject} cannot be looked at: {remark.words}" for remark in found["search"].unseen]
        found["search_fault"] = "; ".join(unseen) or None
    except StoppedError:
        raise
    except KeyringError as error:
        found["search_fault"] = str(error)
    return found


def census_targets(  # noqa: PLR0913 - what to count, with what
    facts: Facts,
    context: Context,
    targets: Sequence[Target],
    keyring: Keyring,
    columns: Columns,
    *,
    sample: int | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Facts:
    """*facts*, with a new census of each target, and the token columns without a target. Raises StoppedError."""
    counted: list[TargetFacts] = []
    replicas: dict[str, None] = {}
    unreached: dict[str, str] = {}
    for target, title in _titled(targets):
        try:
            [report] = job.census(context, [target], keyring, sample=sample).targets
        except StoppedError:
            raise
        except KeyringError as error:
            if not (isinstance(error, MissingError) and target.optional):
                unreached[title] = str(error)
            continue
        replicas |= dict.fromkeys([report.replica] if report.replica else [])
        if report.stopped is not None:
            unreached[title] = report.stopped
            continue
        census = census_record(report, keyring.primary.id, facts.service, clock(), sampled=sample is not None)
        census = carried(census, facts.known)
        before = next((each for each in facts.checked if each.place == census.place), None)
        counted.append(TargetFacts(census, before, title))
    facts = replace(facts, targets=tuple(counted), unreached=unreached, replicas=tuple(replicas), sample=sample)
    return replace(facts, **columns(keyring))


def last_censuses(facts: Facts, targets: Sequence[Target]) -> Facts:
    """*facts*, with the last census of each target in the ledger; reads no target."""
    kept = {census.place: census for census in facts.known}
    places = [(title, place_of(facts.service, identify(target))) for target, title in _titled(targets)]
    return replace(
        facts,
        # This is the last census, so nothing in it is new.
        targets=tuple(
            TargetFacts(kept[place], before=kept[place], title=title) for title, place in places if place in kept
        ),
        unreached={title: NEVER for title, place in places if place not in kept},
        counted=min((kept[place].taken for _, place in places if place in kept), default=None),
    )


def kept(facts: Facts) -> Iterator[CensusRecord]:
    """The censuses, as a check records them in the ledger."""
    for target in facts.targets:
        census = replace(target.census, checked=True)
        if target.census.sampled and target.before is not None:
            # A sample may leave out a row that is still unreadable; without its mark it would count as new later.
            marks = pack(census.unreadable_marks | target.before.unreadable_marks)
            problems = {repr(problem): problem for problem in (*census.problems, *target.before.problems)}
            kept_problems = list(problems.values())[:KEPT_CENSUS_PROBLEMS]
            census = replace(census, problems=kept_problems, unreadable_rows=marks)
        yield census


def _titled(targets: Sequence[Target]) -> Iterable[tuple[Target, str]]:
    return zip(targets, distinct_labels([identify(target) for target in targets]), strict=True)


def _from_ledger(ledger: Ledger, service: str, states: Mapping[str, KeyState]) -> dict[str, Any]:
    """The facts in the ledger, by their names."""
    certificates = [one for one in ledger.certificates() if one.get("service") == service]
    use = KeyUses.of(ledger, states, service)
    return {
        "records": tuple(use.records),
        "runs": tuple(ledger.last_runs(KEPT_RUNS, service, "run")),
        "begun": ledger.begun_since_an_end(service, "run"),
        "known": tuple(ledger.censuses()),
        "checked": tuple(ledger.censuses(checked=True)),
        "instances": tuple(use.fleet),
        "reads": tuple(use.reads),
        "complete_run": use.run,
        "clocks": ledger.clocks(),
        "cut_short": frozenset(ledger.cut_short(service, states) if states else ()),
        "certificates": tuple(certificates),
        "archives": {one["key"]: path for one in certificates if isinstance(path := one.get("archive"), str)},
    }
