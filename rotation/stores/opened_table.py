"""A target's table, opened, checked and watched: what an admin has to know of it, and the parts of statements on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import SHAPE
from keyring_core.tokens import BEGINNING, token_length
from rotation.model.failures import UsageError
from rotation.model.target import Target
from rotation.stores.access import Access, RefusedStatement, RowRefusedError
from rotation.stores.change_tracker import Changed, Doubt, Scope, Unknown
from rotation.stores.columns import AsRead, Shard, TableFacts, TableState, TargetCells, free_column
from rotation.stores.connection import SharedConnections
from rotation.stores.dialect import Mode, Tempo
from rotation.stores.patience import IMPATIENT, Patience
from rotation.stores.servers import Fact, Replication, is_one
from rotation.stores.target_schema import NOTHING, cautions_of, columns_of, find_target, model_caution, why_refused

SHOWN_STATEMENTS = 3
"""Statements of a message; a table may have a thousand partitions that each need one."""
LOOKED_AT = 1000
"""Rows among which a column's first value is looked for, unless all are read anyway."""
MOST_SALTED = 50
"""Rows of others that are planned at once if each may have a key of its own, which takes long to derive."""
OTHER_SERVER = (
    "the server restarted meanwhile, or another one answered, so what was written may be lost; if a proxy leads to "
    "several servers, name one of them in the url"
)


class OpenedTable:
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

    def blind_indexes(self, *, of_all_rows: bool) -> list[str]:
        """Of the columns that are as wide as a blind index, those in which the first value looks like one."""
        found = []
        for name in self._cells.like_index:
            value, rows = free_column(name), sa.select(free_column(name)).select_from(self._table)
            if not of_all_rows:
                rows = sa.select(value).select_from(rows.limit(LOOKED_AT).subquery())
            if SHAPE.fullmatch(str(self._scalar(rows.where(value.is_not(None)).limit(1)))):
                found.append(name)
        return found

    def watch(self, *, reads_only: bool = False) -> Watch:
        """Begins to watch, before the first read of a pass; with *reads_only* the table alone, not what others write.

        Raises StoreError as `Watch.changed` does.
        """
        # Under a condition, rows come and go that nobody wrote.
        return Watch(self, proves=not reads_only and self._target.where is None)

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
            state = self._dialect.change_tracker.state(connection, cells.schema, cells.qualified.table)
            return cells, facts, state, self._dialect.largest_write(connection)

        self._cells, self._facts, self._opened, self._largest = self._access.read(look)
        self._table = self._cells.clause()
        self._key = self._cells.keys(self._table)
        self._column = self._table.c[self._cells.qualified.column]
        self._cell = self._dialect.as_text(self._column, self._cells.kind)
        """The column, as it is read."""
        self._size = self._dialect.length(self._cell)
        """Of a cell."""
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
        self._others = self._dialect.change_tracker(
            Scope(self._cells, self._table, self._cell, sa.and_(self._rows, self._named))
        )
        self._misfit = self._cells.misfit(self._table, self._dialect.exactly)
        """True for a row whose companion columns do not match the primary key; None without such columns."""
        index = self._cells.index
        self._index: ColumnElement[Any] | None = None if index is None else self._table.c[index]
        """The column of the blind index."""
        self._reads_beside = self._misfit is not None or self._index is not None
        """True if rows are read with other columns than the cell."""
        self._mode = Mode.ALONE if target.where is None else Mode.READ
        """Of a transaction of one statement. A condition in SQL may call functions, which could write."""
        if not self._read_only:
            self._prepare_writes()
            # What the catalog says of it has better words.
            if not self.refuses_updates():
                self._check_writable()

    def _prepare_writes(self) -> None:
        """Makes the statements of one who writes."""

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
        probe = sa.select(*self._key, self._size).limit(1)
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
        return self._access.read(partial(sa.Connection.scalar, statement=query))

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
            self._access.write(rehearse, Mode.BARE if self._dialect.is_by_itself else Mode.WRITE)

    def _state(self) -> TableState:
        """The state of the table. Raises StoreError if it is not the one that was opened, or if its rows are hidden."""
        schema, table = self._cells.schema, self._cells.qualified.table
        state = self._access.read(lambda connection: self._others.state(connection, schema, table))
        if state.table != self._opened.table:
            raise self._access.permanent("its name leads to another table by now, or to none")
        if state.hidden and not self._opened.hidden:
            words = (
                "row security was switched on meanwhile, so rows may be hidden; run with BYPASSRLS, or as the owner "
                "if it is not forced"
            )
            raise self._access.permanent(words)
        return state


class Watch:
    """Watches a target during one pass: the table that its name leads to and, if the database shows them, others."""

    def __init__(self, table: OpenedTable, *, proves: bool) -> None:
        """Begins to watch the *table*, and with *proves* the others who write to it."""
        access = table._access
        access.link.servers()
        self._table, self._others, self._begun = table, table._others, table._state()
        self.facts = {*self._begun.server}
        """The facts of all servers that the pass was led to, as far as it was `reached`."""
        # A server that is too old, or a role with rights on some columns only, refuses the statement.
        self._proves = proves and access.attempt(self._others.begin) is True

    @property
    def name(self) -> str | None:
        """The name of this proof in the report; None if nothing shows what others write."""
        return self._others.proof if self._proves else None

    def wrote(self, transactions: Iterable[int]) -> None:
        """These transactions are of this run."""
        self._others.wrote(transactions)

    def allow(self, writes: int) -> None:
        """Leaves out *writes* of this process itself through other connections, such as the ledger's."""
        self._others.allow(writes)

    def changed(self, *, wrote: bool = True) -> Changed | Unknown:
        """The rows that others have written, or why they are not known; *wrote*: this run has written meanwhile, too.

        Raises StoreError if the name leads to another table by now, or if some rows are hidden from this user.
        """
        found = self._asked(wrote=wrote)
        # Last: what altered the table may have hidden something from the question, too.
        state = self._table._state()
        self.reached(state.server)
        self.reached(self._table._access.link.servers())
        if self.facts and not is_one(self.facts):
            return Unknown(OTHER_SERVER, Doubt.ALTERED)
        if state != self._begun:
            return Unknown("the table was altered meanwhile", Doubt.ALTERED)
        return found

    def reached(self, facts: Iterable[Fact]) -> None:
        """A part of the pass was done with the server of these *facts*, also in another thread or process."""
        self.facts.update(facts)

    def _asked(self, *, wrote: bool) -> Changed | Unknown:
        if not self._proves:
            return Unknown("nothing shows what others write here", Doubt.SPAN)
        table = self._table
        if wrote and (table._triggers or table._reads_beside):
            return Unknown("this run wrote more than cells: by a trigger, or beside them")
        found = table._access.read(self._others.changed, Mode.SNAPSHOT)
        if table._reads_beside and isinstance(found, Changed) and found.batch.rows:
            # The columns beside these cells are not read with them.
            return Unknown("others wrote meanwhile")
        if table._salts and isinstance(found, Changed) and found.batch.rows > MOST_SALTED:
            return Unknown("others wrote much meanwhile")
        return found
