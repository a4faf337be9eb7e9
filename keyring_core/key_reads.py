"""Counts in this process, for each key id, how often a token was opened under it, and when last. Holds no token.

A database cannot show who reads tokens that are in a queue, a cache or a file. The process that reads them can.

`next` of an `itertools.count` is one step of the interpreter, so threads and signal handlers lose no count, and none
waits for a lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime
from itertools import count, islice
from typing import NamedTuple

import structlog

from keyring_core.errors import SuspendedKey
from keyring_core.forks import call_in_children

log = structlog.get_logger(__name__)

DAY = 86_400.0
"""The least time in seconds between two events about one key."""
MINUTE = 60.0
"""The time in seconds until a process that has not configured its logging is asked again."""


class KeyReads(NamedTuple):
    """The reads with one key since this process began; the times are UTC."""

    opened: int = 0
    """Tokens that were opened under the key."""
    last_opened: datetime | None = None
    """While the key is primary: the first look at these numbers after it, such as a heartbeat's."""
    refused: int = 0
    """Tokens that were not opened, because the key is suspended."""
    last_refused: datetime | None = None


class Tally:
    """A number that only grows, with the time of its last change. Any thread may add to it without a lock."""

    __slots__ = ("_begun", "_dated", "_numbers", "due", "last", "undated")

    def __init__(self) -> None:
        self._numbers = count()
        self.undated = count()
        """Each number that is taken from it counts, and `date` sets the time: a look at the clock takes far longer."""
        self.reset()

    def reset(self) -> None:
        """Begins at zero again."""
        self._dated = _taken(self.undated)
        self._begun = _taken(self._numbers) + self._dated
        self.last = self.due = 0.0
        """The time of the last change; and from which time on the next event about it is due."""

    def add(self, number: int) -> None:
        """Adds *number*, now."""
        if number == 1:
            next(self._numbers)
        else:
            deque(islice(self._numbers, number), maxlen=0)
        if number:
            self.last = time.time()

    def total(self) -> int:
        """The number so far."""
        return _taken(self._numbers) + _taken(self.undated) - self._begun

    def date(self) -> None:
        """Sets the time of the last change to now, if anything was counted without one since the last call."""
        taken = _taken(self.undated)
        if taken != self._dated:
            self._dated, self.last = taken, time.time()

    def when(self) -> datetime | None:
        """The time of the last change; None without one."""
        return datetime.fromtimestamp(self.last, UTC) if self.last else None

    def is_news(self, seconds: float) -> bool:
        """True if the caller should log an event now; then for so many *seconds* no more."""
        # A thread that finds another one here has nothing to add.
        if not _saying.acquire(blocking=False):
            return False
        try:
            if self.last < self.due:
                return False
            self.due = self.last + seconds
            return True
        finally:
            _saying.release()


def _taken(numbers: count[int]) -> int:
    # Taking the next number would count as one more: its repr, `count(7)`, only shows it.
    return int(repr(numbers)[len("count(") : -1])


class ReadCounter(NamedTuple):
    """The reads with one key, as they are counted."""

    opened: Tally
    refused: Tally

    def reset(self) -> None:
        """Begins at zero again."""
        self.opened.reset()
        self.refused.reset()

    def look(self) -> KeyReads:
        """The numbers so far."""
        opened, refused = self.opened, self.refused
        opened.date()
        return KeyReads(opened.total(), opened.when(), refused.total(), refused.when())


_counters: dict[str, ReadCounter] = {}
_saying = threading.Lock()


def counter_of(key_id: str) -> ReadCounter:
    """The counter of that key, one for each id: a key that is bound or loaded again counts with the others."""
    return _counters.get(key_id) or _counters.setdefault(key_id, ReadCounter(Tally(), Tally()))


def refusal(key_id: str) -> SuspendedKey:
    """The error for a token under that key, which is suspended. Counts it, and logs it once a DAY."""
    refused = counter_of(key_id).refused
    refused.add(1)
    if refused.is_news(DAY):
        log.warning("keyring.key_refused", key_id=key_id, refused=refused.total())
    return SuspendedKey.under(key_id)


def say_read(key_id: str, state: str) -> None:
    """Logs, once a DAY, that a token was opened under that key, which is not the primary key."""
    opened = counter_of(key_id).opened
    # Without a configuration structlog prints, and a program that opens a token may print something of its own.
    configured = structlog.is_configured()
    if opened.is_news(DAY if configured else MINUTE) and configured:
        log.info("keyring.key_read", key_id=key_id, state=str(state), opened=opened.total())


def key_reads() -> dict[str, KeyReads]:
    """The reads of this process with each key that it has loaded, by key id. A forked child begins at zero.

    Counted are the tokens that a `Keyring` opens, alone or many at once, whatever called it.

    Examples:
        >>> before = key_reads()[keyring.primary.id].opened
        >>> plaintext = keyring.decrypt(keyring.encrypt("sk-live-1"))
        >>> key_reads()[keyring.primary.id].opened - before
        1
    """
    return {key_id: counter.look() for key_id, counter in list(_counters.items())}


def _reset() -> None:
    """A forked child is a process of its own, and may inherit a lock that another thread holds."""
    global _saying  # noqa: PLW0603 - one a process
    _saying = threading.Lock()
    for counter in _counters.values():
        counter.reset()


call_in_children(_reset)
