"""A target's table, opened and checked, and its rows in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import compress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import SHAPE
from keyring_core.tokens import BEGINNING, token_length
from rotation.model.batch import BATCH_BYTES, LARGEST_CELL, Batch, weight_of
from rotation.model.counts import RowKey
from rotation.model.failures import StoreError, UsageError
from rotation.model.report import row_in_words
from rotation.model.target import Target
from rotation.stores.access import Access, RefusedStatement
from rotation.stores.blocks import LEAST_ROWS, in_blocks
from rotation.stores.cells import LARGE_CELL
from rotation.stores.columns import AsRead, Shard, TableFacts, TableState, TargetCells, beyond, free_column, same_key
from rotation.stores.connection import Line, SharedConnections
from rotation.stores.dialect import Mode, Tempo
from rotation.stores.other_writers import Scope
from rotation.stores.patience import IMPATIENT, Patience
from rotation.stores.servers import Fact, Replication
from rotation.stores.target_schema import NOTHING, cautions_of, columns_of, find_target, model_caution, why_refused

AROUND = 64
"""Bytes around a cell in a server's message, at most."""
MOST_READ = "that are read of a cell: have the application store less in one, or move it itself"
SHOWN_STATEMENTS = 3
"""Statements of a message; a table may have a thousand partitions that each need one."""
JUMPS = 8
"""Blocks of a shard to look into before a whole scan."""
LOOKED_AT = 1000
"""Rows among which a column's first value is looked for, unless all are read anyway."""


class Reader:
    """The table of a target, and what is read of it. Opening it checks the schema and changes nothing.

    Every method raises StoreError if the database fails for good.
    """

    def __init__(  # noqa: PLR0913 - all that a table may be opened for
        self,
        target: Target,
        *,
        read_only: bool,
        sleep: Callable[[float], None],
        shard: Shard | None = None,
        sample: int | None = None,
        links: SharedConnections | None = None,
        companions: Mapping[str, str] = NOTHING,
        salts: tuple[str, ...] = (),
        patience: Patience = IMPATIENT,
    ) -> None:
        """All rows of *target*, or the ones of *shard*, or about *sample* rows that the database chooses at random.

        With *links* it shares a connection with the other stores of a command. *companions*: the values of the target's
        companion columns; a store that only reads need not know them. *salts*: the columns with the salts of its keys.
        *patience*: of the command, with a server that goes away.

        Raises UsageError if the target does not fit its database, StoreError if the database cannot be reached.
        """
        if not read_only and {name for name, _ in target.companions} != set(companions):
            raise ValueError(f"{target.label}: the values of its companion columns are missing")
        self._target, self._shard, self._companions, self._salts = target, shard, companions, salts
        self._read_only = read_only
        self._in_blocks = False
        """True if a shard's rows are runs of whole numbers."""
        self._access = Access(
            target.url, target.label, read_only=read_only, sleep=sleep, links=links, patience=patience
        )
        self._dialect = self._access.dialect
        try:
            self._open(sample)
        except BaseException:
            self.close()
            raise

    @property
    def retries(self) -> int:
        """The number of repeated tries so far."""
        return self._access.retries

    @property
    def line(self) -> Line:
        """The line to the server: while something is on its way, nobody waits for this run."""
        return self._access.line

    @property
    def tempo(self) -> Tempo:
        """The sizes of batches."""
        return self._dialect.tempo

    def servers(self) -> set[Fact]:
        """The facts of the servers that it was led to since the last call."""
        return self._access.servers()

    def key_names(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self._cells.key

    def warnings(self) -> list[str]:
        """The cautions for an admin before the first write."""
        cautions = [*cautions_of(self._facts), *model_caution(self._target, self._cells.kind, self._dialect)]
        return [f"{self._target.label}: {caution}" for caution in cautions]

    def replica(self) -> str | None:
        """What an admin has to know if its server is a standby or a replica; None if it is none, or does not say."""
        found = self._access.attempt(self._dialect.replication) if self._access.may_be_replica else None
        if not isinstance(found, Replication) or found.is_current or not found.is_known:
            return None
        return f"{self._access.name}: {found.words}; what it does not have yet was not read"

    def identity(self) -> str:
        """A digest of what the database reports about the server and the table."""
        found = self._access.attempt(
            lambda connection: self._dialect.catalog.table_identity(connection, self._cells.qualified)
        )
        if isinstance(found, RefusedStatement) or not found:
            return ""
        return sha256(found.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def number(self) -> str:
        """Of the table, or of its file, that the name led to when it was opened."""
        return self._opened.table

    def size(self) -> int:
        """The database's estimate, or a count if it has none."""
        estimate = self._facts.estimate or 0
        if estimate > 0 and self._target.where is None:
            return estimate // (self._shard.count if self._shard else 1)
        return int(self._scalar(sa.select(sa.func.count()).select_from(self._table).where(self._rows)) or 0)

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()

    def keyless(self) -> int:
        """The number of rows that hold something and have a NULL in their key: no comparison finds them again.

        No key says which shard such a row is in; the first shard counts them all.
        """
        if not self._cells.nullable_key or (self._shard and self._shard.index):
            return 0
        missing = sa.not_(self._named)
        count = sa.select(sa.func.count()).select_from(self._table)
        return int(self._scalar(count.where(missing, self._column.is_not(None), self._of_all_shards)) or 0)

    def key_after(self, after: RowKey | None, rows: int) -> RowKey | None:
        """The key of the row that is *rows* behind *after*; None if there are fewer."""
        query = sa.select(*self._key).where(self._rows, self._named, *self._within(after, None))
        found = self._access.read(
            lambda connection: connection.execute(query.order_by(*self._key).offset(rows - 1).limit(1)).first()
        )
        return None if found is None else tuple(found)

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        """The next rows in the order of their keys: behind *after*, up to and with *upto*.

        At most *limit*, fewer if they are large, none only if none is left. A large cell is fetched by itself.
        """
        batch = Batch((), ())
        if self._shard and self._in_blocks and after is not None:
            # A jump from block to block reads nothing of others. If blocks are sparse the condition in SQL does it.
            for _ in range(JUMPS):
                start, end = self._shard.block_behind(after[0])
                if upto is not None and start >= upto[0]:
                    return batch
                last = (end if upto is None else min(end, upto[0]),)
                found = self._read((start,), last, limit - batch.rows)
                batch = batch.plus(found)
                if batch.rows >= limit or batch.weight > BATCH_BYTES // 2:
                    return batch
                after = found.last or last
        rest = self._read(after, upto, limit - batch.rows)
        return batch.plus(rest) if batch.rows else rest

    def too_heavy(self, after: RowKey | None) -> StoreError:
        """The error for the row behind *after*, for which this process lacks memory. Raises StoreError."""
        key = self.key_after(after, 1)
        row = "" if key is None else " of " + row_in_words(self.key_names(), key)
        return self._access.permanent(f"this process has not enough memory for the cell{row}; give it more")

    def _read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        largest = _largest(limit)
        conditions = [self._rows, self._named, *self._within(after, upto)]
        if self._blocks and limit >= LEAST_ROWS:
            query = sa.select(*self._key, self._cell).where(*conditions).order_by(*self._key).limit(limit)
            blocks = self._blocks
            found = self._access.read(lambda connection: blocks.read(connection, query, largest), self._mode)
            if found is not None and found.weight <= BATCH_BYTES:
                return found
        batch = self._read_rows(conditions, limit, largest)
        return in_blocks(batch) if self._blocks else batch

    def read_pages(self, start: int, end: int, limit: int) -> Batch | None:
        """The cells of the pages from *start* on and before *end*, about *limit* rows, by `PageAccess.read`."""
        assert self._pages is not None  # noqa: S101 - for the type checker: `Store.pages` gave none otherwise
        read, largest = self._pages.read, _largest(limit)
        return self._access.read(lambda connection: read(connection, start, end, largest))

    def _read_rows(self, conditions: Sequence[ColumnElement[bool]], limit: int, largest: int) -> Batch:
        size = self._dialect.length(self._cell)
        large = size > largest
        misfit = [] if self._misfit is None else [self._misfit]
        index = [] if self._index is None else [self._index]
        salts = [self._table.c[name] for name in self._salts]
        query = (
            sa.select(*self._key, sa.case((large, None), else_=self._cell), sa.case((large, size)))
            .add_columns(*salts, *index, *misfit)
            .where(*conditions)
            .order_by(*self._key)
            .limit(limit)
        )
        found = self._access.read(lambda connection: self._dialect.fetch_all(connection, query), self._mode)
        if not found:
            return Batch((), ())
        columns = list(zip(*found, strict=True))
        misfits = columns.pop() if misfit else ()
        indexes = columns.pop() if index else ()
        salt_values = list(zip(*columns[len(columns) - len(salts) :], strict=True)) if salts else []
        *key, cells, sizes = columns[: len(columns) - len(salts)]
        keys = list(zip(*key, strict=True))
        batch = Batch(keys, cells, misfits=frozenset(compress(keys, misfits)), indexes=indexes, salts=salt_values)
        return batch if not any(sizes) and weight_of(cells) <= BATCH_BYTES else self._with_large(batch, sizes)

    def blind_indexes(self, *, of_all_rows: bool) -> list[str]:
        """Of the columns that are as wide as a blind index, those in which the first value looks like one."""
        values = ((name, self._first_value(name, of_all_rows=of_all_rows)) for name in self._cells.like_index)
        return [name for name, value in values if SHAPE.fullmatch(str(value))]

    def _first_value(self, name: str, *, of_all_rows: bool) -> object:
        value, rows = free_column(name), sa.select(free_column(name)).select_from(self._table)
        if of_all_rows:
            return self._scalar(rows.where(value.is_not(None)).limit(1))
        first = rows.limit(LOOKED_AT).subquery()
        return self._scalar(sa.select(value).select_from(first).where(value.is_not(None)).limit(1))

    def holder(self, index: str, key: RowKey) -> RowKey | None:
        """The key of a row, other than that of *key*, with the blind index *index*; None if there is none."""
        assert self._index is not None  # noqa: S101 - for the type checker: the target has an index
        others = sa.not_(same_key(self._key, self._parts(key)))
        query = sa.select(*self._key).where(self._index == sa.literal(index, AsRead()), others).limit(1)
        found = self._access.read(lambda connection: connection.execute(query).first())
        return None if found is None else tuple(found)

    def hides_rows(self) -> bool:
        """True if rows may be hidden from this user."""
        return self._opened.hidden

    def refuses_updates(self) -> str | None:
        """By the facts of the table: what is to be done first."""
        if not (statements := self._facts.unidentified):
            return None
        others = len(statements) - SHOWN_STATEMENTS
        shown = "; ".join(
            [*statements[:SHOWN_STATEMENTS], *([f"and {others:,} more, of its partitions"] * (others > 0))]
        )
        return (
            f"{self._target.label}: the table is published and has no replica identity, so the database refuses every "
            f"UPDATE. Give it one, as its owner: {shown}"
        )

    def lacks_room(self, longest: Callable[[int], int]) -> str | None:
        """By the column's declared size and its longest cell that does not begin as a token does."""
        room = self._dialect.room(self._cells.kind)
        if room is None:
            return None
        size = sa.func.octet_length(self._dialect.exactly(self._column, self._cells.kind))
        others = sa.func.left(self._column, len(BEGINNING)) != sa.literal(BEGINNING, AsRead())
        held = int(self._scalar(sa.select(sa.func.max(size)).where(self._rows, others)) or 0)
        needed = token_length(longest(held))
        if held == 0 or needed <= room:
            return None
        return (
            f"{self._target.label}: the column holds {room} characters, and the token of its longest value needs up to "
            f"{needed}. Widen the column first, to {needed} characters or more"
        )

    def _open(self, sample: int | None) -> None:
        target, name = self._target, self._access.name

        def look(connection: sa.Connection) -> tuple[TargetCells, TableFacts, TableState, int | None]:
            cells, facts = find_target(target, connection, self._dialect, name, self._companions, self._salts)
            state = self._dialect.other_writers.state(connection, cells.schema, cells.qualified.table)
            return cells, facts, state, self._dialect.largest_write(connection)

        self._cells, self._facts, self._opened, self._largest = self._access.read(look)
        self._table = self._cells.clause()
        self._key = self._cells.keys(self._table)
        self._column = self._table.c[self._cells.qualified.column]
        self._cell = self._dialect.as_text(self._column, self._cells.kind)
        """The column, as it is read."""
        self._rows: ColumnElement[bool] = sa.true()
        if target.where is not None:
            self._rows = sa.literal_column(f"({target.where})", sa.Boolean)
        self._of_all_shards: ColumnElement[bool] = self._rows
        self._named = sa.and_(sa.true(), *(column.is_not(None) for column in self._key if self._cells.nullable_key))
        if self._shard:
            self._keep_to(self._shard)
        self._check_readable()
        share = 1 if sample is None else sample / max(self.size(), 1)
        if share < 1:
            self._rows = self._of_all_shards = sa.and_(self._rows, self._dialect.chance() < share)
        self._triggers = self._facts.triggers
        self._others = self._dialect.other_writers(
            Scope(self._cells, self._table, self._cell, sa.and_(self._rows, self._named))
        )
        self._misfit: ColumnElement[bool] | None = None
        """True for a row whose companion columns do not match the primary key; None without such columns."""
        if wanted := {name: value for name, value in self._cells.beside.items() if value is not None}:
            held = {name: self._dialect.exactly(self._table.c[name], sa.Text()) for name in wanted}
            self._misfit = sa.or_(
                *(held[name].is_distinct_from(sa.literal(value, AsRead())) for name, value in wanted.items())
            )
        index = self._cells.index
        self._index: ColumnElement[Any] | None = None if index is None else self._table.c[index]
        """The column of the blind index."""
        self._reads_beside = self._misfit is not None or self._index is not None
        """True if rows are read with other columns than the cell."""
        # Blocks hold tokens of one length. With triggers, companions, an index or salts each row is looked at.
        by_rows = self._triggers or self._reads_beside or self._salts or not self._cells.of_tokens
        blocks = None if by_rows else self._dialect.blocks
        self._blocks = blocks(self._cells) if blocks and blocks.serves(self._cells) else None
        # A shard's rows are spread over all pages.
        pages = None if self._blocks is None or self._shard else self._dialect.pages
        self._pages = pages(self._cells) if pages else None

    def _keep_to(self, shard: Shard) -> None:
        """From here on only the rows of *shard* are there."""
        only = self._key[0] if len(self._key) == 1 and isinstance(self._cells.key_kinds[0], sa.Integer) else None
        block = None if only is None else self._dialect.block(only)
        self._in_blocks = block is not None
        typed = [sa.type_coerce(key, kind) for key, kind in zip(self._key, self._cells.key_kinds, strict=True)]
        number = self._dialect.spread(typed) if block is None else block
        # The rest of a negative number is negative, or none.
        rest = (number % shard.count + shard.count) % shard.count
        self._rows = sa.and_(self._rows, rest == sa.literal(shard.index, AsRead()))

    def _check_readable(self) -> None:
        """Asks for one row: with the condition in where, and without it."""
        probe = sa.select(*self._key, self._dialect.length(self._cell)).limit(1)
        self._access.read(lambda connection: connection.execute(probe).all())
        if self._target.where is None:
            return
        chosen = probe.where(sa.literal_column(f"({self._dialect.strictly(self._target.where)})", sa.Boolean))
        if self._access.try_reading(chosen) is None:
            return
        # A database that fails does so without the condition, too, and seldom twice alike.
        self._access.read(lambda connection: connection.execute(probe).all())
        error = self._access.try_reading(chosen)
        if error and self._access.blames_statement(error):
            cause, place = error.orig or error, self._cells.qualified
            names = list(self._access.read(lambda connection: columns_of(connection, place.schema, place.table)))
            code, quote = self._dialect.code(cause), self._dialect.name_quote
            raise UsageError(f"{self._target.label}: {why_refused(self._target.where, code, str(cause), names, quote)}")
        self._access.read(lambda connection: connection.execute(chosen).all())

    def _scalar(self, query: sa.Select[Any]) -> Any:
        return self._access.read(lambda connection: connection.scalar(query))

    def _parts(self, key: RowKey) -> list[Any]:
        return [self._dialect.sendable(part) for part in key]

    def _within(self, after: RowKey | None, upto: RowKey | None) -> Iterator[ColumnElement[bool]]:
        if after is not None:
            yield beyond(self._key, self._parts(after))
        if upto is not None:
            yield sa.not_(beyond(self._key, self._parts(upto)))

    def _with_large(self, batch: Batch, sizes: Iterable[int | None]) -> Batch:
        """The first rows, up to BATCH_BYTES, with the cells that were not fetched with the others, of these *sizes*."""
        cells, oversized, weight = list[Any](), list[tuple[RowKey, str]](), 0
        for key, cell, size in zip(batch.keys, batch.cells, sizes, strict=True):
            if cells and weight + (size or weight_of([cell])) > BATCH_BYTES:
                break
            alone, too_large = self._alone(key) if size else (cell, None)
            cells.append(alone)
            weight += weight_of([alone])
            if too_large is not None:
                oversized.append((key, f"its {too_large:,} bytes are more than the {self._most_read:,} {MOST_READ}"))
        read = batch.part(0, len(cells))._replace(cells=cells)
        if not oversized:
            return read
        return read.without({key for key, _ in oversized})._replace(oversized=oversized, end=read.last)

    def _alone(self, key: RowKey) -> tuple[Any, int | None]:
        """The cell of one row; None, and its size, if it is too large."""
        size = self._dialect.length(self._cell)
        held = sa.case((size <= self._most_read, self._cell))
        found = self._access.read(
            lambda connection: connection.execute(
                sa.select(held, size).where(same_key(self._key, self._parts(key)))
            ).first()
        )
        if found is None or found[0] is not None or found[1] is None:
            return (None if found is None else found[0]), None
        return None, found[1]

    @property
    def _mode(self) -> Mode:
        """The mode of a transaction of one statement. A condition in SQL may call functions, which could write."""
        return Mode.ALONE if self._target.where is None else Mode.READ

    @property
    def _most_read(self) -> int:
        """The most bytes of a cell that is read. The largest message of a server has some bytes around it."""
        return LARGEST_CELL if self._largest is None else min(LARGEST_CELL, self._largest - AROUND)


def _largest(limit: int) -> int:
    """The bytes of a cell that is fetched together with others, of *limit* rows."""
    return min(LARGE_CELL, 2 * BATCH_BYTES // limit)
