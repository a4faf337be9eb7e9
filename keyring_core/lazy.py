"""A value that is built on first use, once, whatever number of threads ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from keyring_core.forks import call_in_children

T = TypeVar("T")


class Lazy(Generic[T]):
    """Call it for the value. A build that raises leaves nothing behind, so the next call tries again."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._value: T | None = None
        self._renew_lock()
        call_in_children(self._renew_lock)

    def __call__(self) -> T:
        """The value; built by the first call."""
        # Read once: `reset` may come between a test and a second look.
        value = self._value
        if value is not None:
            return value
        with self._lock:
            if self._value is None:
                self._value = self._build()
            return self._value

    def reset(self) -> None:
        """Forgets the value; the next call builds it anew. For tests, and after the environment changed."""
        with self._lock:
            self._value = None

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
