"""Opens a target's store. The one place that knows which kind of store a target needs."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import sqlalchemy as sa

from rotation.model.targets import Target
from rotation.stores.base import Store
from rotation.stores.connection import SharedConnections
from rotation.stores.shards import Shard
from rotation.stores.sql import SqlStore

SECRET_OPTIONS = ("password", "passwd", "sslpassword", "ssl_key_password")


def open_store(  # noqa: PLR0913 - what a store may be opened for
    target: Target,
    *,
    read_only: bool,
    wait: Callable[[float], None],
    shard: Shard | None = None,
    sample: int | None = None,
    links: SharedConnections | None = None,
) -> Store:
    """The store of *target*, opened and checked: all its rows, those of *shard*, or about *sample* random ones.

    With *links* it shares a connection with the other stores of a command.

    Raises UsageError if the target does not fit its database, StoreError if the database cannot be reached.
    """
    store = SqlStore(target, read_only=read_only, sleep=wait, shard=shard, links=links)
    if sample is not None:
        store.thin_out(sample)
    return store


def database_digest(target: Target) -> str:
    """Where the url leads. Its password may differ from machine to machine, and must not travel, even as a digest."""
    url = sa.make_url(target.url).set(password=None).difference_update_query(SECRET_OPTIONS)
    return sha256(str(url).encode("utf-8", "surrogatepass")).hexdigest()
