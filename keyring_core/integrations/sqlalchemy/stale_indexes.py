"""Keeps blind indexes up to date: fills them when an object changes, refuses statements that leave one behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, event, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.elements import ClauseElement

from keyring_core.blind_index import may_stand_for
from keyring_core.errors import StaleIndexError
from keyring_core.integrations.sqlalchemy.blind_index import ATTRIBUTE, BlindIndexOf
from keyring_core.integrations.sqlalchemy.compiled import once
from keyring_core.integrations.sqlalchemy.written_columns import contains, set_by_upsert, set_by_values


def watch_mapper(mapper: Mapper[Any], _class: type) -> None:
    """Lets objects of *mapper* fill their blind indexes when a flush updates the encrypted attribute."""
    pairs = []
    for column in _indexes(mapper.columns):
        kind = column.type
        source = mapper.attrs.get(kind.of)
        if source is not None and isinstance(getattr(source, "columns", [None])[0], Column):
            source.columns[0].info.setdefault(ATTRIBUTE, kind.of)
        pairs.append((kind, mapper.get_property_by_column(kind.source(column)), mapper.get_property_by_column(column)))
    if not pairs:
        return

    def fill(_mapper: Mapper[Any], _connection: Any, target: object) -> None:
        attributes = inspect(target).attrs
        for kind, source, index in pairs:
            if added := attributes[source.key].history.added:
                _refuse_expression(kind, added[0])
                setattr(target, index.key, kind.of_value(added[0]))

    event.listen(mapper, "before_update", fill)


def _refuse_expression(kind: BlindIndexOf, value: object) -> None:
    if isinstance(value, ClauseElement):
        raise StaleIndexError(_message(kind, "set to an SQL expression, whose value is not known here"))


def stale_index(compiled: Any) -> StaleIndexError | None:
    """The error of an INSERT or UPDATE that writes an encrypted column, but not the index of it."""
    statement = compiled.statement
    bound = {getattr(bind.type, "owner", None) for bind in compiled.binds.values()}
    updated = set_by_values(statement) | bound if compiled.isupdate else set()
    changed = set_by_upsert(statement)
    for index in _indexes(statement.table.columns):
        kind = index.type
        source = kind.source(index)
        if contains(updated, source) and not contains(updated, index):
            return StaleIndexError(
                _message(kind, f"not set; add {index.key}= with the same value, which becomes its index")
            )
        if contains(changed, source) and not contains(changed, index):
            return StaleIndexError(
                _message(kind, f"not set if the row exists; set {index.key!r} there too, from the excluded row")
            )
    return None


_COMPARED = "keyring_core_compared"
"""The attribute of an execution whose values were compared: of many rows SQLAlchemy sends one batch after the other."""


def refuse_other_values(context: Any) -> None:
    """Raises StaleIndexError if a statement gives a blind index another value than its encrypted column."""
    pairs = once(context.compiled, "keyring_core_pairs", _pairs_of)
    if not pairs or getattr(context, _COMPARED, False):
        return
    setattr(context, _COMPARED, True)
    for row in context.compiled_parameters:
        for kind, source, index in pairs:
            if not may_stand_for(row[index], row[source]):
                raise StaleIndexError(
                    f"{kind.place()}: {kind.of!r} and its index are given different values; give both the same, or "
                    "leave the index out of an INSERT"
                )


def _pairs_of(compiled: Any) -> Sequence[tuple[BlindIndexOf, str, str]]:
    """The names of parameters that belong together; rows of one VALUES clause come in order."""
    if not (compiled.isinsert or compiled.isupdate):
        return ()
    names: dict[Any, list[str]] = {}
    for bind, name in compiled.bind_names.items():
        names.setdefault(getattr(bind.type, "owner", None), []).append(name)
    pairs = []
    for index in _indexes(compiled.statement.table.columns):
        sources, indexes = names.get(index.type.source(index), []), names.get(index, [])
        if len(sources) == len(indexes):
            pairs += [(index.type, *both) for both in zip(sources, indexes, strict=True)]
    return pairs


def _message(kind: BlindIndexOf, fault: str) -> str:
    return (
        f"{kind.place()}: the statement would leave this index stale: {kind.of!r} is written, and the index is {fault}"
    )


def _indexes(columns: Any) -> list[Any]:
    return [column for column in columns if isinstance(getattr(column, "type", None), BlindIndexOf)]
