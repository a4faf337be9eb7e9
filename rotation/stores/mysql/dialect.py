"""MariaDB and MySQL, through PyMySQL."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from inspect import signature
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Swaps
from rotation.model.target import Format
from rotation.planning.inner_tokens import bytes_of
from rotation.stores.blocks import GridBlocks, drivers_errors
from rotation.stores.columns import BLOCK_BITS, QualifiedName, TargetCells
from rotation.stores.dialect import (
    CLOSED,
    FOREIGN,
    FULL,
    IS_JSON,
    NAMELESS,
    READING,
    UNREACHABLE,
    BatchSwap,
    Dialect,
    Fault,
    Mode,
)
from rotation.stores.mysql.catalog import (
    AnyType,
    MySQLCatalog,
    as_bytes,
    engine_without_undo,
    is_binary,
    is_json,
    largest_packet,
    quote,
)
from rotation.stores.mysql.other_options import OTHER_OPTIONS
from rotation.stores.mysql.other_writers import MySQLChangeTracker
from rotation.stores.mysql.replication import replication
from rotation.stores.mysql.servers import (
    INCARNATION,
    MARIADB,
    MYSQL,
    SERVER,
    TAKES_NO_WRITES,
    UNKNOWN,
    fact,
    note_product,
    product_at,
    product_of,
)
from rotation.stores.mysql.tls import TLS_OPTIONS, refuse_plain, tls_fault, tls_options
from rotation.stores.servers import SERVER as FACTS
from rotation.stores.servers import Peer, Replication, replica, version_in
from rotation.stores.tls import words_for
from rotation.stores.watchdog import LASTING, LINE, Session, Sign

LONGEST = 16 * 1024 * 1024
"""Bytes that the server puts together; beyond them it would cut without an error."""
PROCESSES = f"SELECT {SERVER}, id, command, state FROM information_schema.processlist"  # noqa: S608 - constants only
ELSEWHERE = "(?i)writing to net|to client|semi-?sync ack"
"""States of a session that waits for others."""
IN_TRANSACTION = 1
"""The bit in the status that the server adds to its answers: a transaction is open that a statement has begun."""
MOST_CASES = 200
"""Rows of a statement with a case for each: its time grows with their square."""
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
SEVERAL, ALLOWED = "rotation.several", b"\0\0"
"""The name under which it notes whether it sends several statements at once, and what allows them."""
COMMITTED, REPEATABLE = "READ COMMITTED", "REPEATABLE READ"

ZONE = "SELECT IF(@@session.time_zone = 'SYSTEM', @@system_time_zone, @@session.time_zone)"
_EVEN_ZONE = re.compile(r"(?i)[+-]\d\d:\d\d|(etc/)?(utc|gmt|uct|zulu)|etc/gmt[+-]\d+")
"""Zones in which no clock is ever put back."""

ESCAPED = (b"\0", b"\n", b"\r", b"\x1a", b"\\", b"'", b'"')
UTF8 = "CHARACTER SET utf8mb4"
OLD_AND_NEW = "CAST(swap.old AS BINARY)", "swap.new"

CONSTRAINT_NAMES: Mapping[int, str] = {
    1062: r"for key '(.+)'$",
    1451: r"CONSTRAINT `(.+?)` FOREIGN KEY",
    1452: r"CONSTRAINT `(.+?)` FOREIGN KEY",
    3819: r"^Check constraint '(.+)' is violated",
    4025: r"^CONSTRAINT `(.+?)` failed",
}
"""The pattern of the constraint's name in a message. The rest may hold a token."""

PATIENCE = {
    getattr(socket, name): value
    for name, value in zip(
        ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), (15_000, 10, 5, 3), strict=True
    )
    if hasattr(socket, name)
}
"""The kernel's patience with the other side: milliseconds, seconds, seconds, times. Not every system has them."""

NO_TEXTS = frozenset({"ssl", "conv", "cursorclass", "compress", "named_pipe", "defer_connect", "auth_plugin_map"})
"""Options of the driver whose values are no texts, or that it knows and refuses."""

MOST_BYTES = {"TINYTEXT": 255, "TINYBLOB": 255, "TEXT": 65_535, "BLOB": 65_535}
KEYS = (
    sa.Integer,
    sa.Numeric,
    sa.Double,
    sa.String,
    sa.LargeBinary,
    sa.BINARY,
    sa.VARBINARY,
    sa.Date,
    sa.DateTime,
    sa.Time,
    mysql.YEAR,
    sa.Uuid,
    # SQLAlchemy does not know INET6; its text finds it again.
    sa.types.NullType,
)


CRASHED = "it is marked as crashed: REPAIR TABLE"
ENGINE_FAILED = "its storage engine failed, and the server's log says why"


class MySQLBlocks(GridBlocks):
    """For a key of one whole number. A batch of keys with gaps or of several lengths is read by rows.

    A swap is one statement, and so a transaction by itself, also among others that are sent with it: no row stays
    locked while its answer is on the way.
    """

    is_bare = True

    def __init__(self, cells: TargetCells) -> None:
        key, cell = _named(cells.key[0]), _named(cells.qualified.column)
        self._binary = is_binary(cells.kind)
        place = f"({key} - %(first)s) * %(size)s + 1, %(size)s"
        new = f"SUBSTRING(%(new)s, {place})"
        new = new if self._binary else f"CONVERT({new} USING utf8mb4)"
        held = cell if self._binary else as_bytes(cell)
        sets = ", ".join([f"{cell} = {new}", *cells.sets_as_text(_named)])
        super().__init__(
            f"UPDATE {_table_of(cells)} SET {sets} "  # noqa: S608 - quoted names
            f"WHERE {key} BETWEEN %(first)s AND %(last)s AND {held} = SUBSTRING(%(old)s, {place})"
        )

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""
        return len(cells.key) == 1 and isinstance(cells.key_kinds[0], sa.Integer)

    def aggregate(
        self, key: ColumnElement[Any], cell: ColumnElement[Any], largest: int
    ) -> tuple[ColumnElement[int], ColumnElement[Any]]:
        """Any cell that is not too large; the key's type says that it is a number."""
        del key
        size = sa.func.octet_length(cell)
        fitting = sa.case((size <= largest, cell)).op("SEPARATOR")(sa.literal_column("''"))
        return size, sa.func.group_concat(fitting)

    def _execute(self, connection: sa.Connection, values: Sequence[Mapping[str, Any]]) -> list[int]:
        """In one round trip, if what answers says that it takes several statements at once."""
        driver: Any = connection.connection.driver_connection
        if len(values) < 2 or not _takes_several(connection, driver):
            return super()._execute(connection, values)
        with drivers_errors(connection), driver.cursor() as cursor:
            sent = time.perf_counter()
            cursor.execute(";".join(cursor.mogrify(self._swap, each) for each in values))
            connection.info[LINE].waited(time.perf_counter() - sent)
            # One that fails ends them, and is raised here.
            counts = [cursor.rowcount]
            while cursor.nextset():
                counts.append(cursor.rowcount)
        return counts


def _takes_several(connection: sa.Connection, driver: Any) -> bool:
    """True if several statements may be sent as one. For a connection that never sends them, that stays forbidden.

    https://mariadb.com/kb/en/com_set_option/
    """
    notes = connection.info
    if SEVERAL not in notes:
        from pymysql.constants import CLIENT, COMMAND  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

        notes[SEVERAL] = bool(driver.server_capabilities & CLIENT.MULTI_STATEMENTS)
        if notes[SEVERAL]:
            with drivers_errors(connection):
                driver._execute_command(COMMAND.COM_SET_OPTION, ALLOWED)
                driver._read_packet()
    return bool(notes[SEVERAL])


def _named(name: str) -> str:
    # A percent sign in it is no parameter.
    return quote(name).replace("%", "%%")


def _table_of(cells: TargetCells) -> str:
    return ".".join(_named(name) for name in (cells.qualified.schema, cells.qualified.table) if name)


class MySQL(Dialect):
    """Session settings, error numbers, and binary comparison: the default collation takes `a` for `A`."""

    catalog = MySQLCatalog()
    other_writers = MySQLChangeTracker
    blocks = MySQLBlocks
    driver = "mysql+pymysql"
    new_key = "BIGINT NOT NULL INVISIBLE AUTO_INCREMENT PRIMARY KEY"
    product = UNKNOWN
    # JSON_TABLE; INVISIBLE columns.
    oldest: ClassVar[Mapping[str, Sequence[int]]] = {MARIADB: (10, 6), MYSQL: (8, 0, 23)}
    extra = "mysql"
    name_quote = "`"
    is_by_itself = True
    other_options = OTHER_OPTIONS
    clock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    refusals: ClassVar[Mapping[Any, str]] = {
        **words_for(
            ca="ssl_ca",
            cert="ssl_cert",
            key="ssl_key",
            mode="ssl_ca and ssl_disabled",
            any_host="ssl_check_hostname=false",
            versions="ssl_cipher",
        ),
        6: "the server lost a temporary file: two servers must not share a folder for these (tmpdir)",
        1021: "the disk is full",
        1036: "the table is read-only",
        1038: "the server cannot sort with so little memory: raise this user's sort_buffer_size",
        1040: FULL,
        1044: "this user may not use the database",
        1045: "user or password is wrong, or the account asks for TLS or for a certificate of the client",
        1049: "there is no such database",
        1114: "the table is full",
        1129: "the server takes no connection from this host any more: mysqladmin flush-hosts",
        1130: "the server takes no connection from this host: look at the user's host",
        1142: "the privilege for it is missing: grant SELECT and UPDATE on the table",
        1143: "the privilege for it is missing: grant SELECT and UPDATE on its columns",
        1184: "the init_connect of the server fails: correct it there",
        1153: "a value is larger than max_allowed_packet",
        1203: FULL,
        1205: "another transaction holds a lock",
        1226: FULL,
        1231: "the server takes no such value of a session variable: look at init_command in the url",
        1227: "the privilege for it is missing: grant SELECT and UPDATE on the table",
        1290: "the server is read-only",
        3032: "the server is in offline mode, which lets in its administrators only",
        3572: "another transaction holds a lock",
        1698: "user or password is wrong",
        1792: "the transaction is read-only",
        1836: "the server is read-only",
        2003: "the server cannot be reached",
        1047: "this node of the cluster takes no statements yet",
        1053: "the server is shutting down",
        1927: "the connection was lost",
        1969: "a statement took too long: raise this user's max_statement_time",
        2006: "the connection was lost",
        2013: "the connection was lost",
        3024: "a statement took too long: raise this user's max_execution_time",
        9001: "the proxy has no connection to its server",
    }
    damages: ClassVar[Mapping[Any, str]] = {
        126: CRASHED,
        144: CRASHED,
        145: CRASHED,
        1030: ENGINE_FAILED,
        1194: CRASHED,
        1195: CRASHED,
        1286: "its storage engine is not loaded",
        1296: ENGINE_FAILED,
        1356: "what the view refers to is not there, or its owner may not read it",
        1812: "its tablespace is not there",
        1814: "its tablespace was discarded",
        1877: "it is corrupt",
        1932: "its storage engine does not have it, or cannot decrypt it",
    }
    denials: ClassVar[frozenset[Any]] = frozenset({1142, 1143, 1227})
    replicas_write = True
    absences: ClassVar[frozenset[Any]] = frozenset({1049})
    locked: ClassVar[frozenset[Any]] = frozenset({1205, 3572})
    # 0 the connection is closed, 1040, 1203 and 1226 none to spare, 1047 a node of Galera is not ready, 1053 shutdown,
    # 1927 killed, 2002..2055 connection, 3032 offline mode, 9001 ProxySQL has no server.
    gone: ClassVar[frozenset[Any]] = frozenset(
        {0, 1040, 1047, 1053, 1203, 1226, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 3032, 9001, FOREIGN}
    )
    read_only: ClassVar[frozenset[Any]] = frozenset({1290, 1836})
    # 6 a temporary file is gone, 1020 changed since read, 1213 deadlock, 1412 altered since the snapshot, 3024 killed.
    transient: ClassVar[frozenset[Any]] = (gone - {FOREIGN}) | {6, 1020, 1213, 1412, 3024}
    # 1048 NULL, 1062 unique, 1242 a trigger's subquery, 1264 range, 1265 cut, 1292 and 1366 not of the type, 1406 too
    # long, 1451 and 1452 foreign key, 1644 a SIGNAL, 3819 and 4025 check.
    row: ClassVar[frozenset[Any]] = frozenset(
        {1048, 1062, 1242, 1264, 1265, 1292, 1366, 1406, 1451, 1452, 1644, 3819, 4025}
    )

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

    def is_late(self, error: BaseException) -> bool:
        """By the error that the driver met."""
        cause = getattr(error, "original_exception", None)
        return isinstance(cause, TimeoutError) or (self.code(error) == 2013 and "timed out" in str(error))

    def is_open(self, connection: Any) -> bool:
        """By the server's last word on it; a row that is read says nothing of it."""
        return bool(connection.server_status & IN_TRANSACTION)

    def product_of(self, found: sa.Dialect) -> str:
        """One kind of url leads to both."""
        return MARIADB if getattr(found, "is_mariadb", False) else MYSQL

    def replication(self, connection: sa.Connection) -> Replication | None:
        """By its variables, and by the state of its replication."""
        return replication(connection)

    def product_at(self, url: URL) -> str:
        """As a server there has said, to this process."""
        return product_at(url)

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
        refuse_plain(connection)
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
                f"{_lock_wait(LOCK_SECONDS)}, sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES'), "
                f"group_concat_max_len = {LONGEST}, div_precision_increment = 4, {SETTINGS} "
                "/*!80030 , show_gipk_in_create_table_and_information_schema = ON */"
            )
            cursor.execute(_isolation(COMMITTED))
            cursor.execute(f"SELECT {SERVER}, {INCARNATION}, {TAKES_NO_WRITES}, connection_id(), version()")
            server, began, takes_no_writes, number, version = cursor.fetchone()
        product = product_of(version)
        note_product(connection, product)
        self._is_served(connection, product, version_in(version))
        is_own = connection.get_server_info().removeprefix("5.5.5-") == version
        session = (server, number) if is_own and connection.thread_id() == number % 2**32 else None
        return Peer((*fact(began), replica(takes_no_writes)), session)

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
            connection.exec_driver_sql(_lock_wait(seconds))
            known[LOCK_WAIT] = seconds
        isolation = REPEATABLE if mode is Mode.SNAPSHOT else COMMITTED
        # What reads no one moment may have either: between two snapshots it would be set twice.
        if mode is not Mode.READ and known.get(ISOLATION, COMMITTED) != isolation:
            connection.exec_driver_sql(_isolation(isolation))
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
        connection.exec_driver_sql(f"{_lock_wait(LOCK_SECONDS)}, {SETTINGS}")

    def code(self, error: BaseException) -> object:
        """The error number, unless TLS or another kind of server is behind it; the driver's own errors have words."""
        number = error.args[0] if error.args else None
        if isinstance(number, int):
            return tls_fault(error, number) or number
        return FOREIGN if str(number).startswith("Packet sequence number wrong") else None

    def fault(self, error: BaseException) -> Fault:
        """By error number: https://mariadb.com/kb/en/mariadb-error-code-reference/. A wrong name stays wrong."""
        fault, cause = super().fault(error), getattr(error, "original_exception", None)
        return Fault.PERMANENT if fault is Fault.TRANSIENT and isinstance(cause, socket.gaierror) else fault

    def words(self, error: BaseException) -> str | None:
        """By error number; if no server answered, by the driver's own error."""
        cause = getattr(error, "original_exception", None)
        if isinstance(cause, socket.gaierror):
            return NAMELESS
        if isinstance(cause, ConnectionRefusedError):
            return CLOSED
        return self.unreachable(error) or super().words(error)

    def unreachable(self, error: BaseException) -> str | None:
        """By the driver's own error."""
        cause = getattr(error, "original_exception", None)
        return UNREACHABLE.get(cause.errno or 0) if isinstance(cause, OSError) else None

    def constraint(self, error: BaseException) -> str | None:
        """From the message, which is English whatever the user's language only by default; else None."""
        pattern = CONSTRAINT_NAMES.get(self.code(error))  # type: ignore[call-overload]
        name = re.search(pattern, str(error.args[1])) if pattern and len(error.args) > 1 else None
        return name[1] if name else None

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

    def batch_swap(self, cells: TargetCells) -> BatchSwap:
        """UPDATE joined with JSON_TABLE, for keys of integers: text would drag its collation into the join."""
        if not all(isinstance(kind, sa.Integer) for kind in cells.key_kinds) or is_binary(cells.kind):
            return _swap_by_cases(cells)

        def named(column: str) -> str:
            return f"t.{quote(column)}"

        # Tokens travel as they are; of other texts each escape would be escaped twice, so these travel as hex digits.
        in_hex = not cells.of_tokens
        old, new = ("UNHEX(swap.old)", "CONVERT(UNHEX(swap.new) USING utf8mb4)") if in_hex else OLD_AND_NEW
        cell = named(cells.qualified.column)
        names = [f"key{number}" for number in range(len(cells.key))]
        columns = [
            f"{name} BIGINT{' UNSIGNED' if getattr(kind, 'unsigned', False) else ''}"
            for name, kind in zip(names, cells.key_kinds, strict=True)
        ]
        paths = ", ".join(
            f"{column} PATH '$[{number}]'"
            # The database's own charset may know no such letter, or be one of two bytes.
            for number, column in enumerate([*columns, f"old LONGTEXT {UTF8}", f"new LONGTEXT {UTF8}"])
        )
        found = " AND ".join(f"{named(column)} = swap.{name}" for column, name in zip(cells.key, names, strict=True))
        sets = ", ".join([f"{cell} = {new}", *cells.sets_as_text(named)])
        schema = f"{quote(cells.qualified.schema)}." if cells.qualified.schema else ""
        # Every part is a quoted identifier or a type's own name; a colon in a name is no parameter.
        before = f"UPDATE {schema}{quote(cells.qualified.table)} t JOIN JSON_TABLE(".replace(":", r"\:")
        after = (f", '$[*]' COLUMNS ({paths})) swap ON {found} SET {sets} WHERE {as_bytes(cell)} = {old}").replace(
            ":", r"\:"
        )

        def sent(cell: str | bytes) -> str | bytes:
            return (cell if isinstance(cell, bytes) else cell.encode()).hex() if in_hex else cell

        def parameters(swaps: Swaps) -> dict[str, Any]:
            return {"swaps": json.dumps([[*key, sent(old), sent(new)] for key, old, new in swaps.rows()])}

        return BatchSwap(sa.text(f"{before}:swaps{after}"), parameters)

    def block(self, key: ColumnElement[Any]) -> ColumnElement[int]:
        """A shift would take a negative number for a huge one."""
        return sa.func.floor(key / sa.literal_column(str(1 << BLOCK_BITS), sa.Integer))

    def spread(self, keys: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
        """CRC-32."""
        return sa.func.crc32(sa.func.concat_ws(",", *keys))

    def room(self, kind: sa.types.TypeEngine[Any]) -> int | None:
        """TEXT and BLOB are bounded, too, unless they are long."""
        return super().room(kind) or MOST_BYTES.get(type(kind).__name__)

    def length(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """In bytes."""
        return sa.func.octet_length(column)

    def largest_write(self, connection: sa.Connection) -> int | None:
        """The server closes the connection of one who sends more."""
        return largest_packet(connection)

    def holds_text(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """A SET is made of words, though SQLAlchemy takes it for text."""
        return is_binary(kind) or (super().holds_text(kind) and not isinstance(kind, mysql.SET))

    def unfit_key(self, kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> str | None:
        """A FLOAT is shown with six digits; an ENUM compares as text and sorts as a number.

        A TIMESTAMP is shown in the zone of the session: two of them alike if the clock is put back between them.
        """
        if isinstance(kind, sa.Float) and not isinstance(kind, sa.Double):
            return "which is inexact"
        if isinstance(kind, sa.Enum | mysql.SET) or not isinstance(kind, KEYS):
            return "which cannot be followed in order"
        if isinstance(kind, sa.TIMESTAMP) and not _EVEN_ZONE.fullmatch(connection.scalar(sa.text(ZONE)) or ""):
            return (
                "which is read in this session's time zone, where two of them are alike if the clock is put back: "
                "add init_command=SET%20time_zone='%2B00:00' to the url, behind ? or &"
            )
        return None

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


def _lock_wait(seconds: int) -> str:
    return f"SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}"


def _isolation(level: str) -> str:
    return f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"


def _swap_by_cases(cells: TargetCells) -> BatchSwap:
    """UPDATE with a case for each row: each key is compared with a value as it was read, in the column's collation."""
    cell, sets = _named(cells.qualified.column), cells.sets_as_text(_named)
    held = cell if is_binary(cells.kind) else as_bytes(cell)

    @cache
    def statement(rows: int) -> str:
        found = [
            " AND ".join(f"{_named(name)} = %(key{part}_{row})s" for part, name in enumerate(cells.key))
            for row in range(rows)
        ]
        new = " ".join(f"WHEN {key} THEN %(new{row})s" for row, key in enumerate(found))
        rows_found = " OR ".join(f"({key} AND {held} = %(old{row})s)" for row, key in enumerate(found))
        return (
            f"UPDATE {_table_of(cells)} SET {', '.join([f'{cell} = CASE {new} END', *sets])} "  # noqa: S608 - quoted names
            f"WHERE {rows_found}"
        )

    def parameters(swaps: Swaps) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for row, (key, old, new) in enumerate(swaps.rows()):
            found |= {f"key{part}_{row}": value for part, value in enumerate(key)}
            found |= {f"old{row}": old, f"new{row}": new}
        return found

    return BatchSwap(statement, parameters, MOST_CASES)
