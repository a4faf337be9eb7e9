"""Other writers on SQLite: one connection does all the work, and sees if any other has committed something.

`PRAGMA data_version` changes when another connection commits, and not for its own commits:
https://www.sqlite.org/pragma.html#pragma_data_version
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from rotation.model.batch import Batch
from rotation.stores.change_tracker import Changed, ChangeTracker, OpenTransaction, Scope, TransactionQuery, Unknown
from rotation.stores.columns import TableState

READ_ONLY = "it is read-only for this user"
PATH = sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'")


def _writer(connection: sa.Connection) -> Sequence[OpenTransaction] | str:
    """By being the writer for a moment, which only one can be; waits as long as the connection's busy_timeout."""
    path = connection.scalar(PATH)
    # SQLite begins a transaction that only reads if it may not write, and does not say so.
    if connection.engine.url.query.get("mode") == "ro" or not os.access(path, os.W_OK):
        return READ_ONLY
    connection.exec_driver_sql("PRAGMA query_only = 0")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            end = "let it commit, or end that process"
            return [OpenTransaction("writer", "another process", wrote=True, end=end, may_be_older=True)]
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            return READ_ONLY
        raise
    connection.exec_driver_sql("ROLLBACK")
    return []


class SQLiteChangeTracker(ChangeTracker):
    """Watches the file. Threads share one connection, and the ledger is another file."""

    proof = "unchanged"
    open_transactions = (TransactionQuery(_writer, "this user may not write to it"),)

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._last: tuple[object, int] | None = None

    @staticmethod
    def state(connection: sa.Connection, schema: str | None, table: str) -> TableState:
        """The file that the connection's path leads to, and how often the schema was changed."""
        del schema, table
        version, status = connection.exec_driver_sql("PRAGMA schema_version").scalar_one(), file_status(connection)
        return TableState(str(status.st_ino) if status else "", version)

    @staticmethod
    def written(connection: sa.Connection) -> int:
        """The version of the file that this connection sees."""
        return _version(connection)[1]

    def begin(self, connection: sa.Connection) -> bool:
        """Any table can be watched."""
        self._begun = _version(connection)
        return True

    def changed(self, connection: sa.Connection) -> Changed | Unknown:
        """Nothing, or why that is not known."""
        driver, version = _version(connection)
        if driver is not self._begun[0]:
            return Unknown("the file was opened again")
        if version != self._begun[1]:
            return Unknown("another process wrote to the file")
        return Changed(Batch((), ()))

    def count(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """1 if others have written, however often."""
        del transaction
        before, self._last = self._last, _version(connection)
        return int(before is not None and before != self._last)


def file_status(connection: sa.Connection) -> os.stat_result | None:
    """Of the file that the connection's path leads to: one that was put in its place has another number."""
    with suppress(OSError, TypeError):
        return os.stat(connection.scalar(PATH))
    return None


def _version(connection: sa.Connection) -> tuple[object, int]:
    """The driver's connection, and the version that it sees."""
    version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
    return connection.connection.driver_connection, int(version)
