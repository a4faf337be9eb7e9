"""How a run is held back: it limits its rate, and waits while a pause file exists."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

PAUSE_SECONDS = 0.5
"""How often to check whether the pause file is gone."""

log = structlog.get_logger(__name__)


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

    def rest(self, rows: int, seconds: float) -> None:
        """Waits after a batch of *rows* that took *seconds* if it was faster than the rate."""
        if self.max_rate is not None:
            self.wait(max(0.0, rows / self.max_rate - seconds))

    def paused(self) -> bool:
        """Whether the pause file exists."""
        return self.pause_file is not None and os.path.exists(self.pause_file)
