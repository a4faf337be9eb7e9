"""What differs from database to database; one small module each for those that are served."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Swaps
from rotation.model.failures import UsageError
from rotation.model.formats import Format
from rotation.stores.blocks import BlockAccess, drivers_errors
from rotation.stores.columns import ForeignKey, QualifiedName, TableFacts, TableState, TargetCells, UniqueColumn
from rotation.stores.crowd import Crowd
from rotation.stores.open_transactions import Look
from rotation.stores.witness import Scope, Witness

FULL = "the server has no connection to spare: end idle ones, or raise its limit"
CLOSED = "nothing listens at this port: look whether the server runs, and at the port in the url"
NAMELESS = "no server of this name is known: look at the host in the url"
NO_DATABASE = "the url names no database: end it with /NAME"
IS_JSON = 'the column\'s type is JSON, not text or binary; for tokens inside it, set format = "embedded"'


class Tempo(NamedTuple):
    """Rows of a batch, and the rest after it."""

    gentle_rows: int = 200
    """Beside services: few enough that they hardly wait for the locks of one batch."""
    rest: float = 3.0
    """Beside services: how long to rest after a batch that wrote, as a multiple of its time."""
    fast_rows: int = 1000
    """If nobody else writes; the first one who does meets one such batch."""
    full_rows: int = 5000
    """If no service has to wait: fewer and larger transactions are faster."""


class Fault(enum.Enum):
    """What a database's error means for the job."""

    TRANSIENT = "try the batch again, in a new transaction"
    LOCKED = "another transaction holds a row"
    ROW = "the database refuses the value of one row"
    PERMANENT = "trying again will not help"


class Mode(enum.Enum):
    """What a transaction is for."""

    READ = "it cannot write"
    WRITE = "it waits a moment for locks"
    HURRIED = "it writes, and waits for no lock"
    BARE = "its own statements begin and end it"


class BatchSwap(NamedTuple):
    """The statement that swaps a batch, and its parameters for some swaps: for all at once, or one set a row."""

    statement: Executable | str
    """As str, in the driver's own words."""
    parameters: Callable[[Swaps], Any]


class Dialect:
    """How to reach a database, what its errors mean, and how to compare a cell exactly."""

    driver: ClassVar[str]
    product: ClassVar[str]
    """What an admin calls it."""
    extra: ClassVar[str | None] = None
    """The extra of this distribution that installs the driver."""
    name_quote: ClassVar[str] = '"'
    """What stands around a name in SQL."""
    has_server: ClassVar[bool] = True
    """Whether there is a server, which may not answer."""
    mixed: ClassVar[str | None] = None
    """What comes of text for a column of bytes, or of bytes for one of text; None: nothing bad."""
    new_key: ClassVar[str | None] = None
    """The type of a column that numbers the rows, and becomes the primary key of a table that is there."""
    tempo: ClassVar[Tempo] = Tempo()
    """How large batches may be: `python -m benchmarks.latency`."""
    one_connection: ClassVar[bool] = False
    """Whether threads do best to take turns with one connection."""
    bounds_texts: ClassVar[bool] = True
    """Whether a VARCHAR(n) holds n characters at most."""
    refusals: ClassVar[Mapping[Any, str]] = {}
    """What an admin should read for an error code."""
    denials: ClassVar[frozenset[Any]] = frozenset()
    """The codes among them that say that a right is missing."""
    absences: ClassVar[frozenset[Any]] = frozenset()
    """Those that say that a database is not there."""
    open_transactions: ClassVar[Sequence[Look]] = ()
    """How to ask for transactions that have written and are not committed."""

    def prepare_url(self, url: URL) -> URL:
        """*url* for the driver of this dialect. Raises UsageError for what cannot work."""
        # A password with a bare @ or / is read as part of a host or database, and these stand in messages.
        if re.search(r"[@/]", f"{url.host or ''}{url.database or ''}") or (url.port or 0) > 65535:
            raise UsageError("the url's host, port or database cannot be right; percent-encode @ : / % in the password")
        return url.set(drivername=self.driver)

    def file(self, url: URL) -> Path | None:
        """The file that *url* names; None if a server keeps the database."""
        del url
        return None

    def names_database(self, url: URL) -> bool:
        """Whether *url* leads to one database, in which a table needs no schema before its name."""
        del url
        return True

    def try_options(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Hands the driver what it is to connect with, and connects to nothing. Raises whatever the driver raises."""
        del arguments, options

    def chance(self) -> ColumnElement[Any]:
        """A random number from 0 up to 1, a new one for each row."""
        return sa.func.random(type_=sa.Float)

    def describe(self, url: URL) -> str:
        """Which database it is; a password may stand in the query part, too, and so none of it is shown."""
        address = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"
        return f"{self.product} database {url.database or '(default)'} on {address}"

    def set_up(self, connection: Any) -> None:
        """Prepares a driver's new *connection*, for transactions of any mode."""
        raise NotImplementedError

    def in_time(self, url: URL, seconds: float) -> Mapping[str, Any]:
        """The driver's options, beyond *url*, with which a connection is made in *seconds* or not at all."""
        del url, seconds
        return {}

    def is_late(self, error: BaseException) -> bool:
        """Whether the driver gave up because there was no answer."""
        del error
        return False

    def hang_up(self, connection: Any) -> None:
        """Ends a driver's *connection* while another thread waits for an answer through it."""
        raise NotImplementedError

    def begin(self, connection: sa.Connection, mode: Mode) -> None:
        """Begins a transaction, or sets what holds in it. One connection serves all modes, one after the other."""
        raise NotImplementedError

    def fetch_all(self, connection: sa.Connection, query: sa.Select[Any]) -> Sequence[tuple[Any, ...]]:
        """All rows of *query* as the driver hands them out. Raises DBAPIError, also for what fails on the way."""
        result = connection.execute(query)
        try:
            # SQLite reads while it is fetched from.
            with drivers_errors(connection):
                rows: Sequence[tuple[Any, ...]] = result.cursor.fetchall()
            return rows
        finally:
            result.close()

    def code(self, error: BaseException) -> object:
        """The database's own code for a driver's *error*."""
        raise NotImplementedError

    def fault(self, error: BaseException) -> Fault:
        """What a driver's *error* means."""
        raise NotImplementedError

    def words(self, error: BaseException) -> str | None:
        """What an admin should read for a driver's *error*; None for one that is not foreseen."""
        return self.refusals.get(self.code(error))

    def constraint(self, error: BaseException) -> str | None:
        """The name of the constraint that refused a row, if the driver reports it."""
        raise NotImplementedError

    def exactly(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """What to compare with the text that was read, so that only the very same bytes are equal."""
        raise NotImplementedError

    def strictly(self, condition: str) -> str:
        """*condition*, written so that this database refuses names that are no columns."""
        return condition

    def as_text(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """What to read of a cell of such a column: text or bytes."""
        del kind
        return column

    def as_stored(self, value: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """What to write into such a column of what `as_text` gave."""
        del kind
        return value

    def sendable(self, value: object) -> object:
        """What was read, of a key or a cell, as a value or expression that goes back as it came."""
        return value

    def batch_swap(self, cells: TargetCells) -> BatchSwap | None:
        """A statement for a whole batch, if this database is faster with one. None: one statement a row."""
        del cells
        return None

    def block_access(self, cells: TargetCells) -> BlockAccess | None:
        """How cells that are tokens are read and swapped in blocks. None: row by row only."""
        del cells
        return None

    def witness(self, scope: Scope) -> Witness | None:
        """What knows who else wrote to those cells. None: nothing in this database."""
        del scope
        return None

    def crowd(self) -> Crowd | None:
        """What sees other writers. None: nothing in this database."""
        return None

    def transaction(self, connection: sa.Connection, table: sa.TableClause) -> int | None:
        """The number of the transaction in progress, if the database's witness goes by such numbers.

        None, too, if something else may have written to *table* in its name.
        """
        del connection, table
        return None

    def hurry(self, connection: sa.Connection) -> None:
        """The transaction in progress need not wait at its end until it is on disk; `settle` waits for all."""
        del connection

    def settle(self, connection: sa.Connection) -> None:
        """Makes sure that at the end of this transaction all earlier ones are on disk."""
        del connection

    def block(self, key: ColumnElement[Any]) -> ColumnElement[int] | None:
        """The number of a key's block of 2 ** BLOCK_BITS whole numbers; None if such a column may hold others."""
        del key
        return None

    def spread(self, keys: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
        """A whole number of 0 or more that follows from a row's key, evenly spread."""
        raise NotImplementedError

    def room(self, kind: sa.types.TypeEngine[Any]) -> int | None:
        """How many characters a column of this type holds; None: more than any token has."""
        return getattr(kind, "length", None) if self.bounds_texts else None

    def length(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """The size of a cell in bytes or characters, whichever the database knows without reading it through."""
        raise NotImplementedError

    def largest_write(self, connection: sa.Connection) -> int | None:
        """How many bytes a statement may have, if that is bounded."""
        del connection
        return None

    def holds_text(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """Whether a column of this type can hold tokens."""
        if isinstance(kind, sa.Enum | sa.JSON):
            return False
        return isinstance(kind, sa.String | sa.LargeBinary | sa.BINARY | sa.VARBINARY)

    def unfit_key(self, kind: sa.types.TypeEngine[Any]) -> str | None:
        """Why a key of this type does not find its row again, or cannot be followed in order."""
        raise NotImplementedError

    def tables(self, connection: sa.Connection, schema: str | None) -> list[str]:
        """The tables of a schema."""
        return sa.inspect(connection).get_table_names(schema)

    def has_table(self, connection: sa.Connection, schema: str | None, table: str) -> bool:
        """Whether it is one of the `tables`."""
        return table in self.tables(connection, schema)

    def unfit_column(
        self, connection: sa.Connection, qualified: QualifiedName, kind: sa.types.TypeEngine[Any], held: Format
    ) -> str | None:
        """Why this column of type *kind* cannot be rotated, with cells of the format *held*."""
        del connection, qualified
        if self.holds_text(kind):
            return None
        if isinstance(kind, sa.JSON):
            return IS_JSON if held is Format.TOKEN else None
        return f"the column's type is {type(kind).__name__}, not text or binary"

    def facts(self, connection: sa.Connection, qualified: QualifiedName) -> TableFacts:
        """All that follows, and what SQLAlchemy reads of a table; of a database with a good catalog in one query."""
        inspector, (schema, table, column) = sa.inspect(connection), qualified
        indexes = {
            index["name"]
            for index in inspector.get_indexes(table, schema, include_auto_indexes=True)
            if column in index["column_names"] or any(column in text for text in index.get("expressions", ()))
        }
        indexes |= {
            entry["name"]
            for entry in inspector.get_unique_constraints(table, schema)
            if column in entry["column_names"]
        }
        ties = [
            ForeignKey(entry["name"], entry["referred_table"])
            for entry in inspector.get_foreign_keys(table, schema)
            if column in entry["constrained_columns"]
        ]
        estimate = self.estimate(qualified)
        return TableFacts(
            primary=self.primary_key(connection, qualified),
            unique=self.unique_columns(connection, qualified),
            kept=self.kept_columns(connection, qualified),
            triggers=self.triggers(connection, qualified),
            cautions=self.cautions(connection, qualified),
            indexes=sorted(indexes, key=str),
            foreign_keys=ties,
            referrers=self.referrers(connection, qualified),
            estimate=None if estimate is None else connection.scalar(estimate),
        )

    def primary_key(self, connection: sa.Connection, qualified: QualifiedName) -> tuple[str, ...]:
        """The columns of the primary key; none if there is none."""
        return tuple(sa.inspect(connection).get_pk_constraint(qualified.table, qualified.schema)["constrained_columns"])

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> Sequence[UniqueColumn]:
        """Each column of each index that is unique over all rows.

        From the catalog itself: SQLAlchemy reads some of it from the text of a CREATE, and passes over words that it
        does not know.
        """
        raise NotImplementedError

    def identity(self, connection: sa.Connection, qualified: QualifiedName) -> str | None:
        """What distinguishes this table from one of the same name on another server, or made later. None: nothing."""
        raise NotImplementedError

    def state(self, connection: sa.Connection, schema: str | None, table: str) -> TableState:
        """Which table the name leads to now; without *schema* as a connection finds it."""
        raise NotImplementedError

    def schema_of(self, connection: sa.Connection, table: str) -> str | None:
        """The schema in which a connection finds the table, if it searches several; otherwise None.

        What is called by it stays the same table if another one of that name comes into an earlier schema.
        """
        del connection, table
        return None

    def kept_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Columns that the database would change by itself on an UPDATE, and that shall stay."""
        del connection, qualified
        return []

    def estimate(self, qualified: QualifiedName) -> sa.Select[Any] | None:
        """A query for the database's own estimate of the number of rows, if it keeps one."""
        del qualified
        return None

    def triggers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """What fires on an UPDATE of the column: triggers, and rules, by kind and name."""
        raise NotImplementedError

    def cautions(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Where else old tokens may live on, or rows may be hidden."""
        del connection, qualified
        return []

    def referrers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Foreign keys of other tables that refer to the column, as `table.constraint`."""
        raise NotImplementedError
