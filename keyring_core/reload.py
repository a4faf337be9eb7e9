"""A keyring that follows its files and commands: read again when due, for an unknown token, and on request.

Getting the current keyring takes no lock, only a look at the clock. One thread reads again while the others keep
working with the current keyring. If reading fails, that keyring stays.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypedDict, TypeVar

import structlog

from keyring_core.errors import (
    InvalidToken,
    KeyConfigError,
    KeyConfigWarning,
    KeyringError,
    SuspendedKey,
    UndecryptableToken,
)
from keyring_core.forks import lock_of
from keyring_core.key_reads import KeyReads, key_reads
from keyring_core.keyring import Keyring
from keyring_core.keys import KeyState
from keyring_core.sources import COMMAND_SECONDS, KeyOrigin, SourceKind

AGAIN_SECONDS = 10
"""The time that a re-read waits for a command: less than at the start, since there are keys to work with."""
UNKNOWN_SECONDS = 1
"""Unknown tokens cause at most one read in this time; a call waits as long for a read by another thread."""
_DISTINCT_ERRORS = 20

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Loaded(NamedTuple):
    """A keyring, the sources of its keys, and how often to check them, in seconds; 0 is never."""

    keyring: Keyring
    sources: Mapping[str, KeyOrigin]
    every: float
    variables: int
    """A fingerprint of this project's variables."""
    again: Callable[[float], Loaded]
    """Reads the same sources again, even if the variables changed; takes the seconds for each command."""

    def follows(self) -> bool:
        """True if its sources are checked regularly."""
        return self.every > 0 and any(source.kind is not SourceKind.VARIABLE for source in self.sources.values())

    def may_differ(self) -> bool:
        """True if reading again may give other keys."""
        return any(source.may_differ() for source in self.sources.values())


class KeyStatus(TypedDict):
    """One key, as a health endpoint shows it; its reads are the ones of this process."""

    id: str
    state: str
    opened: int
    """Tokens that were opened under it."""
    last_opened: str | None
    refused: int
    """Tokens that were not opened, because it is suspended."""
    last_refused: str | None


class KeyringStatus(TypedDict):
    """The status of a keyring; times are UTC in ISO 8601."""

    primary: str | None
    keys: list[KeyStatus]
    sources: dict[str, str]
    """Each variable with the kind of its source: variable, file, command."""
    reload_seconds: float | None
    loaded: str | None
    """The time since which these keys are in force."""
    checked: str | None
    """The time at which the sources were last found to hold these keys."""
    error: str | None
    """The reason why the last attempt to read them failed; None after a success."""


def may_open_later(error: InvalidToken) -> bool:
    """True if *error* is of a token that a newer keyring may open: its key is unknown here, or suspended."""
    return type(error) in {UndecryptableToken, SuspendedKey}


class Reloader:
    """Call it for the current keyring. The first call loads it; if that fails, the next call tries again.

    *load* reads the keys that the process's variables name now, and takes the seconds for each command: it is called at
    the start, and for `reload`. In between, `Loaded.again` reads. *clock* is monotonic; *now* is the time of day.
    """

    def __init__(
        self,
        load: Callable[[float], Loaded],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._load, self._clock, self._now = load, clock, now
        self._loaded: Loaded | None = None
        self._due = math.inf
        self._asked = -math.inf
        self._since = self._checked = datetime.min
        self._error: str | None = None
        self._first_fault: tuple[str] | None = None
        """The message of the last first load that failed: another object for each."""
        self._logged: set[str] = set()
        # Reentrant: a signal handler that reloads may interrupt this thread while it reads.
        self._lock = lock_of(self, threading.RLock)

    def __call__(self) -> Keyring:
        """The current keyring. Raises KeyConfigError if the first one cannot be loaded, never later."""
        # Read once: another thread may call `reset` between two reads.
        loaded = self._loaded
        if loaded is None:
            return self._first()
        if self._clock() >= self._due:
            self._look(timeout=0)
            loaded = self._loaded or loaded
        return loaded.keyring

    def renew(self, ring: Keyring) -> Keyring | None:
        """A newer keyring than *ring*, which cannot open a token; None if *ring* is the newest.

        Reads the sources again if they may have changed, at most once a second.
        """
        current = self()
        loaded = self._loaded
        if current is ring and loaded is not None and loaded.follows():
            self._look(timeout=UNKNOWN_SECONDS, asked=True)
            current = self()
        return None if current is ring else current

    def opening(self, action: Callable[[Keyring], T]) -> T:
        """The result of *action* for the current keyring; if none of its keys opens a token, for a newer keyring.

        Another process may use a key that this one has not read yet; or a suspended key is in use again.

        Examples:
            >>> token = get_keyring().encrypt("sk-live-1")
            >>> get_keyring.opening(lambda keyring: keyring.decrypt(token))
            'sk-live-1'
        """
        ring = self()
        try:
            return action(ring)
        except InvalidToken as error:
            newer = self.renew(ring) if may_open_later(error) else None
            if newer is None:
                raise
        return action(newer)

    def reload(self) -> bool:
        """Reads every source again now. True if that worked; otherwise the current keyring stays.

        Raises KeyConfigError only if there is no keyring yet.

        Examples:
            >>> get_keyring.reload()
            True
        """
        with self._lock:
            if self._loaded is None:
                self._first()
                return True
            return self._read_again(self._loaded, always=True)

    @property
    def is_loaded(self) -> bool:
        """True if it has a keyring now."""
        return self._loaded is not None

    def was_read_from(self, variables: int) -> bool:
        """True if the current keyring comes from variables with this fingerprint."""
        return self._loaded is not None and self._loaded.variables == variables

    def status(self) -> KeyringStatus:
        """Key ids, states, reads, sources, times and the last error, for a health endpoint; no key.

        Checks the sources if that is due, so that a service without requests follows them too.

        Examples:
            >>> get_keyring.status()["keys"]
            [{'id': '...', 'state': 'primary', 'opened': ..., 'last_opened': ..., 'refused': 0, 'last_refused': None}]
        """
        try:
            self()
            loaded, error = self._loaded, self._error
        except (KeyringError, KeyConfigWarning) as fault:
            loaded, error = None, str(fault)
        states = loaded.keyring.states if loaded else {}
        reads = key_reads()
        return {
            "primary": loaded.keyring.primary.id if loaded else None,
            "keys": [_status(key.id, state, reads) for key, state in states.items()],
            "sources": {name: str(source.kind) for name, source in loaded.sources.items()} if loaded else {},
            "reload_seconds": loaded.every if loaded else None,
            "loaded": _iso(self._since) if loaded else None,
            "checked": _iso(self._checked) if loaded else None,
            "error": error,
        }

    def reset(self) -> None:
        """Forgets everything; the next call loads again. For tests, and after the environment changed."""
        with self._lock:
            self._loaded, self._error = None, None
            self._due, self._asked = math.inf, -math.inf
            self._logged.clear()

    def _first(self) -> Keyring:
        before = self._first_fault
        with self._lock:
            if self._loaded is None and self._first_fault and self._first_fault is not before:
                # Another thread tried while this one waited: each of many would take as long, one after the other.
                raise KeyConfigError(*self._first_fault)
            try:
                loaded = self._loaded or self._accept(self._load(COMMAND_SECONDS), None)
            except KeyConfigError as error:
                self._first_fault = (str(error),)
                raise
            return loaded.keyring

    def _look(self, *, timeout: float, asked: bool = False) -> None:
        """Reads the sources again if that is due, unless another thread does it."""
        lock = self._lock
        if not lock.acquire(timeout=timeout):
            return
        try:
            loaded, due = self._loaded, self._asked + UNKNOWN_SECONDS if asked else self._due
            if loaded is not None and self._clock() >= due:
                self._read_again(loaded)
                self._asked = self._clock() if asked else self._asked
        finally:
            lock.release()

    def _read_again(self, loaded: Loaded, *, always: bool = False) -> bool:
        """Uses the keys that the sources hold now, or logs the reason against it. The caller holds the lock."""
        # Before reading: reading may warn, and code that shows the warning may ask for the keyring.
        self._schedule(loaded)
        try:
            if always or loaded.may_differ():
                loaded = (self._load if always else loaded.again)(AGAIN_SECONDS)
        except Exception as error:
            self._fail(error, loaded)
            return False
        self._accept(loaded, self._loaded)
        return True

    def _accept(self, loaded: Loaded, before: Loaded | None) -> Loaded:
        """Makes *loaded* current by one assignment. If the keys are the same, the keyring stays the same object."""
        self._checked = self._now()
        if before is not None and list(before.keyring.states.items()) == list(loaded.keyring.states.items()):
            loaded = loaded._replace(keyring=before.keyring)
        else:
            self._since = self._checked
        self._error = None
        self._logged.clear()
        self._schedule(loaded)
        self._loaded = loaded
        if before is not None and before.keyring is not loaded.keyring:
            states = {key.id: str(state) for key, state in loaded.keyring.states.items()}
            log.info("keyring.reloaded", primary=loaded.keyring.primary.id, states=states)
        return loaded

    def _fail(self, error: Exception, loaded: Loaded) -> None:
        # This project's messages hold no secret; of another error only the class is safe to show.
        own = isinstance(error, KeyringError | KeyConfigWarning)
        self._error = str(error) if own else f"reading the keys failed with {type(error).__name__}"
        self._schedule(loaded)
        if self._error in self._logged:
            return
        if len(self._logged) >= _DISTINCT_ERRORS:
            self._logged.clear()
        self._logged.add(self._error)
        log.warning("keyring.reload.failed", error=self._error, primary=loaded.keyring.primary.id)

    def _schedule(self, loaded: Loaded) -> None:
        self._due = self._clock() + loaded.every if loaded.follows() else math.inf


def _status(key_id: str, state: KeyState, reads: Mapping[str, KeyReads]) -> KeyStatus:
    own = reads.get(key_id, KeyReads())
    return {
        "id": key_id,
        "state": str(state),
        "opened": own.opened,
        "last_opened": _iso(own.last_opened),
        "refused": own.refused,
        "last_refused": _iso(own.last_refused),
    }


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat(timespec="seconds")
