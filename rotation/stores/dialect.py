"""The differences between databases; the folder of each has its own `Dialect`, which names its other parts."""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Swaps
from rotation.model.failures import UsageError
from rotation.model.target import Format
from rotation.planning.inner_tokens import bytes_of
from rotation.stores.blocks import BlockAccess, fetch_all
from rotation.stores.catalog import Catalog
from rotation.stores.change_tracker import ChangeTracker
from rotation.stores.columns import QualifiedName, TargetCells
from rotation.stores.error_codes import ErrorCodes
from rotation.stores.servers import Peer, Replication, TooOldError
from rotation.stores.url_options import UrlOptions
from rotation.stores.watchdog import Guard, Session, Sign

NO_DATABASE = "the url names no database: end it with /NAME"
OUT_OF_ORDER = "which cannot be followed in order"
IS_JSON = 'the column\'s type is JSON, not text or binary; for tokens inside it, set format = "embedded"'
PLAIN_KEYS = sa.Integer, sa.Numeric, sa.Double, sa.String, sa.Uuid, sa.LargeBinary, sa.Date, sa.DateTime, sa.Time


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


class Mode(enum.Enum):
    """The purpose of a transaction."""

    READ = "it cannot write"
    ALONE = "one statement that only reads, by itself"
    SNAPSHOT = "it cannot write, and sees one moment, if the database can do that"
    WRITE = "it waits a moment for locks"
    HURRIED = "it writes, and waits for no lock"
    BARE = "its own statements begin and end it"


READING = frozenset({Mode.READ, Mode.ALONE, Mode.SNAPSHOT})
"""The modes of a transaction that does not write."""


class BatchSwap(NamedTuple):
    """The statement that swaps a batch, and its parameters for some swaps: for all at once, or one set a row."""

    statement: Executable | str | Callable[[int], str]
    """As str, in the driver's own words; or made for a number of rows."""
    parameters: Callable[[Swaps], Any]
    most: int = sys.maxsize
    """The most rows of a statement."""


class Dialect(ErrorCodes, UrlOptions):
    """Reaches a database, and writes its statements."""

    catalog: ClassVar[Catalog]
    """Says what tables there are, and how they are searched."""
    change_tracker: ClassVar[type[ChangeTracker]]
    """Sees what others write."""
    blocks: ClassVar[type[BlockAccess] | None] = None
    """Reads and swaps cells that are tokens in blocks. None: row by row only."""
    oldest: ClassVar[Mapping[str, Sequence[int]]]
    """The first version that is served, by product: `refuse_old`."""
    extra: ClassVar[str | None] = None
    """The extra of this distribution that installs the driver."""
    name_quote: ClassVar[str] = '"'
    """The quotes around a name in SQL."""
    has_server: ClassVar[bool] = True
    """False if there is no server, which might not answer."""
    mixed: ClassVar[str | None] = None
    """The harm of text in a column of bytes, or of bytes in one of text; None: no harm."""
    new_key: ClassVar[str | None] = None
    """The type of a column that numbers the rows, and becomes the primary key of a table that is there."""
    clock: ClassVar[str | None] = None
    """The SQL for the time of the server, in whole microseconds since 1970; None without a server."""
    tempo: ClassVar[Tempo] = Tempo()
    """The sizes of batches: `python -m benchmarks.latency`."""
    hurries: ClassVar[bool] = False
    """True if a transaction may end before it is on disk, by `hurry`; then `settle` waits for all."""
    has_numbers: ClassVar[bool] = False
    """True if transactions have numbers, by `number`."""
    is_by_itself: ClassVar[bool] = False
    """True if a statement in the mode BARE is a transaction by itself."""
    one_connection: ClassVar[bool] = False
    """True if threads do best to take turns with one connection."""
    keys: ClassVar[tuple[type[sa.types.TypeEngine[Any]], ...]] = (sa.types.TypeEngine,)
    """The types of keys that can be followed in order."""
    bounds_texts: ClassVar[bool] = True
    """True if a VARCHAR(n) holds n characters at most."""
    replicas_write: ClassVar[bool] = False
    """True if a replica may take writes, too, so that only the `replication` says that it is one."""

    def prepare_url(self, url: URL) -> URL:
        """*url* for the driver of this dialect. Raises UsageError for what cannot work."""
        # A password with a bare @ or / is read as part of a host or database, and these stand in messages.
        if re.search(r"[@/]", f"{url.host or ''}{url.database or ''}") or (url.port or 0) > 65535:
            raise UsageError("the url's host, port or database cannot be right; percent-encode @ : / % in the password")
        self._asked = url.drivername.partition("+")[2]
        return url.set(drivername=self.driver)

    def file(self, url: URL) -> Path | None:
        """The file that *url* names; None if a server keeps the database."""

    def names_database(self, url: URL) -> bool:
        """True if *url* leads to one database, in which a table needs no schema before its name."""
        del url
        return True

    def chance(self) -> ColumnElement[Any]:
        """A random number from 0 up to 1, a new one for each row."""
        return sa.func.random(type_=sa.Float)

    def describe(self, url: URL) -> str:
        """The database in words; the query part is not shown, since a password may stand in it, too."""
        address = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"
        return f"{self.product_at(url)} database {url.database or '(default)'} on {address}"

    def product_at(self, url: URL) -> str:
        """The name of what *url* leads to, as far as that is known."""
        del url
        return self.product

    def set_up(self, connection: Any) -> Peer | None:
        """Prepares a driver's new *connection*, for transactions of any mode, and returns the server there, if any."""
        raise NotImplementedError

    def guard(self, url: URL, is_stopping: Callable[[], bool]) -> Guard | None:
        """The guard of a connection if there is no server. None: there is one, and a watchdog sees if it answers."""

    def is_open(self, connection: Any) -> bool:
        """True if a transaction is open on a driver's *connection* to a server: to end it takes a round trip."""
        raise NotImplementedError

    def hang_up(self, connection: Any) -> None:
        """Ends a driver's *connection* while another thread waits for an answer through it."""
        raise NotImplementedError

    def sign_of(self, connection: Any, session: Session) -> Sign:
        """What the server says of the transaction *session* through a driver's other *connection*.

        LOSS only if it was this server that had it.
        """
        raise NotImplementedError

    def begin(self, connection: sa.Connection, mode: Mode) -> None:
        """Begins a transaction, or sets what holds in it. One connection serves all modes, one after the other."""
        raise NotImplementedError

    def create_engine(self, url: URL, **options: Any) -> sa.Engine:
        """An engine whose transactions this begins and ends: each engine of this package in a database of this kind.

        Raises ImportError if the driver is missing, and UsageError for options that it does not take.
        """
        if self.has_server:
            self.check_options(url)
        engine = sa.create_engine(url, hide_parameters=True, **options)
        if self.has_server:
            roll_back = engine.dialect.do_rollback

            def roll_back_if_open(dbapi_connection: PoolProxiedConnection) -> None:
                # Without a transaction there is nothing to roll back, and no round trip to make for it.
                if self.is_open(dbapi_connection.driver_connection):
                    roll_back(dbapi_connection)

            engine.dialect.do_rollback = roll_back_if_open  # type: ignore[method-assign]
        self.listen(engine)
        return engine

    def listen(self, engine: sa.Engine) -> None:
        """Takes part in what the connections of *engine* execute."""

    def replication(self, connection: sa.Connection) -> Replication | None:
        """What the server of *connection* repeats of another one; None if it is nothing. Raises DBAPIError."""

    def refuse_old(self, product: str, version: Sequence[int]) -> None:
        """Raises TooOldError if that *version* of *product* is not served; an empty one is not known.

        Each way to a database leads through here before any of its statements: a target's, the ledger's, a service's.
        """
        if version and tuple(version) < tuple(self.oldest[product]):
            raise TooOldError(product, version, self.oldest[product])

    def refuse_old_engine(self, connection: sa.Connection) -> None:
        """The same for a service's own *connection*; all others lead through `set_up`."""
        found = connection.dialect
        version = [part for part in found.server_version_info or () if isinstance(part, int)][:3]
        self.refuse_old(self.product_of(found), version)

    def product_of(self, found: sa.Dialect) -> str:
        """The product that SQLAlchemy has *found* behind a connection."""
        del found
        return self.product

    def _is_served(self, connection: Any, product: str, version: Sequence[int]) -> None:
        """The same for a driver's new *connection*, which is closed then."""
        try:
            self.refuse_old(product, version)
        except TooOldError:
            connection.close()
            raise

    def always_waits(self, connection: sa.Connection) -> bool:
        """True if the mode HURRIED waits for a lock, too: then its transaction leaves out rows that others hold."""
        del connection
        return False

    def limit_waits(self, connection: sa.Connection) -> None:
        """Bounds the server's part of a transaction on a service's own *connection*, which is closed after that."""

    def fetch_all(self, connection: sa.Connection, query: sa.Select[Any]) -> Sequence[tuple[Any, ...]]:
        """All rows of *query* as the driver hands them out. Raises DBAPIError, also for what fails on the way."""
        return fetch_all(connection, query)

    def exactly(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """The expression to compare with the text that was read, so that only the very same bytes are equal."""
        raise NotImplementedError

    def digest(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any] | None:
        """SHA-256 of what `exactly` compares, in hex digits; None if this database computes none.

        Two contents with one digest are not known: https://csrc.nist.gov/pubs/fips/180-4/upd1/final.
        """

    def compact(self, cell: str | bytes) -> str | bytes:
        """*cell* in the type in which it has the fewest bytes in a statement."""
        return cell

    def sent_size(self, cell: str | bytes) -> int:
        """The bytes that *cell* has in a statement."""
        return len(bytes_of(cell))

    def strictly(self, condition: str) -> str:
        """*condition*, written so that this database refuses names that are no columns."""
        return condition

    def as_text(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """The expression to read a cell of such a column with: text or bytes."""
        del kind
        return column

    def as_stored(self, value: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """The expression to write into such a column for a *value* that `as_text` gave."""
        del kind
        return value

    def sendable(self, value: object) -> object:
        """A part of a key, or a cell, as a value or expression that goes back as it was read."""
        return value

    def batch_swap(self, cells: TargetCells) -> BatchSwap | None:
        """A statement for a whole batch, if this database is faster with one. None: one statement a row."""

    def number(
        self, connection: sa.Connection, table: sa.TableClause, *, at_once: bool = False
    ) -> Callable[[], int | None]:
        """A function that returns the number of the transaction in progress, which writes to *table*.

        None if it has written nothing, or something else may have written to the table in its name. With *at_once* the
        next statement ends the transaction, in one round trip.
        """
        raise NotImplementedError

    def hurry(self, connection: sa.Connection) -> None:
        """At its end, the transaction that begins does not wait until it is on disk."""

    def settle(self, connection: sa.Connection) -> None:
        """Makes sure that at the end of this transaction all earlier ones are on disk, if they `hurry`."""

    def block(self, key: ColumnElement[Any]) -> ColumnElement[int] | None:
        """The number of a key's block of 2 ** BLOCK_BITS whole numbers; None if such a column may hold others."""

    def spread(self, keys: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
        """A whole number of 0 or more that follows from a row's key, evenly spread."""
        raise NotImplementedError

    def room(self, kind: sa.types.TypeEngine[Any]) -> int | None:
        """The number of characters in a column of this type; None: more than any token has."""
        return getattr(kind, "length", None) if self.bounds_texts else None

    def length(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """The size of a cell in bytes or characters, whichever the database knows without reading it through."""
        return sa.func.octet_length(column)

    def largest_write(self, connection: sa.Connection) -> int | None:
        """The most bytes of a statement, if they are bounded."""

    def holds_text(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """True if a column of this type can hold tokens."""
        if isinstance(kind, sa.Enum | sa.JSON):
            return False
        return isinstance(kind, sa.String | sa.LargeBinary | sa.BINARY | sa.VARBINARY)

    def unfit_key(self, kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> str | None:
        """The reason why a key of this type does not find its row again, or cannot be followed in order."""
        del connection
        return None if isinstance(kind, self.keys) else OUT_OF_ORDER

    def unfit_column(
        self, connection: sa.Connection, qualified: QualifiedName, kind: sa.types.TypeEngine[Any], held: Format
    ) -> str | None:
        """The reason why this column of type *kind* cannot be rotated, with cells of the format *held*."""
        del connection, qualified
        if self.holds_text(kind):
            return None
        if isinstance(kind, sa.JSON):
            return IS_JSON if held is Format.TOKEN else None
        return f"the column's type is {type(kind).__name__}, not text or binary"
