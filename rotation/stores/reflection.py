"""A table's columns as SQLAlchemy reflects them. It may fail at a table of which all else can be read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn

from keyring_core import KeyringError
from rotation.model.failures import UsageError
from rotation.stores.watchdog import NoAnswerError

PASSED_ON = (sa.exc.DBAPIError, sa.exc.NoSuchTableError, KeyringError, NoAnswerError, MemoryError)
"""Errors that say more than that a table cannot be reflected."""


class UnreflectedError(UsageError):
    """SQLAlchemy cannot reflect a table."""


class UnknownType(sa.types.NullType):
    """A type that SQLAlchemy does not know, with any arguments; the plain NullType takes none, and fails."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        super().__init__()


class AnyType(dict[str, Any]):
    """A dialect's types by name, to which each unknown name is an UnknownType that is called so."""

    def __missing__(self, name: str) -> type[UnknownType]:
        return type(name.upper(), (UnknownType,), {})


def columns_of(connection: sa.Connection, schema: str | None, table: str) -> dict[str, ReflectedColumn]:
    """The columns by name. Raises as `reflecting` does, and NoSuchTableError."""
    with reflecting(table):
        return {column["name"]: column for column in sa.inspect(connection).get_columns(table, schema)}


@contextmanager
def reflecting(table: str) -> Iterator[None]:
    """Goes around all that SQLAlchemy is asked about *table*. Raises UnreflectedError if it fails at the answer.

    It warns of types and indexes that it does not know; none of them is refused for that.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)
            yield
        return
    except PASSED_ON:
        raise
    except Exception as error:
        kind = type(error).__name__
    raise UnreflectedError(
        f"table {table}: SQLAlchemy {sa.__version__} cannot read its definition ({kind}); try another version of it"
    )


def base_type(column: ReflectedColumn) -> sa.types.TypeEngine[Any]:
    """The column's type; of a domain, the type below it."""
    kind = column["type"]
    while hasattr(kind, "data_type"):
        kind = kind.data_type
    return kind
