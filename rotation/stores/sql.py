"""Cells of one column of an SQL table: read by key, written by compare-and-swap."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import chain, compress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import SHAPE
from keyring_core.tokens import BEGINNING, token_length
from rotation.model.batch import Batch, BlockSwap, Swaps, are_all, are_ascii, weight_of
from rotation.model.counts import RowKey
from rotation.model.failures import UsageError
from rotation.model.target import Target
from rotation.stores.access import Access, Refusal, RowRefusedError
from rotation.stores.base import IndexValue, Written
from rotation.stores.blocks import LEAST_ROWS, BlockAccess, Rows, in_blocks
from rotation.stores.columns import AsRead, TableFacts, TableState, TargetCells, free_column
from rotation.stores.connection import SharedConnections
from rotation.stores.dialect import BatchSwap, Mode, Tempo
from rotation.stores.index_column import IndexColumn
from rotation.stores.key_order import beyond, same_key
from rotation.stores.shards import Shard
from rotation.stores.target_schema import NOTHING, cautions_of, find_target, model_caution, why_refused
from rotation.stores.witness import Changed, Doubt, Scope, Unknown, Witness

LARGE_CELL = 64 * 1024
"""Bytes; a larger cell is fetched by itself, so that a batch of rows has a bounded size."""
BATCH_BYTES = 8 * 1024 * 1024
"""What a batch may weigh, unless one cell alone is heavier."""
JUMPS = 8
"""Blocks of a shard to look into before a whole scan."""
LOOKED_AT = 1000
"""Rows among which a column's first value is looked for, unless all are read anyway."""
REPLACED = "its name leads to another table by now, or to none"
HIDDEN = "row security was switched on meanwhile, so rows may be hidden; run as the owner or with BYPASSRLS"
LOOK_ROWS = 200
"""Rows that one query looks up by their keys; SQLite bounds the depth of a condition."""


class SqlStore:
    """A target in an SQL database. Opening it checks the schema and changes nothing."""

    def __init__(  # noqa: PLR0913 - as `open_store`
        self,
        target: Target,
        *,
        read_only: bool,
        sleep: Callable[[float], None],
        shard: Shard | None = None,
        links: SharedConnections | None = None,
        companions: Mapping[str, str] = NOTHING,
    ) -> None:
        """Raises UsageError if the target does not fit, StoreError where the database cannot be reached.

        With *links* it shares a connection with the other stores of a command. *companions*: what the target's
        companion columns are to hold; one that only reads need not know.
        """
        if not read_only and {name for name, _ in target.companions} != set(companions):
            raise ValueError(f"{target.label}: the values of its companion columns are missing")
        self._target, self._shard, self._companions = target, shard, companions
        self._witness: Witness | None = None
        """The same for all passes: it knows what earlier ones wrote."""
        self._in_blocks = False
        """Whether a shard's rows are runs of whole numbers."""
        self._access = Access(target.url, target.label, read_only=read_only, sleep=sleep, links=links)
        self._dialect = self._access.dialect
        try:
            self._open(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def _open(self, *, read_only: bool) -> None:
        target, name = self._target, self._access.name

        def look(connection: sa.Connection) -> tuple[TargetCells, TableFacts, TableState, int | None]:
            cells, facts = find_target(target, connection, self._dialect, name, self._companions)
            state = self._dialect.state(connection, cells.schema, cells.qualified.table)
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
        if not read_only:
            self._check_writable()
        self._triggers = self._facts.triggers
        self._swap_batch = self._dialect.batch_swap(self._cells) or self._swap_each()
        self._crowd = self._dialect.crowd()
        self._misfit = self._misfits()
        index = self._cells.index
        self._index = None if index is None else IndexColumn(index, self._cells, self._table, self._dialect)
        # What a trigger makes of a cell is looked at row by row, and so are companions and indexes. A block has cells
        # of one length, each of them a token.
        by_rows = self._triggers or self._reads_beside or not self._cells.of_tokens
        self._blocks = None if by_rows else self._dialect.block_access(self._cells)

    @property
    def _reads_beside(self) -> bool:
        """Whether rows are read with other columns than the cell."""
        return self._misfit is not None or self._index is not None

    def _misfits(self) -> ColumnElement[bool] | None:
        """Whether a row's companion columns hold something else than beside a token under the primary key.

        None if there are no such columns.
        """
        values = self._cells.companions
        if not values:
            return None
        held = {name: self._dialect.exactly(self._table.c[name], sa.Text()) for name in values}
        return sa.or_(*(held[name].is_distinct_from(sa.literal(value, AsRead())) for name, value in values.items()))

    @property
    def retries(self) -> int:
        """How often something was tried again, so far."""
        return self._access.retries

    @property
    def tempo(self) -> Tempo:
        """How large batches may be."""
        return self._dialect.tempo

    def key_names(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self._cells.key

    def warnings(self) -> list[str]:
        """What an admin should know before the first write."""
        cautions = [*cautions_of(self._facts), *model_caution(self._target, self._cells.kind, self._dialect)]
        return [f"{self._target.label}: {caution}" for caution in cautions]

    def identity(self) -> str:
        """A digest of what the database reports about the server and the table."""
        found = self._access.attempt(lambda connection: self._dialect.identity(connection, self._cells.qualified))
        if isinstance(found, Refusal) or not found:
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

    def thin_out(self, rows: int) -> None:
        """From here on only about so many *rows* are read, chosen at random by the database."""
        share = rows / max(self.size(), 1)
        if share < 1:
            self._rows = self._of_all_shards = sa.and_(self._rows, self._dialect.chance() < share)

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

    def keyless(self) -> int:
        """How many rows hold something and have a NULL in their key: no comparison finds them again.

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
        """The next rows in the order of their keys; a large cell is fetched by itself."""
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

    def _read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        largest = min(LARGE_CELL, 4 * BATCH_BYTES // limit)
        conditions = [self._rows, self._named, *self._within(after, upto)]
        if self._blocks and limit >= LEAST_ROWS:
            query = sa.select(*self._key, self._cell).where(*conditions).order_by(*self._key).limit(limit)
            rows, access = Rows(query, largest), self._blocks
            found = self._access.read(lambda connection: access.read(connection, rows))
            if found is not None and found.weight <= BATCH_BYTES:
                return found
        batch = self._read_rows(conditions, limit, largest)
        return in_blocks(batch) if self._blocks else batch

    def _read_rows(self, conditions: Sequence[ColumnElement[bool]], limit: int, largest: int) -> Batch:
        large = self._dialect.length(self._cell) > largest
        misfit = [] if self._misfit is None else [self._misfit]
        index = [] if self._index is None else [self._index.column]
        query = (
            sa.select(*self._key, sa.case((large, None), else_=self._cell), large, *index, *misfit)
            .where(*conditions)
            .order_by(*self._key)
            .limit(limit)
        )
        found = self._access.fetch(query)
        if not found:
            return Batch((), ())
        columns = list(zip(*found, strict=True))
        misfits = columns.pop() if misfit else ()
        indexes = columns.pop() if index else ()
        *key, cells, are_large = columns
        keys = list(zip(*key, strict=True))
        batch = Batch(keys, cells, misfits=frozenset(compress(keys, misfits)), indexes=indexes)
        return batch if not any(are_large) and weight_of(cells) <= BATCH_BYTES else self._with_large(batch, are_large)

    def write(self, swaps: Swaps, blocks: Sequence[BlockSwap] = ()) -> Written:
        """Swaps each cell that still holds what was read; if one row is refused, all the others are written."""
        written = Written()
        for several in self._parted_blocks(blocks):
            written.add(self._write_blocks(several))
        for part in self._parted(swaps) if swaps else ():
            written.add(self._write(part))
        return written

    def _write_blocks(self, swaps: Sequence[BlockSwap]) -> Written:
        access, begun, failed, hurried = self._blocks, Written(), list(swaps), False
        assert access is not None  # noqa: S101 - for the type checker: nothing is read in blocks otherwise
        try:
            mode = Mode.BARE if access.is_bare else Mode.WRITE
            cells, begun = self._access.write(lambda connection: self._swap_blocks(connection, access, swaps), mode)
            failed = [swap for swap, count in zip(swaps, cells, strict=True) if count != len(swap)]
        except RowRefusedError as error:
            self._access.breathe()
            hurried = error.category == "locked"
        for swap in failed:
            # Their own statements show which of them is at fault.
            begun.add(self._write(swap.as_rows(), hurried=hurried))
        return begun

    def _swap_blocks(
        self, connection: sa.Connection, access: BlockAccess, swaps: Sequence[BlockSwap]
    ) -> tuple[Sequence[int | None], Written]:
        swapped = access.swap(connection, swaps)
        return swapped.cells, self._done_in(connection, swapped.transaction)

    def _done_in(self, connection: sa.Connection, number: int | None) -> Written:
        """The *number* of a transaction that wrote, and whether others have written meanwhile."""
        others = self._crowd.look(connection, number) if self._crowd else None
        return Written(transactions=[] if number is None else [number], others=others)

    def allow(self, writes: int) -> None:
        """So often this process itself writes through other connections."""
        if self._crowd:
            self._crowd.allow(writes)

    def _parted_blocks(self, swaps: Sequence[BlockSwap]) -> Iterator[list[BlockSwap]]:
        """*swaps* in groups of bounded weight."""
        group: list[BlockSwap] = []
        weight = 0
        for swap in swaps:
            rows = max(1, self._most_bytes // (2 * swap.block.size))
            for start in range(0, len(swap), rows):
                part = swap if rows >= len(swap) else swap.part(start, min(start + rows, len(swap)))
                own = 2 * len(part.block.cells)
                if group and weight + own > self._most_bytes:
                    yield group
                    group, weight = [], 0
                group.append(part)
                weight += own
        if group:
            yield group

    def write_indexes(self, values: Sequence[IndexValue]) -> Written:
        """Sets the blind index of each row whose cell is still the same."""
        if not values:
            return Written()
        return self._access.write_by_halves(
            range(len(values)),
            lambda connection, rows: self._set_indexes(connection, values[rows.start : rows.stop]),
            lambda row, refusal: Written(refused={values[row].key: refusal}),
        )

    def _set_indexes(self, connection: sa.Connection, values: Sequence[IndexValue]) -> Written:
        assert self._index is not None  # noqa: S101 - for the type checker: nothing is read beside the cells otherwise
        self._dialect.hurry(connection)
        updates = ((value.key, self._index.update(value, self._parts(value.key))) for value in values)
        lost = {key for key, update in updates if connection.execute(update).rowcount == 0}
        written = self._done_in(connection, self._dialect.transaction(connection, self._table))
        written.lost |= lost
        return written

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

    def settle(self) -> None:
        """Returns when all that was written is on disk."""
        self._access.write(self._dialect.settle)

    def watch(self, *, reads_only: bool = False) -> SqlWatch:
        """Begins to watch the table and, unless this run *reads_only*, what others write to it.

        Under a condition, rows come and go that nobody wrote.
        """
        if self._witness is None and self._target.where is None:
            scope = Scope(self._cells, self._table, self._cell, sa.and_(self._rows, self._named))
            self._witness = self._dialect.witness(scope)
        witness = None if reads_only else self._witness
        return SqlWatch(self._access, self._state, witness, fires=bool(self._triggers), beside=self._reads_beside)

    def _state(self) -> TableState:
        """Of the table, now. Raises StoreError if it is not the one that was opened, or if rows of it were hidden."""
        state = self._access.read(
            lambda connection: self._dialect.state(connection, self._cells.schema, self._cells.qualified.table)
        )
        if state.table != self._opened.table:
            raise self._access.permanent(REPLACED)
        if state.hidden and not self._opened.hidden:
            raise self._access.permanent(HIDDEN)
        return state

    def twin(self, links: SharedConnections) -> SqlStore:
        """A copy that differs in its connection; or this store itself, if threads do best to take turns."""
        if self._dialect.one_connection:
            return self
        other = copy.copy(self)
        other._access = self._access.twin(links)
        other._crowd = self._crowd and self._crowd.of_thread()
        return other

    def close(self) -> None:
        """Gives up the connections."""
        self._access.close()

    def _within(self, after: RowKey | None, upto: RowKey | None) -> Iterator[ColumnElement[bool]]:
        if after is not None:
            yield beyond(self._key, self._parts(after))
        if upto is not None:
            yield sa.not_(beyond(self._key, self._parts(upto)))

    def _scalar(self, query: sa.Select[Any]) -> Any:
        return self._access.read(lambda connection: connection.scalar(query))

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
            columns = self._access.read(
                lambda connection: sa.inspect(connection).get_columns(place.table, place.schema)
            )
            names = [column["name"] for column in columns]
            code, quote = self._dialect.code(cause), self._dialect.name_quote
            raise UsageError(f"{self._target.label}: {why_refused(self._target.where, code, str(cause), names, quote)}")
        self._access.read(lambda connection: connection.execute(chosen).all())

    def _check_writable(self) -> None:
        """Updates no row and undoes it: what the database refuses to this user shows before the first write."""
        itself = {self._column: self._column, **self._cells.sets(self._table)}
        nothing = sa.update(self._table).where(sa.false()).values(itself)

        def rehearse(connection: sa.Connection) -> None:
            connection.execute(nothing)
            if transaction := connection.get_transaction():
                transaction.rollback()

        # A trigger or a lock on the whole table: each row will say so.
        with suppress(RowRefusedError):
            self._access.write(rehearse)

    def _swap_each(self) -> BatchSwap:
        keys = [column == sa.bindparam(f"key{number}") for number, column in enumerate(self._key)]
        return BatchSwap(
            self._update(keys, *(sa.bindparam(name, type_=AsRead()) for name in ("old", "new"))), _one_by_one
        )

    def _update(self, found: Iterable[ColumnElement[bool]], old: Any, new: Any) -> sa.Update:
        """Compare and swap: a cell that a service rewrote meanwhile keeps the service's value."""
        is_unchanged = self._dialect.exactly(self._column, self._cells.kind) == old
        values = {self._column: self._dialect.as_stored(new, self._cells.kind), **self._cells.sets(self._table)}
        return sa.update(self._table).where(*found, is_unchanged).values(values)

    def _parted(self, swaps: Swaps) -> Iterator[Swaps]:
        """*swaps* in parts of bounded weight."""
        most = self._most_bytes
        if weight_of(swaps.old) + weight_of(swaps.new) <= most:
            yield swaps
            return
        start = weight = 0
        for number, (_, old, new) in enumerate(swaps.rows()):
            own = len(old) + len(new)
            if number > start and weight + own > most:
                yield swaps.part(start, number)
                start, weight = number, 0
            weight += own
        yield swaps.part(start)

    @property
    def _most_bytes(self) -> int:
        most = (self._largest or BATCH_BYTES * 8) // 2
        # A character of a token is one byte. Others have up to four, each of them sent as two.
        return min(BATCH_BYTES, most if self._cells.of_tokens else most // 4)

    def _write(self, swaps: Swaps, *, hurried: bool = False) -> Written:
        return self._access.write_by_halves(
            range(len(swaps)),
            lambda connection, rows: self._swap(connection, swaps.part(rows.start, rows.stop)),
            lambda row, refusal: Written(refused={swaps.keys[row]: self._in_detail(swaps.new[row], *refusal)}),
            hurried=hurried,
        )

    def _swap(self, connection: sa.Connection, swaps: Swaps) -> Written:
        if len(swaps) == 1 and (words := self._too_large(swaps)):
            raise RowRefusedError("refused", words)
        self._dialect.hurry(connection)
        swapped = self._execute(connection, swaps)
        if swapped == len(swaps) and not self._triggers:
            return self._done_in(connection, self._dialect.transaction(connection, self._table))
        written = self._look_again(connection, swaps)
        written.add(self._done_in(connection, self._dialect.transaction(connection, self._table)))
        if swapped and written.lost and self._triggers:
            # A service or a trigger rewrote a cell: writing the rows one by one shows which.
            raise RowRefusedError("not-written", "a trigger changes what is written, and so it was undone")
        return written

    def _execute(self, connection: sa.Connection, swaps: Swaps) -> int:
        """How many cells were swapped."""
        # Around its tokens a cell stays as it was, so that the new ones are ASCII if the old ones are.
        usual = are_all(chain.from_iterable(swaps.keys), int) and (self._cells.of_tokens or are_ascii(swaps.old))
        odd = [] if usual else [row for row in swaps.rows() if self._is_odd(*row)]
        plain = swaps if not odd else _swaps_of(row for row in swaps.rows() if not self._is_odd(*row))
        swapped = 0
        if plain:
            statement, parameters = self._swap_batch.statement, self._swap_batch.parameters(plain)
            if isinstance(statement, str):
                swapped = connection.exec_driver_sql(statement, parameters).rowcount
            else:
                swapped = connection.execute(statement, parameters).rowcount
        for key, old, new in odd:
            sent = [same_key(self._key, self._parts(key))], *map(self._sent, (old, new))
            swapped += connection.execute(self._update(*sent)).rowcount
        return swapped

    def _look_again(self, connection: sa.Connection, swaps: Swaps) -> Written:
        """Which swaps the table holds now: a new token may stem from an earlier try."""
        now: dict[RowKey, Any] = {}
        for start in range(0, len(swaps), LOOK_ROWS):
            here = [same_key(self._key, self._parts(key)) for key in swaps.keys[start : start + LOOK_ROWS]]
            query = sa.select(*self._key, self._cell).where(sa.or_(*here))
            now |= {tuple(key): value for *key, value in connection.execute(query)}
        written = Written()
        for key, old, new in swaps.rows():
            value = now.get(key)
            if _same(value, new):
                continue
            if _same(value, old):
                written.refused[key] = "not-written", "the database took the write and kept the old value (a trigger?)"
            else:
                written.lost.add(key)
        return written

    def _with_large(self, batch: Batch, are_large: Iterable[bool]) -> Batch:
        """The first rows, up to BATCH_BYTES, with what was too large to be fetched with the others."""
        cells: list[Any] = []
        weight = 0
        for key, cell, is_large in zip(batch.keys, batch.cells, are_large, strict=True):
            cells.append(self._read_large(key) if is_large else cell)
            weight += weight_of(cells[-1:])
            if weight > BATCH_BYTES:
                break
        return batch._replace(keys=batch.keys[: len(cells)], cells=cells, indexes=batch.indexes[: len(cells)])

    def _read_large(self, key: RowKey) -> Any:
        return self._scalar(sa.select(self._cell).where(same_key(self._key, self._parts(key))))

    def _parts(self, key: RowKey) -> list[Any]:
        return [self._dialect.sendable(part) for part in key]

    def _is_odd(self, key: RowKey, *cells: object) -> bool:
        """Whether the driver cannot send *key* and *cells* back as they came."""
        return any(self._dialect.sendable(part) is not part for part in (*key, *cells))

    def _sent(self, cell: str | bytes) -> Any:
        value = self._dialect.sendable(cell)
        return sa.literal(value, AsRead()) if value is cell else value

    def _too_large(self, swap: Swaps) -> str | None:
        cells = [*swap.old, *swap.new]
        needed = (weight_of(cells) if self._cells.of_tokens else 2 * sum(map(_bytes_of, cells))) + 1024
        if self._largest is None or needed <= self._largest:
            return None
        return f"a swap of this cell sends {needed:,} bytes, and the database takes {self._largest:,}"

    def _in_detail(self, new: str | bytes, category: str, reason: str) -> tuple[str, str]:
        allowed, size = getattr(self._cells.kind, "length", None), len(new)
        if category == "refused" and allowed and size > allowed:
            reason = f"it needs {size} characters and the column holds {allowed}; {reason}"
        return category, reason


class SqlWatch:
    """What a pass relies on: the table that its name leads to and, if the database shows it, what others write."""

    def __init__(
        self, access: Access, state: Callable[[], TableState], witness: Witness | None, *, fires: bool, beside: bool
    ) -> None:
        """Begins to watch the table. *fires*: a write fires triggers. *beside*: more than cells is read."""
        self._access, self._state, self._begun = access, state, state()
        # A server that is too old, or a role with rights on some columns only, refuses the statement.
        self._witness = witness if witness and access.attempt(witness.begin) is True else None
        self._fires, self._beside = fires, beside
        self.name = self._witness.name if self._witness else None

    def wrote(self, transactions: Iterable[int]) -> None:
        """These transactions are of this run."""
        if self._witness:
            self._witness.wrote(transactions)

    def changed(self, *, wrote: bool = True) -> Changed | Unknown:
        """What others have written, or why that is not known. Raises StoreError as the store's `watch` does."""
        found = self._asked(wrote=wrote)
        # Last: what altered the table may have hidden something from the witness, too.
        if self._state() != self._begun:
            return Unknown("the table was altered meanwhile", Doubt.ALTERED)
        return found

    def _asked(self, *, wrote: bool) -> Changed | Unknown:
        if self._witness is None:
            return Unknown("nothing shows what others write here", Doubt.SPAN)
        if wrote and (self._fires or self._beside):
            return Unknown("this run wrote more than cells: by a trigger, or beside them")
        found = self._access.read(self._witness.changed)
        if self._beside and isinstance(found, Changed) and found.batch.rows:
            # What stands beside these cells is not read with them.
            return Unknown("others wrote meanwhile")
        return found


def _swaps_of(rows: Iterable[tuple[RowKey, str | bytes, str | bytes]]) -> Swaps:
    columns = list(zip(*rows, strict=True))
    return Swaps(*columns) if columns else Swaps()


def _bytes_of(cell: str | bytes) -> int:
    return len(cell if isinstance(cell, bytes) else cell.encode("utf-8", "surrogateescape"))


def _one_by_one(swaps: Swaps) -> list[dict[str, Any]]:
    return [
        {f"key{number}": part for number, part in enumerate(key)} | {"old": old, "new": new}
        for key, old, new in swaps.rows()
    ]


def _same(now: object, then: str | bytes) -> bool:
    # CHAR(n) is read with blanks behind it on PostgreSQL.
    return now == then or (isinstance(now, str) and isinstance(then, str) and now.rstrip(" ") == then.rstrip(" "))
