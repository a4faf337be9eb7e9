"""A search of a file lets services go first: no process can write to it while another one reads."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_SECONDS = 0.5
"""The time between two looks whether others write."""
QUIET_SECONDS = 2.0
"""Seconds without writes of others before a search stops resting."""
ALONE_SECONDS, BESIDE_SECONDS = 0.2, 0.02
"""The time that a statement of a search aims at: while nobody else writes, and beside services."""


class Courtesy:
    """Of one search. Readers keep nobody waiting on a server, and need none there."""

    def __init__(
        self, wait: Callable[[float], None], *, full_speed: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*wait* sleeps for some seconds; it raises StoppedError as soon as a stop is requested.

        *full_speed*: no rest, whoever writes.
        """
        self._wait, self._full_speed, self._clock = wait, full_speed, clock
        self._written: int | None = None
        self._looked = self._saw_others = -float("inf")

    @property
    def seconds(self) -> float:
        """The time that the next statement aims at."""
        return BESIDE_SECONDS if self._is_beside else ALONE_SECONDS

    @property
    def _is_beside(self) -> bool:
        return not self._full_speed and self._clock() - self._saw_others < QUIET_SECONDS

    def look(self, written: Callable[[], int | None]) -> None:
        """Asks now and then for a number that grows when others write; None: it is not known."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        before, self._written = self._written, written()
        if None not in {before, self._written} and before != self._written:
            self._saw_others = self._clock()

    def rest(self, seconds: float) -> None:
        """After a statement that took *seconds*: beside services the file is free for as long."""
        self._wait(seconds if self._is_beside else 0)
