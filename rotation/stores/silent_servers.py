"""Servers that do not answer: how long to wait for one, and which ones did not answer lately."""

from __future__ import annotations

import threading
import time
from typing import Any

CONNECT_SECONDS = 7.0
"""How long to wait for one address of a server to accept a connection; a url's `connect_timeout` replaces it."""
CONNECT_GRACE_SECONDS = 1.0
"""How long connecting may still take after a stop was requested: the ledger may need a connection."""
ADDRESSES = 2
"""How many addresses of a name to allow time for, one after the other."""
TOTAL_SECONDS = 20.0
"""How long to wait for all silent servers together, before each further one gets LEAST_SECONDS."""
LEAST_SECONDS = 1.0
REMEMBERED_SECONDS = 60.0
"""How long a server that did not answer is not asked again."""

SILENT = "the server does not answer: it hangs, a firewall drops the packets, or something else listens there"
STOPPED = "stopped while the database did not answer"


class NoAnswerError(Exception):
    """The server did not answer in time, or not before a requested stop."""

    def __init__(self, *, stopped: bool = False) -> None:
        super().__init__(STOPPED if stopped else SILENT)
        self.stopped = stopped


class SilentServers:
    """Which servers did not answer lately, and how long each was waited for."""

    def __init__(self) -> None:
        """Knows no server yet."""
        self._found: dict[Any, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def seconds_for(self, server: Any, wanted: float) -> float:
        """How long to wait for *server*; 0 if it did not answer lately."""
        now = time.monotonic()
        with self._lock:
            self._found = {name: at for name, at in self._found.items() if now - at[0] < REMEMBERED_SECONDS}
            if server in self._found:
                return 0
            left = TOTAL_SECONDS - sum(waited for _, waited in self._found.values())
        return wanted if not self._found else min(wanted, max(left, LEAST_SECONDS))

    def record(self, server: Any, waited: float) -> None:
        """Records that *server* did not answer for *waited* seconds."""
        with self._lock:
            self._found[server] = time.monotonic(), waited

    def forget(self) -> None:
        """Removes all servers."""
        with self._lock:
            self._found.clear()


known_silent = SilentServers()
"""Those of this process. Targets, ledger and discovery share them, since they may share a server."""
