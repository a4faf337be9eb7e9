"""Which server answers: one that began again, recovered from a crash or took over may lack what was written before.

Commits that do not wait for the disk are lost in a crash, and a standby that takes over may be behind. So a pass in
which the server changed proves nothing, and `rotation.stores.opened_table.Watch` says so. What a standby or a replica
does not have proves nothing either: `rotation.lifecycle.in_flight` refuses, and `status` and `check` say that they read
one.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from rotation.stores.watchdog import SILENT, NoAnswerError, Session

TOTAL_SECONDS = 20.0
"""Seconds to wait for all silent servers together, before each further one gets LEAST_SECONDS."""
LEAST_SECONDS = 1.0
REMEMBERED_SECONDS = 60.0
"""Seconds for which a server that did not answer is not asked again."""

SERVER = "rotation.server"
"""The name under which a connection notes the facts of its server, unless a pooler or a proxy is between."""
Fact = tuple[str, str]
"""What is known of a server: the name of the fact, and its value, which another server or another start has not."""


REPLICA: Fact = ("replica", "yes")
"""A server repeats what another one commits, and takes no writes of its own."""


def replica(is_one: object) -> Fact:
    """That fact, or its opposite: behind a balancer one transaction may find the first, and the next one the other."""
    return REPLICA if is_one else ("replica", "no")


class Replication(NamedTuple):
    """A server that repeats what another one commits."""

    words: str
    """For an admin: what it is, and how far behind, if it says so."""
    remedy: str
    """What to do before a key is retired."""
    is_current: bool = False
    """True if it takes writes of its own, and has all that has arrived: a primary that also replicates."""
    is_known: bool = True
    """False if this user may not ask whether it repeats anything."""


class Peer(NamedTuple):
    """The server at the other end of a new connection."""

    facts: tuple[Fact, ...] = ()
    session: Session | None = None
    """How it knows all transactions of the connection; None if each transaction notes that itself, under SESSION."""


class TooOldError(NoAnswerError):
    """A database of a version that lacks what the statements of this package need."""

    def __init__(self, product: str, version: Sequence[int], oldest: Sequence[int]) -> None:
        """*oldest*: the first version that has it."""
        super().__init__(f"{product} {_dotted(version)} is too old: it has to be {_dotted(oldest)} or later")
        self.is_silence = False


def version_in(text: str) -> Sequence[int]:
    """The version at the start of a server's own *text*, such as 16.14 (Debian 16.14-1) or 11.8.9-MariaDB."""
    found = re.match(r"[\d.]*", text)
    return [int(part) for part in found[0].split(".") if part] if found else ()


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def is_one(facts: Collection[Fact]) -> bool:
    """True if *facts* can be those of one server that has not begun again: no fact has two values."""
    return len({name for name, _ in facts}) == len({*facts})


class SilentServers:
    """The servers that did not answer lately, the seconds that each was waited for, and the reason in words."""

    def __init__(self) -> None:
        """Knows no server yet."""
        self._found: dict[Any, tuple[float, float, str]] = {}
        self._lock = threading.Lock()

    def seconds_for(self, server: Any, wanted: float) -> float:
        """Seconds to wait for *server*; 0 if it did not answer lately."""
        now = time.monotonic()
        with self._lock:
            self._found = {name: at for name, at in self._found.items() if now - at[0] < REMEMBERED_SECONDS}
            if server in self._found:
                return 0
            left = TOTAL_SECONDS - sum(waited for _, waited, _ in self._found.values())
        return wanted if not self._found else min(wanted, max(left, LEAST_SECONDS))

    def record(self, server: Any, waited: float, words: str = SILENT) -> None:
        """Records that *server* did not answer for *waited* seconds, and why in *words*."""
        with self._lock:
            self._found[server] = time.monotonic(), waited, words

    def words_for(self, server: Any) -> str:
        """The words that were recorded for *server*."""
        with self._lock:
            return self._found[server][2] if server in self._found else SILENT

    def forget(self, server: Any = None) -> None:
        """Removes *server*, so that it is asked again; without one, all."""
        with self._lock:
            self._found = {name: at for name, at in self._found.items() if server is not None and name != server}


known_silent = SilentServers()
"""Of this process. Targets, ledger and discovery share them, since they may share a server."""

seen_replicas: dict[str, float] = {}
"""The databases that transactions of this process found on a standby or a replica, and when by the monotonic clock.

Each transaction records it, of each thread: a balancer may lead any of them to another server.
"""
