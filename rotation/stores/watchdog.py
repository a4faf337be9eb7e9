"""Ends a statement that will get no answer: a statement may take long as long as its server works on it.

While a statement is slow, the watchdog probes the server with a second connection. That connects, and asks what became
of the transaction: its own connection may be lost without a word, as behind a proxy that has lost its other side.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from keyring_core.signals import without_signals

WATCH_SECONDS = 0.25
"""Seconds between two checks of the call in progress."""
QUIET_SECONDS = 5.0
"""A statement that takes longer has its server probed."""
PROBE_SECONDS = 5.0
"""The most seconds of a probe if connecting is fast."""
MOST_PROBE_SECONDS = 19.0
"""The most seconds of a probe if connecting is slow: a silent server is given up within half a minute."""
STATEMENT_GRACE_SECONDS = 3.0
"""Seconds that a statement may still take after a stop was requested."""
UNANSWERED_SECONDS = 900.0
"""The most seconds without an answer to a statement, if a server that accepts connections does not say that it works on
it: behind a pooler without a connection to spare, it cannot say so."""
SILENT = "the server does not answer: it hangs, a firewall drops the packets, or something else listens there"
UNANSWERED = (
    f"a statement got no answer for {UNANSWERED_SECONDS / 60:.0f} minutes, and the server, which accepts connections, "
    "does not say that it works on it; if a pooler or a proxy is between, name the server itself in the url"
)
NO_THREAD = "this process may start no thread: the limit of its memory or of its threads is reached"
STOPPED = "stopped while the database did not answer"

SESSION = "rotation.session"
"""The name under which a connection notes how its server knows the transaction in progress: a function, which returns
None as long as that is not known."""
LASTING = "rotation.lasting"
"""The name under which it notes how its server knows all of its transactions; None: it does not."""
LINE = "rotation.line"
"""The name under which it notes its line: `rotation.stores.connection.Line`."""
Session = tuple[object, ...]
"""The server, and what it knows the transaction by."""

T = TypeVar("T")


class NoAnswerError(Exception):
    """The database cannot answer: not in time, not before a requested stop, or not any more."""

    def __init__(self, words: str = SILENT, *, stopped: bool = False) -> None:
        super().__init__(STOPPED if stopped else words)
        self.stopped = stopped
        self.is_silence = not stopped and words not in {UNANSWERED, NO_THREAD}
        """True if a server that is well again would answer."""


class Guard(Protocol):
    """Watches the transactions of one connection to a database that has no server."""

    def uses(self, connection: Any, *_: Any) -> None:
        """The transaction uses this *connection* of the driver, in this thread; called as it leaves its pool."""

    def transaction(self) -> AbstractContextManager[None]:
        """Goes around a transaction. Raises NoAnswerError, and KeyboardInterrupt for a second signal."""

    def close(self) -> None:
        """Ends what it has started; the next transaction may start it again."""


class Sign(enum.Enum):
    """What a probe finds."""

    SILENCE = "the server accepts no connection"
    LIFE = "it accepts one, and does not say that it works on the statement"
    WORK = "it works on the statement"
    LOSS = "it knows the transaction no more"


def start_thread(act: Callable[..., object], *given: object) -> None:
    """Starts a thread that keeps no program alive. Raises NoAnswerError if there can be no more."""
    with suppress(RuntimeError):
        with without_signals(act) as call:
            threading.Thread(target=call, args=given, daemon=True).start()
        return
    raise NoAnswerError(NO_THREAD)


class BackgroundCall(Future[T]):
    """A call in a thread of its own, for what may never return, such as the lookup of a server's name.

    The caller may stop waiting for it, and it does not keep the program from ending.
    """

    def __init__(self, act: Callable[[], T]) -> None:
        """Starts the call."""
        super().__init__()

        def run() -> None:
            try:
                self.set_result(act())
            except BaseException as error:
                self.set_exception(error)

        start_thread(run)

    def done(self, seconds: float = 0) -> bool:
        """True if the call has ended; waits for it for *seconds* at most."""
        return bool(wait([self], seconds).done)

    def abandon(self, tidy_up: Callable[[T], object]) -> None:
        """Stops waiting. If the call returns something, now or later, *tidy_up* gets it."""
        self.add_done_callback(lambda future: future.exception() or tidy_up(future.result()))


@dataclass
class Call:
    """A transaction in progress."""

    began: float = field(default_factory=time.monotonic)
    stop_requested: float | None = None
    heard: float | None = None
    """When the server last answered this call, or said that it works on it."""
    alive: float | None = None
    """When it last answered this call or a probe."""
    probe: BackgroundCall[Sign] | None = None
    probed: float = 0.0
    """When the first of these probes began."""
    connected: threading.Event = field(default_factory=threading.Event)
    """Set when the probe has its connection."""
    ended: str | None = None
    """The reason why its statement was ended: `silent`, `unanswered`, `lost` or `stopped`."""

    def outlasts_stop(self, is_stopping: Callable[[], bool]) -> bool:
        """True for a long call if a stop was requested long ago."""
        now = time.monotonic()
        if now - self.began < min(1.0, STATEMENT_GRACE_SECONDS):
            return False
        if self.stop_requested is None and is_stopping():
            self.stop_requested = now
        return self.stop_requested is not None and now - self.stop_requested > STATEMENT_GRACE_SECONDS


class Watchdog:
    """Watches one connection in a thread, which starts with the first call."""

    def __init__(
        self,
        *,
        is_stopping: Callable[[], bool],
        probe: Callable[[float, Session | None, threading.Event], Sign],
        hang_up: Callable[[Any], None],
    ) -> None:
        """*probe* connects within some seconds, sets the event, and asks for a transaction; it may never return."""
        self.connect_seconds = 0.0
        """Seconds that the last connection took to make."""
        self.lasting: Session | None = None
        """How the server knows all transactions of the connection, if that is so."""
        self._is_stopping, self._probe, self._hang_up = is_stopping, probe, hang_up
        self._connection: Any = None
        self._notes: MutableMapping[Any, Any] = {}
        self._call: Call | None = None
        self._lock = threading.Lock()
        """Held to hang up and to end a call, so that the watchdog never closes the connection of the next call."""
        self._over: threading.Event | None = None

    @property
    def patience(self) -> float:
        """The most seconds of a probe: twice as long as the last connection, within bounds."""
        return min(max(PROBE_SECONDS, 2 * self.connect_seconds), MOST_PROBE_SECONDS)

    def begin(self) -> Call:
        """Starts watching a call."""
        if self._over is None:
            over = threading.Event()
            start_thread(self._watch, over)
            self._over = over
        self._notes.pop(SESSION, None)
        self._call = call = Call()
        return call

    def end(self) -> None:
        """The call has ended."""
        with self._lock:
            self._call = None

    def connecting(self) -> None:
        """There is no connection to hang up until `connected`."""
        self._connection = None

    def connected(self, connection: Any, notes: MutableMapping[Any, Any]) -> None:
        """The call uses this *connection* of the driver, which has *notes*, and its time starts here."""
        self._connection, self._notes, self.lasting = connection, notes, None
        if self._call:
            self._call.began = time.monotonic()

    def answered(self) -> None:
        """The server has finished a statement of the call, so it is alive."""
        if call := self._call:
            call.alive = call.heard = time.monotonic()

    def close(self) -> None:
        """Ends the thread."""
        if self._over:
            self._over.set()
            self._over = None

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(WATCH_SECONDS):
            call = self._call
            # Without a thread for a probe this one goes on looking.
            with suppress(NoAnswerError):
                if call is not None and self._connection is not None and (reason := self._judge(call)):
                    with self._lock:
                        if self._call is call and call.ended is None:
                            call.ended = reason
                            self._hang_up(self._connection)

    def _judge(self, call: Call) -> str | None:
        """The reason to hang up; None to go on. Starts probes of a quiet server."""
        now = time.monotonic()
        if call.outlasts_stop(self._is_stopping):
            return "stopped"
        if call.probe is None:
            if now - (call.alive or call.began) > QUIET_SECONDS:
                call.probed, call.probe = now, self._begin_probe(call)
        elif (call.alive or 0.0) > call.probed:
            call.probe = None
        elif call.probe.done():
            return self._found(call, call.probe.result(), now)
        elif now - call.probed > self.patience and not call.connected.is_set():
            return "silent"
        return None

    def _found(self, call: Call, sign: Sign, now: float) -> str | None:
        """The same, once a probe has found *sign*."""
        if sign is Sign.SILENCE:
            if now - call.probed > self.patience:
                return "silent"
            # The probe failed early: there is time for another.
            call.probe = self._begin_probe(call)
            return None
        call.probe, call.alive = None, now
        if sign is Sign.WORK:
            call.heard = now
        elif sign is Sign.LOSS:
            return "lost"
        elif now - (call.heard or call.began) > UNANSWERED_SECONDS:
            return "unanswered"
        return None

    def _begin_probe(self, call: Call) -> BackgroundCall[Sign]:
        seconds, note = self.patience, self._notes.get(SESSION)
        session = (note() if note else None) or self.lasting
        call.connected = connected = threading.Event()
        return BackgroundCall(lambda: self._probe(seconds, session, connected))
