"""The transactions of several databases that have written and are not committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import NamedTuple

from rotation.configuration.policy import LeftOut
from rotation.stores.access import Access, RefusedStatement
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import parse_url, read_url
from rotation.stores.other_writers import OpenTransaction


class Uncommitted(NamedTuple):
    """The transactions that are not committed yet, and the databases that could not be asked."""

    transactions: tuple[OpenTransaction, ...] = ()
    unchecked: tuple[str, ...] = ()
    """The reasons why transactions of a database are not known."""

    @property
    def writers(self) -> tuple[OpenTransaction, ...]:
        """The transactions that have written."""
        return tuple(each for each in self.transactions if each.wrote)


def uncommitted(
    urls: Iterable[str],
    *,
    wait: Callable[[float], None],
    links: SharedConnections,
    left_out: Mapping[str, str],
) -> Uncommitted:
    """Asks the databases at *urls*, and the others of their servers that their users may enter.

    *left_out*: patterns of the names of databases that are not searched, and why. Raises StoreError, UsageError and
    StoppedError.
    """
    found: dict[str, OpenTransaction] = {}
    unchecked: dict[str, None] = {}
    urls = list(urls)
    # A server shows the transactions of all its databases, whichever of them a url names.
    skipped = LeftOut(left_out, {parsed.database for url in urls if (parsed := parse_url(url))})
    for url in urls:
        with closing(Access(url, None, read_only=True, sleep=wait, links=links)) as access:
            for look in access.dialect.other_writers.open_transactions:
                seen = access.attempt(look.ask)
                if isinstance(seen, str | RefusedStatement):
                    why = look.denied if isinstance(seen, RefusedStatement) else seen
                    unchecked[f"{access.name}: {why}; so it was not checked that nothing is left to commit"] = None
                    continue
                for one in seen:
                    if skipped.why(one.database) is None:
                        # With two urls of one server the same name for both.
                        place = one.database and access.dialect.describe(read_url(url).set(database=one.database))
                        name = place or access.name
                        named = one._replace(identity=f"{name}: {one.identity}", words=f"{name}: {one.words}")
                        found[named.identity] = named
    return Uncommitted(tuple(found.values()), tuple(unchecked))
