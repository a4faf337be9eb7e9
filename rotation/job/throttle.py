"""How the job yields to services: how many rows the next batch takes, and when the job holds still."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

IDLE_SHARE = 7.0
"""Keeps a service's waits within twice what they are without a run: benchmarks/latency.py."""
ONE_WRITER = 2.0
"""So many times longer is the rest where a write keeps out every other one, and not only those of the same rows."""

PAUSE_SECONDS = 0.5
"""How often to look whether the pause file is gone."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Brake:
    """Holds the job back between two batches, while it has no transaction open."""

    wait: Callable[[float], None] = time.sleep
    """Sleeps for some seconds; raises StoppedError as soon as somebody asks to stop."""
    max_rate: float | None = None
    """Rows a second, at most."""
    pause_file: Path | None = None
    """The job waits for as long as this file is there."""
    idle_share: float = IDLE_SHARE
    """For so many times the time of a batch that wrote, the job then does nothing."""

    def limit(self, max_rows: int) -> int:
        """*max_rows*, or fewer where the rate asks for small and steady steps."""
        return max_rows if self.max_rate is None else max(1, min(max_rows, int(self.max_rate * PAUSE_SECONDS)))

    def hold(self) -> None:
        """Comes back when the job may go on."""
        self.wait(0)
        if not self.paused():
            return
        started = time.monotonic()
        # A warning, since a terminal shows no less: a run that stands still must say why.
        log.warning("rotation.paused", pause_file=str(self.pause_file))
        while self.paused():
            self.wait(PAUSE_SECONDS)
        log.warning("rotation.resumed", pause_file=str(self.pause_file), seconds=round(time.monotonic() - started, 1))

    def give_way(self, seconds: float, *, one_writer: bool = False) -> None:
        """Leaves disk and locks to services, in proportion to the *seconds* that a batch took to rotate and write."""
        self.wait(seconds * self.idle_share * (ONE_WRITER if one_writer else 1))

    def rest(self, rows: int, seconds: float) -> None:
        """Waits after a batch of *rows* that took *seconds*, where the rate asks for it."""
        if self.max_rate is not None:
            self.wait(max(0.0, rows / self.max_rate - seconds))

    def paused(self) -> bool:
        """Whether somebody wants the job to pause."""
        return self.pause_file is not None and os.path.exists(self.pause_file)
