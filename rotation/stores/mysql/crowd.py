"""Whether anybody else writes to a MariaDB or MySQL server: its counters of statements, less those of this session."""

from __future__ import annotations

import time

import sqlalchemy as sa

COUNTERS = ("insert", "insert_select", "update", "update_multi", "delete", "delete_multi", "replace", "load")
QUERY = "SHOW {} STATUS WHERE Variable_name IN (" + ", ".join(f"'Com_{name}'" for name in COUNTERS) + ")"
LOOK_SECONDS = 0.1
"""The least time between two looks: the server adds up the counters of all its sessions."""


class StatementCounters:
    """One thread's view. Two threads of a run would take each other for others."""

    def __init__(self) -> None:
        self._others: int | None = None
        self._next = 0.0
        self._allowed = 0

    def look(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """Statements of other sessions since the last look."""
        del transaction
        if (now := time.monotonic()) < self._next:
            return 0
        self._next = now + LOOK_SECONDS
        of_all, own = (_total(connection, scope) for scope in ("GLOBAL", "SESSION"))
        before, self._others = self._others, of_all - own
        if before is None:
            return None
        found = max(0, self._others - before - self._allowed)
        self._allowed = 0
        return found

    def of_thread(self) -> StatementCounters:
        """One of its own: it subtracts what its own session did."""
        return StatementCounters()

    def allow(self, writes: int) -> None:
        """So many of these statements are this process's own."""
        self._allowed = writes


def _total(connection: sa.Connection, scope: str) -> int:
    return sum(int(value) for _, value in connection.exec_driver_sql(QUERY.format(scope)))
