"""A search lets services go first: while others write, its threads together read no more than one would."""

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
    """Of one search, shared by its threads."""

    def __init__(
        self, wait: Callable[[float], None], threads: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*wait* sleeps for some seconds; it raises StoppedError as soon as a stop is requested."""
        self._wait, self._threads, self._clock = wait, threads, clock
        self._written: int | None = None
        self._looked = self._saw_others = -float("inf")

    @property
    def is_beside(self) -> bool:
        """True while others write."""
        return self._clock() - self._saw_others < QUIET_SECONDS

    @property
    def seconds(self) -> float:
        """The time that the next statement aims at."""
        return BESIDE_SECONDS if self.is_beside else ALONE_SECONDS

    def look(self, written: Callable[[], int | None]) -> None:
        """Asks now and then for a number that grows when others write; None: it is not known."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        before, self._written = self._written, written()
        if None not in {before, self._written} and before != self._written:
            self._saw_others = self._clock()

    def rest(self, seconds: float) -> None:
        """After a statement that took *seconds*. A file is free for half of the time, since it has but one thread."""
        self._wait(seconds * max(1, self._threads - 1) if self.is_beside else 0)
