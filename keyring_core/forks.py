"""Repairs a forked child: a lock that another thread held during the fork stays held there for ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

L = TypeVar("L")

_calls: list[Callable[[], None]] = []
# A registration must not keep an object, and its keys, alive.
_locks: WeakKeyDictionary[Any, Callable[[], Any]] = WeakKeyDictionary()


def call_in_children(call: Callable[[], None]) -> None:
    """Makes every forked child call *call*."""
    _calls.append(call)


def lock_of(owner: object, make: Callable[[], L]) -> L:
    """The lock for *owner*'s `_lock`, which *make* makes; every forked child gives *owner* another one."""
    _locks[owner] = make
    return make()


def forked() -> None:
    """Makes these calls and locks. Python does; some servers fork without its hooks."""
    for owner, make in [*_locks.items()]:
        owner._lock = make()
    for call in _calls:
        call()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forked)
