"""The ledger's database: opened or made, tried again where that helps, its errors in our words."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import sqlalchemy as sa
import tenacity
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from rotation.errors import StoreError, UsageError
from rotation.ledger.schema import VERSION, migrate, read_version
from rotation.stores.access import DIALECTS
from rotation.stores.dialect import Dialect, Fault, Mode
from rotation.stores.link import Link
from rotation.stores.silence import NoAnswerError

ATTEMPTS = 6
T = TypeVar("T")


class LedgerError(StoreError):
    """The ledger cannot be read or written. No data hangs on it: what is lost is dates."""


class NewerLedgerError(LedgerError):
    """A newer version of this program has been here; this one would spoil what it wrote."""


class Engine:
    """A database of any kind, by SQLAlchemy's own means."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def transaction(self, mode: Mode) -> AbstractContextManager[sa.Connection]:
        """A transaction, committed at its end."""
        del mode
        return self._engine.begin()

    def rest(self) -> None:
        """Gives up the connections."""
        self._engine.dispose()


class LedgerAccess:
    """Transactions on the ledger. No error of a driver leaves it."""

    def __init__(self, link: Link | Engine, name: str, dialect: Dialect | None, attempts: int) -> None:
        self._link, self.name = link, name
        self._dialect, self._attempts = dialect, attempts

    def migrate(self) -> None:
        """Makes the tables, or brings them to our version. A ledger that has it may be read-only."""
        found = self.read(read_version)
        for _ in range(ATTEMPTS):
            if found > VERSION:
                raise NewerLedgerError(
                    f"{self.name}: its schema has version {found}, and this program knows {VERSION}: it was written "
                    "by a newer one. Install that version here, or name another ledger in ROTATION_LEDGER_URL."
                )
            if found == VERSION:
                return
            failure = self._try_migrating(found)
            # Another process may have done it in this moment; then the next look finds it done.
            found = self.read(read_version)
            if failure and found != VERSION:
                time.sleep(0.1)
        raise failure or LedgerError(f"{self.name}: its tables could not be made")

    def read(self, act: Callable[[sa.Connection], T]) -> T:
        """What *act* returns. Raises LedgerError."""
        return self._told(lambda: self._act(Mode.READ, act))

    def write(self, act: Callable[[sa.Connection], T]) -> T:
        """What *act* returns, in a transaction of its own; it begins with a write. Raises LedgerError.

        Where another process has just inserted the same row *act* is done again, and finds it.
        """
        return self._told(lambda: self._act(Mode.WRITE, act))

    def close(self) -> None:
        """Gives up the connection."""
        self._link.rest()

    def fault(self, words: str) -> LedgerError:
        """An error with the ledger's name."""
        return LedgerError(f"{self.name}: {words}. It holds dates only; no token depends on it.")

    def _try_migrating(self, found: int) -> LedgerError | None:
        try:
            self._act(Mode.WRITE, lambda connection: migrate(connection, found))
        except DBAPIError as error:
            return self._failure(error)
        except NoAnswerError as error:
            return self.fault(str(error))
        return None

    def _act(self, mode: Mode, act: Callable[[sa.Connection], T]) -> T:
        with self._link.transaction(mode) as connection:
            return act(connection)

    def _told(self, act: Callable[[], T]) -> T:
        failure: LedgerError
        try:
            return tenacity.Retrying(
                stop=tenacity.stop_after_attempt(self._attempts),
                wait=tenacity.wait_exponential_jitter(multiplier=0.02, max=1, jitter=0.1),
                retry=tenacity.retry_if_exception(self._may_pass),
                reraise=True,
            )(act)
        except DBAPIError as error:
            failure = self._failure(error)
        except NoAnswerError as error:
            failure = self.fault(str(error))
        except SQLAlchemyError as error:
            failure = self.fault(f"the database does not do as asked ({type(error).__name__})")
        except ImportError:
            failure = self.fault("the driver of this database is not installed")
        except (ValueError, KeyError, TypeError):
            # A time that is no time, a document that is no JSON: somebody has been at the rows.
            failure = self.fault("a row in it is corrupt; move the ledger away, and a new one is made")
        raise failure

    def _may_pass(self, error: BaseException) -> bool:
        if not isinstance(error, DBAPIError):
            return False
        passing = self._dialect is not None and self._dialect.fault(error.orig or error) in {
            Fault.PASSING,
            Fault.LOCKED,
        }
        return isinstance(error, IntegrityError) or error.connection_invalidated or passing

    def _failure(self, error: DBAPIError) -> LedgerError:
        cause = error.orig or error
        words = self._dialect.words(cause) if self._dialect else None
        return self.fault(words or f"the database failed ({type(cause).__name__})")


def open_url(
    text: str, attempts: int, *, wait: Callable[[float], None] = time.sleep, seconds: float | None = None
) -> LedgerAccess:
    """The ledger at an SQLAlchemy URL; an SQLite file is made where none is. What may pass is tried *attempts* times.

    *wait* sleeps, and raises StoppedError where somebody asked to stop: then little more is waited for. A connection is
    made in *seconds* an address, or not at all.

    Raises UsageError for a URL that cannot work, LedgerError where the database cannot be reached.
    """
    fault = None
    try:
        url = sa.make_url(text)
        dialect = _dialect(url.get_backend_name())
        if isinstance(dialect, DIALECTS["sqlite"]):  # type: ignore[arg-type]
            url, name = _sqlite(url)
        elif dialect:
            url = dialect.prepare_url(url)
            name = f"ledger in {dialect.describe(url)}"
        else:
            name = f"ledger in a database of {url.get_backend_name()}"
        link = (
            Link(dialect, url, wait=wait, seconds=seconds)
            if dialect
            else Engine(sa.create_engine(url, hide_parameters=True))
        )
    except (ArgumentError, ValueError, NoSuchModuleError, UsageError) as error:
        # SQLAlchemy's own message shows the text, password and all.
        fault = str(error) if isinstance(error, UsageError) else "not of the form dialect://user:...@host/database"
    except ImportError:
        fault = "the driver of this database is not installed"
    if fault:
        raise UsageError(f"ROTATION_LEDGER_URL: {fault}")
    return LedgerAccess(link, name, dialect, attempts)


def over_engine(engine: sa.Engine, attempts: int) -> LedgerAccess:
    """The ledger in the database of a service's own *engine*."""
    return LedgerAccess(Engine(engine), "ledger in the engine's database", _dialect(engine.dialect.name), attempts)


def _dialect(name: str) -> Dialect | None:
    make = DIALECTS.get(name)
    return make() if make else None


def _sqlite(url: URL) -> tuple[URL, str]:
    path = Path((url.database or "").removeprefix("file:"))
    if not path.name or path.name == ":memory:":
        raise UsageError("an SQLite url names a file: sqlite:///relative.db or sqlite:////absolute.db")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for the ledger")
    # As a target's url: of what follows a `?`, only `mode=ro` counts.
    mode = "ro" if url.query.get("mode") == "ro" else "rwc"
    made = URL.create("sqlite+pysqlite", database=f"file:{quote(str(path))}", query={"mode": mode, "uri": "true"})
    return made, f"ledger {path}"
