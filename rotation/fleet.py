"""For services: tell the ledger which keys this instance holds, so that no key is promoted or retired too early."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import structlog

from keyring_core import Keyring, KeyringError, KeyState, get_keyring
from keyring_core.config import LEDGER_URL

if TYPE_CHECKING:
    import sqlalchemy as sa

SECONDS = 60
"""An instance writes once in this time, at most."""

log = structlog.get_logger(__name__)
_lock = threading.Lock()
_last: dict[str, float] = {}
"""When this process wrote last, under each name."""


def announce(engine: sa.Engine | None = None, *, keyring: Keyring | None = None, instance: str | None = None) -> bool:
    """Writes instance name, key ids and time into the ledger; whether it did.

    Made for a health endpoint: it writes at most once a minute, and never raises; what goes wrong is logged. Without
    an *engine* the ledger is where `ROTATION_LEDGER_URL` says. *keyring* is the one in use (default: `get_keyring()`),
    *instance* the name of this process (default: host and process id).
    """
    name = instance or f"{socket.gethostname()}:{os.getpid()}"
    if not _due(name):
        return False
    try:
        return _write(engine, keyring or get_keyring(), name)
    except Exception as error:
        # A service must not fail for the sake of our bookkeeping. Its class tells enough; its text may hold a URL.
        log.warning("rotation.announce_failed", instance=name, error=type(error).__name__, reason=_reason(error))
        return False


def _due(name: str) -> bool:
    """Whether the minute is over. A try that fails counts, too: a ledger that is down is not asked at every request."""
    now = time.monotonic()
    with _lock:
        if name in _last and now - _last[name] < SECONDS:
            return False
        _last[name] = now
    return True


def _start_anew() -> None:
    """A fork is an instance of its own, and may have come while another thread held the lock."""
    global _lock  # noqa: PLW0603 - a lock cannot be unlocked by who does not hold it
    _lock = threading.Lock()
    _last.clear()


os.register_at_fork(after_in_child=_start_anew)


def _write(engine: sa.Engine | None, keyring: Keyring, name: str) -> bool:
    from rotation.ledger import InstanceRecord, Ledger, service_name, utc_now  # noqa: PLC0415 - SQLAlchemy is heavy

    url = os.environ.get(LEDGER_URL, "").strip()
    if engine is None and not url:
        log.warning("rotation.announce_failed", instance=name, reason=f"no engine, and {LEDGER_URL} is not set")
        return False
    ids = {state: [key.id for key, its in keyring.states.items() if its is state] for state in KeyState}
    record = InstanceRecord(
        instance=name[:200],
        service=service_name(os.environ),
        primary=keyring.primary.id,
        seen=utc_now(),
        previous=tuple(ids[KeyState.PREVIOUS]),
        staged=next(iter(ids[KeyState.STAGED]), None),
    )
    ledger = Ledger.over(engine) if engine is not None else Ledger.open(url, patient=False)
    try:
        ledger.announce(record)
    finally:
        if engine is None:
            ledger.close()
    return True


def _reason(error: Exception) -> str | None:
    if isinstance(error, ImportError):
        return f"{error.name} is missing; pip install 'keyring-core[rotate]'"
    return str(error) if isinstance(error, KeyringError) else None
