"""MariaDB and MySQL, through PyMySQL."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.target import Format
from rotation.planning.inner_tokens import bytes_of
from rotation.stores.columns import BLOCK_BITS, QualifiedName
from rotation.stores.dialect import IS_JSON, OUT_OF_ORDER, PLAIN_KEYS, READING, Dialect, Mode
from rotation.stores.mysql import servers
from rotation.stores.mysql.blocks import MySQLBlocks, batch_swap
from rotation.stores.mysql.catalog import (
    AnyType,
    MySQLCatalog,
    as_bytes,
    engine_without_undo,
    is_binary,
    is_json,
    quote,
)
from rotation.stores.mysql.change_tracker import MySQLChangeTracker
from rotation.stores.mysql.error_codes import NO_TLS, MySQLErrorCodes
from rotation.stores.mysql.servers import SERVER, TAKES_NO_WRITES
from rotation.stores.mysql.url_options import NO_TEXTS, OTHER_OPTIONS, TLS_OPTIONS, tls_options
from rotation.stores.servers import SERVER as FACTS
from rotation.stores.servers import Peer, replica, version_in
from rotation.stores.watchdog import LASTING, Session, Sign

LONGEST = 16 * 1024 * 1024
"""Bytes that the server puts together; beyond them it would cut without an error."""
PROCESSES = f"SELECT {SERVER}, id, command, state FROM information_schema.processlist"  # noqa: S608 - constants only
ELSEWHERE = "(?i)writing to net|to client|semi-?sync ack"
"""States of a session that waits for others."""
IN_TRANSACTION = 1
"""The bit in the status that the server adds to its answers: a transaction is open that a statement has begun."""
LOCK_SECONDS = 1
SETTINGS = (
    # Otherwise what the catalog and a search find is cut without a word, a join may be refused, or rows are as of once;
    # and SQLAlchemy reads the columns' names between quotes. MariaDB alone reads the last of them.
    "sql_select_limit = 18446744073709551615, sql_safe_updates = 0, sql_big_selects = 1, sql_quote_show_create = 1, "
    # Chained, the end of a transaction would begin another like it, in which a statement is none by itself.
    "completion_type = NO_CHAIN /*M!100300 , system_versioning_asof = DEFAULT */"
)
"""What changes results, whatever a server's `init_connect` or the url has set."""
LOCK_WAIT = "rotation.lock_wait"
"""The name under which a connection notes the seconds that it waits for locks."""
ISOLATION = "rotation.isolation"
"""The same for the isolation of its transactions."""
COMMITTED, REPEATABLE = "READ COMMITTED", "REPEATABLE READ"
LEVEL = "SET SESSION TRANSACTION ISOLATION LEVEL {}"
LOCK_WAITS = "SET SESSION innodb_lock_wait_timeout = {0}, lock_wait_timeout = {0}"

ZONE = "SELECT IF(@@session.time_zone = 'SYSTEM', @@system_time_zone, @@session.time_zone)"
_EVEN_ZONE = re.compile(r"(?i)[+-]\d\d:\d\d|(etc/)?(utc|gmt|uct|zulu)|etc/gmt[+-]\d+")
"""Zones in which no clock is ever put back."""

ESCAPED = (b"\0", b"\n", b"\r", b"\x1a", b"\\", b"'", b'"')
PATIENCE = {
    getattr(socket, name): value
    for name, value in zip(
        ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), (15_000, 10, 5, 3), strict=True
    )
    if hasattr(socket, name)
}
"""The kernel's patience with the other side: milliseconds, seconds, seconds, times. Not every system has them."""


MOST_BYTES = {"TINYTEXT": 255, "TINYBLOB": 255, "TEXT": 65_535, "BLOB": 65_535}


class MySQL(MySQLErrorCodes, Dialect):
    """Session settings, and binary comparison: the default collation takes `a` for `A`."""

    catalog = MySQLCatalog()
    change_tracker = MySQLChangeTracker
    blocks = MySQLBlocks
    driver = "mysql+pymysql"
    new_key = "BIGINT NOT NULL INVISIBLE AUTO_INCREMENT PRIMARY KEY"
    product = servers.UNKNOWN
    # JSON_TABLE; INVISIBLE columns.
    oldest: ClassVar[Mapping[str, Sequence[int]]] = {servers.MARIADB: (10, 6), servers.MYSQL: (8, 0, 23)}
    extra = "mysql"
    name_quote = "`"
    is_by_itself = True
    other_options = OTHER_OPTIONS
    clock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    # SQLAlchemy does not know INET6; its text finds it again.
    keys = (*PLAIN_KEYS, sa.BINARY, sa.VARBINARY, mysql.YEAR, sa.types.NullType)
    replicas_write = True
    replication = staticmethod(servers.replication)
    product_at = staticmethod(servers.product_at)
    batch_swap = staticmethod(batch_swap)

    _read_seconds: str | tuple[str, ...] | None = None
    """The `read_timeout` of the url."""

    def prepare_url(self, url: URL) -> URL:
        """utf8mb4, whatever the server's default."""
        self._read_seconds = url.query.get("read_timeout")
        return super().prepare_url(url).update_query_dict({"charset": "utf8mb4", "use_unicode": "1"})

    def create_engine(self, url: URL, **options: Any) -> sa.Engine:
        """A type that SQLAlchemy does not know, such as VECTOR(3), costs its own column only."""
        engine = super().create_engine(url, **options)
        # Of this dialect alone: an application's engines in this process have the types that they had.
        engine.dialect.ischema_names = AnyType(engine.dialect.ischema_names)  # type: ignore[attr-defined]
        return engine

    def names_database(self, url: URL) -> bool:
        """In its path, or by an option of the driver; a server has no default."""
        return bool(url.database or {"db", "database", "read_default_file", "read_default_group"} & set(url.query))

    def options(self) -> frozenset[str]:
        """Of the driver and of SQLAlchemy, as they are installed."""
        from pymysql.connections import Connection  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

        return TLS_OPTIONS | (frozenset(signature(Connection).parameters) - NO_TEXTS)

    def try_options(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """The driver looks at all of them before it connects."""
        import pymysql  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

        pymysql.Connection(*arguments, **options, defer_connect=True)

    def in_time(self, url: URL, seconds: float) -> Mapping[str, Any]:
        """To connect, and to hear the server's greeting; `set_up` lets a statement take longer. And how to use TLS."""
        given = {"connect_timeout", "read_timeout"} & set(url.query)
        limits = {"connect_timeout": max(1, round(seconds)), "read_timeout": max(1, round(seconds))}
        return {name: limit for name, limit in limits.items() if name not in given} | tls_options(url)

    def is_open(self, connection: Any) -> bool:
        """By the server's last word on it; a row that is read says nothing of it."""
        return bool(connection.server_status & IN_TRANSACTION)

    def product_of(self, found: sa.Dialect) -> str:
        """One kind of url leads to both."""
        return servers.MARIADB if getattr(found, "is_mariadb", False) else servers.MYSQL

    def hang_up(self, connection: Any) -> None:
        """The driver offers nothing for that."""
        with suppress(Exception):
            connection._sock.shutdown(socket.SHUT_RDWR)

    def chance(self) -> ColumnElement[Any]:
        """Its function has a name of its own."""
        return sa.func.rand(type_=sa.Float)

    def set_up(self, connection: Any) -> Peer:
        """Strict mode, or a value that is too long is cut with a warning only.

        The server's greeting has its version and the session's number. If they are its own, no proxy speaks for it,
        and the session is as old as the connection.
        """
        # Its versions before 1.2 go on without the TLS that was demanded if the server says that it has none.
        if connection.ssl and not connection._secure and getattr(connection, "_ssl_required", True):
            connection.close()
            raise connection.OperationalError(NO_TLS, "no TLS")
        # Of the greeting. A statement may take its time: whether the server still answers is found out otherwise.
        connection._read_timeout = int(self._read_seconds) if isinstance(self._read_seconds, str) else None
        with suppress(AttributeError, OSError):
            # What was sent and never arrived; and a server that took this one's place knows nothing of the connection.
            for option, value in PATIENCE.items():
                connection._sock.setsockopt(socket.IPPROTO_TCP, option, value)
        # A statement by itself is a transaction; others begin with one.
        connection.autocommit(value=True)
        with connection.cursor() as cursor:
            # Shards divide keys; without digits behind its point a negative quotient names the next block. MySQL can
            # hide a primary key that it made by itself.
            cursor.execute(
                f"{LOCK_WAITS.format(LOCK_SECONDS)}, "
                "sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES'), "
                f"group_concat_max_len = {LONGEST}, div_precision_increment = 4, {SETTINGS} "
                "/*!80030 , show_gipk_in_create_table_and_information_schema = ON */"
            )
            cursor.execute(LEVEL.format(COMMITTED))
            cursor.execute(f"SELECT {SERVER}, {servers.INCARNATION}, {TAKES_NO_WRITES}, connection_id(), version()")
            server, began, takes_no_writes, number, version = cursor.fetchone()
        product = servers.product_of(version)
        servers.note_product(connection, product)
        self._is_served(connection, product, version_in(version))
        is_own = connection.get_server_info().removeprefix("5.5.5-") == version
        session = (server, number) if is_own and connection.thread_id() == number % 2**32 else None
        return Peer((*servers.fact(began), replica(takes_no_writes)), session)

    def sign_of(self, connection: Any, session: Session) -> Sign:
        """By the list of processes, in which a user sees its own sessions."""
        server, number = session
        with connection.cursor() as cursor:
            cursor.execute(f"{PROCESSES} WHERE id IN (connection_id(), %s)", [number])
            found = {session: (here, command, state) for here, session, command, state in cursor.fetchall()}
        if any(here != server for here, *_ in found.values()) or connection.thread_id() not in found:
            return Sign.LIFE
        if number not in found:
            return Sign.LOSS
        _, command, state = found[number]
        # Otherwise the statement never arrived, its answer does not leave, or it waits for a replica.
        return Sign.LIFE if command == "Sleep" or re.search(ELSEWHERE, state or "") else Sign.WORK

    def begin(self, connection: sa.Connection, mode: Mode) -> None:
        """What belongs to the session is changed only if necessary: the wait for locks, and the isolation."""
        is_hurried = mode is Mode.HURRIED and not self.always_waits(connection)
        known, seconds = connection.connection.info, 0 if is_hurried else LOCK_SECONDS
        if known.get(LOCK_WAIT, LOCK_SECONDS) != seconds:
            connection.exec_driver_sql(LOCK_WAITS.format(seconds))
            known[LOCK_WAIT] = seconds
        isolation = REPEATABLE if mode is Mode.SNAPSHOT else COMMITTED
        # What reads no one moment may have either: between two snapshots it would be set twice.
        if mode is not Mode.READ and known.get(ISOLATION, COMMITTED) != isolation:
            connection.exec_driver_sql(LEVEL.format(isolation))
            known[ISOLATION] = isolation
        driver: Any = connection.connection.driver_connection
        # A proxy may send what reads and is in no transaction to a replica, and each transaction to another server.
        is_led = known.get(LASTING, "") is None
        if mode is Mode.SNAPSHOT:
            # Of InnoDB's tables. As any, it ends the transaction before it in a row.
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        elif mode is Mode.READ or (mode is Mode.ALONE and is_led):
            connection.exec_driver_sql("START TRANSACTION READ ONLY")
        elif mode not in {Mode.ALONE, Mode.BARE} and driver.get_autocommit():
            # As the session has it: that may be read-only, too.
            connection.exec_driver_sql("START TRANSACTION")
        if mode in READING and is_led:
            known[FACTS] = (replica(connection.exec_driver_sql(f"SELECT {TAKES_NO_WRITES}").scalar()),)

    def always_waits(self, connection: sa.Connection) -> bool:
        """MySQL waits for a second at least, and in strict mode it refuses 0."""
        return not getattr(connection.dialect, "is_mariadb", False)

    def limit_waits(self, connection: sa.Connection) -> None:
        """For the session, which ends after that."""
        connection.exec_driver_sql(f"{LOCK_WAITS.format(LOCK_SECONDS)}, {SETTINGS}")

    def exactly(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """As bytes of UTF-8."""
        if is_binary(kind):
            return column
        return sa.literal_column(as_bytes(quote(column.name)), sa.String)

    def digest(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """By its own function."""
        return sa.func.sha2(self.exactly(column, kind), sa.literal_column("256"))

    def compact(self, cell: str | bytes) -> str | bytes:
        """Bytes as text, if they are UTF-8: a column of bytes takes that as it is."""
        with suppress(UnicodeDecodeError):
            return cell if isinstance(cell, str) else cell.decode()
        return cell

    def sent_size(self, cell: str | bytes) -> int:
        """The driver writes bytes as hex digits, and a backslash before some characters."""
        if isinstance(cell, bytes):
            return 2 * len(cell)
        data = bytes_of(cell)
        return len(data) + sum(map(data.count, ESCAPED))

    def as_text(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """MySQL's JSON as text; MariaDB's is text."""
        return sa.cast(column, mysql.CHAR) if isinstance(kind, sa.JSON) else column

    def block(self, key: ColumnElement[Any]) -> ColumnElement[int]:
        """A shift would take a negative number for a huge one."""
        return sa.func.floor(key / sa.literal_column(str(1 << BLOCK_BITS), sa.Integer))

    def spread(self, keys: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
        """CRC-32."""
        return sa.func.crc32(sa.func.concat_ws(",", *keys))

    def room(self, kind: sa.types.TypeEngine[Any]) -> int | None:
        """TEXT and BLOB are bounded, too, unless they are long."""
        return super().room(kind) or MOST_BYTES.get(type(kind).__name__)

    def largest_write(self, connection: sa.Connection) -> int | None:
        """The server closes the connection of one who sends more."""
        return self.catalog.largest(connection)

    def holds_text(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """A SET is made of words, though SQLAlchemy takes it for text."""
        return is_binary(kind) or (super().holds_text(kind) and not isinstance(kind, mysql.SET))

    def unfit_key(self, kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> str | None:
        """A FLOAT is shown with six digits; an ENUM compares as text and sorts as a number.

        A TIMESTAMP is shown in the zone of the session: two of them alike if the clock is put back between them.
        """
        if isinstance(kind, sa.Float) and not isinstance(kind, sa.Double):
            return "which is inexact"
        if isinstance(kind, sa.Enum | mysql.SET):
            return OUT_OF_ORDER
        if isinstance(kind, sa.TIMESTAMP) and not _EVEN_ZONE.fullmatch(connection.scalar(sa.text(ZONE)) or ""):
            return (
                "which is read in this session's time zone, where two of them are alike if the clock is put back: "
                "add init_command=SET%20time_zone='%2B00:00' to the url, behind ? or &"
            )
        return super().unfit_key(kind, connection)

    def unfit_column(
        self, connection: sa.Connection, qualified: QualifiedName, kind: sa.types.TypeEngine[Any], held: Format
    ) -> str | None:
        """MariaDB's JSON is a LONGTEXT with a check. What a trigger makes of a token must be undone."""
        if reason := super().unfit_column(connection, qualified, kind, held):
            return reason
        if (engine := engine_without_undo(connection, qualified)) and self.catalog.triggers(connection, qualified):
            return f"the table has UPDATE triggers, and {engine} could not undo what they do to a token; use InnoDB"
        if held is Format.TOKEN and getattr(connection.dialect, "is_mariadb", False) and is_json(connection, qualified):
            return IS_JSON
        return None
