"""The encrypted columns of SQLAlchemy models: a declarative base, SQLModel, Flask-SQLAlchemy's `db` or a MetaData."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import configure_mappers

from keyring_core import KeyConfigError
from keyring_core.integrations.cells import Cells
from keyring_core.integrations.sqlalchemy import BlindIndexOf
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration
from rotation.declared.application import import_path
from rotation.model.failures import UsageError
from rotation.model.target import Index


def declared_columns(source: Declaration) -> Iterator[DeclaredColumn]:
    """The columns of the models that *source* names. Raises UsageError, or whatever their import raises."""
    path = source.models or ""
    found = import_path(path)
    metadata = found if isinstance(found, sa.MetaData) else getattr(found, "metadata", None)
    if not isinstance(metadata, sa.MetaData):
        raise UsageError(f"models {path}: it is of type {type(found).__name__}; name a MetaData, or what has .metadata")
    for table in metadata.tables.values():
        indexes = _indexes(table)
        for column in table.columns:
            # A TypeDecorator of the application over an encrypted type has its cells, too.
            if isinstance(cells := getattr(column.type, "cells", None), Cells):
                yield _declared(source, table, column, cells, indexes.get(column.name))


def _declared(
    source: Declaration, table: sa.Table, column: sa.Column[Any], cells: Cells, index: Index | None
) -> DeclaredColumn:
    # `str` since the names may be of SQLAlchemy's own class, which knows of quotes.
    name, schema = str(table.name), table.schema and str(table.schema)
    return DeclaredColumn(
        source,
        f"{schema}.{name}" if schema else name,
        str(column.name),
        cells.context_name,
        cells.legacy,
        index,
        binary=bool(getattr(column.type, "binary", False)),
    )


def _indexes(table: sa.Table) -> dict[str, Index]:
    """The blind indexes of *table*, by the names of the columns that they are of. Raises KeyConfigError."""
    found = [(column, column.type) for column in table.columns if isinstance(column.type, BlindIndexOf)]
    return {_source_of(column, kind): Index(str(column.name), kind.index.context) for column, kind in found}


def _source_of(column: sa.Column[Any], kind: BlindIndexOf) -> str:
    """The name of the column that *column*, of that *kind*, is the index of. Raises KeyConfigError if there is none."""
    with suppress(KeyConfigError):
        return str(kind.source(column).name)
    # It may name a mapped attribute, which is known once the mappers are complete.
    configure_mappers()
    return str(kind.source(column).name)
