"""The transactions of several databases that have written and are not committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

import sqlalchemy as sa

from rotation.configuration.relative_urls import LeftOut
from rotation.stores.access import Access, Refusal
from rotation.stores.connection import SharedConnections
from rotation.stores.databases import parse_url
from rotation.stores.open_transactions import OpenTransaction, Uncommitted


def uncommitted(
    urls: Iterable[str],
    *,
    wait: Callable[[float], None],
    links: SharedConnections,
    left_out: Mapping[str, str],
) -> Uncommitted:
    """What is not committed in the databases at *urls*, and in the others of their servers that their users may enter.

    *left_out*: patterns of the names of databases that are not searched, and why. Raises StoreError, UsageError and
    StoppedError.
    """
    found: dict[str, OpenTransaction] = {}
    unchecked: dict[str, None] = {}
    urls = list(urls)
    # A server shows those of all its databases, whichever of them a url names.
    skipped = LeftOut(left_out, {parsed.database for url in urls if (parsed := parse_url(url))})
    for url in urls:
        with closing(Access(url, None, read_only=True, sleep=wait, links=links)) as access:
            for look in access.dialect.open_transactions:
                seen = access.attempt(look.ask)
                if isinstance(seen, str | Refusal):
                    why = look.denied if isinstance(seen, Refusal) else seen
                    unchecked[f"{access.name}: {why}; so it was not checked that nothing is left to commit"] = None
                    continue
                for one in seen:
                    if skipped.why(one.database) is None:
                        name = _name(access, url, one)
                        named = one._replace(identity=f"{name}: {one.identity}", words=f"{name}: {one.words}")
                        found[named.identity] = named
    return Uncommitted(tuple(found.values()), tuple(unchecked))


def _name(access: Access, url: str, one: OpenTransaction) -> str:
    """What messages call the database of a transaction: with two urls of one server the same for both."""
    if one.database is None:
        return access.name
    return access.dialect.describe(sa.make_url(url).set(database=one.database))
