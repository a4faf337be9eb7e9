"""Plans a batch of cells that hold tokens inside text or encoded again: all tokens of a cell move, or none does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress, repeat

from keyring_core import DamagedToken, Key, Keyring, KeyState
from keyring_core.token_batches import pick, put
from rotation.model.batch import FurtherToken, Plan, Swaps
from rotation.model.counts import Counts, RowKey
from rotation.model.key_history import History
from rotation.planning.attempts import Attempt, errors_in, judge, words_of
from rotation.planning.embedded import Spelling
from rotation.planning.nested import SHORTEST_NESTED, note_nested
from rotation.planning.other_key_sets import OtherKeySets
from rotation.planning.plan_block import reason_to_stay
from rotation.planning.suspects import ROOM, SUSPECT
from rotation.planning.text_search import Fault, TextSearch


def plan_texts(  # noqa: PLR0913 - as for plan_batch
    keyring: Keyring,
    keys: Sequence[RowKey],
    cells: Sequence[str | bytes],
    spelling: Spelling,
    *,
    dry_run: bool,
    history: History,
    balance: Counter[Key],
    others: OtherKeySets,
) -> Plan:
    """The plan for *cells*; *spelling* is that of their format, the other arguments are those of `plan_batch`."""
    planning = _Planning(keyring, keys, cells, spelling, history, others)
    staying, moving = planning.sort(dry_run=dry_run)
    return planning.plan(staying, [each.sound() for each in planning.believed(moving, balance)])


class _Planning:
    """A batch while it is planned."""

    def __init__(  # noqa: PLR0913, PLR0917 - as for plan_texts
        self,
        keyring: Keyring,
        keys: Sequence[RowKey],
        cells: Sequence[str | bytes],
        spelling: Spelling,
        history: History,
        others: OtherKeySets,
    ) -> None:
        self._keyring, self._keys, self._cells, self._spelling = keyring, keys, cells, spelling
        self._history, self._counts = history, Counts()
        self._search = TextSearch(keyring, cells, spelling, history, others, self._counts)
        self._tokens, self._faults = self._search.tokens, self._search.faults

    def sort(self, *, dry_run: bool) -> tuple[list[Attempt], list[Attempt]]:
        """The tokens that stay, and those that are to move, with what decrypting them came to."""
        keyring, staying, moving = self._keyring, list[Attempt](), list[Attempt]()
        for part in self._search.found:
            key, places, state = part.key, part.batch.places, keyring.states[part.key]
            if not places:
                continue
            if reason := reason_to_stay(key.id, state, self._history):
                for index in places:
                    self._search.blame(index, Fault(*reason, unsettled=True))
            if reason or (state is KeyState.PRIMARY and not dry_run):
                staying.append(Attempt(key, places, part.signed, None, {}))
            elif dry_run:
                moving.append(Attempt(key, places, part.signed, None, keyring.damaged_many(part)))
            else:
                new = keyring.reencrypt_many(part)
                moving.append(Attempt(key, places, part.signed, new, errors_in(new)))
        return staying, moving

    def believed(self, moving: Sequence[Attempt], balance: Counter[Key]) -> Iterable[Attempt]:
        """*moving*, as `judge` has it; each token that does not decrypt keeps its cell."""
        for attempt in judge(moving, balance):
            for index, error in attempt.errors.items():
                if isinstance(error, DamagedToken):
                    words = words_of(error, self._counts, self._history)
                    self._search.blame(attempt.places[index], Fault(error.category, words))
            yield attempt

    def plan(self, staying: Sequence[Attempt], moving: Sequence[Attempt]) -> Plan:
        """Counts everything but the cells to swap."""
        counts, owners, states = self._counts, self._tokens.owners, self._keyring.states
        everything = [each for each in (*staying, *moving) if each.places]
        holders = {owner for each in everything for owner in pick(owners, each.places)}
        swapped, waiting = set[int](), set[int]()
        for attempt in moving:
            if attempt.new is not None:
                swapped.update(pick(owners, attempt.places))
            elif states[attempt.key] is not KeyState.PRIMARY:
                waiting.update(pick(owners, attempt.places))
                counts.unbound += len(attempt.places) if attempt.key.context != self._keyring.context else 0
        swapped -= self._faults.keys()
        waiting -= self._faults.keys()
        counts.scanned = len(self._cells)
        counts.to_rotate = len(waiting)
        counts.current = len(holders - self._faults.keys()) - len(swapped) - len(waiting)
        counts.embedded = sum(len(each.places) for each in everything) + self._search.unknown
        self._count_faults()
        counts.empty = counts.scanned - counts.current - counts.to_rotate - len(swapped) - len(self._faults)
        for attempt in everything:
            if len(attempt.signed[0]) >= SHORTEST_NESTED:
                rows = [self._keys[owner] for owner in pick(owners, attempt.places)]
                note_nested(counts, self._keyring, attempt.key, attempt.signed, rows)
            stay = [owner not in swapped for owner in pick(owners, attempt.places)]
            counts.hold(attempt.key.id, list(compress(attempt.signed, stay)))
        return self._swaps(sorted(swapped), everything) if swapped else Plan(Swaps(), (), (), counts)

    def _count_faults(self) -> None:
        """One problem for each cell that stays or may hide a token: the first one that a person has to look at."""
        for place in sorted(self._faults):
            faults = self._faults[place]
            fault = min(faults, key=lambda each: each.unsettled)
            self._counts.unsettled += fault.unsettled
            self._counts.unreadable += not fault.unsettled
            self._counts.identified += not fault.unsettled and all(each.keyless or each.unsettled for each in faults)
            self._counts.note(self._keys[place], str(fault.category), fault.detail)
        self._counts.suspects += len(self._search.suspects)
        for place in self._search.suspects:
            if place not in self._faults:
                self._counts.note(self._keys[place], SUSPECT, ROOM)

    def _swaps(self, places: Sequence[int], attempts: Sequence[Attempt]) -> Plan:
        """The swaps of the cells at *places*, which ascend, with all their tokens."""
        tokens, runs = self._tokens, self._tokens.runs[:]
        key_ids, signed, moves = [""] * len(runs), [b""] * len(runs), [False] * len(runs)
        for attempt in attempts:
            put(key_ids, attempt.places, repeat(attempt.key.id, len(attempt.places)))
            put(signed, attempt.places, attempt.signed)
            if attempt.new is not None:
                put(moves, attempt.places, repeat(True, len(attempt.places)))  # noqa: FBT003 - no flag of repeat's
                put(runs, attempt.places, self._respelled(attempt.places, attempt.new))
        further: list[FurtherToken] = []
        if tokens.owners != places:
            key_ids, signed, further = _by_cell(places, list(zip(tokens.owners, key_ids, signed, moves, strict=True)))
        swaps = Swaps(pick(self._keys, places), pick(self._cells, places), self._search.rebuilt(places, runs))
        return Plan(swaps, key_ids, signed, self._counts, further=further)

    def _respelled(self, places: Sequence[int], new: Sequence[str]) -> list[str]:
        """How *new* tokens, which are of one length, are written in the places of the old ones."""
        size = len(self._tokens.bodies[places[0]])
        bodies = [token[:size] for token in new]
        return (
            list(map(self._spelling.respell, pick(self._tokens.runs, places), bodies))
            if self._spelling.encoded
            else bodies
        )


def _by_cell(
    places: Sequence[int], tokens: Iterable[tuple[int, str, bytes, bool]]
) -> tuple[list[str], list[bytes], list[FurtherToken]]:
    """The first token to move of each cell at *places*, side by side, and all others of these cells.

    *tokens* are owners, key ids, signed parts, and whether each moves; one without a key id is none.
    """
    order = {place: number for number, place in enumerate(places)}
    key_ids, signed, further = [""] * len(places), [b""] * len(places), list[FurtherToken]()
    for owner, key_id, part, moves in tokens:
        swap = order.get(owner)
        if swap is None or not key_id:
            continue
        if key_ids[swap] or not moves:
            further.append(FurtherToken(swap, key_id, part, moves))
        else:
            key_ids[swap], signed[swap] = key_id, part
    return key_ids, signed, further
