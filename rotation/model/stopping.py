"""Waiting that somebody can end: a run that is asked to stop does so between two batches."""

from __future__ import annotations

import time

from rotation.model.failures import StoppedError

LOOK_SECONDS = 0.1
STOPPED = "stopped on request. What is done stays; run it again to go on."


class Stopping:
    """Whether somebody asked to stop."""

    stopping: bool = False
    """No Event: a signal handler may come while this very thread holds its lock."""

    def wait(self, seconds: float) -> None:
        """Sleeps. Raises StoppedError as soon as somebody asks to stop."""
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))
        if self.stopping:
            raise StoppedError(STOPPED)
