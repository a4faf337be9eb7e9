"""A keyring that follows its files and commands: read again when due, for an unknown token, and on request.

The way to the present keyring takes no lock: one look at the clock. One thread reads again, while the others go on
with the keyring that they have; a failure leaves that in force.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from keyring_core.errors import KeyConfigWarning, KeyringError
from keyring_core.forks import call_in_children
from keyring_core.health import KeyringStatus, Loaded, status_of
from keyring_core.keyring import Keyring
from keyring_core.sources import COMMAND_SECONDS

AGAIN_SECONDS = 10
"""How long a re-read waits for a command: less than a start, since there are keys to go on with."""
UNKNOWN_SECONDS = 1
"""How often an unknown token makes us read again, at most; and how long it waits for a read that is under way."""
_DISTINCT_ERRORS = 20

log = structlog.get_logger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Reloader:
    """Call it for the present keyring; the first call loads one, and a failure there leaves nothing behind.

    *load* reads what the process's variables name now, with that many seconds for each command: at first, and for
    `reload`. In between, `Loaded.again` reads. *clock* is monotonic; *now* is the time of day.
    """

    def __init__(
        self,
        load: Callable[[float], Loaded],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._load, self._clock, self._now = load, clock, now
        self._loaded: Loaded | None = None
        self._due = math.inf
        self._asked = -math.inf
        self._since = self._checked = datetime.min
        self._error: str | None = None
        self._told: set[str] = set()
        self._renew_lock()
        call_in_children(self._renew_lock)

    def __call__(self) -> Keyring:
        """The present keyring. Raises KeyConfigError where the first one cannot be loaded, never later."""
        # Read once: `reset` may come between a test and a second look.
        loaded = self._loaded
        if loaded is None:
            return self._first()
        if self._clock() >= self._due:
            self._look(timeout=0)
            loaded = self._loaded or loaded
        return loaded.keyring

    def renew(self, ring: Keyring) -> Keyring | None:
        """Another keyring than *ring*, which met a token that no key of it opens; None where there is none.

        Reads the sources again where they may have changed, at most once a second.
        """
        present = self()
        loaded = self._loaded
        if present is not ring or loaded is None or not loaded.follows():
            return present if present is not ring else None
        self._look(timeout=UNKNOWN_SECONDS, asked=True)
        present = self()
        return present if present is not ring else None

    def reload(self) -> bool:
        """Reads every source again, now; whether that worked. Where not, the present keyring stays in force.

        Raises KeyConfigError only where there is no keyring yet.
        """
        with self._lock:
            if self._loaded is None:
                self._first()
                return True
            return self._read_again(self._loaded, always=True)

    def was_read_from(self, variables: int) -> bool:
        """Whether the present keyring was named by variables of that fingerprint."""
        return self._loaded is not None and self._loaded.variables == variables

    def status(self) -> KeyringStatus:
        """Key ids, states, sources, times and the last error, for a health endpoint; no key.

        Looks at the sources where that is due, so that a service without requests follows them too.
        """
        try:
            self()
        except (KeyringError, KeyConfigWarning) as error:
            return status_of(None, None, None, str(error))
        return status_of(self._loaded, self._since, self._checked, self._error)

    def reset(self) -> None:
        """Forgets everything; the next call loads anew. For tests, and after the environment changed."""
        with self._lock:
            self._loaded, self._error = None, None
            self._due, self._asked = math.inf, -math.inf
            self._told.clear()

    def _renew_lock(self) -> None:
        # Reentrant: a signal handler that reloads may come while this very thread reads.
        self._lock = threading.RLock()

    def _first(self) -> Keyring:
        with self._lock:
            loaded = self._loaded or self._accept(self._load(COMMAND_SECONDS), None)
            return loaded.keyring

    def _look(self, *, timeout: float, asked: bool = False) -> None:
        """Reads the sources again where that is due, unless another thread is at it."""
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
        """Puts what the sources hold now into force, or tells why not. The caller holds the lock."""
        # Already now: reading may warn, and whoever writes the warning down may ask for the keyring.
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
        """Puts *loaded* into force by one assignment. The same keys stay the same object."""
        self._checked = self._now()
        if before is not None and _same_keys(before.keyring, loaded.keyring):
            loaded = loaded._replace(keyring=before.keyring)
        else:
            self._since = self._checked
        self._error = None
        self._told.clear()
        self._schedule(loaded)
        self._loaded = loaded
        if before is not None and before.keyring is not loaded.keyring:
            states = {key.id: str(state) for key, state in loaded.keyring.states.items()}
            log.info("keyring.reloaded", primary=loaded.keyring.primary.id, states=states)
        return loaded

    def _fail(self, error: Exception, loaded: Loaded) -> None:
        # Messages of ours hold no secret; of others only the class is safe to tell.
        ours = isinstance(error, KeyringError | KeyConfigWarning)
        self._error = str(error) if ours else f"reading the keys failed with {type(error).__name__}"
        self._schedule(loaded)
        if self._error in self._told:
            return
        if len(self._told) >= _DISTINCT_ERRORS:
            self._told.clear()
        self._told.add(self._error)
        log.warning("keyring.reload.failed", error=self._error, primary=loaded.keyring.primary.id)

    def _schedule(self, loaded: Loaded) -> None:
        self._due = self._clock() + loaded.every if loaded.follows() else math.inf


def _same_keys(one: Keyring, other: Keyring) -> bool:
    return list(one.states.items()) == list(other.states.items())
