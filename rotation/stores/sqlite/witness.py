"""Proof on SQLite: one connection does all the work, and knows whether any other has committed anything.

`PRAGMA data_version` changes when another connection commits, and not for its own commits:
https://www.sqlite.org/pragma.html#pragma_data_version
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from rotation.model.batch import Batch
from rotation.stores.witness import Changed, Unknown


class SQLiteWitness:
    """Watches the file, through one connection."""

    name = "unchanged"

    def begin(self, connection: sa.Connection) -> bool:
        """Any table can be watched."""
        self._connection = connection.connection.driver_connection
        self._version = _data_version(connection)
        return True

    def wrote(self, transactions: Iterable[int]) -> None:
        """What this connection commits changes nothing."""
        del transactions

    def changed(self, connection: sa.Connection) -> Changed | Unknown:
        """Nothing, or why that is not known."""
        if connection.connection.driver_connection is not self._connection:
            return Unknown("the file was opened again")
        if _data_version(connection) != self._version:
            return Unknown("another process wrote to the file")
        return Changed(Batch((), ()))


def _data_version(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())
