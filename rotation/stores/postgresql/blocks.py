"""Blocks on PostgreSQL: aggregates hand out the cells of one length as one value, and a swap sends them back.

The planner's other ways are switched off for the transaction: each would read the table, or sort what is in order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, TypeGuard

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.bulk import is_token_size
from rotation.model.batch import Batch, Block, BlockSwap, split
from rotation.stores.blocks import LEAST_ROWS, Swapped, drivers_errors
from rotation.stores.columns import AsRead, TargetCells
from rotation.stores.postgresql.catalog import LEAVES, TRANSACTION
from rotation.stores.postgresql.codecs import bigint_array, numbers_in, uuid_array, uuids_in
from rotation.stores.postgresql.transactions import (
    FIRST,
    LOCK_MILLISECONDS,
    first_statement,
    in_one_trip,
    note_server,
    session_in,
)
from rotation.stores.watchdog import LINE, SESSION

PLAN = {"jit": "off", "enable_seqscan": "off", "enable_sort": "off"}
MOST_APART = 200
"""If more rows of a batch fit into no block, all of them are read one by one."""


class PostgreSQLBlocks:
    """For a key of one column that is a whole number or a UUID, and a column of text or bytes.

    In a table of the usual kind rows stay where they are: a new version gets a place of its own, so it `has_pages`.
    https://www.postgresql.org/docs/current/storage-page-layout.html
    """

    is_bare = has_pages = True

    def __init__(self, cells: TargetCells) -> None:
        quoted = postgresql.psycopg.dialect().identifier_preparer  # type: ignore[no-untyped-call]
        self._table = cells.clause()
        self._key, self._cell = self._table.c[cells.key[0]], self._table.c[cells.qualified.column]
        self._is_uuid = isinstance(cells.key_kinds[0], sa.Uuid)
        self._binary = isinstance(cells.kind, sa.LargeBinary)
        self._shapes: dict[Any, SQLCompiler] = {}
        array = "uuid[]" if self._is_uuid else "bigint[]"
        key = quoted.quote(self._key.name) if self._is_uuid else f"{quoted.quote(self._key.name)}::bigint"
        cell = quoted.quote(self._cell.name)
        bare = quoted.quote(self._key.name)
        held = cell if self._binary else f"textsend({cell})"
        # Every name in it is quoted.
        self._name = quoted.format_table(self._table).replace("%%", "%")
        start = f"UPDATE {quoted.format_table(self._table)} SET {cell} = "  # noqa: S608

        def statement(place: str, condition: str) -> str:
            new = f"substring(%(new)s, {place}, %(size)s::int)"
            new = new if self._binary else f"convert_from({new}, 'UTF8')"
            return f"{start}{new} WHERE {condition} AND {held} = substring(%(old)s, {place}, %(size)s::int)"

        # By number: the place follows from the key. By search: it is the key's place among all keys, a binary search.
        self._by_number = statement(
            f"(({key} - %(first)s::bigint) * %(size)s::int + 1)::int",
            f"{bare} >= %(first)s AND {bare} <= %(last)s",
        )
        found = f"width_bucket({key}, %(keys)s::{array})"
        self._by_search = statement(
            f"({found} - 1) * %(size)s::int + 1",
            f"{bare} >= (%(keys)s::{array})[1] AND {bare} <= (%(keys)s::{array})[%(count)s]"
            f" AND {bare} = (%(keys)s::{array})[{found}]",
        )
        self._place = {"schema": cells.schema, "table": cells.qualified.table}
        size, nothing = f"octet_length({cell})", "''::bytea" if self._binary else "''"
        # A large cell is not handed out, as in the other blocks.
        self._of_pages = (
            f"SELECT {size}, count(*), string_agg(CASE WHEN {size} <= %(largest)s THEN {cell} END, {nothing}) "  # noqa: S608 - quoted
            f"FROM {quoted.format_table(self._table)} "
            "WHERE ctid >= %(start)s::tid AND ctid < %(end)s::tid GROUP BY 1"
        )

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""
        [kind, *more], [collation, *_] = cells.key_kinds, cells.key_collations
        fits = isinstance(kind, sa.Integer | sa.Uuid) and not more and collation is None
        return fits and isinstance(cells.kind, sa.String | sa.LargeBinary) and not isinstance(cells.kind, sa.CHAR)

    def read(self, connection: sa.Connection, query: sa.Select[Any], largest: int) -> Batch | None:
        """By groups of one length; the few rows that fit into none, one by one."""
        inner = query.subquery()
        key, cell = inner.c[self._key.name], inner.c[self._cell.name]
        size = sa.func.octet_length(cell)
        # A large cell is not handed out: not even read by the server, which knows its size without.
        held = sa.case((size <= largest, cell))
        nothing: ColumnElement[Any] = sa.literal_column("''::bytea" if self._binary else "''")
        columns = size, sa.func.count(), sa.func.array_agg(key), sa.func.string_agg(held, nothing)
        keys_in = uuids_in if self._is_uuid else numbers_in
        found = _grouped(connection, *self._compiled(connection.dialect, sa.select(*columns).group_by(size)))
        try:
            # Without a Python object for each row.
            groups = [(group_size, count, keys_in(keys), held_cells) for group_size, count, keys, held_cells in found]
        except ValueError:
            # The server aggregated them in another order than the one of the keys.
            return None
        blocks, ends, null, empty = list[Block](), list[Any](), 0, 0
        apart, unread = list[tuple[Any, Any]](), list[Any]()
        for group_size, count, keys, held_cells in groups:
            ends.append(keys[-1])
            if group_size is None:
                null += count
            elif group_size == 0:
                empty += count
            elif count >= LEAST_ROWS and _fit(group_size, len(keys), held_cells):
                blocks.append(Block(keys, held_cells, group_size, self._binary))
            elif group_size > largest or len(apart) + len(unread) + count > MOST_APART:
                return None
            elif _is_on_end(held_cells, group_size, count):
                apart += zip(keys, split(held_cells, group_size, binary=self._binary), strict=True)
            else:
                unread += keys
        if unread:
            # With other letters than ASCII: on end, nothing shows where one cell begins.
            these = self._key.in_([sa.literal(key, AsRead()) for key in unread])
            apart += map(tuple, connection.execute(sa.select(self._key, self._cell).where(these)))
        apart.sort(key=itemgetter(0))
        return Batch(
            [(key,) for key, _ in apart],
            [cell for _, cell in apart],
            blocks,
            null,
            empty,
            (max(ends),) if ends else None,
        )

    def _compiled(self, dialect: sa.Dialect, query: sa.Select[Any]) -> tuple[str, Mapping[str, Any]]:
        """*query* in the driver's words, and its values. As SQLAlchemy does itself, each shape is compiled once."""
        shape = query._generate_cache_key()
        assert shape is not None  # noqa: S101 - for the type checker: all of its types have a key
        compiled = self._shapes.get(shape.key)
        if compiled is None:
            compiled = query.compile(dialect=dialect, cache_key=shape, compile_kwargs={"render_postcompile": True})
            self._shapes[shape.key] = compiled
        return str(compiled), compiled.construct_params(extracted_parameters=shape.bindparams)

    def swap(self, connection: sa.Connection, transactions: Sequence[Sequence[BlockSwap]]) -> list[Swapped]:
        """By number if the keys have no gaps, and otherwise by a search among them. All in one round trip."""
        settings = {"lock_timeout": str(LOCK_MILLISECONDS), "synchronous_commit": "off", **PLAN}
        done: list[tuple[list[Any], Any]] = []
        with one_trip(connection, settings) as driver:
            for swaps in transactions:
                if done:
                    driver.execute("COMMIT")
                    _begin(connection, driver, settings)
                cells = [driver.execute(*self._statement(swap)) for swap in swaps]
                done.append((cells, driver.execute(TRANSACTION, {"table": self._name})))
        return [([each.rowcount for each in cells], number.fetchone()[0]) for cells, number in done]

    def count_pages(self, connection: sa.Connection) -> int | None:
        """None for a table with partitions, or from which others inherit: each of them has pages of its own."""
        leaves = connection.execute(sa.text(LEAVES), self._place).all()
        return leaves[0][3] if len(leaves) == 1 else None

    def read_pages(self, connection: sa.Connection, start: int, end: int, largest: int) -> Batch | None:
        """By groups of one length, without the keys."""
        blocks, null, empty = [], 0, 0
        values = {"start": f"({start},0)", "end": f"({end},0)", "largest": largest}
        for size, count, cells in _grouped(connection, self._of_pages, values):
            if size is None:
                null += count
            elif size == 0:
                empty += count
            elif _fit(size, count, cells):
                blocks.append(Block(range(count), cells, size, self._binary))
            else:
                return None
        return Batch((), (), blocks, null, empty, (end,))

    def _statement(self, swap: BlockSwap) -> tuple[str, dict[str, Any]]:
        block = swap.block
        values: dict[str, Any] = {"old": block.cells, "new": swap.new, "size": block.size}
        if isinstance(block.keys, range):
            return self._by_number, values | {"first": block.keys[0], "last": block.keys[-1]}
        keys = uuid_array(block.keys) if self._is_uuid else bigint_array(block.keys)
        return self._by_search, values | {"keys": keys, "count": len(block)}


def _grouped(connection: sa.Connection, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of *query*: a size, a number of rows, and further values as the server sends them."""
    with one_trip(connection, {"lock_timeout": str(LOCK_MILLISECONDS), **PLAN}, read_only=True) as driver:
        cursor = driver.cursor(binary=True)
        cursor.execute(query, values)
    result = cursor.pgresult
    found = [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
    return [
        (None if size is None else int.from_bytes(size), int.from_bytes(count), *more) for size, count, *more in found
    ]


def _fit(size: int, count: int, cells: bytes | None) -> bool:
    """True if *cells* are *count* cells of *size* bytes each, which may be tokens."""
    return is_token_size(size) and _is_on_end(cells, size, count)


def _is_on_end(cells: bytes | None, size: int, count: int) -> TypeGuard[bytes]:
    """True if *cells* are *count* cells of *size* bytes each."""
    return cells is not None and len(cells) == size * count and cells.isascii()


@contextmanager
def one_trip(connection: sa.Connection, settings: Mapping[str, str], *, read_only: bool = False) -> Iterator[Any]:
    """The driver's connection, in a transaction with *settings*: what it is given to do travels together at the end.

    So does the end of the transaction: a COMMIT, or with *read_only* a ROLLBACK.
    """
    sent = time.perf_counter()
    with drivers_errors(connection), in_one_trip(connection.connection.driver_connection) as driver:
        _begin(connection, driver, settings, read_only=read_only)
        yield driver
        # Not the driver's own commit: in a pipeline that waits to read while a part of a swap is still to be sent.
        driver.execute("ROLLBACK" if read_only else "COMMIT")
    connection.info[LINE].waited(time.perf_counter() - sent)
    note_server(connection)
    # What follows on this connection is another transaction.
    del connection.info[SESSION]


def _begin(connection: sa.Connection, driver: Any, settings: Mapping[str, str], *, read_only: bool = False) -> None:
    driver.execute("BEGIN READ ONLY" if read_only else "BEGIN")
    first, before = driver.execute(first_statement(settings)), connection.info.get(SESSION)
    # The server answers this one at once, whatever follows.
    driver.pgconn.send_flush_request()
    connection.info[FIRST] = first
    connection.info[SESSION] = lambda: session_in(first) or (before and before())
