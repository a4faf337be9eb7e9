"""The ledger's database: opened or created, transient errors retried, and every error as a LedgerError."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from keyring_core.environment import LEDGER_URL
from keyring_core.sources import irregularity, variable_in
from rotation.configuration.urls import find_url, url_of
from rotation.ledger.engines import Engine, ServiceEngine
from rotation.ledger.file_owner import UNWRITABLE, unwritable
from rotation.ledger.schema import VERSION, VERSION_QUERY, migrate, read_version
from rotation.model.failures import StoppedError, StoreError, UsageError
from rotation.model.text import install
from rotation.stores.access import ATTEMPTS, fault_of, retry, words_of
from rotation.stores.connection import Connection
from rotation.stores.databases import find_dialect, of_jdbc, parse_url, refuse_odd_files
from rotation.stores.dialect import NO_DATABASE, Dialect, Mode
from rotation.stores.error_codes import Fault
from rotation.stores.patience import IMPATIENT, Patience, Wait
from rotation.stores.servers import Replication
from rotation.stores.watchdog import NoAnswerError

UNMADE = (
    "its tables are not there and could not be made; `keyring-rotate ledger init` makes them, as a user who may, and "
    "with --sql prints the statements"
)
OLDER = "it has version {}, and could not be brought to version {}; run `keyring-rotate ledger init` once, as its owner"
UNKNOWN_SHAPE = "has an unknown shape: a newer version of this program wrote it, or somebody changed it"
SHAPE_REMEDY = "install that version here, or restore a backup of the ledger"
HURRIED_SECONDS = 3.0
"""Seconds that a service waits for each address of the ledger's server."""
T = TypeVar("T")


class LedgerError(StoreError):
    """The ledger cannot be read or written. No token depends on it; only its history is lost."""

    def __init__(self, message: str = "", reason: str = "") -> None:
        """*reason*: the fault alone, without the ledger's name."""
        super().__init__(message)
        self.reason = reason or message


class NewerLedgerError(LedgerError):
    """A newer version of this program wrote the ledger; this version would damage it."""


class LedgerAccess:
    """Transactions on the ledger. Its methods raise LedgerError; no driver's error leaves it."""

    def __init__(
        self,
        link: Connection | Engine | ServiceEngine,
        name: Callable[[], str],
        dialect: Dialect | None,
        attempts: int,
        *,
        path: Path | None = None,
    ) -> None:
        """*name*: for messages; a server may say more of it. *path*: the ledger's file, if it is one."""
        self._link, self._name = link, name
        self._dialect, self._attempts, self._path = dialect, attempts, path
        self._patience = IMPATIENT
        self._sleep: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self._name()

    def wait_for_server(self, patience: Patience, sleep: Callable[[float], None]) -> None:
        """From now on waits with *patience* for a server that goes away; *sleep* raises StoppedError."""
        self._patience, self._sleep = patience, sleep

    def migrate(self, begin: Callable[[sa.Connection], object]) -> int:
        """Makes the tables, or migrates them to this program's version; returns the one before, 0 without tables.

        Calls *begin* in the same transaction, if there was anything to do. A ledger of this version may be read-only.
        """

        def act(connection: sa.Connection) -> None:
            migrate(connection, found)
            begin(connection)

        begun = found = self.read(read_version)
        for _ in range(ATTEMPTS):
            if found > VERSION:
                raise self._newer(found)
            if found == VERSION:
                return begun
            failure = None
            try:
                self._run(Mode.WRITE, act, attempts=1)
            except LedgerError as error:
                failure = error
            # Another process may have migrated it meanwhile.
            found = self.read(read_version)
            if failure and found != VERSION:
                time.sleep(0.1)
        words = OLDER.format(found, VERSION) if found else UNMADE
        raise self.fault(f"{words} ({failure.reason if failure else 'another process is at it'})")

    @property
    def has_clock(self) -> bool:
        """True if the database has a server, and this program knows how to ask it for its time."""
        return self._dialect is not None and self._dialect.clock is not None

    def clock(self, connection: sa.Connection) -> datetime:
        """The time of the database's server; only if it `has_clock`."""
        assert self._dialect is not None  # noqa: S101 - for the type checker
        microseconds = int(connection.exec_driver_sql(f"SELECT {self._dialect.clock}").scalar_one())
        return datetime.fromtimestamp(microseconds / 1_000_000, UTC)

    def replication(self) -> Replication | None:
        """What its server repeats of another one."""
        return self.read(self._dialect.replication) if self._dialect and self._dialect.has_server else None

    def check_version(self) -> None:
        """Raises LedgerError if this program cannot read the ledger as it is. Changes nothing."""
        self._check(self.read(read_version))

    def write_if_current(self, act: Callable[[sa.Connection], T]) -> T:
        """As `write`, for a ledger that was opened a while ago. Raises as `check_version`."""

        def checked(connection: sa.Connection) -> T:
            self._check(connection.scalar(VERSION_QUERY) or 0)
            return act(connection)

        return self.write(checked)

    def read(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*."""
        return self._run(Mode.READ, act, self._attempts)

    def write(self, act: Callable[[sa.Connection], T]) -> T:
        """The result of *act*, in a transaction of its own that begins with a write.

        If another process has just inserted the same row, *act* runs again and finds it.
        """
        return self._run(Mode.WRITE, act, self._attempts)

    def parsed(self, query: sa.Select[Any], parse: Callable[..., T], called: str) -> list[T]:
        """The results of *parse* for the rows of *query*, which may hold documents that this program did not write."""
        rows = self.read(lambda connection: connection.execute(query).all())
        with suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return [parse(*row) for row in rows]
        raise self.fault(f"{called} in it {UNKNOWN_SHAPE}; {SHAPE_REMEDY}")

    def at_the_end(self) -> LedgerAccess:
        """The same ledger of a service whose process ends, and starts no thread any more.

        Many may end at once, and there is no later heartbeat to make good what failed: it is tried again.
        """
        link = self._link.without_threads() if isinstance(self._link, ServiceEngine) else self._link
        return LedgerAccess(link, self._name, self._dialect, ATTEMPTS, path=self._path)

    def close(self) -> None:
        """Closes the connection."""
        self._link.disconnect()

    def fault(self, words: str) -> LedgerError:
        """An error with the ledger's name."""
        return LedgerError(f"{self.name}: {words}. It holds no key; no token depends on it.", words)

    def _check(self, found: int) -> None:
        if found > VERSION:
            raise self._newer(found)
        if found == 0:
            raise self.fault("its tables are not there, so nothing was recorded in it")
        if found < VERSION:
            words = f"it has version {found}, and this program reads version {VERSION}"
            raise self.fault(f"{words}; run `keyring-rotate ledger init` once, as its owner")

    def _newer(self, found: int) -> NewerLedgerError:
        return NewerLedgerError(
            f"{self.name}: its schema has version {found}, and this program knows {VERSION}: it was written by a newer "
            "one. Install that version here, or name another ledger in ROTATION_LEDGER_URL."
        )

    def _run(self, mode: Mode, act: Callable[[sa.Connection], T], attempts: int) -> T:
        def is_transient(error: BaseException) -> bool:
            faults = {Fault.TRANSIENT, Fault.LOCKED}
            return isinstance(error, IntegrityError) or fault_of(error, self._dialect) in faults

        once = partial(self._link.transact, mode, act)
        first = partial(retry, once, is_transient, attempts=attempts, longest=2)
        try:
            if not (self._patience.longest and isinstance(self._link, Connection) and self._link.dialect.has_server):
                return first()
            wait = Wait(self._patience, self._link, "ledger", self.name)
            return wait.outlast(first, once, mode, self._sleep, self._words)
        except (SQLAlchemyError, NoAnswerError, ImportError, ValueError, KeyError, TypeError) as error:
            words = self._words(error)
        except StoppedError:
            # The run ends, with a report.
            words = "the command was stopped while it waited for the server"
        raise self.fault(words)

    def _words(self, error: Exception) -> str:
        if isinstance(error, DBAPIError):
            cause = error.orig or error
            if self._dialect and self._dialect.code(cause) in self._dialect.denials:
                return "this user lacks the privileges listed in docs/reference/ledger.md"
            read_only = self._path and getattr(cause, "sqlite_errorcode", 0) & 0xFF in UNWRITABLE
            return (read_only and self._path and unwritable(self._path)) or words_of(error, self._dialect)
        if isinstance(error, NoAnswerError):
            return str(error)
        if isinstance(error, SQLAlchemyError):
            return f"the database does not do as asked ({type(error).__name__})"
        if isinstance(error, ImportError):
            return _driverless(self._dialect)
        # A time that is no time, or a document that is no JSON: somebody has edited the rows.
        return "a row in it is corrupt; restore a backup of it, or move it away: then a new one begins without history"


def open_url(
    place: LedgerPlace,
    attempts: int,
    *,
    wait: Callable[[float], None] = time.sleep,
    read_only: bool = False,
) -> LedgerAccess:
    """The ledger at *place*; creates a missing SQLite file, unless it is *read_only*.

    Transient errors are tried *attempts* times. *wait* sleeps, and raises StoppedError if a stop was requested.

    Raises UsageError for a URL that cannot work, LedgerError if the database cannot be reached.
    """

    def link(dialect: Dialect | None, url: URL) -> Connection | Engine:
        if dialect is None:
            return Engine(sa.create_engine(url, hide_parameters=True), wait=wait)
        return Connection(dialect, url, wait=wait)

    return _opened(place, attempts, link, read_only=read_only)


def open_for_service(place: LedgerPlace | sa.Engine) -> LedgerAccess:
    """The ledger of a service: in the database of its own engine, which it closes, or at a place. Nothing is retried.

    Raises as `open_url`.
    """
    if isinstance(place, LedgerPlace):
        return _opened(place, 1, _own_engine)
    dialect = find_dialect(place.dialect.name)
    path = dialect.file(place.url) if dialect else None
    if dialect and not dialect.has_server and path is None:
        raise UsageError("the engine's database is in memory, where keyring-rotate cannot read it")
    link = ServiceEngine(place, dialect, is_own=False)
    return LedgerAccess(link, partial(_name, dialect, place.url, path), dialect, 1, path=path)


def _own_engine(dialect: Dialect | None, url: URL) -> ServiceEngine:
    if dialect is None:
        return ServiceEngine(sa.create_engine(url, hide_parameters=True, poolclass=sa.NullPool), None, is_own=True)
    in_time = dict(dialect.in_time(url, HURRIED_SECONDS))
    engine = dialect.create_engine(url, poolclass=sa.NullPool, connect_args=in_time)
    sa.event.listen(engine, "connect", lambda connection, _: dialect.set_up(connection), insert=True)
    return ServiceEngine(engine, dialect, is_own=True)


def _opened(
    place: LedgerPlace,
    attempts: int,
    link: Callable[[Dialect | None, URL], Connection | Engine | ServiceEngine],
    *,
    read_only: bool = False,
) -> LedgerAccess:
    url = parse_url(place.url)
    dialect = url and find_dialect(url.get_backend_name())
    fault, path = f"not of the form dialect://user:...@host/database{of_jdbc(place.url)}", None
    try:
        if url and dialect:
            refuse_odd_files(url)
            path = _path(dialect, url)
            url = url if path else dialect.prepare_url(url)
        if url:
            name = partial(_name, dialect, url, path, place)
            url = _sqlite(url, path, read_only=read_only) if path else url
            if read_only and path and not path.exists():
                raise LedgerError(f"{name()}: there is no such file, so nothing was recorded in it.")
            return LedgerAccess(link(dialect, url), name, dialect, attempts, path=path)
    except UsageError as error:
        fault = str(error)
    except ImportError:
        fault = _driverless(dialect)
    except (ArgumentError, ValueError, NoSuchModuleError):
        # SQLAlchemy's own message shows the text, password and all.
        pass
    raise UsageError(f"{place.named_by}: {fault}")


def _name(dialect: Dialect | None, url: URL, path: Path | None, place: LedgerPlace | None = None) -> str:
    """Its name in messages; of a *place*, with what names that if there could be a mistake."""
    where = dialect.describe(url) if dialect else f"a database of {url.get_backend_name()}"
    name = f"ledger {path}" if path else f"ledger in {where}"
    return f"{name} (of {place.named_by}; rotation.toml names another one)" if place and place.overrides else name


def _driverless(dialect: Dialect | None) -> str:
    return f"the driver of this database is not installed; {install(dialect.extra if dialect else None)}"


def _path(dialect: Dialect, url: URL) -> Path | None:
    """The file that an SQLite url names; None of a server's. Raises UsageError if the url cannot be a ledger's."""
    if dialect.has_server:
        if not dialect.names_database(url):
            raise UsageError(NO_DATABASE)
        return None
    path = dialect.file(url)
    if path is None or not path.name or url.host:
        raise UsageError("an SQLite url names a file: sqlite:///relative.db or sqlite:////absolute.db")
    fault = None
    try:
        if not path.parent.is_dir():
            fault = f"there is no folder {path.parent} for the ledger"
        elif path.exists() and not path.is_dir() and (words := irregularity(path.stat())):
            # SQLite itself refuses a directory; it would make a journal beside a device.
            fault = f"{path}: {words}"
    except OSError as error:
        fault = f"{error.filename}: {error.strerror}"
    if fault:
        raise UsageError(fault)
    return path


def _sqlite(url: URL, path: Path, *, read_only: bool) -> URL:
    # As a target's url: of what follows a `?`, only `mode=ro` counts.
    # Who only reads makes no file. If a writer was killed, SQLite has to be able to roll back what it left.
    mode = "ro" if url.query.get("mode") == "ro" else "rw" if read_only else "rwc"
    return URL.create("sqlite+pysqlite", database=f"file:{quote(str(path))}", query={"mode": mode, "uri": "true"})


DEFAULT_FILE = "rotation-ledger.db"


class LedgerPlace(NamedTuple):
    """The ledger's database, and what names it."""

    url: str
    named_by: str
    """The variable or the setting, for messages."""
    file: Path | None = None
    """The SQLite file that a ledger is made in if nothing names one."""
    overrides: bool = False
    """True if the environment names another ledger than rotation.toml."""

    def __repr__(self) -> str:
        return f"<LedgerPlace of {self.named_by}>"


def find_ledger(environ: Mapping[str, str], configured: str | None, config: Path | None) -> LedgerPlace | None:
    """The ledger that *environ* names, otherwise *configured*, otherwise the file beside the rotation.toml at *config*.

    None without any of these. Raises UsageError if the variable that *configured* names is not set.
    """
    if given := environ.get(LEDGER_URL, "").strip():
        named = variable_in(configured or "")
        other = environ.get(named) if named else configured
        return LedgerPlace(given, LEDGER_URL, overrides=bool(other) and other != given)
    if config is None:
        return None
    if configured is not None:
        whose = f"{config}, ledger"
        return LedgerPlace(find_url(configured, environ, whose, config.parent), whose)
    file = config.with_name(DEFAULT_FILE).absolute()
    return LedgerPlace(url_of(file), str(file), file)
