"""Repairs a forked child: a lock that another thread held during the fork stays held there for ever."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from inspect import ismethod

_calls: list[Callable[[], Callable[[], None] | None]] = []
"""What is to be called, or None if its object is gone."""


def call_in_children(call: Callable[[], None]) -> None:
    """Makes every forked child call *call*; if it is a method, as long as its object lives."""
    # A registration must not keep an object, and its keys, alive.
    _calls.append(weakref.WeakMethod(call) if ismethod(call) else lambda: call)


def forked() -> None:
    """Makes these calls, in the order of their registration. Python does; some servers fork without its hooks."""
    for alive in [*_calls]:
        if (call := alive()) is None:
            _calls.remove(alive)
        else:
            call()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forked)
