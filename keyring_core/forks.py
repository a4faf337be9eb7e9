"""What a forked child has to set right: a lock that another thread held in that moment stays held there for ever."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def call_in_children(method: Callable[[], None]) -> None:
    """Has every child that is forked call *method*, as long as the object that it belongs to lives."""
    # A registration cannot be taken back, so it must not keep an object, and its keys, alive.
    alive = weakref.WeakMethod(method)

    def call() -> None:
        if (found := alive()) is not None:
            found()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
