"""The marks of a MariaDB or MySQL server, and of its start. Any user may ask for them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL

from rotation.stores.servers import Fact

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

Each server reads only the comment that is meant for it: https://mariadb.com/kb/en/comment-syntax/.
"""


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
