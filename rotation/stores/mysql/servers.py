"""The marks of a MariaDB or MySQL server, and of its start. Any user may ask for them."""

from __future__ import annotations

from rotation.stores.servers import Fact

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
