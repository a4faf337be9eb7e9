"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, ClassVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Swaps
from rotation.stores.columns import BLOCK_BITS, AsRead, TargetCells
from rotation.stores.dialect import (
    CLOSED,
    CUT,
    FOREIGN,
    FULL,
    NAMELESS,
    UNREACHABLE,
    BatchSwap,
    Dialect,
    Fault,
    Mode,
    Tempo,
)
from rotation.stores.postgresql.blocks import PostgreSQLBlocks, PostgreSQLPages
from rotation.stores.postgresql.catalog import TRANSACTION, PostgreSQLCatalog
from rotation.stores.postgresql.codecs import TextArray, bigint_array, bytea_array, register, take_any_text, text_array
from rotation.stores.postgresql.other_options import OTHER_OPTIONS
from rotation.stores.postgresql.other_writers import PostgreSQLChangeTracker
from rotation.stores.postgresql.replication import replication
from rotation.stores.postgresql.sessions import peer_of, sign_of
from rotation.stores.postgresql.transactions import (
    LOCK_MILLISECONDS,
    begin,
    begin_with,
    end_with_next,
    execute,
    execute_many,
)
from rotation.stores.servers import Peer, Replication, version_in
from rotation.stores.tls import TlsFault, words_for
from rotation.stores.watchdog import Session, Sign

KEYS = (
    sa.Integer,
    sa.Numeric,
    sa.Double,
    sa.String,
    sa.Uuid,
    sa.LargeBinary,
    sa.Date,
    sa.DateTime,
    sa.Time,
    sa.Boolean,
    postgresql.INTERVAL,
    postgresql.INET,
    postgresql.CIDR,
    postgresql.MACADDR,
    postgresql.MACADDR8,
)

USUAL = {
    # What was sent and never arrived: the kernel would try for a quarter of an hour, in milliseconds.
    "tcp_user_timeout": "15000",
    # While an answer is awaited: a server that took this one's place knows nothing of the connection, and says so.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    # Whatever the database's own encoding: of SQL_ASCII the driver would make bytes of every text.
    "client_encoding": "utf8",
}
"""Settings of a connection, as in a url."""
UNIDENTIFIED = (
    "the table, or a partition of it, is published, and nothing says which row an update is of: look at its REPLICA "
    "IDENTITY, and at the columns that the publication names"
)
BY_STATEMENT, OPTIONS = "a pooler's statement mode", "a pooler's options"
"""The codes for what a pooler says of itself, in place of an SQLSTATE that it shares with other faults, or has not."""
UNREACHED = frozenset({"OperationalError", "ConnectionTimeout"})
"""The driver's errors before there is a session."""
ANSWERS = {
    r"sorry, too many clients|too many connections for|connection slots are reserved|max_client_conn": "53300",
    r"the database system is|not (yet )?accepting connections": "57P03",
    r"password|(?<!certificate )authentication failed|no such user|role .* does not exist|not permitted to log in": (
        "28000"
    ),
    r"permission denied for database": "42501",
    r"database .* does not exist|not currently accepting|no such database|database .* is disabled": "3D000",
    r"unsupported (options )?startup parameter": OPTIONS,
    # PgBouncer's own while its server is away, unless it repeats an answer of that server, as the ones above.
    r"server_login_retry|cannot connect to server|query_wait_timeout|server conn crashed|shutting down": "08006",
}
"""The server's answers to a connection attempt, each with the SQLSTATE that the driver does not pass on."""
OUTCOMES = {
    r"valid client certificate|certificate authentication failed|alert (unknown ca|.*certificate)": TlsFault.CLIENT,
    r"certificate file|private key file|could not (load|read|open) .*certificate": TlsFault.FILE,
    r"server certificate for|host name must be specified": TlsFault.HOST,
    "certificate verify failed": TlsFault.AUTHORITY,
    "server does not support SSL": TlsFault.MISSING,
    # PgBouncer's own.
    "SSL required": TlsFault.DEMANDED,
    "channel binding": TlsFault.BINDING,
    # The end of the line in the middle of it is a server that stops.
    "SSL error: (?!unexpected eof)": TlsFault.HANDSHAKE,
    "response to SSL negotiation|expected authentication request|unencrypted data after SSL": FOREIGN,
    r"pg_hba\.conf": "pg_hba",
    "no password supplied": "no password",
}
"""Other ends of a connection attempt, by words of libpq or of the server, with the code that this package gives them.

With sslmode=prefer there are two attempts, and those of the one with TLS come first.
"""
INTEGERS = ("port", "keepalives", *(name for name in USUAL if name != "client_encoding"))
"""Options of libpq that it looks at late."""


class PostgreSQL(Dialect):
    """Session settings, SQLSTATE codes, and exact comparison under any collation."""

    catalog = PostgreSQLCatalog()
    other_writers = PostgreSQLChangeTracker
    blocks = PostgreSQLBlocks
    pages = PostgreSQLPages
    driver = "postgresql+psycopg"
    mixed = "PostgreSQL refuses what the application writes"
    new_key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    product = "PostgreSQL"
    # Transactions by their full numbers (pg_current_xact_id).
    oldest: ClassVar[Mapping[str, Sequence[int]]] = {"PostgreSQL": (13,)}
    extra = "postgres"
    clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
    tempo = Tempo(gentle_rows=100, rest=5.0)
    hurries = has_numbers = True
    other_options = OTHER_OPTIONS
    refusals: ClassVar[Mapping[Any, str]] = {
        **words_for(
            ca="sslrootcert",
            cert="sslcert",
            key="sslkey",
            mode="sslmode",
            any_host="sslmode=verify-ca",
            versions="ssl_min_protocol_version",
        ),
        "pg_hba": "the server's pg_hba.conf admits no such connection: look at user, database and sslmode in the url, "
        "and at the address of this machine",
        "no password": "the server asks for a password, and none was given",
        "22P05": "its encoding lacks a character that was sent; write names (ROTATION_SERVICE, --by) in ASCII letters, "
        "or take a database in UTF8",
        "25006": "the database is read-only (a standby?)",
        "28000": "user or password is wrong",
        "28P01": "user or password is wrong",
        "3D000": "there is no such database",
        "42501": "the privilege for it is missing: grant SELECT and UPDATE on the table, and USAGE on its schema",
        "53100": "the disk is full",
        "53200": "the server has not enough memory",
        "53300": FULL,
        "08006": "the pooler has no connection to its server",
        BY_STATEMENT: "the pooler is in statement mode, in which there are no transactions; it needs transaction or "
        "session mode for this database and user (pool_mode)",
        OPTIONS: "the pooler takes no such options: look at what stands behind ? in the url; a table of another schema "
        "can be named with it, as app.creds, and search_path be set for the user by ALTER ROLE",
        "55P03": "another transaction holds a lock",
        "25P03": "the server ends what waits in a transaction: raise this user's idle_in_transaction_session_timeout",
        "25P04": "the server ends long transactions: raise this user's transaction_timeout",
        "57014": "a statement was cancelled: raise this user's statement_timeout, if it has one",
        "57P01": "the connection was lost",
        "57P03": "the server is starting or shutting down",
        "57P05": "the server ends what waits between transactions: raise this user's idle_session_timeout",
    }
    damages: ClassVar[Mapping[Any, str]] = {
        "58P01": "a file of it is not there",
        "XX001": "some of its data is damaged",
        "XX002": "an index of it is damaged: REINDEX",
    }
    unforeseen = "the database failed, and the server's log says why"
    denials: ClassVar[frozenset[Any]] = frozenset({"42501"})
    transient: ClassVar[frozenset[Any]] = frozenset(
        {"08", "40", "57P01", "57P02", "57P03", "57P05", "53300", "25P03", "25P04"}
    )
    gone: ClassVar[frozenset[Any]] = frozenset({"08", "57P01", "57P02", "57P03", "53300", FOREIGN})
    hopeless: ClassVar[frozenset[Any]] = frozenset({BY_STATEMENT})
    read_only: ClassVar[frozenset[Any]] = frozenset({"25006"})
    locked: ClassVar[frozenset[Any]] = frozenset({"55P03"})
    # 21 and 22 data, 23 constraint, 27 a trigger, 44 WITH CHECK OPTION, P0 a trigger's RAISE, 54000 too much for an
    # index.
    row: ClassVar[frozenset[Any]] = frozenset({"21", "22", "23", "27", "44", "P0", "54000"})

    def prepare_url(self, url: URL) -> URL:
        """With what the url does not set itself."""
        url = super().prepare_url(url)
        return url.update_query_dict({name: value for name, value in USUAL.items() if name not in url.query})

    def options(self) -> frozenset[str]:
        """Of libpq, as it is installed."""
        from psycopg.pq import Conninfo  # noqa: PLC0415 - an extra

        return frozenset(each.keyword.decode() for each in Conninfo.get_defaults())

    def try_options(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """The values that the driver and libpq judge by themselves; the others are the server's to judge."""
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - an extra
        from psycopg.pq import PGconn  # noqa: PLC0415 - an extra

        # SQLAlchemy's own, for the driver.
        given = {name: value for name, value in options.items() if name != "context"}
        make_conninfo(*arguments, **given)
        float(given.get("connect_timeout") or 0)
        for name in INTEGERS:
            for each in filter(None, str(given.get(name) or "").split(",")):
                int(each)
        # No socket can be there, and before libpq says so, it says what is wrong with an option. Kerberos takes TCP.
        nowhere = {"host": "/dev/null", "user": "nobody"}
        others = {name: given[name] for name in given if name not in {*nowhere, "hostaddr", "port", "gssencmode"}}
        found, usual = (
            PGconn.connect_start(make_conninfo(**how).encode()).error_message for how in (others | nowhere, nowhere)
        )
        if found != usual:
            raise ValueError

    def in_time(self, url: URL, seconds: float) -> Mapping[str, Any]:
        """The driver's whole seconds are for each address that the host's name leads to."""
        return {} if "connect_timeout" in url.query else {"connect_timeout": str(max(2, round(seconds)))}

    def is_late(self, error: BaseException) -> bool:
        """It has a class of its own for that."""
        return type(error).__name__ == "ConnectionTimeout"

    def is_open(self, connection: Any) -> bool:
        """The driver knows it from each answer."""
        return bool(connection.info.transaction_status)

    def replication(self, connection: sa.Connection) -> Replication | None:
        """By the functions of recovery, and the catalog of subscriptions."""
        return replication(connection)

    def hang_up(self, connection: Any) -> None:
        """Below libpq, which nobody may use from two threads."""
        with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def set_up(self, connection: Any) -> Peer:
        """Nothing of it is the server's to remember."""
        # A pooler may keep it to itself.
        version = connection.info.parameter_status("server_version") or ""
        self._is_served(connection, self.product, version_in(version))
        # Prepared statements do not survive a pooler either.
        connection.prepare_threshold = None
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            take_any_text(connection)
        register(connection)
        return peer_of(connection)

    def sign_of(self, connection: Any, session: Session) -> Sign:
        """Each transaction has noted its own names."""
        return sign_of(connection, session)

    def begin(self, connection: sa.Connection, mode: Mode) -> None:
        """It is sent with the first statement."""
        begin(connection, mode)

    def listen(self, engine: sa.Engine) -> None:
        """To what is executed: the begin of a transaction goes with it."""
        sa.event.listen(engine, "do_execute", execute)
        sa.event.listen(engine, "do_executemany", execute_many)

    def limit_waits(self, connection: sa.Connection) -> None:
        """A server that waits for a lock does not notice that its client is gone."""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")

    def code(self, error: BaseException) -> object:
        """The SQLSTATE; for an answer to a connection attempt, the one that its words stand for."""
        state = getattr(error, "sqlstate", None)
        if state == "08P01" and "statement pooling mode" in str(error):
            return BY_STATEMENT
        if state is None and type(error).__name__ in UNREACHED:
            found = (state for pattern, state in ANSWERS.items() if re.search(pattern, _answer(error) or ""))
            others = (code for pattern, code in OUTCOMES.items() if re.search(pattern, str(error)))
            return next(chain(found, others), None)
        return state

    def fault(self, error: BaseException) -> Fault:
        """By the SQLSTATE's class: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
        if self.code(error) or type(error).__name__ not in UNREACHED:
            return super().fault(error)
        # A server that starts again refuses connections for a while. An answer in words that are not known may be a
        # refused login: trying again can lock the account.
        return Fault.PERMANENT if _is_nameless(error) or _answer(error) else Fault.TRANSIENT

    def words(self, error: BaseException) -> str | None:
        """By SQLSTATE; before there is a session the driver has none."""
        if self.code(error) is None and type(error).__name__ in UNREACHED:
            if _is_nameless(error):
                return NAMELESS
            if "Connection refused" in str(error):
                return CLOSED
            if _answer(error):
                return "the server refuses the connection, and its log says why; check database, user and password"
            return self.unreachable(error)
        # Its SQLSTATE stands for other faults, too.
        if getattr(getattr(error, "diag", None), "source_function", None) == "CheckCmdReplicaIdentity":
            return UNIDENTIFIED
        return super().words(error)

    def is_gone(self, error: BaseException) -> bool:
        """Also if no server answers; a name that was known before may be looked up in vain during a failover."""
        if self.code(error) is None and type(error).__name__ in UNREACHED:
            return _answer(error) is None
        return super().is_gone(error)

    def unreachable(self, error: BaseException) -> str | None:
        """By the system's own words, which libpq passes on; not all of them come through."""
        if self.code(error) or type(error).__name__ not in UNREACHED or _answer(error) or _is_nameless(error):
            return None
        return next((found for number, found in UNREACHABLE.items() if os.strerror(number) in str(error)), CUT)

    def lacks_memory(self, error: BaseException) -> bool:
        """By the words of libpq, which are not the server's own: these have an SQLSTATE."""
        of_server = getattr(error, "sqlstate", None)
        return of_server is None and re.search("out of memory|cannot allocate memory", str(error)) is not None

    def constraint(self, error: BaseException) -> str | None:
        """The constraint's name. Not the DETAIL beside it, which holds the token."""
        return getattr(getattr(error, "diag", None), "constraint_name", None)

    def exactly(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """Collation "C" compares bytes. CHAR(n) stays itself: as text it would lose the blanks that were read."""
        if isinstance(kind, sa.LargeBinary | sa.CHAR):
            return column
        return sa.collate(sa.cast(column, sa.Text), "C")

    def digest(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any] | None:
        """Of the bytes that the server would send. CHAR(n) would lose its blanks, and has no room for a huge cell."""
        if isinstance(kind, sa.CHAR):
            return None
        held = column if isinstance(kind, sa.LargeBinary) else sa.func.textsend(sa.cast(column, sa.Text))
        return sa.func.encode(sa.func.sha256(held), sa.literal_column("'hex'"))

    def as_text(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """JSON as its text, which the driver would parse. That of JSONB is exact: numbers keep their digits in it."""
        return sa.cast(column, sa.Text) if isinstance(kind, sa.JSON) else column

    def as_stored(self, value: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """JSON as its own type; no text becomes it by itself."""
        if isinstance(kind, sa.JSON):
            return sa.cast(value, postgresql.JSONB if isinstance(kind, postgresql.JSONB) else sa.JSON)
        return value

    def batch_swap(self, cells: TargetCells) -> BatchSwap | None:
        """UPDATE from arrays, one a key column and one each for the old and the new cells."""
        if not isinstance(cells.kind, sa.String | sa.JSON) or isinstance(cells.kind, sa.CHAR):
            return None
        table = cells.clause()
        names = [f"key{number}" for number in range(len(cells.key))]
        keys = [
            sa.cast(sa.bindparam(name, type_=AsRead()), postgresql.ARRAY(kind))
            for name, kind in zip(names, cells.key_kinds, strict=True)
        ]
        texts = [sa.cast(sa.bindparam(name, type_=AsRead()), postgresql.ARRAY(sa.Text)) for name in ("old", "new")]
        new = sa.func.unnest(*keys, *texts).table_valued(*names, "old", "new").render_derived("swap")
        cell = table.c[cells.qualified.column]
        found = [column == new.c[name] for column, name in zip(cells.keys(table), names, strict=True)]
        swap = {cell: self.as_stored(new.c.new, cells.kind), **cells.sets(table)}
        statement = sa.update(table).where(*found, self.exactly(cell, cells.kind) == new.c.old).values(swap)

        def parameters(swaps: Swaps) -> dict[str, Any]:
            columns = zip(names, cells.key_kinds, zip(*swaps.keys, strict=True), strict=True)
            keys = {name: _array(kind, column) for name, kind, column in columns}
            old, new = (_texts(cast(Sequence[str], cells)) for cells in (swaps.old, swaps.new))
            return {**keys, "old": old, "new": new}

        return BatchSwap(statement, parameters)

    def number(
        self, connection: sa.Connection, table: sa.TableClause, *, at_once: bool = False
    ) -> Callable[[], int | None]:
        """At once by a pipeline. None, too, if a trigger may have written."""
        name = {"table": connection.dialect.identifier_preparer.format_table(table)}
        if at_once:
            return end_with_next(connection, TRANSACTION, name)
        return lambda: connection.exec_driver_sql(TRANSACTION, name).scalar()

    def hurry(self, connection: sa.Connection) -> None:
        """Asynchronous commit: https://www.postgresql.org/docs/current/wal-async-commit.html."""
        begin_with(connection, "SET LOCAL synchronous_commit = off")

    def settle(self, connection: sa.Connection) -> None:
        """A commit that wrote something waits for the log up to its own end. A server may be set not to wait at all."""
        connection.exec_driver_sql(
            "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'keyring-rotate', '')")

    def block(self, key: ColumnElement[Any]) -> ColumnElement[int]:
        """A shift keeps the sign, and rounds down."""
        return key.op(">>")(sa.literal_column(str(BLOCK_BITS), sa.Integer))

    def spread(self, keys: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
        """Seven hex digits of MD5, which is no secret here."""
        digits = sa.func.substr(sa.func.md5(sa.func.concat_ws(",", *map(_in_any_session, keys))), 1, 7)
        return sa.cast(sa.cast(sa.literal("x").concat(digits), postgresql.BIT(28)), sa.Integer)

    def length(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """In bytes."""
        return sa.func.octet_length(column)

    def unfit_key(self, kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> str | None:
        """A REAL is compared as a double, and 0.1 differs between the two."""
        del connection
        if isinstance(kind, sa.REAL):
            return "which is inexact"
        return None if isinstance(kind, KEYS) else "which cannot be followed in order"


def _answer(error: BaseException) -> str | None:
    """The server's own answers to connection attempts: severity, a colon and two blanks, in any language."""
    found = re.findall(r"failed: \S+:  (.*)", str(error))
    return "\n".join(found) or None


def _is_nameless(error: BaseException) -> bool:
    # Older versions of the driver have the resolver's words alone.
    return str(error).startswith(("failed to resolve host", "[Errno "))


def _array(kind: sa.types.TypeEngine[Any], values: Sequence[Any]) -> object:
    if isinstance(kind, sa.Integer):
        return bigint_array(values)
    return bytea_array(values) if isinstance(kind, sa.LargeBinary) else list(values)


def _texts(values: Sequence[str]) -> TextArray | list[str]:
    # The driver's own way costs more than the UPDATE, and knows the connection's encoding.
    return text_array(values) if all(map(str.isascii, values)) else list(values)


def _in_any_session(key: ColumnElement[Any]) -> ColumnElement[str]:
    """*key* as a text that no session writes in another way, whatever its time zone and its styles are."""
    if isinstance(key.type, sa.Date | sa.DateTime | sa.Time | postgresql.INTERVAL):
        return sa.cast(sa.extract("epoch", key), sa.Text)
    if isinstance(key.type, sa.LargeBinary):
        return sa.func.encode(key, "hex")
    return sa.cast(key, sa.Text)
