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
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.planning.inner_tokens import SHORTEST, forms_of_texts
from rotation.stores import table_readers
from rotation.stores.cells import INDEX_SIZES, CellConditions, SearchedColumn, condition
from rotation.stores.columns import between
from rotation.stores.table_readers import Stretch, TableReader, TableSource, all_of

ON_END = 2000
"""Bytes of the largest cell that is put on end with others; PostgreSQL keeps larger ones elsewhere."""
FIRST_BLOCKS, MOST_BLOCKS = 16, 256
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of one column's cells to put on end, about; the server needs five times as many."""
MOST_COLUMNS = 500
"""Columns to look at in one statement: each needs two of the 1,664 columns that a SELECT may have."""
LAST_BLOCK = 2**32 - 1
"""No file has so many."""


class Leaf(NamedTuple):
    """A table that holds rows: itself, a partition, or one that inherits."""

    schema: str
    table: str
    is_readable: bool
    """True if this user may read it by itself."""
    blocks: int
    density: float | None
    """Rows in a block, about; None if the server does not know."""
    has_ranges: bool
    """True if the server reads a range of its blocks without the others."""


class FileReader(TableReader):
    """Rows by their place: all of them, range by range, or a sample of blocks."""

    def __init__(self, source: TableSource, leaves: Sequence[Leaf], only: sa.TableClause | None = None) -> None:
        """*only*: the table of the one leaf, if it is read by itself."""
        # Not quoted: no column of the table's own can be called so.
        super().__init__(source, [sa.literal_column("tableoid"), sa.literal_column("ctid")])
        self._leaves, self._only = leaves, only

    def whole(self) -> Iterator[Stretch]:
        """By ranges of blocks, in each table of the family the same; the last one has no end."""
        if not all(leaf.has_ranges for leaf in self._leaves):
            # It would be read from its beginning for each range.
            yield from self._streamed()
            return
        seen, start, size = _Looks(self._source, self._name()), 0, FIRST_BLOCKS
        blocks = max((leaf.blocks for leaf in self._leaves), default=0)
        while True:
            end = start + size if start + size < blocks else None
            started = time.monotonic()
            look = seen.at(start, end)
            is_slow = time.monotonic() - started > self._source.courtesy.seconds
            if any(look.wanted):
                for rows in self._reads.stream(self._wanted(look.wanted, start, end), table_readers.STREAM_ROWS):
                    yield Stretch(0, rows)
            yield Stretch(look.rows, ())
            if end is None:
                return
            start, size = end, _next_size(size, look.most_bytes, is_slow=is_slow)

    def _name(self) -> str:
        syntax = self._source.cells.conditions.syntax
        if self._only is None:
            return syntax.table(self._source.entry)
        [leaf] = self._leaves
        return f"ONLY {syntax.quote(leaf.schema)}.{syntax.quote(leaf.table)}"

    def _streamed(self) -> Iterator[Stretch]:
        yield Stretch(self._source.first(sa.text(f"SELECT count(*) FROM {_as_text(self._name())}")), ())  # noqa: S608 - quoted
        query = self._select(self._source.cells.columns()).where(self._source.cells.is_wanted())
        for rows in self._reads.stream(query, table_readers.STREAM_ROWS):
            yield Stretch(0, rows)

    def _wanted(self, wanted: Sequence[bool], start: int, end: int | None) -> sa.Select[Any]:
        """The rows between two blocks with a cell that is wanted in one of the columns that are *wanted*."""
        cells, conditions = self._source.cells, self._source.cells.conditions
        columns = [
            column if is_wanted else sa.literal_column("NULL")
            for column, is_wanted in zip(cells.columns(), wanted, strict=True)
        ]
        chosen = [conditions.is_wanted(kind) for kind, is_wanted in zip(cells.kinds, wanted, strict=True) if is_wanted]
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
        return [table == sa.literal(int(address[0])), tid == sa.cast(sa.literal(address[1], sa.Text), _Tid())]


class _Look(NamedTuple):
    """What a look at some blocks shows."""

    rows: int
    wanted: Sequence[bool]
    """Of each column, whether a cell of it may be wanted."""
    most_bytes: int
    """Bytes of the column with the most that were put on end."""


class _Looks:
    """Looks at the columns of one table, some blocks at a time."""

    def __init__(self, source: TableSource, table: str) -> None:
        """*table*: its name in SQL, or the part of it that is read by itself."""
        self._reads, conditions, kinds = source.reads, source.cells.conditions, source.cells.kinds
        groups = (kinds[start : start + MOST_COLUMNS] for start in range(0, len(kinds), MOST_COLUMNS))
        self._queries = [_look_at(conditions, group, table) for group in groups]

    def at(self, start: int, end: int | None) -> _Look:
        """Between two blocks; None: to the last one."""
        places = {"start": f"({start},0)", "end": f"({LAST_BLOCK if end is None else end},0)"}
        found = [self._reads.read(query.bindparams(**places))[0] for query in self._queries]
        wanted = [is_wanted for _, _, *of_group in found for is_wanted in of_group]
        return _Look(found[0][0], wanted, max(most_bytes for _, most_bytes, *_ in found))


def _look_at(conditions: CellConditions, kinds: Sequence[SearchedColumn], table: str) -> sa.TextClause:
    """The query for the number of rows, the bytes that were put on end, and for each column whether it is wanted."""
    columns = [_on_end(conditions, kind, number) for number, kind in enumerate(kinds)]
    cells = ", ".join(f'{conditions.syntax.cell(kind)} AS "c{number}"' for number, kind in enumerate(kinds))
    # What a cell is read as is made once, unless it is there already.
    fence = "" if all(kind.is_text or kind.is_bytes for kind in kinds) else "OFFSET 0"
    tests, sizes, made = map(", ".join, zip(*columns, strict=True))
    return sa.text(
        f"SELECT n, greatest({sizes}), {_as_text(tests)} FROM (SELECT count(*) AS n, {_as_text(made)} "  # noqa: S608 - quoted identifiers
        f"FROM (SELECT {_as_text(cells)} FROM {_as_text(table)} "
        f"WHERE ctid >= CAST(:start AS tid) AND ctid < CAST(:end AS tid) {fence}) AS cells OFFSET 0) AS ends"
    )


class _OnEnd(NamedTuple):
    """The SQL for the cells of one column that are put on end; a larger one is looked at by itself."""

    is_wanted: str
    """True if one of the cells may be wanted."""
    size: str
    """The bytes that were put on end."""
    aggregates: str
    """What both are made of."""


def _on_end(conditions: CellConditions, kind: SearchedColumn, number: int) -> _OnEnd:
    """Of the column that a look calls by its *number*."""
    syntax, cell = conditions.syntax, SearchedColumn(f"c{number}", is_bytes=kind.is_bytes)
    size, ends, others = syntax.size(cell), f"a{number}", f"b{number}"
    has_room = f"{size} >= {SHORTEST}"
    if conditions.of_indexes:
        has_room = f"({has_room} OR {size} IN ({', '.join(map(str, INDEX_SIZES))}))"
    forms = conditions.forms if kind.is_bytes else forms_of_texts(conditions.forms)
    marks = [mark for form in (*forms, *conditions.of_indexes) for mark in form.marks]
    pattern = "|".join(re.escape(_escaped(mark) if kind.is_bytes else mark.decode()) for mark in marks)
    text = f"encode({ends}, 'escape')" if kind.is_bytes else ends
    is_marked = f"{text} ~ {syntax.constant(SearchedColumn(ends), pattern.encode())}"
    return _OnEnd(
        f"(COALESCE({others}, false) OR COALESCE({is_marked}, false))",
        f"COALESCE(octet_length({ends}), 0)",
        f"string_agg({syntax.quote(cell.name)}, {syntax.constant(cell, b'')}) "
        f"FILTER (WHERE {has_room} AND {size} <= {ON_END}) AS {ends}, "
        f"bool_or({size} > {ON_END} AND {conditions.is_wanted(cell)}) AS {others}",
    )


def _escaped(mark: bytes) -> str:
    """*mark* as PostgreSQL's encode writes bytes."""
    return "".join(
        f"\\{byte:03o}" if byte == 0 or byte > 0x7F else "\\\\" if byte == ord("\\") else chr(byte) for byte in mark
    )


def _as_text(sql: str) -> str:
    """*sql* for SQLAlchemy, in which a colon begins no parameter."""
    return sql.replace(":", r"\:")


def _next_size(size: int, most_bytes: int, *, is_slow: bool) -> int:
    if most_bytes > MOST_BYTES:
        return max(1, size * MOST_BYTES // most_bytes)
    if is_slow:
        return max(1, size // 2)
    return min(2 * size, MOST_BLOCKS) if 2 * most_bytes <= MOST_BYTES else size


class _Tid(sa.types.UserDefinedType[Any]):
    """The place of a row in its file."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """As PostgreSQL calls it."""
        return "tid"
