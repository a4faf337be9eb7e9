"""For services: records in the ledger which keys an instance holds, so that no key is promoted or retired too early."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from keyring_core import Keyring, KeyringError, KeyState, get_keyring, key_set
from keyring_core.environment import LEDGER_URL
from keyring_core.key_reads import key_reads
from rotation.model.text import install

if TYPE_CHECKING:
    import sqlalchemy as sa

    from rotation.ledger.ledger import Ledger
    from rotation.ledger.records import InstanceRecord, ReadRecord

SECONDS = 60
"""The least time between two writes of an instance."""
LEAVE_SECONDS = 2.0
"""The longest wait of a process that ends for the ledger."""

log = structlog.get_logger(__name__)
_lock = threading.Lock()
_ended = threading.Event()
"""Set when the process stops announcing: its threads end."""
_beats: list[threading.Thread] = []
_last: dict[str, float] = {}
"""When this process wrote last, per instance name and key set."""
_logged: dict[tuple[str, str], tuple[str, str]] = {}
"""The ledger and the primary key that were logged last, per service and instance name."""

TABLE_PREFIX = "keyring_ledger_"
_NO_LEDGER = f"no engine, and {LEDGER_URL} is not set: give it the ledger that keyring-rotate reads"
_ASYNCHRONOUS = (
    f"the engine is asynchronous: give a synchronous one, or none if {LEDGER_URL} is set, and call it through "
    "asyncio.to_thread"
)


def announce(
    engine: sa.Engine | None = None,
    *,
    keyring: Keyring | None = None,
    instance: str | None = None,
    keys: str | None = None,
) -> bool:
    """Records instance name, key ids, time and reads with each key in the ledger; returns whether it did.

    Made for a health endpoint: it writes at most once a minute, and never raises. It logs errors, and the ledger's name
    and the primary key's id at first and when one of them changes. *engine* is a synchronous SQLAlchemy engine; without
    it `ROTATION_LEDGER_URL` names the ledger. *keyring* is the one in use (default: `get_keyring()`), *instance* the
    name of this process (default: host and process id). *keys* names a key set of this process, which has an entry of
    its own. It waits for the database: an asynchronous service calls it through `asyncio.to_thread`.

    When the process ends normally, it removes its entry, for which it waits at most two seconds. The entry of a process
    that was killed, or that ended by `os._exit` without `stop_announcing`, counts for ten minutes after it was written.
    """
    name = instance or f"{socket.gethostname()}:{os.getpid()}"
    if not _due(name if keys is None else f"{name}/{keys}"):
        return False
    try:
        return _write(engine, keyring or (get_keyring if keys is None else key_set(keys))(), name, keys)
    except Exception as error:
        # A service must not fail because of the ledger. The text of an unknown error may hold a URL: log its class.
        reason = str(error) if isinstance(error, KeyringError) else None
        if isinstance(error, ImportError):
            reason = f"{error.name} is missing; {install()}"
        log.warning("rotation.announce_failed", instance=name, error=type(error).__name__, reason=reason)
        return False


def keep_announcing(engine: sa.Engine | None = None, *, instance: str | None = None, keys: str | None = None) -> None:
    """Announces this process from a thread, now and once a minute until it ends: for a worker without health endpoint.

    A forked process has no thread of its parent: call it in each process, such as in Celery's `worker_process_init`.
    If a process ends by `os._exit`, as Celery's and RQ's do, let it call `stop_announcing`. The rest is as for
    `announce`.
    """
    ended = _ended

    def beat() -> None:
        while True:
            announce(engine, instance=instance, keys=keys)
            if ended.wait(SECONDS):
                return

    # A daemon, as below: it must not keep a process alive.
    thread = threading.Thread(target=beat, name=f"{__name__}.beat", daemon=True)
    _beats.append(thread)
    thread.start()


def stop_announcing() -> None:
    """Removes this process's entries, and records its last reads: for a process that ends by `os._exit`.

    Such as one of Celery's pool, in `worker_process_shutdown`; other processes that end normally do this by themselves.
    It waits at most two seconds for the ledger. The process may announce itself again after it.
    """
    _ended.set()
    end = time.monotonic() + LEAVE_SECONDS
    for beat in _beats:
        # What it is writing now would come after the end.
        beat.join(max(0, end - time.monotonic()))
    # Some servers fork without Python's hooks: their child has its parent's entries, and no thread to wait for.
    if _leaver and _leaver.process == os.getpid():
        _leaver.leave(end)
    _reset()


def include_object(item: object, name: str | None, type_: str, reflected: bool, compare_to: object) -> bool:  # noqa: FBT001
    """For Alembic's `include_object`: excludes the ledger's tables, which `keyring-rotate ledger init` makes."""
    del item, reflected, compare_to
    return not (type_ == "table" and (name or "").startswith(TABLE_PREFIX))


def _due(name: str) -> bool:
    """True if a minute has passed since the last try, so that a ledger that is down is not tried at every request."""
    now = time.monotonic()
    with _lock:
        if name in _last and now - _last[name] < SECONDS:
            return False
        _last[name] = now
    return True


class _Leaver:
    """Removes the entries of this process from the ledger when the process ends."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._entries: dict[tuple[str, str], tuple[Ledger, InstanceRecord, Keyring]] = {}
        self._ending = threading.Event()
        # Started early, since Python starts no thread while it ends. A daemon: a silent ledger must not keep it alive.
        self._thread = threading.Thread(target=self._wait, name=__name__, daemon=True)
        self._thread.start()

    def keep(self, ledger: Ledger, record: InstanceRecord, keyring: Keyring) -> None:
        """Keeps what was written last under a name."""
        self._entries[record.service, record.instance] = ledger, record, keyring

    def others(self, record: InstanceRecord) -> frozenset[str]:
        """The ids of the keys of all other entries than *record*."""
        place = record.service, record.instance
        rings = [ring for each, (_, _, ring) in list(self._entries.items()) if each != place]
        return frozenset(key_id for ring in rings for key_id in ring.states_by_id)

    def leave(self, end: float) -> None:
        """Removes the entries, as far as the ledger answers until *end*, a time of the monotonic clock."""
        self._ending.set()
        self._thread.join(max(0, end - time.monotonic()))

    def _wait(self) -> None:
        self._ending.wait()
        for ledger, record, keyring in list(self._entries.values()):
            # An entry that stays counts as gone after a while; nothing may disturb the end of a service.
            with suppress(Exception):
                ledger.withdraw(record, _reads(record, keyring))


_leaver: _Leaver | None = None


def _remember(ledger: Ledger, record: InstanceRecord, keyring: Keyring) -> None:
    global _leaver  # noqa: PLW0603 - one a process
    # At its end a process starts no thread; others may have reached their limit.
    with _lock, suppress(RuntimeError):
        if _leaver is None or _leaver.process != os.getpid():
            _leaver = _Leaver()
            # A child that multiprocessing has forked ends without Python's exit handlers, but not without its own.
            if "multiprocessing.util" in sys.modules:
                sys.modules["multiprocessing.util"].Finalize(None, stop_announcing, exitpriority=0)
        _leaver.keep(ledger, record, keyring)


def _reset() -> None:
    """Begins as a process that has announced nothing: a forked child may inherit a lock that another thread holds."""
    global _lock, _ended, _leaver
    _lock, _ended, _leaver = threading.Lock(), threading.Event(), None
    _beats.clear()
    _last.clear()
    _logged.clear()


os.register_at_fork(after_in_child=_reset)
atexit.register(stop_announcing)


def _write(engine: sa.Engine | None, keyring: Keyring, name: str, keys: str | None) -> bool:
    from rotation.context import Context  # noqa: PLC0415 - as below
    from rotation.ledger.database import LedgerPlace  # noqa: PLC0415 - as above
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
        service=service_name(os.environ, keys),
        primary=keyring.primary.id,
        seen=utc_now(),
        previous=tuple(ids[KeyState.PREVIOUS]),
        staged=next(iter(ids[KeyState.STAGED]), None),
    )
    if engine is None:
        Context(os.environ).check_ledger(LedgerPlace(url, LEDGER_URL))
        ledger = Ledger.open(url, patient=False)
    else:
        ledger = Ledger.over(engine)
    try:
        ledger.announce(record, _reads(record, keyring))
        _remember(ledger, record, keyring)
        # Both are to be compared with those that `keys promote` names.
        if _logged.get((record.service, name)) != (ledger.name, record.primary):
            _logged[record.service, name] = ledger.name, record.primary
            log.info("rotation.announced", instance=name, ledger=ledger.name, primary=record.primary)
    finally:
        if engine is None:
            ledger.close()
    return True


def _reads(record: InstanceRecord, keyring: Keyring) -> list[ReadRecord]:
    """The reads of this process so far: with each key of *keyring*, and with each that no other entry has.

    A key that was in use until a moment ago, or of a keyring that is not announced, was still read with.
    """
    from rotation.ledger.ledger import utc_now  # noqa: PLC0415 - as above
    from rotation.ledger.records import ReadRecord  # noqa: PLC0415 - as above

    now, own = utc_now(), keyring.states_by_id
    leaver = _leaver
    others = leaver.others(record) if leaver else frozenset()
    return [
        ReadRecord(record.service, record.instance, key_id, now, **found._asdict())
        for key_id, found in key_reads().items()
        if key_id in own or key_id not in others
    ]
