"""The case for and against a retirement, cheapest first: every row is searched only if nothing else refuses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from keyring_core import Key, KeyConfigError, KeyConfigWarning, Keyring
from keyring_core.environment import Settings
from keyring_core.keyring import RotationKeyring
from rotation import job
from rotation.configuration.targets import without_repeats
from rotation.context import Context
from rotation.discovery.discover import SearchPlan
from rotation.discovery.memory import SearchMemory
from rotation.discovery.result import Discovery
from rotation.ledger.key_uses import KnownUse
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import place_of, took_over
from rotation.ledger.session import Session, unexplained
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.refused_columns import keep_columns, known_columns
from rotation.lifecycle.replicas import Replicas
from rotation.lifecycle.shared_secrets import SharedSecret, sharing
from rotation.lifecycle.waits import Announcements, OpenWriters
from rotation.lifecycle.wrapped_keys import wrapped_under
from rotation.model.counts import Counts
from rotation.model.failures import MissingError, StoreError
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.model.watcher import Note
from rotation.retirement import AGAIN, Evidence, Refusal, of_report, refusals
from rotation.stores.databases import identify


@dataclass
class Case:
    """All that is known for and against retiring one key."""

    evidence: Evidence
    census: Report
    needs: Sequence[SharedNeed]
    """The keys of other sets that are made of the same secret, each with the reasons to keep it."""
    unchecked: Sequence[str]
    """Notes on checks that could not be made."""
    wrapped: Sequence[Refusal] = ()
    """The keys of other sets that are in cells under it, each as a reason to keep it."""

    @property
    def against(self) -> list[Refusal]:
        """Every reason to keep the key."""
        search, fault = self.evidence.search, self.evidence.search_fault
        own = [*self.wrapped, *refusals(self.evidence)]
        return [*own, *(refusal for one in self.needs for refusal in one.refusals(search, fault))]

    @property
    def is_searched(self) -> bool:
        """True if every row of every column was searched, or the search failed."""
        return self.evidence.search is None or self.evidence.search.full


def examine(  # noqa: PLR0913 - what the case is about
    context: Context,
    session: Session,
    keys: EnvironmentKeys,
    key: Key,
    *,
    targets: Sequence[Target],
    everything: Sequence[Target],
    whatever: bool,
    full_speed: bool,
    wait: bool = True,
) -> Case:
    """Everything on retiring *key*: what is known, transactions, census, a sample of all columns, every row.

    What refuses without a row being read is said at once, and all that takes no longer than a sample is looked at
    nevertheless: an admin who is refused gets every reason of it, not one after the other. The search of every row is
    left out once anything refuses, unless it is wanted *whatever* that is. *targets* have the key set that the key is
    of; *everything* is the targets of all key sets. *wait*: for one more announcement of each service, if nothing
    refuses.

    Raises StoreError if a target cannot be opened, and StoppedError.
    """
    shared, keyring = sharing(context, keys, key), RotationKeyring(*keys.settings)
    replicas = Replicas(context, session, everything)
    of_replicas = replicas.refusals()
    wrapped = wrapped_under(context, keyring, key)
    if not whatever:
        lost = (SharedNeed(one, against=[refusal]) for one in shared.keys if (refusal := _lost(one)))
        of_others = [refusal for need in lost for refusal in need.refusals(None, None)]
        _announce(
            context, [*of_replicas, *_known_reasons(context, session, key, keyring, targets), *wrapped, *of_others]
        )
    announcements = Announcements(context, session, keys.states)
    open_writers = OpenWriters(context, everything)
    # Before anything is read: what is committed while this waits is counted below.
    uncommitted = open_writers.wait()
    evidence, census = _count(context, session, keys.settings, key, targets=targets, everything=everything)
    needs = [_count_need(session, one, everything) for one in shared.keys]
    unchecked = [*replicas.notes, *open_writers.unchecked, *shared.uncompared]
    case = Case(replace(evidence, replicas=of_replicas, uncommitted=uncommitted), census, needs, unchecked, wrapped)
    plan = replace(context.search_plan(everything, keyring), full_speed=full_speed)
    if not whatever:
        _search(case, context, replace(plan, whole=known_columns(session, key.id)))
        if case.against:
            return _kept(case, session)
    _search(case, context, replace(plan, full=True, memory=SearchMemory.of(session.ledger)))
    if any(each.salt_column for each in (key, *(one.key for one in shared.keys))):
        # A search reads no salts, so that it does not see what was written to these targets since they were counted.
        again, case.census = _count(context, session, keys.settings, key, targets=targets, everything=everything)
        case.evidence = replace(again, search=case.evidence.search, search_fault=case.evidence.search_fault)
        case.needs = [_count_need(session, one, everything) for one in shared.keys]
    silent = announcements.wait() if wait and not whatever and not case.against else ()
    case.evidence = replace(
        case.evidence,
        silent=silent,
        replicas=replicas.refusals(),
        uncommitted=list({one.identity: one for one in (*uncommitted, *open_writers.late())}.values()),
        # A search may take an hour, and a service that started or read with the key meanwhile still counts.
        **_use(context, session, key, keyring),
    )
    return _kept(case, session)


def _known_reasons(
    context: Context, session: Session, key: Key, keyring: Keyring, targets: Sequence[Target]
) -> list[Refusal]:
    """The reasons to keep *key* for which no row has to be read: its services, and tokens where no target is now."""
    places = {place_of(session.service, identify(target)) for target in targets}
    elsewhere = [census for census in session.censuses() if census.place not in places]
    known = Evidence(
        key.id,
        keyring.primary.id,
        unexplained=tuple(unexplained(key.id, (), elsewhere, session.service)),
        **_use(context, session, key, keyring),
    )
    # Whether reads are a reason depends on what the targets hold.
    return refusals(replace(known, use=replace(known.use, reads=())))


def _use(context: Context, session: Session, key: Key, keyring: Keyring) -> dict[str, Any]:
    """The part of the evidence that services announce."""
    states = keyring.states_by_id
    known = session.attempt(lambda ledger: KnownUse.of(ledger, states, session.service)) or KnownUse()
    days = context.inputs.any_policy().suspend_days
    return {"fleet": known.fleet, "now": session.time(), "use": known.use(key.id, states, days)}


def _announce(context: Context, reasons: Sequence[Refusal]) -> None:
    """Says at once what will refuse."""
    if not reasons:
        return
    with context.watch(dry_run=True) as watcher:
        for reason, _ in reasons:
            watcher(Note(f"This will refuse: {reason}"))
        watcher(Note("Looking for other reasons, to report all of them. Ctrl-C stops that, and changes nothing."))


def _kept(case: Case, session: Session) -> Case:
    """*case*, of which the ledger now knows the columns that refuse."""
    if case.evidence.search:
        keep_columns(session, case.evidence.key_id, case.evidence.search)
    return case


def _search(case: Case, context: Context, plan: SearchPlan) -> None:
    """Adds what a search finds: a sample may miss a token."""
    found: Discovery | None = None
    fault = None
    try:
        found = context.search(plan)
    except StoreError as error:
        fault = str(error)
    case.evidence = replace(case.evidence, search=found, search_fault=fault)


class SharedNeed(NamedTuple):
    """The reasons to keep a secret for a key of another set."""

    shared: SharedSecret
    evidence: Evidence | None = None
    """On that key."""
    against: Sequence[Refusal] = ()
    """The reasons that need no evidence."""

    def refusals(self, search: Discovery | None, fault: str | None) -> list[Refusal]:
        """Every reason, with what a *search* found; or why it failed."""
        of_key = refusals(replace(self.evidence, search=search, search_fault=fault)) if self.evidence else ()
        words = f"{self.shared.words}, is made of the same secret, and this keeps it"
        return [Refusal(f"{words}: {reason}", remedy) for reason, remedy in (*self.against, *of_key)]


def _count_need(session: Session, one: SharedSecret, targets: Sequence[Target]) -> SharedNeed:
    """The reasons that a census of the other set's targets gives. Errors as `_count`."""
    if lost := _lost(one):
        return SharedNeed(one, against=[lost])
    own = [target for target in targets if target.keys == one.context.key_set]
    wrapped: Sequence[Refusal] = ()
    # A set that only wraps keys has no target.
    if not own and not any(one.context.keys.cells_under({})):
        return SharedNeed(one)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KeyConfigWarning)
            settings = one.context.load_settings(one.context.inputs.read_environ())
        wrapped = wrapped_under(one.context, RotationKeyring(*settings), one.key)
        if not own:
            return SharedNeed(one, against=wrapped)
        session = replace(session, service=one.context.service)
        evidence, _ = _count(one.context, session, settings, one.key, targets=own, everything=targets)
    except KeyConfigError as error:
        # A reason is one line.
        fault = str(error).replace("\n", " ")
        return SharedNeed(one, against=[Refusal(fault, f"correct that, {AGAIN}")])
    except MissingError:
        if not all(target.optional for target in own):
            raise
        return SharedNeed(one, against=wrapped)
    return SharedNeed(one, evidence, wrapped)


def _lost(one: SharedSecret) -> Refusal | None:
    """The refusal for a key that the other set has as its primary or staged key."""
    if one.state.is_superseded:
        return None
    whose = one.context.keys.words
    lost = f"{whose} would have no {one.state} key" if one.may_follow else f"{whose} has it as its {one.state} key"
    return Refusal(lost, f"give {whose} a secret of its own")


def _count(  # noqa: PLR0913 - what the evidence is about
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
    keyring = RotationKeyring(*settings)
    report = _census(context, targets, everything, keyring)
    left_out = _left_out(context, targets, everything, keyring)
    known = session.censuses()
    censuses = session.keep_censuses(report, known)
    records = session.attempt(Ledger.keys) or ()
    older = [each.id for each, state in keyring.states.items() if state.is_superseded]
    evidence = replace(
        of_report(report, key.id),
        of_rows=_sets_of_rows(context) if key.salt_column else frozenset(),
        promoted=took_over(settings.primary.id, older, records, session.service),
        left_out=left_out,
        unexplained=tuple(unexplained(key.id, censuses, known, session.service)),
        **_use(context, session, key, keyring),
    )
    return evidence, report


def _sets_of_rows(context: Context) -> frozenset[str | None]:
    return frozenset(name for name, keys in context.key_sets().items() if keys and keys.salt_columns)


def _census(context: Context, targets: Sequence[Target], everything: Sequence[Target], keyring: Keyring) -> Report:
    """A census of *targets*; an empty one if a version of an application lacks them all, but has some of *everything*.

    Otherwise it may be another database. Errors as `_count`.
    """
    try:
        return job.census(context, targets, keyring)
    except MissingError:
        others = [other for other in everything if other not in targets and other.url in {each.url for each in targets}]
        if not all(target.optional for target in targets) or not any(_is_there(context, other) for other in others):
            raise
    keys = [{"id": key_id, "state": str(state)} for key_id, state in keyring.states_by_id.items()]
    return Report(dry_run=True, primary=keyring.primary.id, keys=keys, key_set=context.key_set)


def _is_there(context: Context, target: Target) -> bool:
    with closing(context.open_survey(target.url)) as survey, suppress(MissingError):
        survey.find(target)
        return True
    return False


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
    counts.others = min(counts.others, other.others)
    # What is inside of a token is seen in the context of that token alone.
    counts.nested_unknown += other.nested_unknown
    counts.given_up = max(counts.given_up, other.given_up)
    # A cell may need a key if it may in each context.
    may_need = min(counts.unreadable - counts.identified, other.unreadable - other.identified)
    counts.unreadable = min(counts.unreadable, other.unreadable)
    counts.identified = counts.unreadable - may_need
