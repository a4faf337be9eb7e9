"""A sleep that ends early if a stop was requested, so that a run stops between two batches."""

from __future__ import annotations

import time

from rotation.model.failures import CONTINUE, StoppedError

CHECK_SECONDS = 0.1
"""How often a wait checks whether a stop was requested."""
GRACE_SECONDS = 5.0
"""How long workers may still take for their batch after a stop was requested."""
STOPPED = f"stopped on request. {CONTINUE}"


class Stopping:
    """Whether a stop was requested."""

    stopping: bool = False
    """No Event: a signal handler may run while this same thread holds the Event's lock."""

    def wait(self, seconds: float) -> None:
        """Sleeps. Raises StoppedError as soon as a stop is requested."""
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, CHECK_SECONDS))
        if self.stopping:
            raise StoppedError(STOPPED)
