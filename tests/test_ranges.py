"""A range that ends early: what is left of it is done next, by whoever, and no row is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.work import passes, ranges
from rotation.work.pace import Brake
from rotation.work.ranges import Options
from tests.fakes import MemoryStore, run, token
from tests.keys import make_key

KEYRING = Keyring(make_key("new"), previous=[make_key("old")])
OLD = token("old")


@dataclass(frozen=True)
class Flicker(Brake):
    """A pause file that comes and goes: for each look whether it is there, and then never again."""

    looks: Iterator[bool] = field(default_factory=lambda: iter(()))

    def paused(self) -> bool:
        return next(self.looks, False)


@pytest.mark.parametrize("name", ["RANGE_SECONDS", "RANGE_PROBLEMS"])
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_a_range_that_takes_long_is_done_in_parts(monkeypatch: pytest.MonkeyPatch, name: str, batch: int) -> None:
    """R10, R22: its time is over, or its list of problems full, after any batch: the rest is done, and counted once."""
    monkeypatch.setattr(ranges, name, 0)
    store = MemoryStore({row: OLD if row % 3 else "hunter2" for row in range(40)})
    report = run(store, KEYRING, Options(batch_rows=batch))

    counts = report.targets[0].counts
    assert OLD not in store.cells.values()
    assert (counts.scanned, counts.rotated, counts.plaintext) == (40, 26, 14)
    assert counts.categories["plaintext"] == len(counts.problems) == 14


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9))
def test_a_pause_at_any_moment_leaves_out_no_row(looks: list[bool], batch: int) -> None:
    """R22: also one that comes between the cut of a range and its first batch, when nothing of it is done."""
    store = MemoryStore(dict.fromkeys(range(20), OLD))
    brake = Flicker(lambda _: None, idle_share=0, looks=iter(looks))
    with pytest.MonkeyPatch.context() as small:
        small.setattr(passes, "FIRST_RANGE", 4)
        [target] = run(store, KEYRING, Options(batch_rows=batch, brake=brake)).targets

    assert OLD not in store.cells.values()
    assert (target.complete, target.passes, target.counts.scanned, target.counts.rotated) == (True, 2, 20, 20)
