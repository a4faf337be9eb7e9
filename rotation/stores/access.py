"""Access to a database: which errors are retried, what errors say, and reads and writes of a target's database."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from keyring_core import KeyringError
from rotation.model.failures import CONTINUE, StoppedError, StoreError, UsageError
from rotation.model.text import install
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import served_url
from rotation.stores.dialect import READING, Dialect, Mode
from rotation.stores.error_codes import Fault, TlsFault, is_lost
from rotation.stores.patience import IMPATIENT, Patience, Wait
from rotation.stores.servers import Replication, TooOldError
from rotation.stores.watchdog import NoAnswerError
from rotation.world.process import STOPPED

if TYPE_CHECKING:
    import tenacity

ATTEMPTS = 6
LOST = "the connection was lost"
LOCKED = "locked", "another transaction holds the row"
"""Category and reason of a row that is left for later."""

log = structlog.get_logger(__name__)
T = TypeVar("T")


def fault_of(error: BaseException, dialect: Dialect | None) -> Fault | None:
    """The kind of fault of a driver's *error*; None if it is unknown."""
    if not isinstance(error, DBAPIError):
        return None
    cause = error.orig or error
    if dialect and dialect.lacks_memory(cause):
        return Fault.PERMANENT
    if is_lost(error, dialect) or _is_dropped(error, dialect):
        return Fault.TRANSIENT
    return dialect.fault(cause) if dialect else None


def _is_dropped(error: DBAPIError, dialect: Dialect | None) -> bool:
    """True if a statement met a database that was dropped meanwhile; without a statement, the url is wrong."""
    return dialect is not None and error.statement is not None and dialect.code(error.orig or error) in dialect.absences


def words_of(error: DBAPIError, dialect: Dialect | None) -> str:
    """A driver's *error* in words that show no value."""
    cause = error.orig or error
    if is_lost(error, dialect):
        code = dialect and dialect.code(cause)
        # What TLS says of a connection that was made is the end of it, no fault of a certificate.
        return LOST if dialect is None or isinstance(code, TlsFault) else dialect.refusals.get(code, LOST)
    if dialect is None:
        return f"the database failed ({type(cause).__name__})"
    words = dialect.words(cause) or dialect.damage(cause)
    return words or f"{dialect.unforeseen} ({type(cause).__name__}, code {dialect.code(cause)})"


def retry(  # noqa: PLR0913 - how often, how long, and what is called meanwhile
    act: Callable[[], T],
    is_transient: Callable[[BaseException], bool],
    *,
    attempts: int | None = None,
    longest: float = 5,
    sleep: Callable[[float], None] = time.sleep,
    before_sleep: Callable[[tenacity.RetryCallState], None] | None = None,
    failed: Exception | None = None,
) -> T:
    """Returns what *act* returns; calls it again after a transient error, with growing, random pauses.

    *longest*: of the pauses, in seconds. *failed*: the error of a first attempt that was made before.
    """
    if failed is None:
        try:
            return act()
        except Exception as error:
            failed = error
    if attempts == 1 or not is_transient(failed):
        raise failed
    failures = [failed]
    import tenacity  # noqa: PLC0415 - most commands meet no such error

    def again() -> T:
        # The first attempt has been made.
        if failures:
            raise failures.pop()
        return act()

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts or ATTEMPTS),
        # In the words that every version has: those of its wait with jitter changed.
        wait=tenacity.wait_exponential(multiplier=longest / 100, max=longest) + tenacity.wait_random(max=longest / 25),
        retry=tenacity.retry_if_exception(is_transient),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )(again)


class RowRefusedError(Exception):
    """A batch holds a row that the database refuses, or that is locked."""

    def __init__(self, category: str, reason: str) -> None:
        super().__init__(reason)
        self.category = category
        self.reason = reason


class RefusedStatement(NamedTuple):
    """The reason why the database refuses one statement, while it accepts others."""

    words: str
    is_locked: bool = False
    """True if another transaction's lock is the reason."""
    is_denied: bool = False
    """True if a privilege is missing."""


class UnreadableError(Exception):
    """The words of a RefusedStatement, from between the rows that it was to read."""


class Access:
    """Reads and writes through one connection. No error of a driver leaves it: it may hold a token."""

    def __init__(  # noqa: PLR0913 - how it reaches its database, and how it waits
        self,
        url: str,
        label: str | None,
        *,
        read_only: bool,
        sleep: Callable[[float], None],
        links: SharedConnections | None = None,
        patience: Patience = IMPATIENT,
    ) -> None:
        """Raises UsageError for a *url* that cannot work; messages name the target by *label*, None for a search.

        With *links* it shares their connection to that url, and does not close it. *patience*: of the command, with a
        server that goes away.
        """
        self.retries = 0
        self._label = label or "every table"
        self._whose = f"target {label}" if label else "the database to search"
        self._sleep, self._patience = sleep, patience
        self._read_only = read_only
        self.dialect, self._url = served_url(url, self._whose)
        self._waits = bool(patience.longest) and self.dialect.has_server
        self._turn = threading.Lock()
        """Held by the thread that uses the connection."""
        shared = links or SharedConnections(sleep)
        self._own = None if links else shared
        fault = None
        try:
            self.link = shared.to(self.dialect, self._url)
            """What it reads and writes through; others may share it."""
        except ImportError:
            fault = f"the driver is not installed; {install(self.dialect.extra)}"
        except UsageError as error:
            fault = str(error)
        if fault:
            raise UsageError(f"{self._whose}: {fault}")
        # The first read connects, and retries transient errors.

    def twin(self, links: SharedConnections) -> Access:
        """The same access through another connection, of *links*."""
        other = copy.copy(self)
        other.link, other._own = links.to(self.dialect, self._url), None
        other._turn, other.retries = threading.Lock(), 0
        return other

    @property
    def name(self) -> str:
        """The database, fit for a message."""
        return self.dialect.describe(self._url)

    def read(self, act: Callable[[sa.Connection], T], mode: Mode = Mode.READ) -> T:
        """The result of *act*, with a connection that cannot write. Raises StoreError."""
        found = self._again(mode, act)
        if isinstance(found, DBAPIError):
            raise self.failure(found)
        return found

    def write(self, act: Callable[[sa.Connection], T], mode: Mode = Mode.WRITE) -> T:
        """The result of *act*, in a transaction of that *mode*.

        Raises RowRefusedError if one row is at fault, and StoreError for every other fault.
        """
        if self._read_only:
            raise RuntimeError("a read-only store was asked to write")
        found = self._again(mode, act)
        if isinstance(found, DBAPIError):
            raise self._refusal(found) or self.failure(found)
        return found

    def try_reading(self, query: sa.Executable) -> DBAPIError | None:
        """The driver's error, if *query* makes one."""
        found = self._again(Mode.READ, lambda connection: connection.execute(query).all(), attempts=1)
        return found if isinstance(found, DBAPIError) else None

    def blames_statement(self, error: DBAPIError) -> bool:
        """True if *error* is about the statement, and not about the database."""
        if _is_dropped(error, self.dialect):
            return True
        if fault_of(error, self.dialect) in {Fault.TRANSIENT, Fault.LOCKED}:
            return False
        return self.dialect.words(error.orig or error) is None

    def attempt(
        self, act: Callable[[sa.Connection], T], mode: Mode = Mode.READ, *, past_locks: bool = False
    ) -> T | RefusedStatement:
        """The result of *act*, or a RefusedStatement if only its statement is at fault, or a privilege is missing.

        Raises StoreError if the database fails; with *past_locks* a lock that stays is a RefusedStatement, too.
        """
        found = self._again(mode, act)
        if not isinstance(found, DBAPIError):
            return found
        return self._refused(found, past_locks=past_locks)

    def stream(self, query: sa.Select[Any], rows: int) -> Iterator[Sequence[Any]]:
        """The rows of *query*, *rows* at a time, without a retry. Raises StoreError and UnreadableError."""
        failure: KeyringError | UnreadableError
        try:
            with self.link.transaction(Mode.READ) as connection:
                yield from connection.execution_options(yield_per=rows).execute(query).partitions()
            return
        except DBAPIError as error:
            try:
                failure = UnreadableError(self._refused(error).words)
            except StoreError as worse:
                failure = worse
        except NoAnswerError as error:
            failure = self._unanswered(error)
        raise failure

    def breathe(self) -> None:
        """Raises StoppedError if a stop was requested: a batch with many bad rows takes long."""
        self._sleep(0)

    @property
    def may_be_replica(self) -> bool:
        """False if the last transaction has shown that its server is none."""
        return self.dialect.replicas_write or self.link.is_on_replica

    def replication(self) -> Replication | None:
        """What its server repeats of another one. Raises StoreError."""
        return self.read(self.dialect.replication)

    def close(self) -> None:
        """Closes the connection, unless others share it."""
        if self._own:
            self._own.close()

    def failure(self, error: DBAPIError) -> StoreError:
        """The StoreError for a driver's *error*; it shows no value."""
        return self.permanent(words_of(error, self.dialect))

    def permanent(self, words: str) -> StoreError:
        """The StoreError that ends the work on this target."""
        following = "Nothing was written." if self._read_only else CONTINUE
        waited = wait.in_vain() if (wait := self._wait()) else ""
        return StoreError(f"{self._label} in {self.name}: {words}{waited}. {following}")

    def _refused(self, error: DBAPIError, *, past_locks: bool = False) -> RefusedStatement:
        if past_locks and fault_of(error, self.dialect) is Fault.LOCKED:
            return RefusedStatement(words_of(error, self.dialect), is_locked=True)
        is_denied = self.dialect.code(error.orig or error) in self.dialect.denials
        if is_denied or self.blames_statement(error):
            return RefusedStatement(words_of(error, self.dialect), is_denied=is_denied)
        raise self.failure(error)

    def _refusal(self, error: DBAPIError) -> RowRefusedError | None:
        cause = error.orig or error
        code, fault = self.dialect.code(cause), self.dialect.fault(cause)
        if fault is Fault.LOCKED:
            return RowRefusedError(*LOCKED)
        if fault is Fault.ROW:
            by = self.dialect.constraint(cause) or "a type, an index, a trigger or constraint"
            return RowRefusedError("refused", f"the database refuses the new value ({by}, code {code})")
        return None

    def _again(self, mode: Mode, act: Callable[[sa.Connection], T], *, attempts: int | None = None) -> T | DBAPIError:
        """The result of *act*, tried again after errors that may pass, or the driver's error. Raises StoreError.

        A reader tries again after a lock, too; a writer leaves the row to the next pass.
        """
        began = time.monotonic()
        try:
            with self._turn, self.link.transaction(mode) as connection:
                found = act(connection)
            if self._waits and attempts != 1:
                self._patience.answered(self.link.server, written=mode not in READING)
            return found
        except (DBAPIError, NoAnswerError) as error:
            failed = error
        return self._repeated(mode, act, failed, began, attempts)

    def _repeated(
        self, mode: Mode, act: Callable[[sa.Connection], T], failed: Exception, began: float, attempts: int | None
    ) -> T | DBAPIError:
        """The same after the first attempt, which *began* at that time and *failed*."""
        transient = {Fault.TRANSIENT, Fault.LOCKED} if mode in READING else {Fault.TRANSIENT}
        last = began

        def once() -> T:
            nonlocal last
            last = time.monotonic()
            with self._turn:
                return self.link.transact(mode, act)

        silence: NoAnswerError | None = None
        wait = None if attempts == 1 else self._wait()
        first = partial(
            retry,
            once,
            lambda error: fault_of(error, self.dialect) in transient,
            attempts=attempts,
            sleep=self._sleep,
            before_sleep=partial(self._log_retry, wait),
            failed=failed,
        )
        try:
            return wait.outlast(first, once, mode, self._sleep, self._in_words) if wait else first()
        except DBAPIError as error:
            # Whatever is raised for it must not have it as its context.
            if not self.dialect.lacks_memory(error.orig or error):
                return error
        except NoAnswerError as error:
            silence = error
        finally:
            # The tries before the last one, and the pauses, are no work on any row.
            self.link.line.travelled += last - began
        raise self._unanswered(silence) if silence else MemoryError

    def _unanswered(self, silence: NoAnswerError) -> KeyringError:
        if isinstance(silence, TooOldError):
            return UsageError(f"{self._whose}, in {self.name}: {silence}")
        return StoppedError(STOPPED) if silence.stopped else self.permanent(str(silence))

    def _wait(self) -> Wait | None:
        return Wait(self._patience, self.link, self._label, self.name) if self._waits else None

    def _in_words(self, error: BaseException | None) -> str:
        return words_of(error, self.dialect) if isinstance(error, DBAPIError) else str(error)

    def _log_retry(self, wait: Wait | None, state: tenacity.RetryCallState) -> None:
        self.retries += 1
        error = state.outcome.exception() if state.outcome else None
        is_due = wait is not None and wait.is_due(error)
        if wait and is_due:
            wait.tell(self._in_words(error), briefly=True)
        code = self.dialect.code(error.orig) if isinstance(error, DBAPIError) and error.orig else None
        # The first one is news; a server that is down would fill a mail with the others before the error.
        note = log.warning if state.attempt_number == 1 and not is_due else log.info
        note(
            "rotation.retry",
            target=self._label,
            attempt=state.attempt_number,
            code=code,
            wait=round(state.upcoming_sleep, 2),
        )
