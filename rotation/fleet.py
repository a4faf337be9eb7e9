"""For services: tell the ledger which keys this instance holds, so that no key is promoted or retired too early."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import structlog

from keyring_core import Keyring, KeyringError, KeyState, get_keyring
from keyring_core.environment import LEDGER_URL
from rotation.model.text import install

if TYPE_CHECKING:
    import sqlalchemy as sa

SECONDS = 60
"""An instance writes once in this time, at most."""

log = structlog.get_logger(__name__)
_lock = threading.Lock()
_last: dict[str, float] = {}
"""When this process wrote last, under each name."""
_told: dict[str, str] = {}
"""The ledger that was logged last, under each name."""

TABLE_PREFIX = "keyring_ledger_"
_NO_LEDGER = f"no engine, and {LEDGER_URL} is not set: give it the ledger that rotate.py looks into"
_ASYNCHRONOUS = (
    f"the engine is asynchronous: give a synchronous one, or none where {LEDGER_URL} is set, and call it through "
    "asyncio.to_thread"
)


def announce(engine: sa.Engine | None = None, *, keyring: Keyring | None = None, instance: str | None = None) -> bool:
    """Writes instance name, key ids and time into the ledger; whether it did.

    Made for a health endpoint: it writes at most once a minute, and never raises; what goes wrong is logged, and once
    which ledger it is. Without an *engine*, which is a synchronous one, the ledger is where `ROTATION_LEDGER_URL`
    says. *keyring* is the one in use (default: `get_keyring()`), *instance* the name of this process (default: host
    and process id). It waits for the database: an asynchronous service calls it through `asyncio.to_thread`.
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


def include_object(item: object, name: str | None, type_: str, reflected: bool, compare_to: object) -> bool:  # noqa: FBT001
    """For Alembic's `include_object`: all but the ledger's tables, which `keyring-rotate ledger init` makes."""
    del item, reflected, compare_to
    return not (type_ == "table" and (name or "").startswith(TABLE_PREFIX))


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
    _told.clear()


os.register_at_fork(after_in_child=_start_anew)


def _write(engine: sa.Engine | None, keyring: Keyring, name: str) -> bool:
    from rotation.ledger.ledger import Ledger, service_name, utc_now  # noqa: PLC0415 - SQLAlchemy is heavy
    from rotation.ledger.records import InstanceRecord  # noqa: PLC0415 - SQLAlchemy is heavy

    url = os.environ.get(LEDGER_URL, "").strip()
    fault = _NO_LEDGER if engine is None and not url else _ASYNCHRONOUS if hasattr(engine, "sync_engine") else None
    if fault:
        log.warning("rotation.announce_failed", instance=name, reason=fault)
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
        _tell_where(name, ledger.name)
    finally:
        if engine is None:
            ledger.close()
    return True


def _tell_where(name: str, ledger: str) -> None:
    """Once for each ledger: `keys promote` names the one that it looks into, and the two can be compared."""
    if _told.get(name) != ledger:
        _told[name] = ledger
        log.info("rotation.announced", instance=name, ledger=ledger)


def _reason(error: Exception) -> str | None:
    if isinstance(error, ImportError):
        return f"{error.name} is missing; {install()}"
    return str(error) if isinstance(error, KeyringError) else None
