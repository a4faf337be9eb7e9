"""Reads a PostgreSQL table for a search by the places of its rows in its file.

The server reads some blocks at a time, puts the cells of a column on end and looks at all of them with one regular
expression, which finds every mark in one pass: for each cell alone the server would build its automaton once more. Only
in blocks with a mark is each row looked at.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery import table_readers
from rotation.discovery.table_readers import KeylessReader, Stretch, TableReader, all_of
from rotation.discovery.table_source import CellConditions, Rows, TableSource, condition
from rotation.planning.inner_tokens import SHORTEST, forms_of_texts
from rotation.stores.catalog import INDEX_SIZES, SearchedColumn
from rotation.stores.columns import table_clause
from rotation.stores.postgresql.catalog import LEAVES
from rotation.stores.postgresql.transactions import SAVEPOINT
from rotation.stores.reader import between
from rotation.stores.watchdog import LINE

ON_END = 2000
"""Bytes of the largest cell that is put on end with others; PostgreSQL keeps larger ones elsewhere."""
FIRST_BLOCKS, MOST_BLOCKS = 16, 256
"""Blocks to look at, of all tables of the family together."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes that a look puts on end, of all columns together; the server needs up to seven times as many."""
MOST_COLUMNS = 500
"""Columns to look at in one statement: each needs two of the 1,664 columns that a SELECT may have."""
LAST_BLOCK = 2**32 - 1
"""No file has so many."""
ESCAPED = 4
"""Characters into which PostgreSQL's encode turns a byte, at most."""
RANGE = "WHERE ctid >= CAST(:start AS tid) AND ctid < CAST(:end AS tid)"
OVERTAXED = ("53", "54", "XX", "2201B")
"""The beginning of the SQLSTATE if a statement needs more than the server has: not each limit has a code of its own."""

PLAN_SECONDS = 0.001
"""Half of what it takes to plan a look, in client and server: an empty table needs none, and so saves it next door."""

T = TypeVar("T")


class Leaf(NamedTuple):
    """A table that holds rows: itself, a partition, or one that inherits."""

    schema: str
    table: str
    is_readable: bool
    """True if this user may read it by itself."""
    blocks: int
    is_empty: bool
    """True if its file has no block, so that there is no row."""
    density: float | None
    """Rows in a block, about; None if the server does not know."""
    has_ranges: bool
    """True if the server reads a range of its blocks without the others."""


class FileReader(TableReader):
    """Rows by their place: all of them, range by range, or a sample of blocks."""

    def __init__(
        self,
        source: TableSource,
        leaves: Sequence[Leaf],
        only: sa.TableClause | None = None,
        *,
        look: BlockLook | None = None,
    ) -> None:
        """*only*: the table of the one leaf, if it is read by itself. *look*: at all of it, if it is small."""
        # Not quoted: no column of the table's own can be called so.
        super().__init__(source, [sa.literal_column("tableoid"), sa.literal_column("ctid")])
        self._leaves, self._only, self._look = leaves, only, look

    def whole(self) -> Iterator[Stretch]:
        """By ranges of blocks, in each table of the family the same; the last one has no end."""
        look = self._look
        if look and not any(look.wanted):
            yield Stretch(look.rows, ())
            return
        if not all(leaf.has_ranges for leaf in self._leaves):
            # It would be read from its beginning for each range.
            count = self._source.first(sa.text(f"SELECT count(*) FROM {_as_text(self._name())}"))  # noqa: S608 - quoted
            yield Stretch(count, ())
            query = self._select(self._source.cells.columns()).where(self._source.cells.is_wanted())
            for rows in self._reads.stream(query, table_readers.STREAM_ROWS):
                yield Stretch(0, rows)
            return
        looks, start = _Looks(self._source, self._name()), 0
        blocks = max((leaf.blocks for leaf in self._leaves), default=0)
        size, most = (max(1, number // max(1, len(self._leaves))) for number in (FIRST_BLOCKS, MOST_BLOCKS))
        while True:
            size = max(1, min(size, blocks - start))
            end = start + size if start + size < blocks else None
            started = time.monotonic()
            look = look or looks.at(start, end)
            is_slow = time.monotonic() - started > self._source.courtesy.seconds
            if look.is_too_much and size > 1:
                size, look = look.next_size(size, most, is_slow=is_slow), None
                continue
            if any(look.wanted):
                for rows in self._reads.stream(self._wanted(look.wanted, start, end), table_readers.STREAM_ROWS):
                    yield Stretch(0, rows)
            yield Stretch(look.rows, ())
            if end is None:
                return
            start, size, look = end, look.next_size(size, most, is_slow=is_slow), None

    def _name(self) -> str:
        catalog = self._source.cells.conditions.catalog
        if self._only is None:
            return catalog.table(self._source.entry)
        [leaf] = self._leaves
        return f"ONLY {catalog.quote(leaf.schema)}.{catalog.quote(leaf.table)}"

    def _wanted(self, wanted: Sequence[bool], start: int, end: int | None) -> sa.Select[Any]:
        """The rows between two blocks with a cell that is wanted in one of the columns that are *wanted*."""
        cells = list(zip(self._source.cells.sql, wanted, strict=True))
        columns: list[ColumnElement[Any]] = [
            sa.literal_column(sql.fetched if is_wanted else "NULL") for sql, is_wanted in cells
        ]
        chosen = [sql.is_wanted for sql, is_wanted in cells if is_wanted]
        return self._select(columns).where(*self._between(start, end), condition(chosen))

    def samples(self, count: int) -> list[Callable[[], Stretch]] | None:
        """At even distances, each with a random offset that is the same each time."""
        if self._only is None:
            return None
        [leaf] = self._leaves
        window = max(1, round(table_readers.WINDOW_ROWS / max(leaf.density or 50, 1)))
        distance = leaf.blocks / count
        if distance <= window:
            return None
        dice = random.Random(leaf.blocks)  # noqa: S311 - no secret
        starts = [int(distance * number + dice.random() * (distance - window)) for number in range(count)]
        return [partial(self._sample, start, start + window) for start in starts]

    def _sample(self, start: int, end: int) -> Stretch:
        query = self._select(self._source.cells.columns()).where(*self._between(start, end))
        return all_of(self._reads.read(query.limit(table_readers.WINDOW_ROWS)))

    def _select(self, columns: Sequence[ColumnElement[Any]]) -> sa.Select[Any]:
        table = self._source.table if self._only is None else self._only
        query = sa.select(*columns, *self.address).select_from(table)
        return query if self._only is None else query.with_hint(self._only, "ONLY", "postgresql")

    def _between(self, start: int, end: int | None) -> list[ColumnElement[bool]]:
        places = [None if block is None else sa.text(rf"'({block},0)'\:\:tid") for block in (start, end)]
        return between(self.address[1], *places)

    def _at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """A row does not move within a transaction that sees one moment."""
        table, tid = self.address
        place = sa.text("CAST(:place AS tid)").bindparams(place=address[1])
        return [table == sa.literal(int(address[0])), tid == place]


class BlockLook(NamedTuple):
    """What a look at some blocks shows."""

    rows: int
    wanted: Sequence[bool]
    """Of each column, whether a cell of it may be wanted."""
    weight: int
    """Bytes to put on end."""

    @property
    def is_too_much(self) -> bool:
        """True if not all of it was put on end, so that each cell may be wanted."""
        return self.weight > MOST_BYTES

    def next_size(self, size: int, most: int, *, is_slow: bool) -> int:
        """The blocks to look at next, after *size* blocks; at *most* so many."""
        if self.is_too_much:
            return max(1, size * MOST_BYTES // self.weight)
        if is_slow:
            return max(1, size // 2)
        return min(2 * size, most) if 2 * self.weight <= MOST_BYTES else size


class _Looks:
    """Looks at the columns of one table, some blocks at a time."""

    def __init__(self, source: TableSource, table: str) -> None:
        """*table*: its name in SQL, or the part of it that is read by itself."""
        self._source, conditions, kinds = source, source.cells.conditions, source.cells.kinds
        groups = (kinds[start : start + MOST_COLUMNS] for start in range(0, len(kinds), MOST_COLUMNS))
        self._queries = [sa.text(_look_at(conditions, group, table)) for group in groups]
        self._count = sa.text(f"SELECT count(*) FROM {_as_text(table)} {RANGE}")  # noqa: S608 - quoted identifiers

    def at(self, start: int, end: int | None) -> BlockLook:
        """Between two blocks; None: to the last one. What overtaxes the server is too much."""
        places = {"start": f"({start},0)", "end": f"({LAST_BLOCK if end is None else end},0)"}
        source = self._source
        found = _unless_overtaxed(
            source, lambda: [source.reads.read(query.bindparams(**places))[0] for query in self._queries]
        )
        if found is None:
            rows = source.first(self._count.bindparams(**places))
            return BlockLook(rows, [True] * len(source.cells.kinds), 2 * MOST_BYTES)
        return _look_of(found)


def _look_of(found: Rows) -> BlockLook:
    """The look of which each query has *found* a row."""
    look = BlockLook(found[0][0], [is_wanted for row in found for is_wanted in row[2:]], max(row[1] for row in found))
    return look._replace(wanted=[True] * len(look.wanted)) if look.is_too_much else look


def _unless_overtaxed(source: TableSource, act: Callable[[], T]) -> T | None:
    """The result of *act*; None if that needs more than the server has: then the transaction goes on."""
    try:
        return act()
    except sa.exc.DBAPIError as error:
        if not str(getattr(error.orig, "sqlstate", None)).startswith(OVERTAXED):
            raise
    source.reads.ask(lambda connection: connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}"))
    return None


def by_place(source: TableSource, *, full: bool) -> list[TableReader]:
    """By the places of rows: with its partitions, since the right to read a table includes them, read through it.

    For a sample each part by itself, if this user may read it so. None without rows.
    """
    entry = source.entry
    # The right to read some columns does not include the place of a row.
    if full and entry.by_columns:
        return [KeylessReader(source)]
    leaves, look = leaves_of(source)
    if not (entry.by_columns or entry.has_parts) and leaves and all(leaf.is_empty for leaf in leaves):
        return []
    if not full and all(leaf.is_readable for leaf in leaves):
        return [FileReader(source, [leaf], table_clause(leaf.schema, leaf.table), look=look) for leaf in leaves]
    return [KeylessReader(source) if entry.by_columns else FileReader(source, leaves, look=look)]


def leaves_of(source: TableSource) -> tuple[list[Leaf], BlockLook | None]:
    """The tables with rows of *source*, and over a line a look at all of a small one.

    Of one that others may be read with, or with too many columns for one statement, there is no such look.
    """
    names = {"schema": source.entry.schema, "table": source.entry.table}
    conditions, kinds = source.cells.conditions, source.cells.kinds
    is_plain = not (source.entry.by_columns or source.entry.has_parts) and len(kinds) <= MOST_COLUMNS
    if is_plain and source.reads.ask(lambda connection: connection.info[LINE].trip) >= PLAN_SECONDS:
        # Of a larger one no row is read: the condition is about none.
        small = _look_at(conditions, kinds, conditions.catalog.table(source.entry), f"WHERE blocks <= {FIRST_BLOCKS}")
        both = sa.text(f"SELECT leaf.*, look.* FROM ({LEAVES}) AS leaf CROSS JOIN LATERAL ({small}) AS look")  # noqa: S608 - quoted identifiers
        found = _unless_overtaxed(source, lambda: source.reads.read(both.bindparams(**names)))
        if found:
            end = len(Leaf._fields)
            leaf, look = Leaf(*found[0][:end]), _look_of([found[0][end:]])
            return [leaf], look if leaf.blocks <= FIRST_BLOCKS else None
    return [Leaf(*row) for row in source.reads.read(sa.text(LEAVES).bindparams(**names))], None


def _look_at(conditions: CellConditions, kinds: Sequence[SearchedColumn], table: str, where: str = RANGE) -> str:
    """The SQL for the number of rows, the bytes to put on end, and for each column whether it is wanted.

    It adds the bytes up row by row, and puts no more on end than MOST_BYTES: how much some blocks hold is not known
    before, since a cell may be compressed in them, or be kept elsewhere.
    """
    columns = [_on_end(conditions, kind, number) for number, kind in enumerate(kinds)]
    cells = ", ".join(f'{conditions.catalog.cell(kind)} AS "c{number}"' for number, kind in enumerate(kinds))
    read = f"SELECT {_as_text(cells)} FROM {_as_text(table)} {where}"  # noqa: S608 - quoted identifiers
    tests, weights, made = zip(*columns, strict=True)
    weight = f"sum({' + '.join(weights)})"
    if all(kind.is_text or kind.is_bytes for kind in kinds):
        # The size of a cell is known without reading it.
        upto = f"(SELECT {weight} FROM ({read}) AS cells)"  # noqa: S608 - quoted identifiers
    else:
        # What a cell is read as is made once.
        read, upto = f"{read} OFFSET 0", f"{weight} OVER (ROWS UNBOUNDED PRECEDING)"
    return (
        f"SELECT n, weight, {_as_text(', '.join(tests))} FROM ("  # noqa: S608 - quoted identifiers
        f"SELECT count(*) AS n, COALESCE(max(upto), 0) AS weight, {_as_text(', '.join(made))} FROM ("
        f"SELECT *, {upto} AS upto FROM ({read}) AS cells OFFSET 0) AS cells OFFSET 0) AS ends"
    )


def _on_end(conditions: CellConditions, kind: SearchedColumn, number: int) -> tuple[str, str, str]:
    """The SQL for the cells of one column that are put on end; a larger one is looked at by itself.

    True if one of the cells may be wanted; the bytes of a cell that is put on end; and the aggregates that the first is
    made of. A look calls the column by its *number*.
    """
    catalog, cell = conditions.catalog, SearchedColumn(f"c{number}", is_bytes=kind.is_bytes)
    size, ends, others = catalog.size(cell), f"a{number}", f"b{number}"
    has_room = f"{size} >= {SHORTEST}"
    if conditions.of_indexes:
        has_room = f"({has_room} OR {size} IN ({', '.join(map(str, INDEX_SIZES))}))"
    is_put = f"{has_room} AND {size} <= {ON_END}"
    forms = conditions.forms if kind.is_bytes else forms_of_texts(conditions.forms)
    marks = [mark for form in (*forms, *conditions.of_indexes) for mark in form.marks]
    pattern = "|".join(re.escape(_escaped(mark) if kind.is_bytes else mark.decode()) for mark in marks)
    text = f"encode({ends}, 'escape')" if kind.is_bytes else ends
    is_marked = f"{text} ~ {catalog.constant(SearchedColumn(ends), pattern.encode())}"
    return (
        f"(COALESCE({others}, false) OR COALESCE({is_marked}, false))",
        f"CASE WHEN {size} <= {ON_END} THEN {size}{f' * {ESCAPED}' if kind.is_bytes else ''} ELSE 0 END",
        f"string_agg({catalog.quote(cell.name)}, {catalog.constant(cell, b'')}) "
        f"FILTER (WHERE {is_put} AND upto <= {MOST_BYTES}) AS {ends}, "
        f"bool_or({conditions.of(cell).is_wanted}) FILTER (WHERE {size} > {ON_END}) AS {others}",
    )


def _escaped(mark: bytes) -> str:
    """*mark* as PostgreSQL's encode writes bytes."""
    return "".join(
        f"\\{byte:03o}" if byte == 0 or byte > 0x7F else "\\\\" if byte == ord("\\") else chr(byte) for byte in mark
    )


def _as_text(sql: str) -> str:
    """*sql* for SQLAlchemy, in which a colon begins no parameter."""
    return sql.replace(":", r"\:")
