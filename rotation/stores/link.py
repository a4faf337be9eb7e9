"""One connection to a database for all that a command does there, and never two databases' at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from rotation.stores.dialect import Dialect, Mode


class Link:
    """A connection to one database; made when it is first needed, and again after it was lost."""

    def __init__(self, dialect: Dialect, url: URL, *, before_use: Callable[[Link], None] = lambda _: None) -> None:
        """Connects to nothing yet. Raises ImportError where the driver is missing."""
        self.dialect, self._before_use = dialect, before_use
        self._url = url
        self._base = sa.create_engine(url, hide_parameters=True, pool_size=1, max_overflow=0)
        sa.event.listen(self._base, "connect", lambda connection, _record: dialect.set_up(connection))
        self._engines = {mode: self._engine(mode) for mode in Mode}

    def arguments(self) -> tuple[Any, Any]:
        """What the driver connects with."""
        return self._base.dialect.create_connect_args(self._url)

    @contextmanager
    def transaction(self, mode: Mode) -> Iterator[sa.Connection]:
        """A transaction: what reads is undone at its end, what writes is committed. Raises what the driver raises."""
        self._before_use(self)
        with self._engines[mode].connect() as connection:
            if mode is Mode.READ:
                yield connection
                return
            with connection.begin():
                yield connection

    def rest(self) -> None:
        """Gives up the connection until it is needed again."""
        self._base.dispose()

    def _engine(self, mode: Mode) -> sa.Engine:
        """One that has the same connection, and transactions of that mode."""
        engine = self._base.execution_options()
        sa.event.listen(engine, "begin", lambda connection: self.dialect.begin(connection, mode))
        return engine


class Links:
    """The links of one command, each shared by all targets of a url. Only the one in use holds a connection."""

    def __init__(self) -> None:
        """Connects to nothing yet."""
        self._links: dict[str, Link] = {}
        self._in_use: Link | None = None

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def to(self, dialect: Dialect, url: URL) -> Link:
        """The link to *url*. Raises ImportError where the driver is missing."""
        text = url.render_as_string(hide_password=False)
        if text not in self._links:
            self._links[text] = Link(dialect, url, before_use=self._take_turn)
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
