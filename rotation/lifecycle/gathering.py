"""Gathers the evidence on a retirement, cheapest first: every row is searched only if nothing else refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from keyring_core import Key, KeyConfigError, Keyring
from keyring_core.keyring import RotationKeyring
from rotation import job
from rotation.configuration.targets import without_repeats
from rotation.context import Context
from rotation.discovery.discover import SearchPlan
from rotation.discovery.memory import SearchMemory
from rotation.discovery.result import ColumnName
from rotation.ledger.chain import read_json
from rotation.ledger.key_uses import KeyUses
from rotation.ledger.records import place_of, took_over
from rotation.ledger.session import Session, unexplained
from rotation.lifecycle.environment_keys import EnvironmentKeys
from rotation.lifecycle.in_flight import Announcements, OpenWriters, Replicas
from rotation.lifecycle.other_sets import SharedSecret, sharing, wrapped_under
from rotation.model.counts import Counts
from rotation.model.failures import MissingError, StoreError
from rotation.model.next_steps import Refusal
from rotation.model.report import Report
from rotation.model.target import Target
from rotation.model.watcher import Note
from rotation.retirement import words
from rotation.retirement.evidence import Evidence, Sharing, of_report
from rotation.retirement.reasons import refusals
from rotation.stores.databases import identify


@dataclass(frozen=True)
class Asked:
    """Where what is known of one key comes from."""

    context: Context
    """With the keys that it is one of."""
    session: Session
    key: Key
    keyring: Keyring
    targets: Sequence[Target]
    """The ones with that key set."""
    everything: Sequence[Target]
    """The targets of all key sets."""

    def use(self) -> KeyUses:
        """What services announce, as it is now: a search may take an hour, and what they do meanwhile counts."""
        return KeyUses.in_session(self.session, self.keyring.states_by_id)

    def with_use(self, evidence: Evidence, known: KeyUses) -> Evidence:
        """The *evidence* with what is *known* of the use of the key."""
        use = known.of_key(self.key.id, self.keyring.states_by_id, self.context.inputs.any_policy().suspend_days)
        return replace(evidence, fleet=known.fleet, now=known.time, use=use)

    def count(self) -> tuple[Evidence, Report]:
        """The evidence without a search, and the census in it, which is recorded in the ledger.

        Raises StoreError if a target cannot be opened, and StoppedError.
        """
        report = _census(self)
        left_out = _left_out(self)
        before = self.session.censuses()
        censuses, known = self.session.keep_censuses(report, before), self.use()
        older = [each for each, state in self.keyring.states_by_id.items() if state.is_superseded]
        sets = self.context.key_sets().items() if self.key.salt_column else ()
        evidence = replace(
            of_report(report, self.key.id),
            of_rows=frozenset(name for name, keys in sets if keys and keys.salt_columns),
            promoted=took_over(self.keyring.primary.id, older, known.records, self.session.service),
            left_out=left_out,
            unexplained=tuple(unexplained(self.key.id, censuses, before, self.session.service)),
        )
        return self.with_use(evidence, known), report


@dataclass
class Case:
    """All that is known for and against retiring one key."""

    evidence: Evidence
    census: Report
    shared: Sequence[SharedSecret]
    """The keys of other sets that are made of the same secret."""
    unchecked: Sequence[str]
    """Notes on checks that could not be made."""


def gather(asked: Asked, keys: EnvironmentKeys, *, whatever: bool, full_speed: bool, wait: bool = True) -> Case:
    """Everything on retiring the key, one of *keys*: what is known, transactions, census, a sample of all, every row.

    What refuses without a row being read is said at once, and all that takes no longer than a sample is looked at
    nevertheless: an admin who is refused gets every reason of it, not one after the other. The search of every row is
    left out once anything refuses, unless it is wanted *whatever* that is. *wait*: for one more announcement of each
    service, if nothing refuses.

    Raises StoreError if a target cannot be opened, and StoppedError.
    """
    context, session = asked.context, asked.session
    shared, replicas = sharing(context, keys, asked.key), Replicas(context, session, asked.everything)
    of_replicas, wrapped = replicas.refusals(), [*wrapped_under(context, asked.keyring, asked.key)]
    announcements = None
    if not whatever:
        known = asked.use()
        lost = [words.kept_by(one.words, one.lost) for one in shared.keys if one.lost]
        _announce(context, [*of_replicas, *refusals(_without_rows(asked, known)), *wrapped, *lost])
        announcements = Announcements(context, session, keys.states, known.fleet) if wait else None
    open_writers = OpenWriters(context, asked.everything)
    # Before anything is read: what is committed while this waits is counted below.
    uncommitted = open_writers.wait()

    def count() -> tuple[Evidence, Report]:
        evidence, census = asked.count()
        needs = [_need(session, one, asked.everything) for one in shared.keys]
        found = replace(evidence, wrapped=wrapped, replicas=of_replicas, uncommitted=uncommitted, sharing=needs)
        return found, census

    case = Case(*count(), shared.keys, [*replicas.notes, *open_writers.unchecked, *shared.uncompared])
    columns = None if whatever else known_columns(session, asked.key.id)
    plan = replace(context.search_plan(asked.everything, asked.keyring), full_speed=full_speed)
    if columns is not None:
        case.evidence = _search(asked, case.evidence, replace(plan, whole=columns))
        if refusals(case.evidence):
            return _kept(case, asked, columns)
    memory = SearchMemory.of(session.ledger)
    case.evidence = _search(asked, case.evidence, replace(plan, full=True, memory=memory))
    if any(each.salt_column for each in (asked.key, *(one.key for one in shared.keys))):
        # A search reads no salts, so that it does not see what was written to these targets since they were counted.
        again, case.census = count()
        case.evidence = replace(again, search=case.evidence.search, search_fault=case.evidence.search_fault)
    silent = announcements.wait() if announcements and not refusals(case.evidence) else ()
    found = replace(case.evidence, silent=silent, replicas=replicas.refusals())
    late = {one.identity: one for one in (*uncommitted, *open_writers.late())}
    case.evidence = asked.with_use(replace(found, uncommitted=[*late.values()]), asked.use())
    return _kept(case, asked, columns)


def _without_rows(asked: Asked, known: KeyUses) -> Evidence:
    """The evidence for which no row has to be read: the services, and tokens where no target is now."""
    service = asked.session.service
    places = {place_of(service, identify(target)) for target in asked.targets}
    elsewhere = [census for census in asked.session.censuses() if census.place not in places]
    gone = tuple(unexplained(asked.key.id, (), elsewhere, service))
    found = asked.with_use(Evidence(asked.key.id, asked.keyring.primary.id, unexplained=gone), known)
    # Whether reads are a reason depends on what the targets hold.
    return replace(found, use=replace(found.use, reads=()))


def _announce(context: Context, reasons: Sequence[Refusal]) -> None:
    """Says at once what will refuse."""
    if not reasons:
        return
    with context.watch(dry_run=True) as watcher:
        for reason, _ in reasons:
            watcher(Note(f"This will refuse: {reason}"))
        watcher(Note("Looking for other reasons, to report all of them. Ctrl-C stops that, and changes nothing."))


def _search(asked: Asked, evidence: Evidence, plan: SearchPlan) -> Evidence:
    """Adds what a search finds: a sample may miss a token."""
    try:
        return replace(evidence, search=asked.context.search(plan), search_fault=None)
    except StoreError as error:
        return replace(evidence, search=None, search_fault=str(error))


def known_columns(session: Session, key_id: str) -> list[ColumnName]:
    """The columns that the last retirement of that key found, and that no target named. Raises LedgerError.

    This one reads them to the end before it searches everything: a sample may miss their tokens again, or does not
    enter their database, and to find them takes a search of every row.
    """
    text = session.attempt(lambda ledger: ledger.reached(_plan(session, key_id)))
    # A row of another form is as good as none: then everything is searched.
    with suppress(ValueError, TypeError):
        found = [(database, table, column) for database, table, column in read_json(text or "[]")]
        return found if all(isinstance(name, str) for names in found for name in names) else []
    return []


def _kept(case: Case, asked: Asked, known: Sequence[ColumnName] | None) -> Case:
    """*case*, of which the ledger now knows the columns with tokens that no target covers; *known*: those before.

    Raises LedgerError.
    """
    if search := case.evidence.search:
        columns = (column for column in search.columns if column.under[asked.key.id] and not column.covered)
        found = [(column.database, column.table, column.column) for column in columns]
        if found != known:
            plan = _plan(asked.session, asked.key.id)
            asked.session.attempt(lambda ledger: ledger.reach(plan, json.dumps(found)))
    return case


def _plan(session: Session, key_id: str) -> str:
    return json.dumps(["retire", session.service, key_id])


def _need(session: Session, one: SharedSecret, targets: Sequence[Target]) -> Sharing:
    """The reasons that a census of the other set's targets gives. Errors as `Asked.count`."""
    if one.lost:
        return Sharing(one.words, [one.lost])
    own = [target for target in targets if target.keys == one.context.key_set]
    wrapped: Sequence[Refusal] = ()
    # A set that only wraps keys has no target.
    if not own and not any(one.context.keys.cells_under({})):
        return Sharing(one.words)
    try:
        keyring = RotationKeyring(*one.settings())
        wrapped = [*wrapped_under(one.context, keyring, one.key)]
        if not own:
            return Sharing(one.words, wrapped)
        session = replace(session, service=one.context.service)
        evidence, _ = Asked(one.context, session, one.key, keyring, own, targets).count()
    except KeyConfigError as error:
        return Sharing(one.words, [words.not_loaded(str(error))])
    except MissingError:
        if not all(target.optional for target in own):
            raise
        return Sharing(one.words, wrapped)
    return Sharing(one.words, wrapped, evidence)


def _census(asked: Asked) -> Report:
    """A census of the key's targets; an empty one if a version of an application lacks them all, but has others.

    Otherwise it may be another database. Errors as `Asked.count`.
    """
    context, targets = asked.context, asked.targets
    try:
        return job.census(context, targets, asked.keyring)
    except MissingError:
        urls = {each.url for each in targets}
        others = [other for other in asked.everything if other not in targets and other.url in urls]
        if not all(target.optional for target in targets) or not any(_is_there(context, other) for other in others):
            raise
    keys = [{"id": key_id, "state": str(state)} for key_id, state in asked.keyring.states_by_id.items()]
    return Report(dry_run=True, primary=asked.keyring.primary.id, keys=keys, key_set=context.key_set)


def _is_there(context: Context, target: Target) -> bool:
    with closing(context.open_survey(target.url)) as survey, suppress(MissingError):
        survey.find(target)
        return True
    return False


def _left_out(asked: Asked) -> list[tuple[str, Counts]]:
    """The counts of the rows that no target of their column covers, per column of the key's targets."""
    complements = (_complement(target, asked.everything) for target in asked.targets)
    rest = without_repeats(each for each in complements if each)
    found: dict[tuple[str, str], Counts] = {}
    for part in job.census(asked.context, rest, asked.keyring).targets if rest else ():
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
