"""Other writers on MariaDB and MySQL: the server's counters of statements, less the ones of this session.

Any user may read them. Nothing shows what was written, so there is no proof but a whole pass.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from rotation.stores.columns import QualifiedName, TableState
from rotation.stores.mysql import catalog
from rotation.stores.other_writers import OtherWriters, Scope

COUNTERS = ("insert", "insert_select", "update", "update_multi", "delete", "delete_multi", "replace", "load")
QUERY = "SHOW {} STATUS WHERE Variable_name IN (" + ", ".join(f"'Com_{name}'" for name in COUNTERS) + ")"
LOOK_SECONDS = 0.1
"""The least time between two looks: the server adds up the counters of all its sessions."""


class MySQLOthers(OtherWriters):
    """One thread's view. Two threads of one run count each other as other writers."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._others: int | None = None
        self._next = 0.0
        self._allowed = 0

    @staticmethod
    def state(connection: sa.Connection, schema: str | None, table: str) -> TableState:
        """By its time alone: a table's number is shown only to a user with the privilege PROCESS."""
        return TableState(version=catalog.made(connection, QualifiedName(schema, table, "")))

    def count(self, connection: sa.Connection, transaction: int | None) -> int | None:
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

    def of_thread(self) -> MySQLOthers:
        """One of its own: it subtracts what its own session did."""
        return MySQLOthers(self.scope)

    def allow(self, writes: int) -> None:
        """So many of these statements are this process's own."""
        self._allowed = writes


def _total(connection: sa.Connection, scope: str) -> int:
    return sum(int(value) for _, value in connection.exec_driver_sql(QUERY.format(scope)))
