"""Opens a target's store and names it. The one place that knows which kind of store a target needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from keyring_core.redaction.redactor import get_redactor
from rotation.model.failures import UsageError
from rotation.model.target import Target, TargetId
from rotation.stores.access import database_of
from rotation.stores.base import Store
from rotation.stores.connection import SharedConnections
from rotation.stores.shards import Shard
from rotation.stores.sql import SqlStore
from rotation.stores.target_schema import NOTHING

SECRET_OPTIONS = ("password", "passwd", "sslpassword", "ssl_key_password")


def open_store(  # noqa: PLR0913 - what a store may be opened for
    target: Target,
    *,
    read_only: bool,
    wait: Callable[[float], None],
    shard: Shard | None = None,
    sample: int | None = None,
    links: SharedConnections | None = None,
    companions: Mapping[str, str] = NOTHING,
) -> Store:
    """The store of *target*, opened and checked: all its rows, those of *shard*, or about *sample* random ones.

    With *links* it shares a connection with the other stores of a command. *companions*: what the target's companion
    columns are to hold; a store that only reads need not know.

    Raises UsageError if the target does not fit its database, StoreError if the database cannot be reached.
    """
    store = SqlStore(target, read_only=read_only, sleep=wait, shard=shard, links=links, companions=companions)
    if sample is not None:
        store.thin_out(sample)
    return store


def identify(target: Target) -> TargetId:
    """Which cells *target* stands for. Connects to nothing; a url that cannot work is reported by `open_store`."""
    database = digest = ""
    with suppress(UsageError):
        database = database_of(target)
    with suppress(ArgumentError, ValueError):
        digest = _digest(target.given or target.url)
    where = target.where and get_redactor().redact(target.where)
    return TargetId(database, digest, target.table, target.column, where, target.context)


def _digest(url: str) -> str:
    # A password may differ from machine to machine, and must not travel, even as a digest.
    shown = sa.make_url(url).difference_update_query(SECRET_OPTIONS).render_as_string(hide_password=True)
    return sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()
