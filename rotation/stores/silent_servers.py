"""Servers that say nothing: how long one is waited for, and which are known to be silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

LOOK_SECONDS = 0.1
"""How often to look whether somebody asked to stop."""
CONNECT_SECONDS = 7.0
"""How long to wait for one address of a server to take a connection; a url's `connect_timeout` says otherwise."""
GRACE_SECONDS = 1.0
"""How long a connection may still take to be made once somebody asked to stop: the ledger may need one."""
ADDRESSES = 2
"""So many addresses of a name are waited for, one after the other."""
TOTAL_SECONDS = 20.0
"""How long all silent servers together are waited for, before each further one gets LEAST_SECONDS."""
LEAST_SECONDS = 1.0
REMEMBERED_SECONDS = 60.0
"""How long a server that said nothing is not asked again."""

T = TypeVar("T")


class NoAnswerError(Exception):
    """The server said nothing for as long as it was waited for, or until somebody had asked to stop."""

    def __init__(self, words: str, *, stopped: bool = False) -> None:
        super().__init__(words)
        self.stopped = stopped


class Errand(Generic[T]):
    """Something that may never come back, in a thread of its own: it can be left there."""

    def __init__(self, act: Callable[[], T], tidy_up: Callable[[T], object] = lambda _: None) -> None:
        """Begins it. *tidy_up* gets what comes back after all, once nobody wants it any more."""
        self._act, self._tidy_up = act, tidy_up
        self._lock = threading.Lock()
        self._left = False
        self._done = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it is done, after *seconds* at most."""
        return self._done.wait(seconds)

    def result(self) -> T:
        """What it came to, once it is done; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def leave(self) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._left = True
            late = self._result if self._done.is_set() else []
        for result in late:
            self._tidy_up(result)

    def _run(self) -> None:
        try:
            self._result.append(self._act())
        except BaseException as error:
            self._error = error
        with self._lock:
            self._done.set()
            late = self._result if self._left else []
        for result in late:
            self._tidy_up(result)


class Silences:
    """Which servers said nothing lately, and how long that took."""

    def __init__(self) -> None:
        """None yet."""
        self._found: dict[Any, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def seconds_for(self, server: Any, wanted: float) -> float:
        """How long to wait for *server*; 0 where it is known to say nothing."""
        now = time.monotonic()
        with self._lock:
            self._found = {name: at for name, at in self._found.items() if now - at[0] < REMEMBERED_SECONDS}
            if server in self._found:
                return 0
            left = TOTAL_SECONDS - sum(waited for _, waited in self._found.values())
        return wanted if not self._found else min(wanted, max(left, LEAST_SECONDS))

    def note(self, server: Any, waited: float) -> None:
        """*server* said nothing for so many seconds."""
        with self._lock:
            self._found[server] = time.monotonic(), waited

    def forget(self) -> None:
        """All of them."""
        with self._lock:
            self._found.clear()


silences = Silences()
"""Those of this process: targets, ledger and search share them, since they may share a server."""
