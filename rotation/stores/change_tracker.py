"""Other writers to a target while a run works on it: how often they write, the rows, and the table itself.

A pass needs no successor if its rows are as it left them. So it asks at its end what others have written since its
start; in between, each batch that was written asks how often others write, for the pace.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple, Self

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Batch
from rotation.model.text import span
from rotation.stores.columns import TableState, TargetCells


class CellTotals(NamedTuple):
    """The cells of a target, counted."""

    held: int
    """Cells that hold something."""
    null: int
    empty: int


class Changed(NamedTuple):
    """The rows that others wrote to a target since the start of a pass; all of them as they stood at one moment."""

    batch: Batch
    totals: CellTotals | None = None
    """At that moment; None if nobody else wrote, so that the counts of the pass stand."""


class Doubt(enum.Enum):
    """The worth of a pass if it is not known what others wrote during it."""

    SPAN = "each row was as the pass found it when it was read, and no other pass could say more"
    DISTURBED = "the same, but nobody may disturb the next pass"
    ALTERED = "nothing: it may have read another table or not all of the rows, or what was written may be lost"


class Unknown(NamedTuple):
    """The reason why it is not known what others wrote."""

    words: str
    doubt: Doubt = Doubt.DISTURBED


class Scope(NamedTuple):
    """The cells that are watched."""

    cells: TargetCells
    table: sa.TableClause
    cell: ColumnElement[Any]
    """As it is read: JSON as text."""
    rows: ColumnElement[bool]
    """The condition by which rows belong to the target: their keys alone decide it."""


class OpenTransaction(NamedTuple):
    """A transaction of others that is not committed."""

    identity: str
    """The same each time that it is seen, and no other's."""
    words: str
    """Its owner and its age, for a message; never its statement."""
    wrote: bool
    """True if it has written; one that only reads may write later."""
    end: str
    """The way to end it, in words."""
    database: str | None = None
    """The name of the database that it writes to, if the server says so."""
    may_be_older: bool = False
    """True if it may have been open before it had this identity: on a session, or as one that only read."""


class TransactionQuery(NamedTuple):
    """One question to a database, for transactions that have written and are not committed."""

    ask: Callable[[sa.Connection], Sequence[OpenTransaction] | str]
    """The open ones; or in words why they cannot be known. Raises DBAPIError if this user may not ask."""
    denied: str
    """The right that such a user lacks."""


@dataclass(eq=False)
class ChangeTracker:
    """The state of a table, and what others write to it, in one database's own way.

    A database that shows nothing keeps the methods of this class.

    One for all passes over a target: it knows what earlier ones wrote.
    """

    proof: ClassVar[str | None] = None
    """The name in the report for what `changed` proves; None: `begin` never succeeds."""
    open_transactions: ClassVar[Sequence[TransactionQuery]] = ()
    """The questions for transactions that have written and are not committed."""

    scope: Scope

    @staticmethod
    def state(connection: sa.Connection, schema: str | None, table: str) -> TableState:
        """The table that the name leads to now; without *schema* as a connection finds it."""
        raise NotImplementedError

    # The rows that they wrote during a pass.

    def begin(self, connection: sa.Connection) -> bool:
        """Begins to watch, or begins again; a pass may read from here on. False if this table cannot be watched."""
        del connection
        return False

    def wrote(self, transactions: Iterable[int]) -> None:
        """These transactions are of this run."""

    def changed(self, connection: sa.Connection) -> Changed | Unknown:
        """The rows that others have written since `begin`, or why they are not known."""
        raise NotImplementedError

    @staticmethod
    def written(connection: sa.Connection) -> int | None:
        """A number that grows with each write of others, for one who only reads.

        None: there is none, or readers keep nobody waiting.
        """
        del connection
        return None

    # All that they wrote since every row was read, for the next search.

    @staticmethod
    def witness(connection: sa.Connection, schema: str | None, table: str) -> Any:
        """A JSON value for `is_unchanged`, taken in the transaction whose one snapshot has read every row of the table.

        None if later nothing could show what was written. Raises DBAPIError.
        """
        del connection, schema, table

    @staticmethod
    def is_unchanged(connection: sa.Connection, schema: str | None, table: str, witness: Any) -> bool:
        """True if each row that the table has now was read with that *witness*, also in another process.

        False, too, for a *witness* of another shape.
        """
        del connection, schema, table, witness
        return False

    # The number of their writes, for the pace.

    def count(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """The number of writes of others since the last call, asked in a *transaction* that writes; None if unknown."""

    def allow(self, writes: int) -> None:
        """Leaves out *writes* of this process itself through other connections, such as the ledger's."""

    def of_thread(self) -> Self:
        """The one for another thread of the run: this one, if they can share it."""
        return self


def text_literal(text: str) -> str:
    """*text* as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def age_in_words(seconds: float | None) -> str:
    """The age of an open transaction; the server hides the ones of other users from most."""
    return "" if seconds is None else f", open for {span(timedelta(seconds=float(seconds)))}"
