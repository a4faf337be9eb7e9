"""A block planned as a whole gives the result of its rows one by one."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keyring_core import InvalidToken, Key, Keyring
from keyring_core.tokens import BLOCK, parse_token
from rotation.model.batch import Batch, Block, Plan, gapless
from rotation.model.counts import Counts, RowKey, Times
from rotation.model.key_history import UNKNOWN, History, Promotion, Retired
from rotation.planning.planner import Planner
from tests.fakes import ISSUED_AT, token
from tests.keyring_core.test_tokens import seal
from tests.keys import key_text, make_key, mistyped

WRONG = Key.parse(mistyped(key_text("wrong")), "wrong")
"""It signs as the right key does, and decrypts one in 256 of its tokens, to nonsense."""
RING = Keyring(make_key("new"), [make_key("old"), make_key("older"), WRONG], make_key("staged"))
BOUND = RING.bind("users.api_key", accept_unbound=True)
PROMOTED = Promotion(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
HISTORY = History({make_key("older").id: PROMOTED}, (Retired("5f0c1a9e", None, ISSUED_AT + 10**6),))
TIMES = [ISSUED_AT, ISSUED_AT + 40 * 86400, 0, 2**64 - 1]
INNER = token("old", "inner")


def opens(keyring: Keyring, cells: list[str]) -> list[bool]:
    """For each True if it decrypts."""
    return [not isinstance(each, InvalidToken) for each in keyring.decrypt_many(cells)]


MADE = [token("wrong", f"{number:06}") for number in range(3000)]
LUCKY = [cell for cell, good in zip(MADE, opens(RING, MADE), strict=True) if good][:3]
"""Tokens that the mistyped key opens."""
HOPELESS = [cell for cell in MADE[:20] if cell not in LUCKY][:5]
"""Tokens that it does not open."""


@st.composite
def tokens(draw: st.DrawFn) -> str:
    """A token of one of several lengths, some of which have room for another one; under any key and of any time."""
    text = draw(st.sampled_from(["secret", "secret", "s" * 20, "x" * len(INNER), INNER, "gAAAA" * (len(INNER) // 5)]))
    at = draw(st.sampled_from(TIMES))
    if draw(st.integers(0, 3)):
        return token(draw(st.sampled_from(["new", "old", "old", "older", "staged", "unknown"])), text, at)
    bound = draw(st.sampled_from([key for key in BOUND.states if key.context]))
    return bound.fernet.encrypt_at_time(text.encode(), at).decode()


@st.composite
def anything(draw: st.DrawFn) -> str | None:
    """A cell of a column beside sound tokens."""
    text = draw(tokens())
    at = draw(st.integers(0, len(text) - 1))
    damaged = seal(b"x" * draw(st.sampled_from([0, BLOCK * 10])) + b"\x02\x03" * 8, "old", ISSUED_AT)
    return draw(
        st.sampled_from(
            [
                *(None, "", "hunter2", "x" * len(text), "pässwörd"),
                *(text[:-4], f"{text[:at]}%{text[at + 1 :]}", f"{text[:-1]}A", text + text, f" {text}"),
                *(text.replace("-", "+").replace("_", "/"), damaged, damaged, *LUCKY, *HOPELESS),
            ]
        )
    )


class Both(NamedTuple):
    """The same rows in blocks, and spelled out."""

    blocks: Batch
    rows: Batch


@st.composite
def both(draw: st.DrawFn) -> Both:
    """Runs of like tokens with other cells between them, in a table with or without gaps, of text or bytes."""
    cells: list[str | None] = []
    for _ in range(draw(st.integers(1, 4))):
        like = draw(tokens())
        cells += [like, *draw(st.lists(draw(st.sampled_from([st.just(like), tokens(), anything()])), max_size=6)), like]
    first, gap = draw(st.sampled_from([1, -3, 2**33])), draw(st.integers(1, 2))
    numbers = range(first, first + gap * len(cells), gap)
    is_uuid, binary = first > 0 and draw(st.booleans()), draw(st.booleans())
    keys = [UUID(int=number) if is_uuid else number for number in numbers]
    held = [cell.encode() if binary and cell is not None else cell for cell in cells]
    # A block has cells of one length; some stay out of it, as cells of a rare length do.
    groups: dict[tuple[int, int], list[int]] = {}
    apart = []
    for at, cell in enumerate(cells):
        if cell and cell.isascii() and draw(st.integers(0, 9)):
            groups.setdefault((len(cell), draw(st.integers(0, 1))), []).append(at)
        else:
            apart.append(at)
    blocks = []
    for (size, _), places in groups.items():
        chosen: list[Any] = [keys[at] for at in places]
        together = "".join(cells[at] or "" for at in places).encode()
        blocks.append(Block(chosen if is_uuid else gapless(array("q", chosen)), together, size, binary))
    # Of rows that hold nothing there may be a number only.
    nothing = [at for at in apart if not cells[at] and draw(st.booleans())]
    apart = [at for at in apart if at not in nothing]
    null = sum(cells[at] is None for at in nothing)
    rest = [(keys[at],) for at in apart], [held[at] for at in apart]
    return Both(Batch(*rest, blocks, null, len(nothing) - null, (keys[-1],)), Batch([(key,) for key in keys], [*held]))


def swaps(plan: Plan, keyring: Keyring) -> list[tuple[RowKey, str | bytes, str, bytes, int, type]]:
    """The swaps of a plan: row, old cell, its key, and the plaintext of the new one; its IV is random."""
    found = list(zip(plan.swaps.rows(), plan.key_ids, strict=True))
    for block in plan.blocks:
        found += zip(block.as_rows().rows(), block.key_ids, strict=True)
    stock = keyring.primary.fernet
    return sorted(
        (row, old, key_id, stock.decrypt(new), stock.extract_timestamp(new), type(new))
        for (row, old, new), key_id in found
    )


def counted(plan: Plan) -> Counts:
    """The counts of a plan, with its problems in the order of the rows."""
    return replace(plan.counts, problems=sorted(plan.counts.problems))


def written(plan: Plan) -> Counts:
    """The counts once all is written: of rows by their tokens, of blocks by their times."""
    counts = Counts()
    counts.hold("new", plan.signed)
    for block in plan.blocks:
        assert block.times == Times.of(list(block.signed()))
        counts.hold_times("new", block.times)
    return counts


def is_outvoted(keyring: Keyring, before: Counter[Key], after: Counter[Key], batch: Batch) -> bool:
    """True if a key opens all of its tokens in a block, and fails on as many others behind it in the same batch.

    Then the block alone is believed. No real key does that: a mistyped one opens one token in 256, and a block of a
    database has 32 or more.
    """
    for key in (key for key, balance in after.items() if balance <= 0):
        believed = before[key]
        for block in batch.blocks:
            cells: list[Any] = replace(block, binary=False).each_cell()
            own = [cell for cell, found in zip(cells, keyring.identify_many(cells), strict=True) if found is key]
            believed += len(own) if all(opens(keyring, own)) else 0
        if believed > max(0, before[key]):
            return True
    return False


@given(
    batches=st.lists(both(), min_size=1, max_size=2),
    keyring=st.sampled_from([RING, RING, BOUND]),
    dry_run=st.booleans(),
    history=st.sampled_from([UNKNOWN, HISTORY]),
)
@settings(settings.get_profile("slow"))
def test_a_block_comes_to_what_its_rows_come_to(
    batches: list[Both], keyring: Keyring, dry_run: bool, history: History
) -> None:
    """The same counts, problems and swaps, batch after batch, whatever stands in a block or beside it."""
    balances = Counter[Key](), Counter[Key]()
    for in_blocks, in_rows in batches:
        before = balances[1].copy()
        assert (in_blocks.rows, in_blocks.last, in_blocks.weight) == (in_rows.rows, in_rows.last, in_rows.weight)

        oracle = Planner(keyring, dry_run=dry_run, history=history, balance=balances[1]).plan(in_rows)
        assume(not is_outvoted(keyring, before, balances[1], in_blocks))
        plan = Planner(keyring, dry_run=dry_run, history=history, balance=balances[0]).plan(in_blocks)

        assert counted(plan) == counted(oracle)
        assert swaps(plan, keyring) == swaps(oracle, keyring)
        assert written(plan) == written(oracle)
        assert plan.changes == oracle.changes
        assert balances[0] == balances[1]


def block_of(cells: list[str], keys: Any = None) -> Block:
    return Block(keys or range(1, len(cells) + 1), "".join(cells).encode(), len(cells[0]))


def planned(*cells: str, **options: Any) -> Plan:
    return Planner(RING, **options).plan(Batch((), (), [block_of(list(cells))]))


def test_a_block_of_old_and_current_tokens_is_planned_as_a_whole() -> None:
    """The old ones are swapped, in their order, without a row of their own; what is current only counts."""
    cells = [token(label) for label in ("old", "new", "older", "old", "new")]

    plan = planned(*cells)

    [swap] = plan.blocks
    assert not plan.swaps
    assert swap.block == replace(block_of([cells[0], cells[2], cells[3]]), keys=array("q", [1, 3, 4]))
    assert list(swap.key_ids) == [make_key(label).id for label in ("old", "older", "old")]
    assert (plan.counts.scanned, plan.counts.current, plan.counts.rotated) == (5, 2, 0)


@pytest.mark.parametrize("labels", [["old"] * 3, ["old", "older", "old"]], ids=["one key", "keys that alternate"])
def test_a_whole_block_is_swapped_as_it_is(labels: list[str]) -> None:
    """Keys without gaps stay a range: nothing is copied but the new tokens, in the order of their rows."""
    plan = planned(*(token(label, f"secret {at}") for at, label in enumerate(labels)))

    [swap] = plan.blocks
    assert swap.block.keys == range(1, 4)
    assert list(swap.key_ids) == [make_key(label).id for label in labels]
    assert RING.decrypt_many(swap.as_rows().new) == ["secret 0", "secret 1", "secret 2"]
    assert [parse_token(new).timestamp for new in swap.as_rows().new] == [ISSUED_AT] * 3


@pytest.mark.parametrize(
    "odd",
    [
        token("staged"),
        token("unknown"),
        token("old")[:-1] + "A",
        "x" * len(token("old")),
        seal(b" " * BLOCK, "old", ISSUED_AT),
    ],
    ids=["staged", "unknown", "truncated", "plaintext", "damaged"],
)
def test_a_block_with_an_odd_cell_is_planned_row_by_row(odd: str) -> None:
    """The odd cell is reported under its own key, and costs no other."""
    plan = planned(token("old"), token("old"), odd, token("old"))

    assert (plan.blocks, list(plan.swaps.keys)) == ([], [(1,), (2,), (4,)])
    assert [problem.key for problem in plan.counts.problems] == [(3,)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_nested_token_in_a_block_is_found(dry_run: bool) -> None:
    """Under the primary key or another one, in a run or a dry run: its row is named."""
    long = "x" * len(INNER)
    for label in ("old", "new"):
        plan = planned(token(label, long), token(label, INNER), token("old", long), dry_run=dry_run)

        assert (plan.counts.nested, [problem.key for problem in plan.counts.problems]) == (1, [(2,)])


@pytest.mark.parametrize("beside", [[], [token("old")] * 2], ids=["alone", "beside a sound key"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_key_that_failed_before_is_not_believed_in_a_block(dry_run: bool, beside: list[str]) -> None:
    """K26: what a mistyped key opens by chance is nonsense, and is not written, however whole its block is."""
    balance = Counter[Key]()
    planned(*HOPELESS, balance=balance, dry_run=dry_run)

    plan = planned(*beside, *LUCKY, balance=balance, dry_run=dry_run)

    assert plan.changes + plan.counts.to_rotate == len(beside)
    assert plan.counts.unreadable == len(LUCKY)


@given(st.integers(0, 8), st.integers(0, 8))
def test_a_part_of_a_swap_is_that_part_of_its_rows(start: int, stop: int) -> None:
    """Keys, old and new cells and key ids stay side by side."""
    [whole] = planned(*(token(label) for label in ("old", "older", "new", "older", "old", "old"))).blocks

    part = whole.part(start, stop)

    assert list(part.as_rows().rows()) == list(whole.as_rows().rows())[start:stop]
    assert list(part.key_ids) == list(whole.key_ids)[start:stop]
    assert len(part) == len(part.key_ids)


@pytest.mark.parametrize("cell", [" {}", "{}\n", "{}    "], ids=["a blank before", "a line break", "CHAR padding"])
def test_cells_with_blanks_around_their_tokens_are_planned_row_by_row(cell: str) -> None:
    """The new tokens are shorter than the cells: one after the other they would not lie where the cells do."""
    cells = [cell.format(token("old")) for _ in range(3)]

    plan = planned(*cells)

    assert not plan.blocks
    assert [make_key("new").fernet.decrypt(new) for _, _, new in plan.swaps.rows()] == [b"secret"] * 3
