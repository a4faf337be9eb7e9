"""What a MariaDB or MySQL server repeats of another one.

A replica takes writes, too, unless read_only is set on it, and by default it is not. So a server that replicates is
taken for a primary only while its replication runs and has nothing left to apply.
https://mariadb.com/kb/en/show-replica-status/, https://dev.mysql.com/doc/refman/8.4/en/show-replica-status.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from rotation.model.text import span
from rotation.stores.mysql.servers import TAKES_NO_WRITES
from rotation.stores.other_writers import text_literal
from rotation.stores.servers import Replication

PRIMARY = "give the url of the primary"
STATUS = {True: "SHOW ALL REPLICAS STATUS", False: "SHOW REPLICA STATUS"}
"""By whether it is MariaDB; of each source that the server has, a row."""
RIGHTS = {True: "REPLICA MONITOR", False: "REPLICATION CLIENT"}
"""What a user needs for that."""
DENIED = frozenset({1142, 1227})


class Source(NamedTuple):
    """A server whose changes are repeated."""

    host: str
    is_running: bool
    behind: int | None
    """Seconds; None if the server cannot know."""

    @property
    def words(self) -> str:
        """Its host, and how far behind it this server is."""
        if not self.is_running:
            return f"{self.host}, and its replication does not run"
        if self.behind is None:
            return f"{self.host}, and how far behind is not known"
        return f"{self.host}, {span(timedelta(seconds=self.behind))} behind"


def replication(connection: sa.Connection) -> Replication | None:
    """What the server says of itself."""
    found: Any = connection.dialect
    is_mariadb = bool(found.is_mariadb)
    takes_no_writes, user = connection.exec_driver_sql(f"SELECT {TAKES_NO_WRITES}, CURRENT_USER()").one()
    try:
        sources = [_source({**row}) for row in connection.exec_driver_sql(STATUS[is_mariadb]).mappings()]
    except DBAPIError as error:
        if not error.orig or error.orig.args[0] not in DENIED:
            raise
        if not takes_no_writes:
            name, _, host = user.rpartition("@")
            grant = f"GRANT {RIGHTS[is_mariadb]} ON *.* TO {text_literal(name)}@{text_literal(host)}"
            return Replication("this user may not ask whether it is a replica", grant, is_known=False)
        sources = []
    of = "; and of ".join(source.words for source in sources)
    if takes_no_writes:
        return Replication(f"it takes no writes (read_only){f', and is a replica of {of}' if of else ''}", PRIMARY)
    if not sources:
        return None
    if all(source.is_running and source.behind == 0 for source in sources):
        return Replication(f"it takes writes, and is a replica of {of}", PRIMARY, is_current=True)
    return Replication(f"it is a replica of {of}", f"{PRIMARY}; if this is the primary now, RESET REPLICA ALL there")


def _source(row: dict[str, Any]) -> Source:
    """MariaDB has the older names: Master_Host, Slave_SQL_Running."""

    def value(name: str) -> Any:
        older = name.replace("Source", "Master").replace("Replica", "Slave")
        return row.get(name, row.get(older))

    runs = value("Replica_IO_Running") == "Yes" and value("Replica_SQL_Running") == "Yes"
    behind = value("Seconds_Behind_Source")
    return Source(f"{value('Source_Host')}:{value('Source_Port')}", runs, None if behind is None else int(behind))
