"""The pace of a run: gentle while services write, and fast while nobody else does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from rotation.stores.connection import Line
from rotation.stores.dialect import Tempo

QUIET_SECONDS, MOST_QUIET_SECONDS = 1.0, 300.0
"""Seconds without writes of others before a run speeds up; doubled after each write that met it fast."""

MOST_PARTS, PART_SECONDS = 10, 0.002
"""The batches that are read at once, one more for each of these seconds of a round trip."""

HELD_SECONDS, HELD_ROWS = 0.5, 10
"""The most time for which the rows of a transaction stay locked, unless these are fewer."""

log = structlog.get_logger(__name__)


class Speed(StrEnum):
    """The paces that an admin may ask for."""

    ADAPTIVE = "adaptive"
    GENTLE = "gentle"
    FULL = "full"


class Pacing:
    """The pace of one target, shared by the threads that work on it."""

    def __init__(
        self,
        speed: Speed,
        tempo: Tempo,
        max_rows: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*max_rows* bounds each batch, whatever the pace."""
        self._speed, self._tempo, self._max_rows, self._clock = speed, tempo, max_rows, clock
        self._lock = threading.Lock()
        self._is_fast = False
        self._quiet = QUIET_SECONDS
        self._since: float | None = None
        """The beginning of the quiet time; None before the first write, before which nobody looked."""
        self._saw_others = False
        self._in_time = self._tempo.full_rows
        """The rows that are written in HELD_SECONDS."""

    @property
    def rows(self) -> int:
        """The most rows of the next batch, unless several are read at once."""
        if self._speed is Speed.FULL:
            rows = self._tempo.full_rows
        else:
            rows = self._tempo.fast_rows if self._is_fast else self._tempo.gentle_rows
        return rows if self._max_rows is None else min(rows, self._max_rows)

    @property
    def rows_at_once(self) -> int:
        """The most rows of the next transaction."""
        return self.rows if self._speed is Speed.FULL else min(self.rows, self._in_time)

    def parts(self, trip: float) -> int:
        """The batches that are read at once over a line whose round *trip* takes so many seconds."""
        return 1 if self._max_rows else min(MOST_PARTS, 1 + int(trip / PART_SECONDS))

    @property
    def least(self) -> int:
        """The fewest rows of a batch, however long they take."""
        return min(self._tempo.gentle_rows, self._max_rows or self._tempo.gentle_rows)

    @property
    def rest(self) -> float:
        """The rest after a batch that wrote, as a multiple of its time without the way to the server and back."""
        return 0.0 if self._speed is Speed.FULL or self._is_fast else self._tempo.rest

    @property
    def words(self) -> str:
        """The pace and its reason."""
        if self._speed is Speed.FULL:
            return "full speed"
        if self._speed is Speed.GENTLE:
            return "gentle"
        if self._is_fast:
            return "fast: nobody else writes"
        return "gentle: others write" if self._saw_others else "gentle: looking whether others write"

    def took(self, rows: int, seconds: float) -> None:
        """To write so many *rows* was so many *seconds* of work: behind a slow trigger fewer are locked at once."""
        self._in_time = max(HELD_ROWS, int(rows * HELD_SECONDS / max(seconds, 1e-6)))

    def wrote(self, others: int | None) -> None:
        """A batch was written; *others* have written so often since the last one, None if that is unknown."""
        if self._speed is not Speed.ADAPTIVE:
            return
        with self._lock:
            now = self._clock()
            if others:
                if self._is_fast:
                    self._quiet = min(2 * self._quiet, MOST_QUIET_SECONDS)
                self._turn(fast=False)
                self._since, self._saw_others = now, True
            elif others is None or self._since is None:
                self._since = now
            elif now - self._since >= self._quiet:
                self._turn(fast=True)

    def _turn(self, *, fast: bool) -> None:
        if fast != self._is_fast:
            self._is_fast = fast
            log.info("rotation.pace", pace="fast" if fast else "gentle", quiet_seconds=self._quiet)


PAUSE_SECONDS = 0.5
"""The time between two looks for the pause file."""


@dataclass(frozen=True)
class Throttle:
    """Delays the run between two batches, while it has no open transaction."""

    wait: Callable[[float], None] = time.sleep
    """Sleeps for some seconds; raises StoppedError as soon as a stop is requested."""
    max_rate: float | None = None
    """Rows per second, at most."""
    pause_file: Path | None = None
    """The run waits while this file exists."""

    def limit(self, max_rows: int) -> int:
        """*max_rows*, or fewer: at a low rate, small and steady batches."""
        return max_rows if self.max_rate is None else max(1, min(max_rows, int(self.max_rate * PAUSE_SECONDS)))

    def hold(self) -> None:
        """Returns when the run may go on."""
        self.wait(0)
        if not self.paused():
            return
        started = time.monotonic()
        # A warning, since a terminal shows no lower level, and a run that waits must say why.
        log.warning("rotation.paused", pause_file=str(self.pause_file))
        while self.paused():
            self.wait(PAUSE_SECONDS)
        log.warning("rotation.resumed", pause_file=str(self.pause_file), seconds=round(time.monotonic() - started, 1))

    def seconds_for(self, rows: int) -> float:
        """The least time for a batch of *rows*, its rest included."""
        return 0.0 if self.max_rate is None else rows / self.max_rate

    def paused(self) -> bool:
        """True if the pause file exists."""
        return self.pause_file is not None and os.path.exists(self.pause_file)


class Rests:
    """The rest between two batches, at whose end the next one is read: then no time is lost on the way to a server."""

    def __init__(self, throttle: Throttle, line: Line) -> None:
        """What is on its way over the *line* to a server is no work."""
        self._throttle, self.line = throttle, line
        self._over = self._due = time.monotonic()
        """When the rest is over, but for the work of a read, which is no rest; and when the rate allows a batch."""
        self._began = self._ready = self._over
        """When the batch began to be read, and when it was read and might be written."""
        self._travelled_before = self.line.travelled
        """As `Line.travelled`, when the batch began to be read."""
        self._reading = self._way = 0.0
        """Seconds that the last batch took to read, and those of them that were on the way."""
        self.waited = 0.0
        """Seconds of all waits so far."""

    def worked(self) -> float:
        """Seconds of a clock that stands still on the way to a server and during a rest: differences count."""
        return time.monotonic() - self.line.travelled - self.waited

    def before_read(self) -> None:
        """Waits until the next batch, if it is read as fast as the last one, is read when the rest is over."""
        self._wait(max(self._over - self._way, self._due - self._reading) - time.monotonic())
        self._began, self._travelled_before = time.monotonic(), self.line.travelled

    def after_read(self) -> None:
        """Waits until the rest is over: then the batch may be written."""
        now = time.monotonic()
        self._reading, self._way = now - self._began, self.line.travelled - self._travelled_before
        if (left := max(self._over + self._reading - self._way, self._due) - now) > 0:
            self._wait(left)
        self._ready = time.monotonic()

    def wrote(self, seconds: float, travelled: float) -> None:
        """A rest of *seconds* begins; the seconds that the writes *travelled* are a part of it."""
        self._over = time.monotonic() + seconds - travelled

    def done(self, rows: int) -> None:
        """The batch had *rows*; if it was faster than the rate, the next one has to wait."""
        self._due = self._ready + self._throttle.seconds_for(rows)

    def _wait(self, seconds: float) -> None:
        started = time.monotonic()
        try:
            self._throttle.wait(max(0.0, seconds))
        finally:
            self.waited += time.monotonic() - started
