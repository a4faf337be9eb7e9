"""How fast a run goes beside others, and alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from keyring_core import Keyring
from rotation.job import pace as pace_module
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.pace import MOST_QUIET_SECONDS, Pacing, Speed
from rotation.job.ranges import Bounds, OpenTarget, RangeWorker
from rotation.model.batch import Batch, BlockSwap, Swaps, Written
from rotation.model.counts import RowKey
from rotation.stores.dialect import Tempo
from tests.conftest import OLD
from tests.fakes import TARGET, MemoryStore, Seconds, token

TEMPO = Tempo(gentle_rows=10, rest=3.0, fast_rows=100, full_rows=500)


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def pace(clock: Seconds) -> Pacing:
    return Pacing(Speed.ADAPTIVE, TEMPO, clock=clock)


def test_a_run_begins_gently(pace: Pacing, clock: Seconds) -> None:
    """For a second it looks whether others write."""
    clock.now = 0.9
    pace.wrote(0)

    assert (pace.rows, pace.rest, pace.words) == (10, 3.0, "gentle: looking whether others write")


def test_a_run_alone_is_fast_after_a_second(pace: Pacing, clock: Seconds) -> None:
    """Larger batches, and no rests."""
    pace.wrote(0)
    clock.now = 1.0
    pace.wrote(0)

    assert (pace.rows, pace.rest, pace.words) == (100, 0.0, "fast: nobody else writes")


def test_the_first_write_says_nothing_of_the_time_before_it(pace: Pacing, clock: Seconds) -> None:
    """To open a target over a long line takes longer than a second, in which nobody looked."""
    clock.now = 5.0
    pace.wrote(0)

    assert pace.words == "gentle: looking whether others write"


def test_a_write_of_others_makes_it_gentle_at_once(pace: Pacing, clock: Seconds) -> None:
    """From the next batch on."""
    pace.wrote(0)
    clock.now = 1.0
    pace.wrote(0)
    pace.wrote(1)

    assert (pace.rows, pace.rest, pace.words) == (10, 3.0, "gentle: others write")


def test_each_write_that_meets_a_fast_batch_doubles_the_quiet_time(pace: Pacing, clock: Seconds) -> None:
    """So at most one write in each quiet time meets a fast batch; five minutes are the most."""
    waited = []
    pace.wrote(0)
    for _ in range(12):
        begun = clock.now
        while pace.rest:
            clock.now += 0.5
            pace.wrote(0)
        waited.append(clock.now - begun)
        pace.wrote(1)

    assert waited[:4] == [1, 2, 4, 8]
    assert waited[-1] == MOST_QUIET_SECONDS


def test_writes_beside_a_gentle_run_do_not_double_it(pace: Pacing, clock: Seconds) -> None:
    """They begin the same quiet time again."""
    for _ in range(5):
        pace.wrote(1)
    clock.now = 1.0
    pace.wrote(0)

    assert pace.rest == 0


def test_what_cannot_be_seen_keeps_a_run_gentle(pace: Pacing, clock: Seconds) -> None:
    """A database that shows nothing of others may have some."""
    clock.now = 100.0
    pace.wrote(None)
    clock.now = 100.9
    pace.wrote(0)

    assert pace.rest == 3.0


@pytest.mark.parametrize(("speed", "rows", "rest"), [(Speed.GENTLE, 10, 3.0), (Speed.FULL, 500, 0.0)])
def test_a_pace_that_was_asked_for_stays(clock: Seconds, speed: Speed, rows: int, rest: float) -> None:
    """Others may write or not."""
    pace = Pacing(speed, TEMPO, clock=clock)
    clock.now = 100.0
    pace.wrote(0)
    pace.wrote(1)

    assert (pace.rows, pace.rest) == (rows, rest)


def test_a_given_size_bounds_every_batch(clock: Seconds) -> None:
    """--batch-size counts at every pace."""
    sizes = {Pacing(speed, TEMPO, 7, clock=clock).rows for speed in Speed}

    assert sizes == {7}


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """The clock by which a run works and rests."""
    day = Seconds()
    monkeypatch.setattr(pace_module.time, "monotonic", day)
    return day


class Far(MemoryStore):
    """A database of which a batch takes *work* seconds to write, and each answer *trip* seconds more."""

    def __init__(self, day: Seconds, rows: int, work: float, trip: float) -> None:
        super().__init__(dict.fromkeys(range(rows), token(OLD)))
        self.day, self.work = day, work
        self.line.waited(trip)
        self.reads_at: list[float] = []
        self.writes_at: list[float] = []
        self.sizes: list[int] = []

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        self._wait(0)
        self.reads_at.append(self.day.now)
        return super().read(after, upto, limit)

    def write(self, swaps: Swaps, blocks: Sequence[BlockSwap] = (), most_rows: int = 0) -> Written:
        self.sizes.append(len(swaps))
        self.writes_at.append(self.day.now)
        self._wait(self.work)
        return super().write(swaps, blocks, most_rows)

    def _wait(self, seconds: float) -> None:
        self.day.now += seconds + self.line.trip
        self.line.waited(seconds + self.line.trip)


def rotate_far(store: Far, keyring: Keyring, options: RunOptions) -> None:
    def wait(seconds: float) -> None:
        store.day.now += seconds

    worker = RangeWorker(OpenTarget(TARGET, store, keyring, options, LocalOptions(wait)))  # type: ignore[arg-type]
    done = worker.do(Bounds())
    while not done.whole:
        done = worker.do(Bounds(done.reached))


@pytest.mark.parametrize(("rest", "between"), [(7.0, 0.8), (0.0, 0.1)])
def test_a_run_rests_after_a_write(keyring: Keyring, day: Seconds, rest: float, between: float) -> None:
    """R22: for a multiple of the time that the batch took."""
    store = Far(day, 3, work=0.1, trip=0)
    store.tempo = Tempo(rest=rest, gentle_rows=1)

    rotate_far(store, keyring, RunOptions(gentle=True))

    assert [later - before for before, later in pairwise(store.writes_at)] == pytest.approx([between] * 2)


def test_the_way_to_the_server_is_no_work_and_a_part_of_the_rest(keyring: Keyring, day: Seconds) -> None:
    """R22: 0.2 s of work are followed by 1.0 s in which nothing is written, most of them on the way."""
    store = Far(day, 2000, work=0.2, trip=0.3)
    store.tempo = Tempo(rest=5.0, gentle_rows=100)

    rotate_far(store, keyring, RunOptions(gentle=True))

    assert store.sizes == [1000, 1000]
    # Written, on the way, at rest, and read so that it is there when the rest is over.
    assert store.writes_at[1] - store.writes_at[0] == pytest.approx(0.2 + 0.3 + 0.7)
    assert store.writes_at[1] - store.reads_at[1] == pytest.approx(0)


@pytest.mark.parametrize("trip", [0.0001, 0.05, 0.15, 5.0])
def test_a_batch_never_has_fewer_rows_than_the_pace_has(keyring: Keyring, day: Seconds, trip: float) -> None:
    """However long the way and the work are: over 150 ms it was one row after some batches, and stayed that."""
    store = Far(day, 1000, work=3.0, trip=trip)
    store.tempo = Tempo(rest=5.0, gentle_rows=100)

    rotate_far(store, keyring, RunOptions(gentle=True))

    assert min(store.sizes) >= 100


def test_without_a_server_a_batch_follows_all_of_its_time(keyring: Keyring, day: Seconds) -> None:
    """While it is written, nobody else can write to the file."""
    store = Far(day, 1000, work=3.0, trip=0.0)

    rotate_far(store, keyring, RunOptions(gentle=True))

    assert min(store.sizes) < 10


def test_a_run_without_rests_never_waits(keyring: Keyring, day: Seconds) -> None:
    """However much longer the last batch took to read than this one."""

    class SlowAtFirst(Far):
        def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
            self._wait(0.0 if self.reads_at else 5.0)
            return super().read(after, upto, limit)

    store = SlowAtFirst(day, 3, work=0.1, trip=0.01)
    rotate_far(store, keyring, RunOptions(full_speed=True, batch_size=1))

    # On the way from one write to the next: its answer, and two of a read.
    assert [later - before for before, later in pairwise(store.writes_at)] == pytest.approx([0.1 + 3 * 0.01] * 2)


@pytest.mark.parametrize(("trip", "parts"), [(0.0, 1), (0.0002, 1), (0.005, 3), (0.02, 10), (0.15, 10)])
def test_over_a_long_line_several_batches_are_read_at_once(trip: float, parts: int) -> None:
    """But for a given size, which is what was asked for."""
    paces = [Pacing(Speed.GENTLE, TEMPO), Pacing(Speed.FULL, TEMPO), Pacing(Speed.GENTLE, TEMPO, 5)]

    assert [pace.parts(trip) for pace in paces] == [parts, parts, 1]


@pytest.mark.parametrize("trip", [0.0, 0.03, 0.2])
def test_a_rate_is_kept_over_any_line(keyring: Keyring, day: Seconds, trip: float) -> None:
    """R22: --max-rate limits the rows per second."""
    store = Far(day, 200, work=0.01, trip=trip)

    rotate_far(store, keyring, RunOptions(max_rate=100, full_speed=True))

    assert store.sizes == [50] * 4
    assert [later - before for before, later in pairwise(store.writes_at)] == pytest.approx([0.5] * 3)


def test_a_lock_that_others_hold_is_a_write_of_others(keyring: Keyring, clock: Seconds) -> None:
    """A batch that had to be tried again met somebody, even if the database's numbers do not show it."""

    class Busy(MemoryStore):
        def write(self, *swaps: object) -> Written:
            self.retries += 1
            return Written(others=0)

    pace = Pacing(Speed.ADAPTIVE, TEMPO, clock=clock)
    pace.wrote(0)
    clock.now = 1.0
    pace.wrote(0)
    RangeWorker(OpenTarget(TARGET, Busy({1: token(OLD)}), keyring, RunOptions(), LocalOptions()), pace).do(Bounds())

    assert pace.words == "gentle: others write"
