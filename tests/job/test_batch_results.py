"""Who brings an older key back."""

from __future__ import annotations

import time

import pytest

from keyring_core.tokens import iv_of, parse_token
from rotation.job.ranges import KEPT, UndoDetector
from rotation.model.batch import NO_KEY, Block, BlockSwap, FurtherToken, Plan, Swaps, Trace, Written, traces_of
from rotation.model.counts import Counts, Times
from tests.fakes import token

OLD_TIME = 1_600_000_000


def trace(row: int, issued: int, iv: bytes, *, rotated: bool = True) -> Trace:
    return Trace((row,), "0123abcd", issued, iv, rotated)


@pytest.mark.parametrize(
    ("first", "again", "undone"),
    [
        pytest.param(trace(1, OLD_TIME, b"first"), trace(1, OLD_TIME, b"another"), 1, id="old time, new IV: undone"),
        pytest.param(trace(1, OLD_TIME, b"first"), trace(1, OLD_TIME, b"first"), 0, id="the same token: written back"),
        pytest.param(
            trace(1, OLD_TIME, b"first"), trace(1, OLD_TIME + 5, b"another"), 0, id="another time: another secret"
        ),
        pytest.param(trace(1, OLD_TIME, b"first"), trace(2, OLD_TIME, b"another"), 0, id="another row"),
        pytest.param(
            trace(1, OLD_TIME, b"first", rotated=False), trace(1, OLD_TIME, b"another"), 0, id="it was not rotated"
        ),
    ],
)
def test_a_rotation_is_known_by_time_and_iv(first: Trace, again: Trace, undone: int) -> None:
    """R08: a rotation keeps the time and changes the IV; nobody else does both."""
    traces = UndoDetector()
    traces.take([first])

    traces.take([again])

    assert traces.undone == ({"0123abcd": undone} if undone else {})


def test_several_tokens_of_one_cell_are_told_apart() -> None:
    """Of one second, too: none of them accuses another, whatever their order; one with a new IV does."""
    traces, cell = UndoDetector(), [trace(1, OLD_TIME, b"first"), trace(1, OLD_TIME, b"second")]
    traces.take(cell)
    traces.take(cell[::-1])
    assert not traces.undone

    traces.take([trace(1, OLD_TIME, b"another")])

    assert traces.undone == {"0123abcd": 1}


def test_a_young_token_accuses_nobody() -> None:
    """R05: a service can write a row twice in one second."""
    traces, now = UndoDetector(), int(time.time())
    traces.take([trace(1, now, b"first")])

    traces.take([trace(1, now, b"another")])

    assert not traces.undone


def test_only_a_sample_is_remembered() -> None:
    """Memory is bounded, whatever the size of the table."""
    traces = UndoDetector()
    traces.take(trace(row, OLD_TIME, b"first") for row in range(KEPT + 1))

    traces.take([trace(KEPT, OLD_TIME, b"another")])

    assert not traces.undone


def test_a_batch_leaves_what_is_public_of_its_first_tokens() -> None:
    """The time, the IV, and whether the database took the new token."""
    signed = [b"\x80" + OLD_TIME.to_bytes(8, "big") + bytes([row]) * 16 for row in range(3)]
    swaps = Swaps([(row,) for row in range(3)], ["old"] * 3, ["new"] * 3)
    plan = Plan(swaps, ["0123abcd"] * 3, signed, Counts())

    traces = traces_of(plan, Written(lost={(1,)}), 2)

    assert traces == [trace(0, OLD_TIME, b"\0" * 16), trace(1, OLD_TIME, b"\1" * 16, rotated=False)]


def test_a_batch_in_blocks_leaves_the_same() -> None:
    """Of the first rows of its blocks, as far as there is room behind the rows that stand in none."""
    cells = [token("old", f"{row}") for row in range(5)]
    signed = [parse_token(cell).signed for cell in cells]
    block = Block(range(1, 6), "".join(cells).encode(), len(cells[0]))
    swaps = [BlockSwap(block, b"", ["0123abcd"] * 5, Times.of(signed))] * 2
    plan = Plan(Swaps([(9,)], ["old"], ["new"]), ["0123abcd"], signed[:1], Counts(), blocks=swaps)

    traces = traces_of(plan, Written(lost={(2,)}), 4)

    first = [(9, 0), (1, 0), (2, 1), (3, 2)]
    assert [trace.key for trace in traces] == [(row,) for row, _ in first]
    assert [trace.iv for trace in traces] == [iv_of(signed[at]) for _, at in first]
    assert [trace.rotated for trace in traces] == [True, True, False, True]


def test_only_tokens_that_moved_leave_a_trace() -> None:
    """A current one in the same cell keeps its time and its IV, and what was taken over was no token."""
    signed = b"\x80" + OLD_TIME.to_bytes(8, "big") + b"i" * 16
    further = [FurtherToken(0, "0123abcd", signed, moves=True), FurtherToken(0, "4567cdef", signed, moves=False)]
    swaps = Swaps([(1,), (2,)], ["old", "plaintext"], ["new", "new"])
    plan = Plan(swaps, ["0123abcd", NO_KEY], [signed, signed], Counts(), further=further)

    assert [each.key_id for each in traces_of(plan, Written(), 5)] == ["0123abcd", "0123abcd"]
