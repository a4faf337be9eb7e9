"""SQLite: one writer at a time, any type in any column, and a name that is not there reads as text."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.failures import UsageError
from rotation.model.target import Format
from rotation.model.text import many
from rotation.stores.blocks import GridBlocks, fetch_all
from rotation.stores.columns import QualifiedName, TargetCells, table_clause
from rotation.stores.dialect import READING, BatchSwap, Dialect, Mode, Tempo
from rotation.stores.sqlite.catalog import OCTET_LENGTH, SQLiteCatalog
from rotation.stores.sqlite.change_tracker import SQLiteChangeTracker
from rotation.stores.watchdog import WATCH_SECONDS, Call, Guard, NoAnswerError, start_thread

MOVED = "the file was moved, replaced or deleted while it was open"
COPY = "let this user write there, or copy the database with its -wal file to where this user may write"
READ_ONLY = {
    sqlite3.SQLITE_READONLY_DBMOVED: MOVED,
    sqlite3.SQLITE_READONLY_ROLLBACK: "a program was killed while it wrote to the file, which is read-only here; the "
    "next program that may write to it rolls that back, such as the service",
    sqlite3.SQLITE_READONLY_DIRECTORY: "the folder is read-only, and SQLite makes files in it to write, and in WAL "
    f"mode even to read (-shm); {COPY}",
}
"""The words for an admin, by extended result code."""
STEPS = 10_000
"""Steps of SQLite's virtual machine between two questions. In one thread they cost nothing that can be measured.

With ten times as many, threads that ask are as fast; but a row of a million characters takes five steps and two thirds
of a millisecond, so that a stop of a long scan would be heard after 13 seconds.
"""
BUSY_SECONDS = 1
"""Seconds that one try waits for another writer; no signal is heard meanwhile, so the tries are many and short."""
_MISSING = re.compile(
    r"(?:no such (?:module|function|collation sequence)|unknown (?:function|tokenizer)): .{1,100}$|no query solution$"
)
"""What only the application that wrote the file brings."""
_STRAY = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8."""
_TEXT_OR_NAME = re.compile(r"'(?:[^']|'')*'|\"((?:[^\"\]]|\"\")+)\"|\"(?:[^\"]|\"\")*\"")


class SQLiteBlocks(GridBlocks):
    """For a key of one column. A batch of other than numbers without gaps and texts of one length is read by rows."""

    def __init__(self, cells: TargetCells) -> None:
        quoted = sqlite.dialect().identifier_preparer
        table = cells.clause()
        key, cell = (quoted.quote(table.c[name].name) for name in (cells.key[0], cells.qualified.column))
        place = f"({key} - :first) * :size + 1, :size"
        super().__init__(
            f"UPDATE {quoted.format_table(table)} SET {cell} = CAST(substr(:new, {place}) AS TEXT) "  # noqa: S608 - quoted
            f"WHERE {key} >= :first AND {key} <= :last AND typeof({key}) = 'integer' "
            f"AND {cell} COLLATE BINARY = CAST(substr(:old, {place}) AS TEXT)"
        )

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""
        return len(cells.key) == 1

    def aggregate(
        self, key: ColumnElement[Any], cell: ColumnElement[Any], largest: int
    ) -> tuple[ColumnElement[int], ColumnElement[Any]]:
        """A text in a row whose key is a number."""
        # Otherwise the letters of a text are counted, and only up to a NUL.
        if sqlite3.sqlite_version_info >= OCTET_LENGTH:
            size = sa.func.octet_length(cell)
        else:
            size = sa.func.length(sa.cast(cell, sa.LargeBinary))
        fits = sa.and_(size <= largest, sa.func.typeof(cell) == "text", sa.func.typeof(key) == "integer")
        return size, sa.func.group_concat(sa.case((fits, cell)), "")


class OpenFile:
    """Watches one connection, and notices if its path leads to another file than it did at first.

    A statement runs in this process, so no connection can be closed if it outlasts a requested stop. In the main
    thread, which signals wait for, SQLite asks every few thousand steps of its virtual machine whether to go on:
    https://www.sqlite.org/c3ref/progress_handler.html. In another thread each question would wait for Python's lock
    while the next batch is planned: there a thread looks and interrupts.
    """

    def __init__(self, path: Path | None, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Looks at nothing yet. *path*: None for a database in memory."""
        self._path, self._is_stopping = path and path.absolute(), is_stopping
        self._first: tuple[int, int] | None = None
        self._call = Call()
        self._watched: sqlite3.Connection | None = None
        """The connection of a transaction in another thread than the main one."""
        self._lock = threading.Lock()
        """Held to interrupt and to end a transaction, so that no later statement is interrupted."""
        self._over: threading.Event | None = None

    def uses(self, connection: sqlite3.Connection, *_: Any) -> None:
        """From now on SQLite asks, or a thread looks. A signal's handler runs while SQLite asks, too."""
        if threading.current_thread() is threading.main_thread():
            connection.set_progress_handler(self._must_end, STEPS)
            return
        connection.set_progress_handler(None, STEPS)
        if self._over is None:
            over = threading.Event()
            start_thread(self._watch, over)
            self._over = over
        self._watched = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Goes around a transaction, and checks the file before and after it, also if it was opened again.

        Raises NoAnswerError if the file was moved, or a statement was ended for a stop; KeyboardInterrupt for a second
        signal, which arrives while SQLite asks, so that SQLite ends the statement.
        """
        self.check()
        # One for all transactions: none begins before the last one has ended.
        call = self._call
        call.began, call.stop_requested, call.ended = time.monotonic(), None, None
        try:
            yield
        except Exception as error:
            if getattr(getattr(error, "orig", error), "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            self.check()
            return
        finally:
            with self._lock:
                self._watched = None
        if call.ended:
            raise NoAnswerError(stopped=True)
        raise KeyboardInterrupt

    def close(self) -> None:
        """Ends the thread that looks, if there is one."""
        if self._over:
            self._over.set()
            self._over = None

    def check(self) -> None:
        """Raises NoAnswerError. Until the file is there, any will do: a ledger is made by the first connection."""
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            status = None
        found = status and (status.st_dev, status.st_ino)
        if self._first is None:
            self._first = found
        elif found != self._first:
            raise NoAnswerError(MOVED)

    def _must_end(self) -> bool:
        if self._call.outlasts_stop(self._is_stopping):
            self._call.ended = "stopped"
        return self._call.ended is not None

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(WATCH_SECONDS):
            with self._lock:
                # Again and again: between two statements it does nothing. A connection may have been closed meanwhile.
                if self._watched and self._must_end():
                    with suppress(sqlite3.ProgrammingError):
                        self._watched.interrupt()


class SQLite(Dialect):
    """Through the standard library's sqlite3."""

    catalog = SQLiteCatalog()
    change_tracker = SQLiteChangeTracker
    blocks = SQLiteBlocks
    driver = "sqlite+pysqlite"
    mixed = "the column will hold text beside bytes"
    product = "SQLite"
    oldest: ClassVar[Mapping[str, Sequence[int]]] = {"SQLite": (3, 35)}
    has_server = False
    # A write keeps out every other one, and who waits for it does not learn when it ends.
    tempo = Tempo(gentle_rows=100, rest=14.0, full_rows=20_000)
    one_connection = True
    bounds_texts = False
    refusals: ClassVar[Mapping[Any, str]] = {
        sqlite3.SQLITE_BUSY: "the database is locked by another process",
        sqlite3.SQLITE_READONLY: "the database is read-only",
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_CANTOPEN: "the file cannot be opened, or in WAL mode no other one can be made beside it, which "
        f"SQLite needs even to read (-shm); {COPY}",
        sqlite3.SQLITE_NOTADB: "the file is not an SQLite database, or it is encrypted as a whole (SQLCipher)",
        sqlite3.SQLITE_IOERR: "reading or writing the file failed",
        sqlite3.SQLITE_PERM: "access to the file is denied",
    }
    # Tables whose pages are whole can still be read.
    damages: ClassVar[Mapping[Any, str]] = {sqlite3.SQLITE_CORRUPT: "the database is corrupt"}
    transient: ClassVar[frozenset[Any]] = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
    row: ClassVar[frozenset[Any]] = frozenset(
        {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}
    )

    def prepare_url(self, url: URL) -> URL:
        """A URL that opens the file and never makes one; of what follows a `?`, only `mode=ro` counts."""
        path, fault = self.file(url), None
        if path is None or url.host or url.query.get("mode") == "memory":
            raise UsageError("an SQLite url names a file: sqlite:///relative.db or sqlite:////absolute.db")
        try:
            if not path.is_file():
                whole = "" if path.is_absolute() else f" (that is {path.absolute()}: it counts from this folder)"
                fault = f"there is no SQLite file {path}{whole}"
        except OSError as error:
            fault = f"SQLite file {path}: {error.strerror}"
        if fault:
            raise UsageError(fault)
        mode = "ro" if url.query.get("mode") == "ro" else "rw"
        return URL.create(
            self.driver,
            database=f"file:{quote(str(path))}",
            query={"mode": mode, "uri": "true", "check_same_thread": "false"},
        )

    def file(self, url: URL) -> Path | None:
        """Its path; None for a database in memory, and for what is no file name.

        In a URI, such as `prepare_url` makes, it is percent-encoded.
        """
        name = url.database or ""
        if name.startswith("file:"):
            name = unquote(name.removeprefix("file:"))
        # SQLite takes UTF-8, and no NUL.
        return None if name in {"", ":memory:"} or re.search("[\0\ud800-\udfff]", name) else Path(name)

    def describe(self, url: URL) -> str:
        """The path."""
        return f"SQLite file {self.file(url) or ':memory:'}"

    def chance(self) -> ColumnElement[Any]:
        """Its random() is a whole number of 64 bits: the lower 31 of them, divided."""
        return sa.func.random(type_=sa.BigInteger).bitwise_and(0x7FFFFFFF) / sa.literal(2.0**31, sa.Float)

    def guard(self, url: URL, is_stopping: Callable[[], bool]) -> Guard:
        """The file may be replaced, and statements run in this process."""
        return OpenFile(self.file(url), is_stopping)

    def set_up(self, connection: sqlite3.Connection) -> None:
        """Begins transactions itself: the driver's would read first and write later, which SQLite may refuse."""
        self._is_served(connection, self.product, sqlite3.sqlite_version_info)
        connection.isolation_level = None
        # A text that is not UTF-8 must not hide the rows beside it.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        connection.create_function(
            "keyring_crc32", -1, lambda *parts: zlib.crc32(b",".join(part or b"" for part in parts)), deterministic=True
        )
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")

    def begin(self, connection: sa.Connection, mode: Mode) -> None:
        """A writer is one from its first statement on."""
        connection.exec_driver_sql(f"PRAGMA query_only = {int(mode in READING)}")
        if mode not in READING:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def fetch_all(self, connection: sa.Connection, query: sa.Select[Any]) -> Sequence[tuple[Any, ...]]:
        """Texts are made in C; if one of them is not UTF-8, each is made by the function above."""
        raw = connection.connection.driver_connection
        assert raw is not None  # noqa: S101 - for the type checker
        lenient, raw.text_factory = raw.text_factory, str
        try:
            return fetch_all(connection, query)
        except sa.exc.DBAPIError as error:
            # The driver's own words, which have no code.
            if not str(error.orig).startswith("Could not decode to UTF-8"):
                raise
        finally:
            raw.text_factory = lenient
        return fetch_all(connection, query)

    def code(self, error: BaseException) -> object:
        """The primary result code; the extended one holds it in its low byte."""
        return getattr(error, "sqlite_errorcode", 0) & 0xFF

    def words(self, error: BaseException) -> str | None:
        """SQLite itself looks for the file before some writes, and for what a killed writer left before any read."""
        return READ_ONLY.get(getattr(error, "sqlite_errorcode", 0)) or super().words(error)

    def damage(self, error: BaseException) -> str | None:
        """What the application loads into SQLite, and this process does not have: by the error's words, with a name."""
        missing = _MISSING.match(str(error))
        return f"only the application's own SQLite reads it ({missing[0]})" if missing else super().damage(error)

    def constraint(self, error: BaseException) -> str | None:
        """A CHECK without a name is called by its condition. A trigger's own words may hold anything."""
        name = re.match(r"(?:UNIQUE|CHECK|NOT NULL) constraint failed: (.+)", str(error), re.DOTALL)
        return name[1] if name else None

    def exactly(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """The column's own collation may ignore case."""
        del kind
        return sa.collate(column, "BINARY")

    def strictly(self, condition: str) -> str:
        """A "name" that is no column's would be taken for a text; a [name] is not."""

        def bracket(found: re.Match[str]) -> str:
            return found[0] if found[1] is None else "[" + found[1].replace('""', '"') + "]"

        return _TEXT_OR_NAME.sub(bracket, condition)

    def sendable(self, value: object) -> object:
        """A text that is not UTF-8 goes back as its bytes."""
        if not isinstance(value, str) or value.isascii() or not _STRAY.search(value):
            return value
        return sa.cast(sa.literal(value.encode("utf-8", "surrogateescape"), sa.LargeBinary), sa.Text)

    def batch_swap(self, cells: TargetCells) -> BatchSwap:
        """The driver's own executemany, without a walk through SQLAlchemy for each row."""
        table = cells.clause()
        quoted = sqlite.dialect().identifier_preparer
        by = ["" if name is None else f" COLLATE {quoted.quote(name)}" for name in cells.key_collations]
        columns = zip(cells.key, by, strict=True)
        keys = " AND ".join(f"{quoted.quote(table.c[name].name)}{collation} = ?" for name, collation in columns)
        cell = quoted.quote(table.c[cells.qualified.column].name)
        sets = ", ".join([f"{cell} = ?", *cells.sets_as_text(quoted.quote_identifier)])
        statement = (
            f"UPDATE {quoted.format_table(table)} SET {sets} "  # noqa: S608 - quoted identifiers
            f"WHERE {keys} AND {cell} COLLATE BINARY = ?"
        )
        return BatchSwap(statement, lambda swaps: [(new, *key, old) for key, old, new in swaps.rows()])

    def spread(self, keys: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
        """CRC-32, by a function that this module adds; SQLite has none."""
        return sa.func.keyring_crc32(*(sa.cast(key, sa.LargeBinary) for key in keys))

    def length(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Of a text the characters before a NUL, of a BLOB the bytes."""
        return sa.func.length(column)

    def holds_text(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """A column without a type takes all."""
        return super().holds_text(kind) or isinstance(kind, sa.types.NullType)

    def unfit_column(
        self, connection: sa.Connection, qualified: QualifiedName, kind: sa.types.TypeEngine[Any], held: Format
    ) -> str | None:
        """By the values: a type is a name here, and text stays text in a column of any."""
        if (reason := super().unfit_column(connection, qualified, kind, held)) is None:
            return None
        table = table_clause(qualified.schema, qualified.table, [qualified.column])
        is_number = sa.func.typeof(table.c[qualified.column]).in_(["integer", "real"])
        numbers = connection.scalar(sa.select(sa.func.count()).select_from(table).where(is_number))
        return f"{reason}; it holds {many(numbers, 'number')}" if numbers else None
