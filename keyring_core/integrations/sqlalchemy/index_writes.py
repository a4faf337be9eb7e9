"""Keeps blind indexes up to date: a flush fills them, and a statement that would leave one behind is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, event, inspect
from sqlalchemy.orm import Mapper, object_session
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.sql.elements import ClauseElement

from keyring_core.blind_index import IndexText
from keyring_core.errors import StaleIndexError
from keyring_core.integrations.sqlalchemy.index_column import ATTRIBUTE, BlindIndexOf
from keyring_core.integrations.sqlalchemy.statements import columns_in, contains, once, set_by_values, upserted

_COMPARED = "keyring_core_compared"
"""The attribute of an execution whose values were compared: of many rows SQLAlchemy sends one batch after the other."""


def name_sources(mapper: Mapper[Any], _class: type) -> None:
    """Lets indexes refer to the attributes of *mapper*, also before it is configured."""
    for column in _indexes(mapper.columns):
        source = mapper.columns.get(column.type.of)
        if isinstance(source, Column):
            source.info.setdefault(ATTRIBUTE, column.type.of)


def watch_mapper(mapper: Mapper[Any], _class: type) -> None:
    """Lets objects of *mapper* have the index of the encrypted attribute. Raises KeyConfigError if it can have none."""
    pairs: list[tuple[BlindIndexOf, str, str]] = []
    for column in _indexes(mapper.columns):
        source, index = (mapper.get_property_by_column(each).key for each in (column.type.source(column), column))
        if column.type.index:  # Or it raises.
            pairs.append((column.type, source, index))
    if not pairs:
        return

    def fill_inserted(_mapper: Mapper[Any], connection: Any, target: object) -> None:
        for pair in pairs:
            _convert_given(*pair, target, connection.dialect)

    def fill_updated(_mapper: Mapper[Any], connection: Any, target: object) -> None:
        attributes = inspect(target).attrs
        for kind, source, index in pairs:
            if added := attributes[source].history.added:
                if isinstance(added[0], ClauseElement):
                    raise StaleIndexError(_message(kind, "set to an SQL expression, whose value is not known here"))
                setattr(target, index, kind.of_source(added[0], connection.dialect))
            else:
                _convert_given(kind, source, index, target, connection.dialect)

    def convert_copied(target: object, _context: Any, names: Any) -> None:
        """An UPDATE copies the values that it was given into the objects that it met: also the one for the index."""
        values = inspect(target).dict
        for kind, _, index in pairs:
            given = values.get(index)
            if given is not None and not isinstance(given, IndexText) and (names is None or index in names):
                session = object_session(target)
                values[index] = kind.of_value(given, session and session.get_bind(mapper).dialect)

    event.listen(mapper, "before_insert", fill_inserted)
    event.listen(mapper, "before_update", fill_updated)
    event.listen(mapper, "refresh", convert_copied)


def _convert_given(kind: BlindIndexOf, source: str, index: str, target: object, dialect: Any) -> None:
    """Puts the index in place of a value that *target*'s *index* was set to by hand, if that may be the *source*'s."""
    state = inspect(target)
    given = state.dict.get(index)
    if given is None or isinstance(given, IndexText | ClauseElement):
        return
    value = state.attrs[source].loaded_value
    if value is not NO_VALUE and not _may_stand_for(kind, given, value, dialect):
        raise _other_value(kind)
    setattr(target, index, kind.of_value(given, dialect))


def stale_index(compiled: Any) -> StaleIndexError | None:
    """The error of an INSERT or UPDATE that writes an encrypted column, but not the index of it."""
    statement = compiled.statement
    bound = {getattr(bind.type, "owner", None) for bind in compiled.binds.values()}
    updated = set_by_values(statement) | bound if compiled.isupdate else set()
    changed = columns_in(upserted(statement))
    for index in _indexes(statement.table.columns):
        kind = index.type
        source = kind.source(index)
        for written, fault in (
            (updated, f"not set; add {index.key}= with the same value, which becomes its index"),
            (changed, f"not set if the row exists; set {index.key!r} there too, from the excluded row"),
        ):
            if contains(written, source) and not contains(written, index):
                return StaleIndexError(_message(kind, fault))
    return None


def refuse_other_values(context: Any) -> None:
    """Raises StaleIndexError if a statement gives a blind index another value than its encrypted column."""
    pairs = once(context.compiled, "keyring_core_pairs", _pairs_of)
    if not pairs or getattr(context, _COMPARED, False):
        return
    setattr(context, _COMPARED, True)
    for row in context.compiled_parameters:
        for kind, source, index in pairs:
            if not _may_stand_for(kind, row[index], row[source], context.dialect):
                raise _other_value(kind)


def _may_stand_for(kind: BlindIndexOf, index: Any, value: Any, dialect: Any) -> bool:
    """True if *index* can be written beside *value*: it is an index, or as plaintext the same."""
    return isinstance(index, IndexText) or kind.plaintext_of(index, dialect) == kind.plaintext_of(value, dialect)


def _other_value(kind: BlindIndexOf) -> StaleIndexError:
    return StaleIndexError(
        f"{kind.place()}: {kind.of!r} and its index are given different values; give both the same, or leave the index "
        "out of an INSERT"
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
