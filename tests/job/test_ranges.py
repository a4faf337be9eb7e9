"""If a range ends early, the rest of it is done next, and no row is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Keyring
from rotation.job import passes, ranges
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.pace import Throttle
from rotation.model.batch import Batch, BatchSize, Written
from rotation.model.counts import RowKey
from rotation.model.failures import StoppedError, StoreError
from tests.fakes import MemoryStore, run, token
from tests.keys import make_key

KEYRING = Keyring(make_key("new"), previous=[make_key("old")])
OLD = token("old")


def test_a_pause_is_heard_after_the_batch(tmp_path: Path) -> None:
    """R11, R22: and not after the range that is under way, which may take seconds."""
    pause = tmp_path / "pause"
    store = MemoryStore({row: token("old") for row in range(1, 1001)})
    write = store.write

    def write_and_pause(*swaps: Any) -> Written:
        pause.touch()
        return write(*swaps)

    def wait(seconds: float) -> None:
        if seconds:
            raise StoppedError("it waits")

    store.write = write_and_pause  # type: ignore[method-assign]
    options = RunOptions(batch_size=100, full_speed=True, pause_file=pause)
    [target] = run(store, KEYRING, options, LocalOptions(wait)).targets

    assert target.counts.rotated == 100


@pytest.mark.parametrize("name", ["RANGE_SECONDS", "RANGE_PROBLEMS"])
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_a_range_that_takes_long_is_done_in_parts(monkeypatch: pytest.MonkeyPatch, name: str, batch: int) -> None:
    """R10, R22: its time is over, or its list of problems full, after any batch: the rest is done, and counted once."""
    monkeypatch.setattr(ranges, name, 0)
    store = MemoryStore({row: OLD if row % 3 else "hunter2" for row in range(40)})
    report = run(store, KEYRING, RunOptions(batch_size=batch))

    counts = report.targets[0].counts
    assert OLD not in store.cells.values()
    assert (counts.scanned, counts.rotated, counts.plaintext) == (40, 26, 14)
    assert counts.categories["plaintext"] == len(counts.problems) == 14


class Circle(MemoryStore):
    """A database that follows each row's key by that of another one, and comes back to *back* behind the last."""

    def __init__(self, rows: int, back: int) -> None:
        super().__init__(dict.fromkeys(range(rows), "hunter2"))
        self._back = back

    def key_after(self, after: RowKey | None, rows: int) -> RowKey | None:
        del rows
        return self._next(after)

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        del upto, limit
        return Batch([self._next(after)], ["hunter2"])

    def _next(self, after: RowKey | None) -> RowKey:
        number = 0 if after is None else after[0] + 1
        return (number if number < len(self.cells) else self._back,)


@pytest.mark.parametrize(("rows", "back"), [(1, 0), (2, 0), (2, 1), (3, 0), (50, 17)])
def test_keys_that_do_not_grow_end_a_pass(rows: int, back: int) -> None:
    """Where the same rows come again, after however many others, the run ends with 3 and says why."""
    report = run(Circle(rows, back), KEYRING, RunOptions(batch_size=1))

    assert report.exit_code == 3
    assert "the keys do not grow" in str(report.targets[0].stopped)


@pytest.mark.parametrize(("rows", "back"), [(1, 0), (2, 0), (50, 17)])
def test_keys_that_do_not_grow_end_a_pass_of_short_parts(monkeypatch: pytest.MonkeyPatch, rows: int, back: int) -> None:
    """Also where each part of a range ends after one batch, and sees no row twice."""
    monkeypatch.setattr(ranges, "RANGE_SECONDS", 0)
    monkeypatch.setattr(Circle, "key_after", lambda *_: None)
    report = run(Circle(rows, back), KEYRING, RunOptions(batch_size=1, dry_run=True))

    assert report.exit_code == 3
    assert "the keys do not grow" in str(report.targets[0].stopped)


def test_ranges_that_do_not_grow_are_not_cut_for_ever() -> None:
    """The one who cuts them notices by itself."""
    with pytest.raises(StoreError, match="the keys do not grow"):
        list(passes.cut(Circle(5, 2), BatchSize(10)))


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9))
def test_a_pause_at_any_moment_leaves_out_no_row(looks: list[bool], batch: int) -> None:
    """R22: also one that comes between the cut of a range and its first batch, when nothing of it is done."""
    store = MemoryStore(dict.fromkeys(range(20), OLD))
    coming = iter(looks)
    with pytest.MonkeyPatch.context() as small:
        small.setattr(passes, "FIRST_RANGE", 4)
        # A pause file that comes and goes, and then never comes again.
        small.setattr(Throttle, "paused", lambda _: next(coming, False))
        options = RunOptions(batch_size=batch, full_speed=True)
        [target] = run(store, KEYRING, options, LocalOptions(lambda _: None)).targets

    assert OLD not in store.cells.values()
    assert (target.complete, target.passes, target.counts.scanned, target.counts.rotated) == (True, 2, 20, 20)
