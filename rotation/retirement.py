"""The decision whether a key may be retired, and the evidence for it. Every command that reports on it asks this file.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from keyring_core import KeyState
from rotation.discovery.result import Discovery, Remark
from rotation.discovery.token_column import NOT_YOURS, TokenColumn
from rotation.ledger.ledger import utc_now
from rotation.ledger.records import LIVE, SKEW, CensusRecord, InstanceRecord
from rotation.ledger.session import Unexplained, unexplained
from rotation.model.batch import OVERSIZED
from rotation.model.counts import Counts
from rotation.model.key_history import Promotion
from rotation.model.key_use import SHOWN, KeyUse, in_words
from rotation.model.next_steps import (
    CHECK,
    LIST_ROWS,
    NAME_CONTEXT,
    RUN,
    RUN_AGAIN,
    THIS_AGAIN,
    Next,
    Remedy,
    Repeats,
    Steps,
)
from rotation.model.report import Report
from rotation.model.target import distinct_labels
from rotation.model.text import UTC_SECOND, be, many, span, to_second
from rotation.stores.other_writers import OpenTransaction

AGAIN = f"then {RUN_AGAIN}"
LOOK_ELSEWHERE = (
    "look into queues, caches, files, exports and other databases, and have the application write what is there again: "
    "docs/how-to/queues-and-caches.md"
)
NAME_LEDGER = "name a ledger in ROTATION_LEDGER_URL, or write a rotation.toml, beside which it is made"
NAME_ROWS = RUN.after("name these rows in a [[target]] of their own, then:")


@dataclass(frozen=True)
class Evidence:
    """All that is known for and against retiring one key. `of_report` and `of_censuses` make it."""

    key_id: str
    primary: str
    censuses: Sequence[tuple[str, Counts]] = ()
    """The counts of each target, with its title."""
    previous: Sequence[str] = ()
    """The ids of all previous and suspended keys, this one among them."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Targets that were not read to the end, and why."""
    unnamed_indexes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns of blind indexes that no run renews, by the title of a target beside them."""
    sampled: bool = False
    """True if only some rows of the targets were read."""
    since: datetime | None = None
    """The time of the counts, if that is not now."""
    promoted: Promotion | None = None
    """The time at which the primary key took over from the previous ones, if that is known."""
    partial: bool = False
    """True if some target has a `where`."""
    left_out: Sequence[tuple[str, Counts]] | None = None
    """The counts of the rows that the targets' `where` leave out, per column; None: they were not read."""
    search: Discovery | None = None
    """The search of all columns; None: they were not searched."""
    search_fault: str | None = None
    """The fault, if the search failed."""
    unexplained: Sequence[Unexplained] = ()
    """Tokens under the key that the ledger knows of and that no run has moved."""
    replicas: Sequence[Refusal] = ()
    """What was read on a server that repeats another one's changes, so that it may lack some."""
    uncommitted: Sequence[OpenTransaction] = ()
    """Transactions that have written and are not committed, so that nothing here saw what they wrote."""
    fleet: Sequence[InstanceRecord] = ()
    silent: Sequence[InstanceRecord] = ()
    """The ones that announced themselves each minute, and did so no more while one more word was waited for."""
    now: datetime = field(default_factory=utc_now)
    """The time at which the fleet is looked at."""
    use: KeyUse = field(default_factory=KeyUse)
    """The reads with the key, and its suspension."""
    key_set: str | None = None
    """The key set that the key is of; None: the environment's own keys."""
    of_rows: frozenset[str | None] = frozenset()
    """If it stands for keys of rows, all key sets with such keys, of which a search opens no token; otherwise empty."""
    has_contexts: bool = False
    """True if a target that was counted names a context."""

    @property
    def may_be_unopened(self) -> bool:
        """True if a token that no key here opens may be under this one all the same, wherever it stands.

        It may be bound to a context that nothing names here, if others are named, or be under the key of a row.
        """
        return bool(self.of_rows or self.has_contexts or (self.search and self.search.has_contexts))


def of_report(report: Report, key_id: str) -> Evidence:
    """The evidence in a run's or a census's *report*: it read its targets and nothing else."""
    named = list(zip(distinct_labels([part.id for part in report.targets]), report.targets, strict=True))
    return Evidence(
        key_id,
        report.primary,
        [(title, part.counts) for title, part in named],
        previous=[key["id"] for key in report.keys if KeyState(key["state"]).is_superseded],
        unread={title: part.stopped for title, part in named if part.stopped},
        unnamed_indexes={title: part.unnamed_indexes for title, part in named if part.unnamed_indexes},
        partial=any(part.id.where for part in report.targets),
        has_contexts=any(part.id.context for part in report.targets),
        use=report.uses.get(key_id, KeyUse()),
        key_set=report.key_set,
    )


def of_censuses(
    key_id: str,
    states: Mapping[str, KeyState],
    censuses: Iterable[tuple[str, CensusRecord]],
    known: Sequence[CensusRecord],
    service: str,
) -> Evidence:
    """The evidence in *censuses*, each with its target's title, and in all that the ledger has *known* of *service*."""
    named = list(censuses)
    records = [census for _, census in named]
    return Evidence(
        key_id,
        next((each for each, state in states.items() if state is KeyState.PRIMARY), ""),
        censuses=[(title, census.counts) for title, census in named],
        previous=[each for each, state in states.items() if state.is_superseded],
        sampled=any(census.sampled for census in records),
        partial=any(census.target.where for census in records),
        has_contexts=any(census.target.context for census in records),
        unexplained=tuple(unexplained(key_id, records, known, service)),
    )


class Standing(StrEnum):
    """The state of the proof that a previous key may go."""

    NEEDED = "needed"
    """Something needs it, or may need it."""
    UNPROVEN = "unproven"
    """Nothing that was read needs it; not everything was read."""
    FREE = "free"
    """Nothing needs it: everything was read, except what is reported as out of reach."""


class Refusal(NamedTuple):
    """A reason to refuse a step, and what removes it."""

    reason: str
    remedy: Remedy


def standing(evidence: Evidence) -> Standing:
    """The standing of the key, by all that is known."""
    if refusals(evidence):
        return Standing.NEEDED
    return Standing.UNPROVEN if gaps(evidence) else Standing.FREE


def refusals(evidence: Evidence) -> list[Refusal]:
    """Every reason to keep the key, with its remedy. Empty: no token that was read needs it."""
    return [
        *evidence.replicas,
        *(Refusal(f"{one.words}: it has written and is not committed, so nobody else sees yet what it wrote",
                  Steps(one.end, THIS_AGAIN))
          for one in evidence.uncommitted),
        *(Refusal(f"{label}: it was not read to the end: {why}", f"correct that, {AGAIN}")
          for label, why in evidence.unread.items()),
        *(Refusal(f"{label}: {' and '.join(names)} beside it holds blind indexes, which may be under "
                  f"{evidence.key_id}, and no target names it",
                  _run_and_again("set `index` in the target of the column that it is of"))
          for label, names in evidence.unnamed_indexes.items()),
        *(refusal for label, counts in evidence.censuses for refusal in _of_target(label, counts, evidence)),
        *(refusal for label, counts in evidence.left_out or ()
          for refusal in _of_cells(label, counts, evidence, NAME_ROWS, ", in rows that its `where` leaves out")),
        *_of_search(evidence),
        *(_of_unexplained(one, evidence.key_id) for one in evidence.unexplained),
        *_of_fleet(evidence),
        *_of_silent(evidence),
        *of_use(evidence),
    ]  # fmt: skip


def suspension_refusals(evidence: Evidence, uncounted: Sequence[str], *, has_ledger: bool) -> list[Refusal]:
    """Every reason not to suspend the key: services would refuse tokens that are stored.

    *uncounted*: what is wrong with the last count of a target, in words, for each that has no right one.
    """
    found = [*_of_fleet(evidence)]
    for label, tokens in _stored(evidence).items():
        stored = f"{label}: {many(tokens, 'token')} under {evidence.key_id} {be(tokens)} still stored"
        found.append(Refusal(f"{stored}, and services would refuse {'it' if tokens == 1 else 'them'}", RUN))
    found += [_of_unexplained(one, evidence.key_id) for one in evidence.unexplained]
    remedy = RUN if has_ledger else RUN.after(f"{NAME_LEDGER}, then:")
    unknown = "so nobody knows what is stored under it; services would refuse that"
    return [*found, *(Refusal(f"{fault}, {unknown}", remedy) for fault in uncounted)]


def _stored(evidence: Evidence) -> dict[str, int]:
    """The tokens under the key in each target that has any."""
    found = {}
    for label, counts in evidence.censuses:
        if tokens := sum(kind.get(evidence.key_id, 0) for kind in (counts.under, counts.inner, counts.other_sets)):
            found[label] = tokens
    return found


def of_use(evidence: Evidence) -> Iterator[Refusal]:
    """The refusals from reads with the key, and from a policy that wants it suspended first."""
    use, key_id = evidence.use, evidence.key_id
    # Tokens that the targets hold are reason enough, and the likely ones that were read.
    if not _stored(evidence) and (late := use.late):
        who = in_words(late, use.since)
        resume = Next(("keys", "resume", key_id), "let services read these tokens again:", evidence.key_set)
        back = [resume] if use.is_suspended and use.refused else []
        if use.by_run and use.since:
            reason = f"reads since the last complete run, of {to_second(use.since)}: {who}; so something outside of "
            reason += f"the targets holds tokens under {key_id}"
            if all(one.last and one.last - use.since <= SKEW for one in late):
                reason += ", or a clock was wrong: the times are close"
            yield Refusal(reason, Steps(*back, LOOK_ELSEWHERE, RUN, THIS_AGAIN))
        else:
            yield Refusal(f"reads with {key_id}: {who}; {_ended(use, evidence.primary)}", Steps(*back, RUN, THIS_AGAIN))
    policy = f"the policy (suspend_days): {key_id} has to be suspended for {many(use.days, 'day')} first"
    if not use.days:
        return
    if not use.is_suspended:
        yield Refusal(policy, Next(("keys", "suspend", key_id), keys=evidence.key_set))
    elif use.opening:
        yield Refusal(
            f"{policy}, and {'; '.join(use.opening[:SHOWN])} still opens its tokens",
            Steps(f"give it the keys of today, with {key_id} as a suspended one, and restart it", THIS_AGAIN),
        )
    elif use.suspended is None or use.ends is None:
        yield Refusal(f"{policy}, and the ledger does not know since when it is", CHECK.after("record it:"))
    elif use.now and use.now < use.ends:
        yield Refusal(
            f"{policy}; it is since {to_second(use.suspended)}, so until {to_second(use.ends)}",
            CHECK.after(f"until {to_second(use.ends)}, see what is refused:"),
        )


def _ended(use: KeyUse, primary: str) -> str:
    """A sentence on the last complete run, which does not count."""
    if use.run is None:
        return f"no run of all targets of rotation.toml has ended complete under {primary}"
    late = use.now and use.run > use.now
    why = "which is still to come" if late else f"by the dates in the ledger before {primary} was promoted"
    return f"the last complete run was at {to_second(use.run)}, {why}, so it does not count"


def gaps(evidence: Evidence) -> list[str]:
    """The parts that were not read here, and that `keys retire` reads."""
    found = []
    if evidence.sampled:
        found.append("some rows of each target only were read")
    if evidence.since is not None:
        found.append(f"the targets were counted at {to_second(evidence.since)}")
    if evidence.partial and evidence.left_out is None:
        found.append("rows that a `where` leaves out were not read")
    if evidence.search is None:
        found.append("no other column was searched")
    elif not evidence.search.full:
        found.append("of large tables a sample was searched")
    return found


def by_database(remarks: Iterable[Remark]) -> dict[str, list[str]]:
    """*remarks* on what keeps no key, such as what is out of reach: in words, per database."""
    found: dict[str, list[str]] = {}
    for remark in remarks:
        found.setdefault(remark.database, []).append(f"{remark.subject}: {remark.words}")
    return found


def _of_target(label: str, counts: Counts, evidence: Evidence) -> Iterator[Refusal]:
    yield from _of_cells(label, counts, evidence, RUN)
    for key_id in evidence.previous:
        youngest = counts.youngest.get(key_id)
        # Only a token younger than the latest possible time was surely written after the promotion.
        if evidence.promoted and youngest is not None and youngest > evidence.promoted.latest.timestamp():
            exact = "at " if evidence.promoted.exact else ""
            yield Refusal(
                f"{label}: a token under {key_id} was made at {to_second(youngest)}, after {evidence.primary} was "
                f"promoted {exact}{evidence.promoted.words(UTC_SECOND)}: a service still encrypts with {key_id}",
                RUN.after(f"give every service {evidence.primary} as its primary key, then:"),
            )


def _of_cells(label: str, counts: Counts, evidence: Evidence, remedy: Next, rows: str = "") -> Iterator[Refusal]:
    """The refusals from a target's cells, or from the cells of some *rows* of it."""
    key_id = evidence.key_id
    if tokens := counts.under.get(key_id, 0):
        yield Refusal(f"{label}: {many(tokens, 'token')} under {key_id}{rows}", remedy)
    if tokens := counts.inner.get(key_id, 0):
        yield Refusal(
            f"{label}: {many(tokens, 'token')} under {key_id} inside something else (a longer text, another encoding, "
            f"another token){rows}",
            Steps(
                LIST_ROWS,
                remedy.after("if they are in text, base64 or hex, set the target's `format` in rotation.toml, then:"),
                "otherwise have the application write such cells again",
            ),
        )
    if tokens := counts.other_sets.get(key_id, 0):
        yield Refusal(
            f"{label}: {many(tokens, 'token')} under {key_id}, which is not in the key set of that target{rows}",
            Steps(
                LIST_ROWS, remedy.after("name these rows in a [[target]] with the `keys` that they are under, then:")
            ),
        )
    # Every token in the others is known, and counted above if it is under this key.
    if unreadable := counts.unreadable - counts.identified:
        yield Refusal(
            f"{label}: {unreadable:,} unreadable, which may need {key_id}{rows}",
            Steps(LIST_ROWS, NAME_CONTEXT, "otherwise have the application write these rows again"),
        )
    if counts.nested_unknown and evidence.may_be_unopened:
        yield Refusal(
            f"{label}: {many(counts.nested_unknown, 'token')} that no key here opens, inside of other tokens{rows}",
            Steps(LIST_ROWS, NAME_CONTEXT, f"if none of them is yours: --force {key_id}"),
        )
    if counts.given_up:
        yield Refusal(
            f"{label}: {many(counts.given_up, 'cell')} with more in them than could be searched{rows}",
            Steps(LIST_ROWS, f"if no token is in these rows: --force {key_id}"),
        )
    if counts.suspects:
        yield Refusal(
            f"{label}: {many(counts.suspects, 'cell')} with room for a token in a form that is not looked for{rows}",
            Steps(LIST_ROWS, f"have the application encrypt these rows; if none is a token: --force {key_id}"),
        )
    if nameless := counts.categories.get("no-key", 0):
        reason = f"{label}: {nameless:,} not read, for a NULL in the row's key{rows}"
        yield Refusal(reason, f"fill in that column, {AGAIN}")
    if oversized := counts.categories.get(OVERSIZED, 0):
        yield Refusal(
            f"{label}: {many(oversized, 'cell')} too large to be read, which may need {key_id}{rows}",
            Steps(
                LIST_ROWS,
                "have the application store less in these, or move them itself",
                f"if none of these needs it: --force {key_id}",
            ),
        )


def _of_search(evidence: Evidence) -> Iterator[Refusal]:
    search, key_id = evidence.search, evidence.key_id
    if evidence.search_fault:
        yield Refusal(f"columns that no target names: {evidence.search_fault}", f"correct that, {AGAIN}")
    if search is None:
        return
    for remark in (*search.unseen, *search.hidden):
        yield Refusal(
            f"{remark.subject} cannot be looked at: {remark.words}",
            f"correct that, {AGAIN}; if no token can be there: --force {key_id}",
        )
    for column in search.columns:
        refusal = _of_named(column, evidence) if column.covered else _of_uncovered(column, evidence)
        if refusal:
            yield refusal
    for index in search.blind_indexes:
        if values := index.under[key_id]:
            yield Refusal(
                f"{index.label}: {many(values, 'value')} of a blind index under {key_id}, and no target names the "
                "column as its `index`",
                Steps(
                    RUN.after("if a target of that table has the values, set its `index`, then:"),
                    "otherwise have the application write these values again",
                    RUN_AGAIN,
                    f"if nothing looks rows up by them: --force {key_id}",
                ),
            )


def _of_named(column: TokenColumn, evidence: Evidence) -> Refusal | None:
    """The refusal from a target's column that the search read again: new or moved rows, or rows left out."""
    key_id = evidence.key_id
    if column.unknown and evidence.may_be_unopened and _is_uncounted(column, evidence):
        return _of_unopened(column, evidence)
    looked = (*evidence.censuses, *(evidence.left_out or ()))
    if not column.under[key_id] or any(counts.under.get(key_id) or counts.inner.get(key_id) for _, counts in looked):
        return None
    tokens = f"{many(column.under[key_id], 'token')} under {key_id}"
    if evidence.key_set not in column.key_sets:
        first = "name the key among the previous ones of that set"
        if column.others:
            first = 'name the column in a further [[target]], with the `keys` of this key and others = "leave"'
        return Refusal(
            f"{column.label}, a target of another key set: {tokens}",
            Steps(_run_and_again(first), f"if that set keeps the key in a place of its own: --force {key_id}"),
        )
    if column.has_history:
        return Refusal(f"{column.label}: {tokens}, in rows of the table's past", Steps(*column.remedies, RUN_AGAIN))
    if column.where is not None:
        return Refusal(f"{column.label}: {tokens}, in rows that its `where` leaves out", NAME_ROWS)
    return Refusal(
        f"{column.label}: a second read of all rows found {tokens}: they were written or moved meanwhile",
        # Bound to a context that its target does not name, they are left as tokens of others.
        Steps(*([NAME_CONTEXT] if column.others else []), RUN, RUN_AGAIN),
    )


def _is_uncounted(column: TokenColumn, evidence: Evidence) -> bool:
    """True if no census of the key's targets has counted what no key opens in a target's column, and it counts."""
    own = evidence.of_rows or {evidence.key_set}
    # Of the others their target says that they are another owner's, or they are under the keys of its rows.
    shares = [each for each in column.shares if evidence.of_rows or not each.leaves]
    if column.has_history:
        return bool(shares)
    counted = {each.where for each in column.shares if each.keys in own}
    return None not in counted and any(each.keys not in own and each.where not in counted for each in shares)


def _of_unopened(column: TokenColumn, evidence: Evidence) -> Refusal:
    """The refusal for tokens in a target's column that no census counts, and that may be under the key."""
    key_id = evidence.key_id
    place = "rows of the table's past among them" if column.has_history else "a target of another key set"
    lost = dict.fromkeys(each.keys for each in column.shares if not each.is_loaded)
    whose = " and ".join(f"[keys.{name}]" if name else "the environment" for name in lost)
    return Refusal(
        f"{column.label}, {place}: {_unopened(column, evidence)}",
        Steps(
            *([f"the keys of {whose} cannot be loaded here: set them, {AGAIN}. Otherwise:"] if lost else []),
            _run_and_again('name the column in a further [[target]], with the `keys` of this key and others = "leave"'),
            *(column.remedies if column.has_history else ()),
            f"if none of them needs it: --force {key_id}",
        ),
    )


def _unopened(column: TokenColumn, evidence: Evidence) -> str:
    """The tokens in a column that no key opens, and why one of them may need the key."""
    may_be = "another application's, or bound to a context that no target names"
    if evidence.of_rows:
        may_be += f", or under the key of a row, which no search tries: {evidence.key_id} stands for such keys"
    tokens = column.unknown if evidence.may_be_unopened else column.bare_unknown
    return f"{many(tokens, 'token')} that no key here opens ({may_be})"


def _of_copy(column: TokenColumn, evidence: Evidence) -> Refusal | None:
    """The refusal from a copy of targets' columns, which is covered by them while nothing in it may need the key."""
    key_id, place = evidence.key_id, f"{column.label}, a copy of {' and '.join(column.copy_of)}"
    if tokens := column.under[key_id]:
        is_partial = not column.refresh and all(share.where is not None for share in column.shares)
        ways = [NAME_ROWS] if is_partial else column.remedies
        return Refusal(f"{place}: {many(tokens, 'token')} under {key_id}", Steps(*ways, RUN_AGAIN))
    unknown = column.unknown if evidence.may_be_unopened else column.bare_unknown
    # Of the others their target says that they are another owner's, or they are under the keys of its rows.
    if unknown and (evidence.of_rows or not all(share.leaves for share in column.shares)):
        return Refusal(f"{place}: {_unopened(column, evidence)}", Steps(*column.remedies, NOT_YOURS, RUN_AGAIN))
    if unsearched := column.large + column.given_up:
        cells = f"{many(unsearched, 'cell')} of which not all was searched"
        return Refusal(f"{place}: {cells}", Steps(*column.remedies, NOT_YOURS, RUN_AGAIN))
    return None


def _of_uncovered(column: TokenColumn, evidence: Evidence) -> Refusal | None:
    key_id = evidence.key_id
    tokens = f"{many(column.under[key_id], 'token')} under {key_id}"
    if column.ignored is not None:
        # It is somebody else's, unless its tokens are under the key in question.
        ignored = f"{column.label}: rotation.toml ignores it ({column.ignored}), and it holds {tokens}"
        remedy = _run_and_again("name it in a [[target]] in place of the [[ignore]]")
        if column.made_of:
            remedy = Steps(*column.remedies, RUN_AGAIN)
        return Refusal(ignored, remedy) if column.under[key_id] else None
    if column.copy_of:
        return _of_copy(column, evidence)
    bare = column.under - column.inner
    if not column.may_need(key_id, any_place=evidence.may_be_unopened) and (column.elsewhere or not bare):
        return None
    if column.under[key_id] or bare:
        found = f": {tokens}" if column.under[key_id] else ""
        return Refusal(
            f"{column.label}: holds tokens, and no target names it{found}", Steps(*column.remedies, RUN_AGAIN)
        )
    return Refusal(
        f"{column.label}: holds {_unopened(column, evidence)}, and no target names it",
        f"name it, with its context; if its tokens are another application's, say so in an [[ignore]], {AGAIN}",
    )


def _run_and_again(first: str) -> Steps:
    return Steps(RUN.after(f"{first}, then:"), RUN_AGAIN)


def _of_unexplained(one: Unexplained, key_id: str) -> Refusal:
    return Refusal(
        f"{one.target.words}: the ledger knows of {many(one.tokens, 'token')} under {key_id} there, "
        f"counted at {to_second(one.counted)}; no run rotated them, and they were not found again",
        Steps(
            "if this is the wrong database, or the column is no target any more, correct rotation.toml",
            RUN.after("record what is there:"),
            f"if they are gone for good: --force {key_id}",
        ),
    )


def _of_fleet(evidence: Evidence) -> Iterator[Refusal]:
    primary = evidence.primary
    for one in evidence.fleet:
        if one.primary != primary:
            yield Refusal(
                f"{one.words} still encrypts with {one.primary}",
                restart(one, f"give it {primary} as its primary key", evidence.now),
            )


def _of_silent(evidence: Evidence) -> Iterator[Refusal]:
    for one in evidence.silent:
        gone = one.seen + LIVE
        yield Refusal(
            f"{one.words} announced itself each minute, and does no more: nobody knows what it has read since",
            Steps(
                f"see whether it still runs; if it was killed, it counts as gone after {to_second(gone)}",
                THIS_AGAIN,
                Next(("--no-wait",), "without its word:", repeats=Repeats.COMMAND),
            ),
        )


def restart(instance: InstanceRecord, act: str, now: datetime) -> Steps:
    """The remedy for an instance that lacks a key: *act*, then the same command, which looks at everything again."""
    gone = instance.seen + LIVE
    seen = f"The old process announced itself {span(now - instance.seen)} ago, and counts as gone in {span(gone - now)}"
    return Steps(
        f"{act}, and restart it, unless it reloads: then wait two minutes. Restarted already? {seen}, "
        f"after {to_second(gone)}",
        THIS_AGAIN,
    )
