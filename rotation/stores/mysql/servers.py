"""What a MariaDB or MySQL server says of itself: its product, its start, and what it repeats of another server.

A replica takes writes, too, unless read_only is set on it, and by default it is not. So a server that replicates is
taken for a primary only while its replication runs and has nothing left to apply.
https://mariadb.com/kb/en/show-replica-status/, https://dev.mysql.com/doc/refman/8.4/en/show-replica-status.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from rotation.model.text import span
from rotation.stores.change_tracker import text_literal
from rotation.stores.servers import Fact, Replication

TAKES_NO_WRITES = "(@@global.read_only <> 'OFF' OR @@global.innodb_read_only)"
"""As a careful admin sets a replica; super_read_only sets read_only, too."""
MARIADB, MYSQL = "MariaDB", "MySQL"
UNKNOWN = f"{MYSQL} or {MARIADB}"
"""The product before a server has answered: one kind of url leads to both."""
_products: dict[object, str] = {}
"""What this process has found at a host, port and socket."""

SERVER = "concat_ws(' ', @@hostname, @@port, @@server_id)"
INCARNATION = f"""concat_ws(' ', {SERVER}
/*M!, (SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Uptime') */
/*!80000 , (SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM performance_schema.global_status
    WHERE VARIABLE_NAME = 'Uptime') */)"""  # noqa: S608 - constants only
"""The server and its start, in seconds: both numbers are of one statement's clock, so that their difference is exact.

Any user may ask. Each server reads only the comment that is meant for it: https://mariadb.com/kb/en/comment-syntax/.
"""

PRIMARY = "give the url of the primary"
STATUS = {True: "SHOW ALL REPLICAS STATUS", False: "SHOW REPLICA STATUS"}
"""By whether it is MariaDB; of each source that the server has, a row."""
RIGHTS = {True: "REPLICA MONITOR", False: "REPLICATION CLIENT"}
"""What a user needs for that."""
DENIED = frozenset({1142, 1227})


def fact(began: object) -> tuple[Fact]:
    """The fact that a server's *began* is, as INCARNATION finds it."""
    return (("start", str(began)),)


def product_of(version: str) -> str:
    """The product whose version() is *version*."""
    return MARIADB if "mariadb" in version.lower() else MYSQL


def note_product(connection: Any, product: str) -> None:
    """Keeps in mind that a driver's *connection* leads to that *product*."""
    _products[connection.unix_socket or (connection.host, connection.port)] = product


def product_at(url: URL) -> str:
    """The product that *url* leads to, as far as this process knows."""
    socket = url.query.get("unix_socket")
    return _products.get(socket or (url.host or "localhost", url.port or 3306), UNKNOWN)


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
    of = "; and of ".join(words for words, _ in sources)
    if takes_no_writes:
        return Replication(f"it takes no writes (read_only){f', and is a replica of {of}' if of else ''}", PRIMARY)
    if not sources:
        return None
    if all(has_all for _, has_all in sources):
        return Replication(f"it takes writes, and is a replica of {of}", PRIMARY, is_current=True)
    return Replication(f"it is a replica of {of}", f"{PRIMARY}; if this is the primary now, RESET REPLICA ALL there")


def _source(row: dict[str, Any]) -> tuple[str, bool]:
    """A server whose changes are repeated, in words, and True if none is missing.

    MariaDB has the older names: Master_Host, Slave_SQL_Running.
    """

    def value(name: str) -> Any:
        older = name.replace("Source", "Master").replace("Replica", "Slave")
        return row.get(name, row.get(older))

    source, behind = f"{value('Source_Host')}:{value('Source_Port')}", value("Seconds_Behind_Source")
    if value("Replica_IO_Running") != "Yes" or value("Replica_SQL_Running") != "Yes":
        return f"{source}, and its replication does not run", False
    if behind is None:
        return f"{source}, and how far behind is not known", False
    return f"{source}, {span(timedelta(seconds=int(behind)))} behind", int(behind) == 0
