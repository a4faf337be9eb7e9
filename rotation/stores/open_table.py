"""A target's table, opened and checked: its connection, and the expressions that reads and writes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.counts import RowKey
from rotation.model.failures import UsageError
from rotation.model.target import Target
from rotation.stores.access import Access, RefusedStatement, RowRefusedError
from rotation.stores.columns import AsRead, TableFacts, TableState, TargetCells
from rotation.stores.connection import SharedConnections
from rotation.stores.dialect import Tempo
from rotation.stores.other_writers import Scope
from rotation.stores.row_keys import Shard
from rotation.stores.target_schema import NOTHING, cautions_of, find_target, model_caution, why_refused

BATCH_BYTES = 8 * 1024 * 1024
"""The most that is read or written at once, unless one cell alone is heavier."""
REPLACED = "its name leads to another table by now, or to none"
HIDDEN = "row security was switched on meanwhile, so rows may be hidden; run as the owner or with BYPASSRLS"


class OpenTable:
    """The table of a target. Opening it checks the schema and changes nothing.

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
    ) -> None:
        """All rows of *target*, or the ones of *shard*, or about *sample* rows that the database chooses at random.

        With *links* it shares a connection with the other stores of a command. *companions*: the values of the target's
        companion columns; a store that only reads need not know them.

        Raises UsageError if the target does not fit its database, StoreError if the database cannot be reached.
        """
        if not read_only and {name for name, _ in target.companions} != set(companions):
            raise ValueError(f"{target.label}: the values of its companion columns are missing")
        self._target, self._shard, self._companions = target, shard, companions
        self._in_blocks = False
        """True if a shard's rows are runs of whole numbers."""
        self._access = Access(target.url, target.label, read_only=read_only, sleep=sleep, links=links)
        self._dialect = self._access.dialect
        try:
            self._open(sample, read_only=read_only)
        except BaseException:
            self.close()
            raise

    @property
    def retries(self) -> int:
        """The number of repeated tries so far."""
        return self._access.retries

    @property
    def tempo(self) -> Tempo:
        """The sizes of batches."""
        return self._dialect.tempo

    def key_names(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self._cells.key

    def warnings(self) -> list[str]:
        """The cautions for an admin before the first write."""
        cautions = [*cautions_of(self._facts), *model_caution(self._target, self._cells.kind, self._dialect)]
        return [f"{self._target.label}: {caution}" for caution in cautions]

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

    def _open(self, sample: int | None, *, read_only: bool) -> None:
        target, name = self._target, self._access.name

        def look(connection: sa.Connection) -> tuple[TargetCells, TableFacts, TableState, int | None]:
            cells, facts = find_target(target, connection, self._dialect, name, self._companions)
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
        if not read_only:
            self._check_writable()
        share = 1 if sample is None else sample / max(self.size(), 1)
        if share < 1:
            self._rows = self._of_all_shards = sa.and_(self._rows, self._dialect.chance() < share)
        self._triggers = self._facts.triggers
        self._others = self._dialect.other_writers(
            Scope(self._cells, self._table, self._cell, sa.and_(self._rows, self._named))
        )
        self._misfit = self._misfits()
        index = self._cells.index
        self._index: ColumnElement[Any] | None = None if index is None else self._table.c[index]
        """The column of the blind index."""
        # Blocks hold tokens of one length. With triggers, companions or an index each row is looked at.
        by_rows = self._triggers or self._reads_beside or not self._cells.of_tokens
        blocks = None if by_rows else self._dialect.blocks
        self._blocks = blocks(self._cells) if blocks and blocks.serves(self._cells) else None

    @property
    def _reads_beside(self) -> bool:
        """True if rows are read with other columns than the cell."""
        return self._misfit is not None or self._index is not None

    def _misfits(self) -> ColumnElement[bool] | None:
        """True for a row whose companion columns do not match the primary key.

        None if there are no such columns.
        """
        values = self._cells.companions
        if not values:
            return None
        held = {name: self._dialect.exactly(self._table.c[name], sa.Text()) for name in values}
        return sa.or_(*(held[name].is_distinct_from(sa.literal(value, AsRead())) for name, value in values.items()))

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

    def _state(self) -> TableState:
        """The state of the table. Raises StoreError if it is not the one that was opened, or if its rows are hidden."""
        schema, table = self._cells.schema, self._cells.qualified.table
        state = self._access.read(lambda connection: self._others.state(connection, schema, table))
        if state.table != self._opened.table:
            raise self._access.permanent(REPLACED)
        if state.hidden and not self._opened.hidden:
            raise self._access.permanent(HIDDEN)
        return state

    def _scalar(self, query: sa.Select[Any]) -> Any:
        return self._access.read(lambda connection: connection.scalar(query))

    def _parts(self, key: RowKey) -> list[Any]:
        return [self._dialect.sendable(part) for part in key]
