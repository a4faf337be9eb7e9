"""BatchSize and Throttle: how large the next batch is, and when the run waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotation.job.pace import Throttle
from rotation.model.batch import FIRST_ROWS, BatchSize
from rotation.model.failures import StoppedError


@pytest.mark.parametrize(
    ("rows", "seconds", "size", "then"),
    [
        pytest.param(200, 0.001, 20_000, 400, id="fast batches double"),
        pytest.param(200, 0.4, 20_000, 250, id="near the aim a batch grows a little"),
        pytest.param(200, 5.0, 20_000, 20, id="a slow batch shrinks at once"),
        pytest.param(200, 0.001, 20 * 1024 * 1024, 20, id="a heavy batch shrinks at once"),
        pytest.param(200, 1e9, 20_000, 1, id="one row is the least"),
        pytest.param(200, 0.0, 0, 400, id="no time and no bytes divide nothing"),
    ],
)
def test_the_next_batch_follows_the_last(rows: int, seconds: float, size: int, then: int) -> None:
    """R22: a batch takes about half a second and two megabytes, whatever the size of its rows."""
    batches = BatchSize(10_000, rows=rows)

    batches.took(rows, seconds, size)

    assert batches.rows == then


def test_a_slow_batch_keeps_its_least_rows() -> None:
    """By its time: if it is heavy it has fewer."""
    slow, heavy = (BatchSize(10_000, rows=200, least=100) for _ in range(2))
    slow.took(200, 50.0, 20_000)
    heavy.took(200, 50.0, 20 * 1024 * 1024)

    assert (slow.rows, heavy.rows) == (100, 20)


def test_a_batch_is_never_larger_than_asked_for() -> None:
    """--batch-size limits the first batch and every later one."""
    size = BatchSize(50)
    first = size.rows
    size.took(50, 0.0001, 100)

    assert (first, size.rows) == (50, 50)
    assert BatchSize(10_000).rows == FIRST_ROWS


def test_a_lower_limit_holds_for_every_later_batch() -> None:
    """A run that slows down makes no batch above its new limit, however fast its batches are."""
    size = BatchSize(10_000, rows=200)

    size.limit(50)
    size.took(50, 0.0001, 100)

    assert size.rows == 50


def test_a_batch_for_which_memory_was_short_stays_small() -> None:
    """The next one has an eighth of the rows, and each later one at most an eighth of the bytes."""
    size = BatchSize(10_000, max_bytes=8_000_000, rows=800)

    size.shrink()
    first = size.rows
    size.took(100, 0.0001, 1_000_000)

    assert (first, size.rows) == (100, 100)


@pytest.mark.parametrize(
    ("seconds", "size", "then"),
    [
        pytest.param(0.05, 100_000, 10_000, id="quick and light rows make the largest batch"),
        pytest.param(0.25, 100_000, 2000, id="slow rows make a smaller one"),
        pytest.param(0.05, 1024 * 1024, 2000, id="so do heavy ones"),
        pytest.param(5.0, 100_000, 1000, id="the least is that of a table nobody knows"),
    ],
)
def test_the_first_batch_follows_what_was_read_before(seconds: float, size: int, then: int) -> None:
    """A table whose first 1,000 rows are known need not begin with a batch of 1,000."""
    batches = BatchSize(10_000)

    batches.expect(1000, seconds, size)

    assert batches.rows == then


@pytest.mark.parametrize(("rate", "rows"), [(None, 2000), (100.0, 50), (1.0, 1), (1e9, 2000)])
def test_a_low_rate_makes_small_batches(rate: float | None, rows: int) -> None:
    """Ten rows a second are five every half second, not a batch of 200 and a long sleep."""
    assert Throttle(max_rate=rate).limit(2000) == rows


def test_a_run_waits_while_the_pause_file_is_there(tmp_path: Path) -> None:
    """While the file exists the run waits; then it goes on."""
    file = tmp_path / "pause"
    file.touch()
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 4:
            file.unlink()

    Throttle(wait, pause_file=file).hold()

    assert waited == [0, 0.5, 0.5, 0.5]


def test_a_paused_run_can_be_stopped(tmp_path: Path) -> None:
    """R11: the wait raises StoppedError."""
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if seconds:
            raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        Throttle(wait, pause_file=tmp_path).hold()
    assert waited == [0, 0.5]
