"""One connection to a database for all that a command does there, and never two databases' at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from keyring_core import KeyringError
from rotation.model.failures import StoppedError
from rotation.stores import silent_servers, watchdog
from rotation.stores.dialect import Dialect, Mode
from rotation.stores.silent_servers import Errand, NoAnswerError, silences
from rotation.stores.watchdog import Watch

SILENT = "the server does not answer: it hangs, a firewall swallows what is sent, or something else listens there"
STOPPED = "stopped while the server did not answer"


class Link:
    """A connection to one database; made when it is first needed, and again after it was lost."""

    def __init__(
        self,
        dialect: Dialect,
        url: URL,
        *,
        wait: Callable[[float], None] = time.sleep,
        seconds: float | None = None,
        before_use: Callable[[Link], None] = lambda _: None,
    ) -> None:
        """Connects to nothing yet. Raises ImportError where the driver is missing.

        *wait* sleeps, and raises StoppedError where somebody asked to stop. A connection is made in *seconds* an
        address, or not at all.
        """
        self.dialect, self._url, self._wait, self._before_use = dialect, url, wait, before_use
        self._seconds = seconds or silent_servers.CONNECT_SECONDS
        self._base = sa.create_engine(url, hide_parameters=True, pool_size=1, max_overflow=0)
        self._watch = Watch(is_stopping=self._is_stopping, probe=self._probe, hang_up=dialect.hang_up)
        if dialect.has_server:
            sa.event.listen(
                self._base, "do_connect", lambda _dialect, _record, args, options: self._open(args, options)
            )
        sa.event.listen(self._base, "connect", lambda connection, _record: self._set_up(connection), insert=True)
        # A transaction of many statements is no long statement.
        sa.event.listen(self._base, "after_cursor_execute", lambda *_: self._watch.answered())
        self._engines = {mode: self._engine(mode) for mode in Mode}

    def arguments(self) -> tuple[Any, Any]:
        """What the driver connects with."""
        return self._base.dialect.create_connect_args(self._url)

    @contextmanager
    def transaction(self, mode: Mode) -> Iterator[sa.Connection]:
        """A transaction: what reads is undone at its end, what writes is committed.

        Raises what the driver raises, and NoAnswerError.
        """
        self._before_use(self)
        if not self.dialect.has_server:
            with self._transaction(mode) as connection:
                yield connection
            return
        call = self._watch.begin()
        try:
            with self._transaction(mode) as connection:
                yield connection
            return
        except Exception as error:
            if call.ended is None or isinstance(error, KeyringError):
                raise
        finally:
            self._watch.end()
        self.rest()
        if call.ended == "silent":
            silences.note(self._server, watchdog.QUIET_SECONDS + self._watch.patience)
        raise NoAnswerError(SILENT if call.ended == "silent" else STOPPED, stopped=call.ended == "stopped")

    def rest(self) -> None:
        """Gives up the connection until it is needed again."""
        self._watch.close()
        self._base.dispose()

    @contextmanager
    def _transaction(self, mode: Mode) -> Iterator[sa.Connection]:
        with self._engines[mode].connect() as connection:
            if mode is Mode.READ:
                yield connection
                return
            with connection.begin():
                yield connection

    def _engine(self, mode: Mode) -> sa.Engine:
        """One that has the same connection, and transactions of that mode."""
        engine = self._base.execution_options()
        sa.event.listen(engine, "begin", lambda connection: self.dialect.begin(connection, mode))
        return engine

    def _set_up(self, connection: Any) -> None:
        self._watch.connected(connection)
        self.dialect.set_up(connection)

    def _open(self, arguments: Any, options: Any) -> Any:
        """A driver's new connection. It is made in another thread: nothing ends a look for a name, for one."""
        limit = silences.seconds_for(self._server, self._limit())
        if not limit:
            raise NoAnswerError(SILENT)
        self._watch.connecting()
        began = time.monotonic()
        errand = Errand(lambda: self._connect(arguments, options, self._seconds), lambda late: late.close())
        asked: float | None = None
        while not errand.wait(silent_servers.LOOK_SECONDS):
            now = time.monotonic()
            if asked is None and self._is_stopping():
                asked = now
            stopped = asked is not None and now - asked > silent_servers.GRACE_SECONDS
            if stopped or now - began > limit:
                errand.leave()
                self._give_up(time.monotonic() - began, stopped=stopped)
        try:
            made = errand.result()
            self._watch.made_in(time.monotonic() - began)
            return made
        except Exception as error:
            if not self.dialect.is_late(error):
                raise
        self._give_up(time.monotonic() - began)
        raise AssertionError

    def _give_up(self, waited: float, *, stopped: bool = False) -> None:
        if not stopped:
            silences.note(self._server, waited)
        raise NoAnswerError(STOPPED if stopped else SILENT, stopped=stopped)

    def _connect(self, arguments: Any, options: Any, seconds: float) -> Any:
        return self._base.dialect.connect(*arguments, **{**options, **self.dialect.in_time(self._url, seconds)})

    def _probe(self, seconds: float) -> bool:
        """Whether the server answers one who connects, be it with a refusal. Comes back late where it does not."""
        try:
            # No statement: a pooler whose only connection is ours would leave it waiting.
            self._connect(*self.arguments(), seconds).close()
        except Exception as error:
            return not self.dialect.is_late(error)
        return True

    def _limit(self) -> float:
        """How long all addresses may take."""
        given = self._url.query.get("connect_timeout")
        hosts = str(self._url.query.get("host") or self._url.host or "").count(",") + 1
        with suppress(TypeError, ValueError):
            return (float(given) or self._seconds) * max(hosts, silent_servers.ADDRESSES) + 1  # type: ignore[arg-type]
        return self._seconds * max(hosts, silent_servers.ADDRESSES) + 1

    @property
    def _server(self) -> tuple[object, ...]:
        query = self._url.query
        return self._url.host, self._url.port, query.get("host"), query.get("port"), query.get("unix_socket")

    def _is_stopping(self) -> bool:
        try:
            self._wait(0)
        except StoppedError:
            return True
        return False


class Links:
    """The links of one command, each shared by all targets of a url. Only the one in use holds a connection."""

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Connects to nothing yet."""
        self._links: dict[str, Link] = {}
        self._in_use: Link | None = None
        self._wait = wait

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def to(self, dialect: Dialect, url: URL) -> Link:
        """The link to *url*. Raises ImportError where the driver is missing."""
        text = url.render_as_string(hide_password=False)
        if text not in self._links:
            self._links[text] = Link(dialect, url, wait=self._wait, before_use=self._take_turn)
        return self._links[text]

    def close(self) -> None:
        """Gives up all connections."""
        for link in self._links.values():
            link.rest()

    def _take_turn(self, link: Link) -> None:
        # Several urls may lead to one server, such as one for each schema.
        if self._in_use is not link:
            if self._in_use:
                self._in_use.rest()
            self._in_use = link
