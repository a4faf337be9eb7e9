"""The encrypted columns of SQLAlchemy models: a declarative base, SQLModel, Flask-SQLAlchemy's `db` or a MetaData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import configure_mappers

from keyring_core import KeyConfigError
from keyring_core.integrations.cells import Cells
from keyring_core.integrations.sqlalchemy import BlindIndexOf
from rotation.configuration.application import imported
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration
from rotation.model.failures import UsageError
from rotation.model.target import Index


def declared_columns(source: Declaration) -> Iterator[DeclaredColumn]:
    """The columns of the models that *source* names. Raises UsageError, or whatever their import raises."""
    path = source.models or ""
    named = _named(path)
    metadata = named if isinstance(named, sa.MetaData) else getattr(named, "metadata", None)
    if not isinstance(metadata, sa.MetaData):
        raise UsageError(f"models {path}: it is of type {type(named).__name__}; name a MetaData, or what has .metadata")
    for table in metadata.tables.values():
        # `str` since the names may be of SQLAlchemy's own class, which knows of quotes.
        name = f"{table.schema}.{table.name}" if table.schema else str(table.name)
        found = [(column, column.type) for column in table.columns if isinstance(column.type, BlindIndexOf)]
        # By the names of the columns that they are of.
        indexes = {
            _source_of(column, kind): Index(str(column.name), kind.index.context, kind.index.normalize)
            for column, kind in found
        }
        for column in table.columns:
            # A TypeDecorator of the application over an encrypted type has its cells, too.
            if isinstance(cells := getattr(column.type, "cells", None), Cells):
                yield DeclaredColumn(
                    source,
                    name,
                    str(column.name),
                    cells.context_name,
                    cells.legacy,
                    indexes.get(column.name),
                    binary=bool(getattr(column.type, "binary", False)),
                    keys=cells.keys,
                )


def _source_of(column: sa.Column[Any], kind: BlindIndexOf) -> str:
    """The name of the column that *column*, of that *kind*, is the index of. Raises KeyConfigError without one."""
    with suppress(KeyConfigError):
        return str(kind.source(column).name)
    # It may name a mapped attribute, which is known once the mappers are complete.
    configure_mappers()
    return str(kind.source(column).name)


def _named(path: str) -> object:
    """The object at *path*, `module:attribute.attribute`. Raises UsageError, or whatever the module raises."""
    name, colon, attributes = path.partition(":")
    if not (colon and name and attributes):
        raise UsageError(f'models {path}: write it as "module:attribute", such as "app.models:Base.metadata"')
    found: object = imported(name, f"models {name}")
    for attribute in attributes.split("."):
        # `db.metadatas` of Flask-SQLAlchemy is a mapping, with one for each bind.
        item = found.get(attribute) if isinstance(found, Mapping) else None
        found = getattr(found, attribute, None) if item is None else item
        if found is None:
            raise UsageError(f"models {path}: {name} is imported, and has no {attributes}")
    return found
