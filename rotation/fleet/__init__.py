"""For services: records in the ledger which keys an instance holds, so that no key is promoted or retired too early."""

from __future__ import annotations

import atexit
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from keyring_core import Keyring, KeyringError, get_keyring, key_set
from keyring_core.forks import forked
from keyring_core.key_reads import key_reads
from rotation.configuration.application import is_importing
from rotation.fleet.background import PAUSE_SECONDS, acquire, end_with_multiprocessing, start
from rotation.model.text import install
from rotation.stores.watchdog import BackgroundCall, NoAnswerError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from rotation.fleet.announcement import Announcement

SECONDS = 60
"""The least time between two writes of an instance."""
ANSWER_SECONDS = 0.5
"""The longest wait of `announce`. A probe of Kubernetes waits for its answer one second."""
FORK_SECONDS = 1.0
"""The longest wait of a fork for a heartbeat, which it would cut in two."""
LEAVE_SECONDS = 2.0
"""The longest wait of a process that ends for the ledger."""
TABLE_PREFIX = "keyring_ledger_"
WITHOUT_THREADS = "uWSGI runs this without threads: start it with enable-threads"

Place: TypeAlias = tuple[str, str | None]
"""The name of this process, and a key set."""

log = structlog.get_logger(__name__)


def announce(
    engine: sa.Engine | None = None,
    *,
    keyring: Keyring | None = None,
    instance: str | None = None,
    keys: str | None = None,
) -> bool:
    """Records instance name, key ids, time and reads with each key in the ledger; returns whether it did.

    Made for a health endpoint: it writes at most once a minute, never raises, and returns within half a second; then
    True says that the ledger has yet to answer. The connection is made for this, closed after it, and cut after ten
    seconds. It logs errors, and the ledger's name and the primary key's id at first and when one of them changes.

    *engine* is a synchronous SQLAlchemy engine; without it `ROTATION_LEDGER_URL` names the ledger. *keyring* is the one
    in use (default: `get_keyring()`), *instance* the name of this process (default: host and process id). *keys* names
    a key set of this process, which has an entry of its own.

    When the process ends normally, it removes its entry, for which it waits at most two seconds. The entry of a process
    that was killed, or that ended by `os._exit` without `stop_announcing`, counts for ten minutes after it was written.
    """
    return not is_importing() and _here().announce(engine, keyring, _name(instance), keys, ANSWER_SECONDS)


def keep_announcing(
    engine: sa.Engine | None = None,
    *,
    instance: str | None = None,
    keys: str | None = None,
    end_on_sigterm: bool = False,
) -> None:
    """Announces this process now, and from a thread once a minute until it ends; so does each process forked from it.

    Call it where the service starts, before or after its server forks. It waits for the first write, which is given up
    after ten seconds. In a forked process a given *instance* gets the process id. Under uWSGI the workers alone
    announce themselves. A second call with the same *instance* and *keys* does nothing; neither does one in a module
    that keyring-rotate imports for its models.

    *end_on_sigterm*: SIGTERM ends this process with exit code 143, so that exit handlers run; otherwise it ends without
    them, and its entry counts for ten minutes. A handler that is there stays. Call it in the main thread.

    If a process ends by `os._exit`, as Celery's and RQ's do, let it call `stop_announcing`. The rest is as for
    `announce`.
    """
    if is_importing():
        return
    if end_on_sigterm:
        try:
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, _exit)
        except ValueError:
            _warn(reason="end_on_sigterm works in the main thread only")
    beat, uwsgi = _Beat(engine, instance, keys), sys.modules.get("uwsgi")
    if uwsgi is None or not hasattr(uwsgi, "worker_id"):
        _here().keep(beat)
    elif not uwsgi.has_threads:
        # A thread would run during requests only, and stop in the middle of a transaction.
        _warn(instance=_name(instance), reason=WITHOUT_THREADS)
    elif uwsgi.worker_id():
        _here().keep(beat)
    else:
        _in_each_worker(uwsgi, beat)


def stop_announcing() -> None:
    """Removes this process's entries, and records its last reads: for a process that ends by `os._exit`.

    Such as one of Celery's pool, in `worker_process_shutdown`; other processes that end normally do this by themselves.
    It waits at most two seconds for the ledger. The process may announce itself again after it.
    """
    global _process  # noqa: PLW0603 - one a process
    _here().leave()
    _process = _Process()


def include_object(item: object, name: str | None, type_: str, reflected: bool, compare_to: object) -> bool:  # noqa: FBT001
    """For Alembic's `include_object`: excludes the ledger's tables, which `keyring-rotate ledger init` makes."""
    del item, reflected, compare_to
    return not (type_ == "table" and (name or "").startswith(TABLE_PREFIX))


class _Beat:
    """What a process keeps announcing, from a thread.

    Its events are made just before that: gevent's patches come between a fork and the first request.
    """

    def __init__(
        self, engine: sa.Engine | None, instance: str | None, keys: str | None, *, is_forked: bool = False
    ) -> None:
        self.engine, self.instance, self.keys, self._is_forked = engine, instance, keys, is_forked
        self.begun, self.over = threading.Event(), threading.Event()
        """Set after the first try, and to end the thread."""

    @property
    def name(self) -> str:
        return f"{self.instance}:{os.getpid()}" if self.instance and self._is_forked else _name(self.instance)

    def in_child(self) -> _Beat:
        """The same in a forked process."""
        return _Beat(self.engine, self.instance, self.keys, is_forked=True)


class _Process:
    """What this process announces. A forked one begins with an empty one."""

    def __init__(self) -> None:
        self.id = os.getpid()
        self.beats: dict[tuple[str | None, str | None], _Beat] = {}
        self.writing = threading.Lock()
        """Held during a write."""
        self._lock = threading.Lock()
        self._tried: dict[Place, float] = {}
        """When each name was written last, or tried."""
        self._calls: dict[Place, BackgroundCall[bool]] = {}
        self._entries: dict[Place, Announcement] = {}
        self._is_over = False
        self._leaver: tuple[threading.Event, threading.Event] | None = None
        """Set to let the thread remove the entries, and once it has done so."""

    def announce(
        self, engine: sa.Engine | None, keyring: Keyring | None, name: str, keys: str | None, seconds: float | None
    ) -> bool:
        """As the public function; without *seconds* in this thread."""
        place = name, keys
        now = time.monotonic()
        with self._lock:
            # A ledger that is down is not tried at each request.
            if place in self._tried and now - self._tried[place] < SECONDS:
                return False
            self._tried[place] = now
        if place in self._calls and not self._calls[place].done():
            return False
        write = partial(self._write, engine, keyring, place, goes_on=seconds is None)
        if seconds is None:
            return write()
        with self._logging(name):
            self._calls[place] = call = BackgroundCall(write)
            return not call.done(seconds) or call.result()
        return False

    def keep(self, beat: _Beat, *, at_once: bool = True) -> None:
        """Starts a thread for *beat*, after a first write *at_once*, or with it."""
        with self._lock:
            if self.beats.setdefault((beat.instance, beat.keys), beat) is not beat:
                return
        if at_once:
            self._announce(beat)
        with self._logging(beat.name):
            self._prepare_to_leave()
            start(self._go_on, beat)
            return
        beat.begun.set()

    def leave(self) -> None:
        """Removes the entries, as far as the ledger answers in time."""
        end = time.monotonic() + LEAVE_SECONDS
        if any(each.opened or each.refused for each in key_reads().values()):
            # A forked process may end before its first heartbeat.
            for beat in self.beats.values():
                beat.begun.wait(max(0, end - time.monotonic()))
        for call in list(self._calls.values()):
            call.done(max(0, end - time.monotonic()))
        self._is_over = True
        for beat in self.beats.values():
            beat.over.set()
        # What is being written now would come after the end.
        while self.writing.locked() and time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)
        if self._leaver:
            leaving, left = self._leaver
            leaving.set()
            left.wait(max(0, end - time.monotonic()))

    def _go_on(self, beat: _Beat) -> None:
        if not beat.begun.is_set():
            self._announce(beat)
        # A forked process has copies of its parent's green threads.
        while not beat.over.wait(SECONDS) and self.id == os.getpid():
            self._announce(beat)

    def _announce(self, beat: _Beat) -> None:
        self.announce(beat.engine, None, beat.name, beat.keys, None)
        beat.begun.set()

    def _write(self, engine: sa.Engine | None, keyring: Keyring | None, place: Place, *, goes_on: bool) -> bool:
        name, keys = place
        acquire(self.writing, math.inf)
        try:
            with self._logging(name):
                if self._is_over:
                    return False
                # Imported while no fork can happen: a child that finds the lock of an import held has it held for ever.
                from rotation.fleet.announcement import Announcement  # noqa: PLC0415 - brings SQLAlchemy

                entry = self._entries.setdefault(place, Announcement(name, keys))
                ring = keyring or (get_keyring if keys is None else key_set(keys))()
                entry.write(engine, ring, self._others(entry), every=SECONDS if goes_on else None)
                self._prepare_to_leave()
                return True
        finally:
            self.writing.release()
        return False

    def _others(self, entry: Announcement) -> frozenset[str]:
        """The ids of the keys of all other entries than *entry*."""
        return frozenset().union(*(each.key_ids for each in list(self._entries.values()) if each is not entry))

    @contextmanager
    def _logging(self, name: str) -> Iterator[None]:
        """Logs what is raised: a service must not fail because of the ledger."""
        try:
            yield
        except Exception as error:
            # The text of an unknown error may hold a URL: log its class.
            reason = str(error) if isinstance(error, KeyringError | NoAnswerError) else None
            if isinstance(error, ImportError):
                reason = f"{error.name} is missing; {install()}"
            _warn(instance=name, error=type(error).__name__, reason=reason)

    def _prepare_to_leave(self) -> None:
        if self._leaver is None:
            events = threading.Event(), threading.Event()
            # Early, since Python starts no thread while it ends. Others may have reached the limit of threads.
            with suppress(RuntimeError):
                start(self._withdraw, *events)
                self._leaver = events
            end_with_multiprocessing(stop_announcing)

    def _withdraw(self, leaving: threading.Event, left: threading.Event) -> None:
        leaving.wait()
        for entry in list(self._entries.values()):
            # An entry that stays counts as gone after a while; nothing may disturb the end of a service.
            with suppress(Exception):
                entry.withdraw(self._others(entry))
        left.set()


_process = _Process()
_forking = threading.local()


def _here() -> _Process:
    """What this process announces."""
    global _process  # noqa: PLW0603 - one a process
    if _process.id != os.getpid():
        # Some servers fork without Python's hooks.
        forked()
        _process = _Process()
    return _process


def _warn(**facts: object) -> None:
    # A log that cannot be written, as on a full disk, ends no service and no heartbeat.
    with suppress(Exception):
        log.warning("rotation.announce_failed", **facts)


def _name(instance: str | None) -> str:
    return instance or f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def _hooked() -> Iterator[None]:
    """Goes around the work of a hook."""
    _forking.is_hooked = True
    try:
        yield
    finally:
        _forking.is_hooked = False


def _before_fork() -> None:
    _forking.lock, lock = None, _process.writing
    with _hooked():
        if acquire(lock, FORK_SECONDS):
            _forking.lock = lock


def _after_fork() -> None:
    lock, _forking.lock = getattr(_forking, "lock", None), None
    if lock:
        lock.release()


def _in_child() -> None:
    global _process  # noqa: PLW0603 - one a process
    with _hooked():
        beats = list(_process.beats.values())
        _process = _Process()
        for beat in beats:
            _process.keep(beat.in_child(), at_once=False)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
atexit.register(stop_announcing)


def _in_each_worker(uwsgi: Any, beat: _Beat) -> None:
    """The main process of uWSGI writes nothing and starts no thread: it forks without Python's hooks."""

    def begin() -> None:
        _here().keep(beat.in_child())

    with suppress(Exception):
        # It takes the hook for itself.
        import_module("uwsgidecorators").postfork(begin)
        return
    before = getattr(uwsgi, "post_fork_hook", None)

    def hook() -> None:
        if before:
            before()
        begin()

    uwsgi.post_fork_hook = hook


def _exit(*_: object) -> None:
    """Ends the process, once; what is raised in the hook of a fork, though, ends nothing."""
    if getattr(_forking, "is_hooked", False):
        start(_exit_soon)
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _exit_soon() -> None:
    time.sleep(PAUSE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
