"""Plans a block as a whole, by the rules of its rows; or not at all, if one of its cells needs a look of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import chain

from keyring_core import Key
from keyring_core.bulk import SignedBatch, damaged, find_on_end, reencrypt_on_end
from keyring_core.token_batches import Refused
from rotation.model.batch import Block, BlockSwap, Plan, Swaps, split
from rotation.model.counts import Counts, Times
from rotation.planning.inner_tokens import holds_mark
from rotation.planning.rules import Action, Rules, may_nest


def plan_block(rules: Rules, block: Block) -> Plan | None:
    """Rotates what needs it and counts the rest. None if a cell needs a look of its own; then nothing is counted."""
    counts, tried = Counts(scanned=len(block)), Counter[Key]()
    renewed = list[tuple[SignedBatch, bytes]]()
    for tokens in find_on_end(rules.keyring.states, block.cells, block.size):
        if isinstance(tokens, Refused) or (action := rules.action(tokens.key)).stays:
            return None
        if action is Action.ROTATE:
            suspicious = holds_mark if may_nest(tokens) else lambda _: False
            new = reencrypt_on_end(rules.keyring.primary, tokens, suspicious)
            # With blanks around its token a cell is longer than the new token, and the next one would lie in two cells.
            if new is None or len(new) != block.size * len(tokens.places):
                return None
            renewed.append((tokens, new))
        elif (rules.dry_run and damaged(tokens)) or (may_nest(tokens) and any(rules.nested(tokens))):
            return None
        rules.count(counts, tokens, action)
        if rules.decrypts(action):
            tried[tokens.key] += len(tokens.places)
    if any(rules.balance[key] + sound <= 0 for key, sound in tried.items()):
        return None
    rules.balance.update(tried)
    return Plan(Swaps(), (), (), counts, [_joined(block, renewed)] if renewed else ())


def _joined(block: Block, renewed: Sequence[tuple[SignedBatch, bytes]]) -> BlockSwap:
    """One swap for all tokens, in the order of the rows; each batch of them has its successors beside it."""
    times = reduce(Times.plus, [Times.of(tokens.signed) for tokens, _ in renewed])
    places = list(chain.from_iterable(tokens.places for tokens, _ in renewed))
    ids = list(chain.from_iterable([tokens.key.id] * len(tokens.places) for tokens, _ in renewed))
    if places == list(range(len(places))):
        new = b"".join([new for _, new in renewed])
        return BlockSwap(block.part(0, len(places)) if len(places) < len(block) else block, new, ids, times)
    cells = chain.from_iterable(split(new, block.size, binary=True) for _, new in renewed)
    places, ids, each = zip(*sorted(zip(places, ids, cells, strict=True)), strict=True)  # type: ignore[assignment]
    return BlockSwap(block.only(places), b"".join(each), ids, times)
