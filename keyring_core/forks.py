"""Repairs objects in a forked child: a lock that another thread held during the fork stays held there for ever."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def call_in_children(method: Callable[[], None]) -> None:
    """Makes every forked child call *method*, as long as its object lives."""
    # A registration cannot be undone, so it must not keep an object, and its keys, alive.
    alive = weakref.WeakMethod(method)

    def call() -> None:
        if (found := alive()) is not None:
            found()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
