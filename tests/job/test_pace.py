"""How fast a run goes beside others, and alone."""

from __future__ import annotations

import pytest

from keyring_core import Keyring
from rotation.job import ranges
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.pace import MOST_QUIET_SECONDS, Pacing, Speed
from rotation.job.ranges import Bounds, OpenTarget, RangeWorker
from rotation.stores.dialect import Tempo
from rotation.stores.store import Written
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
    clock.now = 1.0
    pace.wrote(0)

    assert (pace.rows, pace.rest, pace.words) == (100, 0.0, "fast: nobody else writes")


def test_a_write_of_others_makes_it_gentle_at_once(pace: Pacing, clock: Seconds) -> None:
    """From the next batch on."""
    clock.now = 1.0
    pace.wrote(0)
    pace.wrote(1)

    assert (pace.rows, pace.rest, pace.words) == (10, 3.0, "gentle: others write")


def test_each_write_that_meets_a_fast_batch_doubles_the_quiet_time(pace: Pacing, clock: Seconds) -> None:
    """So at most one write in each quiet time meets a fast batch; five minutes are the most."""
    waited = []
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


@pytest.mark.parametrize(("rest", "rested"), [(7.0, 0.7), (0.0, 0.0)])
def test_a_run_rests_after_a_write(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch, rest: float, rested: float
) -> None:
    """R22: for a multiple of the time that the batch took."""
    waited: list[float] = []
    store = MemoryStore({1: token(OLD)})
    store.tempo = Tempo(rest=rest)
    clock = iter(range(100))
    monkeypatch.setattr(ranges.time, "monotonic", lambda: next(clock) / 10)

    RangeWorker(OpenTarget(TARGET, store, keyring, RunOptions(), LocalOptions(waited.append))).do(Bounds())

    assert max(waited) == pytest.approx(rested)


def test_a_lock_that_others_hold_is_a_write_of_others(keyring: Keyring, clock: Seconds) -> None:
    """A batch that had to be tried again met somebody, even if the database's numbers do not show it."""

    class Busy(MemoryStore):
        def write(self, *swaps: object) -> Written:
            self.retries += 1
            return Written(others=0)

    pace = Pacing(Speed.ADAPTIVE, TEMPO, clock=clock)
    clock.now = 1.0
    pace.wrote(0)
    RangeWorker(OpenTarget(TARGET, Busy({1: token(OLD)}), keyring, RunOptions(), LocalOptions()), pace).do(Bounds())

    assert pace.words == "gentle: others write"
