"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Swaps
from rotation.stores.columns import BLOCK_BITS, AsRead, TargetCells
from rotation.stores.dialect import PLAIN_KEYS, BatchSwap, Dialect, Mode, Tempo
from rotation.stores.postgresql.blocks import PostgreSQLBlocks
from rotation.stores.postgresql.catalog import TRANSACTION, PostgreSQLCatalog
from rotation.stores.postgresql.change_tracker import PostgreSQLChangeTracker
from rotation.stores.postgresql.codecs import TextArray, bigint_array, bytea_array, register, take_any_text, text_array
from rotation.stores.postgresql.error_codes import PostgreSQLErrorCodes
from rotation.stores.postgresql.servers import replication
from rotation.stores.postgresql.transactions import (
    LOCK_MILLISECONDS,
    begin,
    begin_with,
    end_with_next,
    execute,
    execute_many,
    peer_of,
    sign_of,
)
from rotation.stores.postgresql.url_options import OTHER_OPTIONS
from rotation.stores.servers import Peer, version_in

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
INTEGERS = ("port", "keepalives", *(name for name in USUAL if name != "client_encoding"))
"""Options of libpq that it looks at late."""


class PostgreSQL(PostgreSQLErrorCodes, Dialect):
    """Session settings, and exact comparison under any collation."""

    catalog = PostgreSQLCatalog()
    change_tracker = PostgreSQLChangeTracker
    blocks = PostgreSQLBlocks
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
    replication = staticmethod(replication)
    sign_of = staticmethod(sign_of)
    keys = (
        *(*PLAIN_KEYS, sa.Boolean),
        *(postgresql.INTERVAL, postgresql.INET, postgresql.CIDR, postgresql.MACADDR, postgresql.MACADDR8),
    )

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

    def is_open(self, connection: Any) -> bool:
        """The driver knows it from each answer."""
        return bool(connection.info.transaction_status)

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

    def unfit_key(self, kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> str | None:
        """A REAL is compared as a double, and 0.1 differs between the two."""
        return "which is inexact" if isinstance(kind, sa.REAL) else super().unfit_key(kind, connection)


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
