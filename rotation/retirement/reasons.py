"""Every reason why a key stays, in the order in which they are given: the decision that every command asks. Pure.

A new reason is a condition here, called at its place in `refusals`, or a line of `IN_CELLS`. Its sentence and its
remedy stand in `words`; what decides it is a field of `Evidence`, which `rotation.lifecycle.gathering` fills.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from rotation.discovery.token_column import TokenColumn
from rotation.model.batch import OVERSIZED
from rotation.model.counts import Counts
from rotation.model.next_steps import RUN, Refusal
from rotation.model.text import to_second
from rotation.retirement import words
from rotation.retirement.evidence import Evidence
from rotation.retirement.words import NAME_ROWS, CountedCells, InCells, InColumn


def refusals(evidence: Evidence) -> list[Refusal]:
    """Every reason to keep the key, with its remedy. Empty: no token that was read needs it."""
    return [
        *evidence.wrapped,
        # What was read is not all that is stored.
        *evidence.replicas,
        *map(words.not_committed, evidence.uncommitted),
        *(words.unread(label, why) for label, why in evidence.unread.items()),
        *(words.unnamed_indexes(label, columns, evidence.key_id)
          for label, columns in evidence.unnamed_indexes.items()),
        # Something that was read needs the key, or may need it.
        *_in_targets(evidence),
        *_in_rows_left_out(evidence),
        *_out_of_sight(evidence),
        *_in_columns(evidence),
        *(words.in_blind_index(index, evidence.key_id)
          for index in (evidence.search.blind_indexes if evidence.search else ()) if index.under[evidence.key_id]),
        *(words.vanished(one, evidence.key_id) for one in evidence.unexplained),
        # A service uses it, or may use it.
        *_encrypting(evidence),
        *map(words.silent, evidence.silent),
        *reads_and_trial(evidence),
        *_made_of_the_same_secret(evidence),
    ]  # fmt: skip


IN_CELLS: Sequence[tuple[Callable[[Counts, Evidence], int], InCells]] = (
    (lambda counts, key: counts.under.get(key.key_id, 0), words.UNDER_IT),
    (lambda counts, key: counts.inner.get(key.key_id, 0), words.INSIDE),
    (lambda counts, key: counts.other_sets.get(key.key_id, 0), words.OF_ANOTHER_SET),
    # Every token in the others is known, and counted above if it is under this key.
    (lambda counts, _: counts.unreadable - counts.identified, words.UNREADABLE),
    (lambda counts, key: counts.nested_unknown if key.may_be_unopened else 0, words.UNOPENED_INSIDE),
    (lambda counts, _: counts.given_up, words.GIVEN_UP),
    (lambda counts, _: counts.suspects, words.SUSPECTS),
    (lambda counts, _: counts.categories.get("no-key", 0), words.WITHOUT_KEY),
    (lambda counts, _: counts.categories.get(OVERSIZED, 0), words.OVERSIZED),
)
"""The reasons in the cells of a target, in their order: the number of tokens or cells, and the words for that many."""


class Standing(StrEnum):
    """The state of the proof that a previous key may go."""

    NEEDED = "needed"
    """Something needs it, or may need it."""
    UNPROVEN = "unproven"
    """Nothing that was read needs it; not everything was read."""
    FREE = "free"
    """Nothing needs it: everything was read, except what is reported as out of reach."""


def standing(evidence: Evidence) -> Standing:
    """The standing of the key, by all that is known."""
    if refusals(evidence):
        return Standing.NEEDED
    return Standing.UNPROVEN if gaps(evidence) else Standing.FREE


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


def suspension_refusals(evidence: Evidence, uncounted: Sequence[str], *, has_ledger: bool) -> list[Refusal]:
    """Every reason not to suspend the key: services would refuse tokens that are stored.

    *uncounted*: what is wrong with the last count of a target, in words, for each that has no right one.
    """
    return [
        *_encrypting(evidence),
        *(words.refused_by_services(label, tokens, evidence.key_id) for label, tokens in evidence.stored.items()),
        *(words.vanished(one, evidence.key_id) for one in evidence.unexplained),
        *(words.not_counted(fault, has_ledger=has_ledger) for fault in uncounted),
        *evidence.wrapped,
    ]


def _in_targets(evidence: Evidence) -> Iterator[Refusal]:
    for label, counts in evidence.censuses:
        yield from _in_cells(counts, evidence, CountedCells(label, evidence.key_id, RUN))
        for key_id in evidence.previous:
            youngest = counts.youngest.get(key_id)
            # Only a token younger than the latest possible time was surely written after the promotion.
            if evidence.promoted and youngest is not None and youngest > evidence.promoted.latest.timestamp():
                yield words.young(label, key_id, youngest, evidence.primary, evidence.promoted)


def _in_rows_left_out(evidence: Evidence) -> Iterator[Refusal]:
    for label, counts in evidence.left_out or ():
        cells = CountedCells(label, evidence.key_id, NAME_ROWS, ", in rows that its `where` leaves out")
        yield from _in_cells(counts, evidence, cells)


def _in_cells(counts: Counts, evidence: Evidence, cells: CountedCells) -> Iterator[Refusal]:
    for number_in, said in IN_CELLS:
        if number := number_in(counts, evidence):
            yield said.about(cells, number)


def _out_of_sight(evidence: Evidence) -> Iterator[Refusal]:
    """What the search could not look at, and one that failed."""
    if evidence.search_fault:
        yield words.search_failed(evidence.search_fault)
    if search := evidence.search:
        yield from (words.out_of_sight(remark, evidence.key_id) for remark in (*search.unseen, *search.hidden))


def _in_columns(evidence: Evidence) -> Iterator[Refusal]:
    """What the search found in columns: in those of targets, which it read again, and in all others."""
    for column in evidence.search.columns if evidence.search else ():
        said = InColumn(column, evidence)
        if column.covered:
            refusal = _in_target_again(column, evidence, said)
        elif column.ignored is not None:
            # It is somebody else's, unless its tokens are under the key in question.
            refusal = said.ignored() if column.under[evidence.key_id] else None
        elif column.copy_of:
            refusal = _in_copy(column, evidence, said)
        else:
            refusal = _in_unnamed(column, evidence, said)
        if refusal:
            yield refusal


def _in_target_again(column: TokenColumn, evidence: Evidence, said: InColumn) -> Refusal | None:
    """New or moved rows of a target's column, or rows that no census counts."""
    key_id = evidence.key_id
    if column.unknown and evidence.may_be_unopened and _is_uncounted(column, evidence):
        return said.uncounted()
    looked = (*evidence.censuses, *(evidence.left_out or ()))
    if not column.under[key_id] or any(counts.under.get(key_id) or counts.inner.get(key_id) for _, counts in looked):
        return None
    if evidence.key_set not in column.key_sets:
        return said.of_another_set()
    if column.has_history:
        return said.of_the_past()
    return said.written_meanwhile() if column.where is None else said.left_out()


def _is_uncounted(column: TokenColumn, evidence: Evidence) -> bool:
    """True if no census of the key's targets has counted what no key opens in a target's column, and it counts."""
    own = evidence.of_rows or {evidence.key_set}
    # Of the others their target says that they are another owner's, or they are under the keys of its rows.
    shares = [each for each in column.shares if evidence.of_rows or not each.leaves]
    if column.has_history:
        return bool(shares)
    counted = {each.where for each in column.shares if each.keys in own}
    return None not in counted and any(each.keys not in own and each.where not in counted for each in shares)


def _in_copy(column: TokenColumn, evidence: Evidence, said: InColumn) -> Refusal | None:
    """A copy of targets' columns, which is covered by them while nothing in it may need the key."""
    if column.under[evidence.key_id]:
        return said.copied()
    # Of the others their target says that they are another owner's, or they are under the keys of its rows.
    if evidence.unopened(column) and (evidence.of_rows or not all(share.leaves for share in column.shares)):
        return said.unopened_copy()
    unsearched = column.large + column.given_up
    return said.unsearched_copy(unsearched) if unsearched else None


def _in_unnamed(column: TokenColumn, evidence: Evidence, said: InColumn) -> Refusal | None:
    """A column that no target names."""
    bare = column.under - column.inner
    if not column.may_need(evidence.key_id, any_place=evidence.may_be_unopened) and (column.elsewhere or not bare):
        return None
    return said.unnamed() if column.under[evidence.key_id] or bare else said.unopened_unnamed()


def _encrypting(evidence: Evidence) -> Iterator[Refusal]:
    """Running services that make tokens under another key than the primary one."""
    for one in evidence.fleet:
        if one.primary != evidence.primary:
            yield words.encrypts_with_another(one, evidence.primary, evidence.now)


def reads_and_trial(evidence: Evidence) -> Iterator[Refusal]:
    """Reads with the key, and a policy that wants it suspended first."""
    use, key_id = evidence.use, evidence.key_id
    # Tokens that the targets hold are reason enough, and the likely ones that were read.
    if use.late and not evidence.stored:
        yield words.read_late(use, key_id, evidence.primary, evidence.key_set)
    if not use.days:
        return
    if not use.is_suspended:
        yield words.not_suspended(use, key_id, evidence.key_set)
    elif use.opening:
        yield words.still_opened(use, key_id)
    elif use.suspended is None or use.ends is None:
        yield words.undated_suspension(use, key_id)
    elif use.now and use.now < use.ends:
        yield words.on_trial(use, key_id, use.suspended, use.ends)


def _made_of_the_same_secret(evidence: Evidence) -> Iterator[Refusal]:
    """The reasons to keep keys of other sets that go with this one."""
    for one in evidence.sharing:
        against = [*one.against]
        if one.evidence:
            against += refusals(replace(one.evidence, search=evidence.search, search_fault=evidence.search_fault))
        yield from (words.kept_by(one.words, refusal) for refusal in against)
