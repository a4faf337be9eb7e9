"""The line to a server: how much of each wait for an answer is the way there and back, which keeps nobody else waiting.

Over a socket of the same machine that is a tenth of a millisecond, to another region fifty to a hundred.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

LINE = "rotation.line"
"""The name under which a connection notes its line."""
UNKNOWN = float("inf")


class Line:
    """The round trips over the connections of one engine, which has one at a time. Without a server there are none."""

    def __init__(self, engine: sa.Engine | None = None, is_open: Callable[[Any], bool] = bool) -> None:
        """Counts each wait over *engine*: for a statement, and for the end of a transaction that *is_open*."""
        self.travelled = 0.0
        """Seconds that all round trips so far took together, and all waits for a server that was away."""
        self._trip = UNKNOWN
        if engine is None:
            return
        began = 0.0

        def send(*_: Any) -> None:
            nonlocal began
            began = time.perf_counter()

        sa.event.listen(engine, "connect", lambda _, record: self._begin(record.info))
        sa.event.listen(engine, "before_cursor_execute", send)
        sa.event.listen(engine, "after_cursor_execute", lambda *_: self.waited(time.perf_counter() - began))
        # A refusal is an answer, too. What fails before it is sent says nothing of the way.
        sa.event.listen(engine, "handle_error", lambda context: None if context.is_disconnect else self.waited())

        def end(connection: sa.Connection) -> None:
            if not connection.invalidated and is_open(connection.connection.driver_connection):
                self.waited()

        sa.event.listen(engine, "commit", end)
        sa.event.listen(engine, "rollback", end)

    @property
    def trip(self) -> float:
        """Seconds of one: the shortest wait so far, since the server does something for each answer; 0: none yet."""
        return self._trip if self._trip < UNKNOWN else 0.0

    def waited(self, seconds: float = UNKNOWN) -> None:
        """An answer came, after so many *seconds* if that was measured."""
        self._trip = min(self._trip, seconds)
        self.travelled += self.trip

    def lost(self, seconds: float) -> None:
        """So long there was no answer to be had."""
        self.travelled += seconds

    def _begin(self, notes: dict[Any, Any]) -> None:
        # A new connection may take another way.
        self._trip, notes[LINE] = UNKNOWN, self
