"""The threads that share the work of this process: their number, and how one is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from rotation.model.failures import CHECK_SECONDS

MOST_THREADS = 3
"""One process of Python gains nothing from more."""


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_threads() -> int:
    """One more than there are processors, since each waits for its database for a part of the time."""
    return min(cores() + 1, MOST_THREADS)


def wait_for(future: Future[Any], sleep: Callable[[float], None], check: Callable[[], object] = lambda: None) -> None:
    """Returns when *future* is done. *sleep* raises StoppedError on request, and *check* if it will not be done."""
    while not wait([future], CHECK_SECONDS).done:
        sleep(0)
        check()
