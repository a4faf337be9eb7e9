"""Watches what a database is asked: a statement may take long, as long as its server still answers somebody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rotation.stores.silent_servers import Errand

LOOK_SECONDS = 0.25
QUIET_SECONDS = 5.0
"""A statement that takes longer makes us look whether the server is alive."""
PROBE_SECONDS = 5.0
"""How long that look may take, where connections are made fast."""
MOST_PROBE_SECONDS = 19.0
"""How long it may take where they are slow: a server that says nothing is given up within half a minute."""
GRACE_SECONDS = 3.0
"""How long a statement may still take once somebody asked to stop."""


@dataclass
class Call:
    """Something that is being asked."""

    began: float = field(default_factory=time.monotonic)
    asked_to_stop: float | None = None
    """When somebody did."""
    alive: float | None = None
    """When the server was last seen to be: it answered this call, or a probe."""
    probe: Errand[bool] | None = None
    probed: float = 0.0
    ended: str | None = None
    """Why nobody waits for its answer any more: `silent`, or `stopped`."""


class Watch:
    """One connection's watch; its thread begins with the first call."""

    def __init__(
        self, *, is_stopping: Callable[[], bool], probe: Callable[[float], bool], hang_up: Callable[[Any], None]
    ) -> None:
        """*probe* finds out whether the server answers within seconds; it may not come back."""
        self._is_stopping, self._probe, self._hang_up = is_stopping, probe, hang_up
        self._took = 0.0
        self._connection: Any = None
        self._call: Call | None = None
        self._lock = threading.Lock()
        self._over: threading.Event | None = None

    def begin(self) -> Call:
        """Watches from here on."""
        if self._over is None:
            self._over = threading.Event()
            threading.Thread(target=self._watch, args=(self._over,), daemon=True).start()
        self._call = call = Call()
        return call

    @property
    def patience(self) -> float:
        """How long a probe may take: twice as long as the last connection, within bounds."""
        return min(max(PROBE_SECONDS, 2 * self._took), MOST_PROBE_SECONDS)

    def connecting(self) -> None:
        """There is no connection, and so nothing to hang up."""
        self._connection = None

    def made_in(self, seconds: float) -> None:
        """A connection took so long to make; one that looks for a sign of life may take long as well."""
        self._took = seconds

    def answered(self) -> None:
        """The server has done a statement of the call: it is alive."""
        if call := self._call:
            call.alive = time.monotonic()

    def connected(self, connection: Any) -> None:
        """The call goes on through this *connection* of the driver's."""
        self._connection = connection
        if self._call:
            self._call.began = time.monotonic()

    def end(self) -> None:
        """The call has come back."""
        # Whoever hangs up does it within this lock: never on the connection of the next call.
        with self._lock:
            self._call = None

    def close(self) -> None:
        """Ends the thread."""
        if self._over:
            self._over.set()
            self._over = None

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(LOOK_SECONDS):
            call = self._call
            if call is not None and self._connection is not None and (reason := self._judge(call)):
                with self._lock:
                    if self._call is call and call.ended is None:
                        call.ended = reason
                        self._hang_up(self._connection)

    def _judge(self, call: Call) -> str | None:
        """Why to hang up, where that is to be done."""
        now = time.monotonic()
        if now - call.began < min(1.0, GRACE_SECONDS):
            return None
        if call.asked_to_stop is None and self._is_stopping():
            call.asked_to_stop = now
        if call.asked_to_stop is not None and now - call.asked_to_stop > GRACE_SECONDS:
            return "stopped"
        if call.probe is None:
            if now - (call.alive or call.began) > QUIET_SECONDS:
                call.probed = now
                call.probe = self._begin_probe()
        elif (call.alive or 0.0) > call.probed:
            call.probe = None
        elif call.probe.wait(0) and call.probe.result():
            call.probe, call.alive = None, now
        elif now - call.probed > self.patience:
            return "silent"
        elif call.probe.wait(0):
            # It gave up early: there is time for another.
            call.probe = self._begin_probe()
        return None

    def _begin_probe(self) -> Errand[bool]:
        seconds = self.patience
        return Errand(lambda: self._probe(seconds))
