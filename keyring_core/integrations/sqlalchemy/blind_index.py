"""BlindIndexOf: the column beside an encrypted one by which equal values are found, and that is kept up to date.

It is filled when an object changes, and a statement that would leave it behind is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnDefault, String, event, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from sqlalchemy.types import TypeEngine

from keyring_core.blind_index import LENGTH, SHAPE, BlindIndex, IndexText, may_stand_for
from keyring_core.config import get_keyring
from keyring_core.errors import ComparisonError, KeyConfigError, StaleIndexError
from keyring_core.integrations.sqlalchemy.column_type import ColumnType, OnlyNullTests, sign, without_wrapper
from keyring_core.integrations.sqlalchemy.statements import contains, once, set_by_select, set_by_upsert, set_by_values
from keyring_core.redaction.secret import Secret

_EQUALITY = {operators.eq: operators.in_op, operators.ne: operators.not_in_op}
_LISTS = frozenset({operators.in_op, operators.not_in_op})

_COMPARED = "keyring_core_compared"
"""The attribute of an execution whose values were compared: of many rows SQLAlchemy sends one batch after the other."""

ATTRIBUTE = "keyring_core.attribute"
"""In `Column.info`: the mapped attribute by whose name an index refers to the column, if they differ."""


class EqualityByIndex(OnlyNullTests):
    """`==`, `!=`, `in_` and `not_in` compare with a value's index under every key; all but tests for NULL raise."""

    __slots__ = ()

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
        """The comparison of indexes, or ComparisonError."""
        if op in _EQUALITY and isinstance(other[0], str | bytes | Secret):
            return super(OnlyNullTests, self).operate(_EQUALITY[op], self._indexes(op, other), **kwargs)
        if op in _LISTS and isinstance(other[0], list | tuple | set | frozenset):
            return super(OnlyNullTests, self).operate(op, self._indexes(op, tuple(other[0])), **kwargs)
        return super().operate(op, *other, **kwargs)

    def _indexes(self, op: Any, values: tuple[Any, ...]) -> list[str]:
        kind: Any = self.expr.type
        found: list[str] = []
        for value in values:
            if not isinstance(value, str | bytes | Secret) or isinstance(value, IndexText):
                raise self.refusal(op)
            found += kind.index.each(get_keyring(), value)
        return found

    def refusal(self, op: Any) -> ComparisonError:
        """The error for *op*."""
        kind: Any = self.expr.type
        return ComparisonError(
            f"{kind.place()}: a blind index cannot answer {sign(op)!r}; compare it by ==, !=, in_ or not_in with the "
            "values to look up, as str or bytes, or with None"
        )


class BlindIndexOf(ColumnType[str]):
    """The index of the encrypted column *of*, filled when that is written. VARCHAR(52).

    Anyone who reads it sees which rows hold equal values, and how often each occurs.

    Examples:
        >>> columns = Column("email", EncryptedText()), Column("email_index", BlindIndexOf("email"))
        >>> users = Table("users", MetaData(), *columns)
        >>> query = select(users).where(users.c.email_index == "a@example.org")
    """

    impl = String
    cache_ok = True
    comparator_factory = EqualityByIndex

    def __init__(self, of: str, context: str | None = None) -> None:
        """*of* is the column or mapped attribute of the same table; *context* the name that the index's key is for.

        Otherwise that is the table's name and *of*, such as `users.email`.
        """
        super().__init__(LENGTH)
        self.stored = String(LENGTH)
        self.of = of
        self.context = context
        self.options = {"of": of, "context": context}

    @property
    def index(self) -> BlindIndex:
        """The index under the keys of a keyring. Raises KeyConfigError if the column stands in no table."""
        if self.context is None:
            raise KeyConfigError(f"{self.place()}: the column stands in no table yet; name a context")
        return BlindIndex(self.context)

    def of_value(self, value: Any) -> IndexText | None:
        """The index to store for *value*, under the primary key; None for None. Raises TypeError for other types."""
        if value is None or isinstance(value, IndexText):
            return value
        if not isinstance(value, str | bytes | Secret):
            raise TypeError(f"{self.place()}: only str and bytes have a blind index, not {type(value).__name__}")
        if isinstance(value, str) and SHAPE.fullmatch(value):
            raise TypeError(f"{self.place()}: this is an index already; give the value of {self.of!r}, or leave it out")
        return IndexText(self.index.of(get_keyring(), value))

    def source(self, column: Column[Any]) -> Column[Any]:
        """The encrypted column whose index is *column*, of this type. Raises KeyConfigError if it is missing."""
        for each in column.table.columns:
            if self.of in (each.key, each.name, each.info.get(ATTRIBUTE)):
                return each
        raise KeyConfigError(f'{self.place()}: BlindIndexOf("{self.of}"), but the table has no such column')

    def place(self) -> str:
        """The column's name in messages."""
        owner = self.owner
        table = getattr(owner, "table", None)
        return f"{table.name}.{owner.name}" if owner is not None and table is not None else "a blind index"

    def named(self, name: str) -> None:
        """Takes the context from the table, and fills the column when rows are inserted."""
        if self.options["context"] is None:
            self.context = f"{name.rpartition('.')[0]}.{self.of}"
        if self.owner is not None and self.owner.default is None:
            ColumnDefault(index_of_inserted)._set_parent(self.owner)

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ARG002 - SQLAlchemy's
        """The type of the indexes that the column is compared with: text, to send as it is."""
        return self.stored if op in _LISTS else self

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """The index to store for *value*; an IndexText as it is."""
        return without_wrapper(self.of_value, value)

    def process_result_value(self, value: Any, dialect: Any) -> IndexText | None:  # noqa: ARG002 - SQLAlchemy's
        """The index."""
        return None if value is None else IndexText(value)


def index_of_inserted(context: Any) -> IndexText | None:
    """The default of each column of BlindIndexOf: the index of what the same row gets in the encrypted column."""
    return without_wrapper(_index_of_inserted, context)


def _index_of_inserted(context: Any) -> IndexText | None:
    column = context.current_column
    # Of an INSERT with several rows in VALUES, each row after the first has columns and parameters of its own.
    index = getattr(column, "original", column)
    number = 0 if column is index else column.index + 1
    kind: BlindIndexOf = index.type
    source = kind.source(index)
    row = context.get_current_parameters(isolate_multiinsert_groups=False)
    made = [getattr(each, "original", each) for each in context.compiled.insert_prefetch]
    later = {each for each in made if made.index(each) > made.index(index)}
    for name in (source.key, f"{source.key}_m{number}"):
        if name in row and source not in later:
            return kind.of_value(row[name])
    statement = context.compiled.statement
    if contains(set_by_values(statement) | set_by_select(statement) | later, source):
        raise StaleIndexError(
            f"{kind.place()}: {kind.of!r} is written, but the value is not known when its index is computed: it comes "
            f"from an expression, a bindparam, a SELECT or a later default; set {index.key!r} too"
        )
    return None


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
                if isinstance(added[0], ClauseElement):
                    raise StaleIndexError(_message(kind, "set to an SQL expression, whose value is not known here"))
                setattr(target, index.key, kind.of_value(added[0]))

    event.listen(mapper, "before_update", fill)


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
