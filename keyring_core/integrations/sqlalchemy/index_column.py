"""BlindIndexOf: the column beside an encrypted one by which equal values are found.

Its index is of what the cell holds, whatever the application's own types make of a value before it is encrypted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnDefault, String
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from keyring_core.blind_index import LENGTH, SHAPE, BlindIndex, IndexText, name_of_normal_form, normal_form
from keyring_core.errors import KeyConfigError, StaleIndexError
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.sqlalchemy.column_type import ColumnType, cells_of, without_wrapper
from keyring_core.integrations.sqlalchemy.encrypted import EncryptedColumnType
from keyring_core.integrations.sqlalchemy.index_lookups import EqualityByIndex, SoughtIndexes, refused
from keyring_core.integrations.sqlalchemy.statements import contains, set_by_values
from keyring_core.integrations.sqlalchemy.value_types import ANY_DIALECT, after_own

ATTRIBUTE = "keyring_core.attribute"
"""In `Column.info`: the mapped attribute by whose name an index refers to the column, if they differ."""


@dataclass(frozen=True, eq=False)
class IndexSource:
    """What the index of the column *owner* is of."""

    owner: Column[Any] | None
    type: TypeEngine[Any]
    cells: Cells
    index: BlindIndex
    one: SoughtIndexes
    several: SoughtIndexes

    def stored(self, value: Any, dialect: Any) -> Any:
        """What the encrypted type gets for *value*, after the application's own types over it."""
        kind: Any = self.type.dialect_impl(dialect or ANY_DIALECT)
        # A text and its UTF-8 bytes have one index.
        with suppress(UnicodeError):
            if self.cells.kind is ValueKind.TEXT and isinstance(value, bytes):
                value = value.decode("utf-8")
            elif self.cells.kind is ValueKind.BYTES and isinstance(value, str):
                value = value.encode("utf-8")
        while not isinstance(kind, EncryptedColumnType):
            value = after_own(kind, "process_bind_param", value, dialect or ANY_DIALECT)
            kind = kind.impl_instance
        return value


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
    _source: IndexSource | None = None

    def __init__(
        self, of: str, context: str | None = None, *, normalize: str | Callable[[str], str] | None = None
    ) -> None:
        """*of* is the column or mapped attribute of the same table; *context* the name that the index's key is for.

        Otherwise that is the table's name and *of*, such as `users.email`. With *normalize* the index is of what that
        function makes of the text: `str.casefold`, or its name, `casefold`, `lower` or `module:function`.

        Raises KeyConfigError for a name of no function.
        """
        super().__init__(LENGTH)
        self.stored = String(LENGTH)
        self.of = of
        self.context = context
        self.normalize = normal_form(normalize)
        name = None if self.normalize is None else name_of_normal_form(self.normalize)
        self.options = {"of": of, "context": context, "normalize": name}

    @property
    def index(self) -> BlindIndex:
        """The index under the keys of a keyring.

        Raises KeyConfigError if the column stands in no table, or if its source can have no index, or not this one.
        """
        return self.indexed.index

    @property
    def identity(self) -> object:
        """Two columns for which it is equal can be compared: equal values have equal indexes under one key."""
        cells = self.indexed.cells
        return self.context, self.normalize, cells.of, cells.keys

    @property
    def indexed(self) -> IndexSource:
        """The column that the index is of. Raises KeyConfigError as `index` does."""
        # A copy of this type, for another column, has another owner.
        if self._source is None or self._source.owner is not self.owner:
            self._source = self._found_source()
        return self._source

    def _found_source(self) -> IndexSource:
        column = self.source(self._home())
        cells, is_of = cells_of(column), f'{self.place()}: BlindIndexOf("{self.of}")'
        if cells is None:
            raise KeyConfigError(f"{is_of}, but that column is not encrypted")
        if cells.kind is ValueKind.JSON:
            raise KeyConfigError(
                f"{is_of}, but that is a JSON column, and equal values may differ as JSON; store the part to look up "
                "in an EncryptedText column, and index that"
            )
        if cells.of is not None and self.normalize is not None:
            raise KeyConfigError(f"{is_of}: leave out normalize; that column holds {cells.of.words}, not any text")
        index = BlindIndex(self.context or "", self.normalize if cells.of is None else cells.of.normal)
        one, several = (SoughtIndexes(self, several=several) for several in (False, True))
        return IndexSource(self.owner, column.type, cells, index, one, several)

    def source(self, column: Column[Any]) -> Column[Any]:
        """The encrypted column whose index is *column*, of this type. Raises KeyConfigError if it is missing."""
        columns = column.table.columns
        if self.of in columns:
            return columns[self.of]
        for each in columns:
            if self.of in (each.name, each.info.get(ATTRIBUTE)):
                return each
        raise KeyConfigError(f'{self.place()}: BlindIndexOf("{self.of}"), but the table has no such column')

    def of_value(self, value: Any, dialect: Any = None) -> IndexText | None:
        """The index to store for *value*, under the primary key; None for None, and an IndexText as it is.

        Raises TypeError for an index that is no IndexText, and what `plaintext_of` raises.
        """
        if value is None or isinstance(value, IndexText):
            return value
        if isinstance(value, str) and SHAPE.fullmatch(value):
            raise TypeError(f"{self.place()}: this is an index already; give the value of {self.of!r}, or leave it out")
        return self.of_source(value, dialect)

    def of_source(self, value: Any, dialect: Any = None) -> IndexText | None:
        """The index of *value* as the source is given it. Raises what `plaintext_of` raises."""
        data = self.plaintext_of(value, dialect)
        return None if data is None else IndexText(self.indexed.index.of(self.indexed.cells.reloader(), data))

    def plaintext_of(self, value: Any, dialect: Any = None) -> bytes | None:
        """What a cell of the source holds for *value*, or None for NULL. Raises what `Cells.plaintext_of` raises.

        The index is of that, as a rotation computes it of the cell, and not of what the application's own type gets.
        """
        stored = self.indexed.stored(value, dialect)
        return None if stored is None else self.indexed.cells.plaintext_of(stored)

    def sought(self, value: Any, dialect: Any = None) -> list[IndexText]:
        """The indexes of *value* under every key: an equal value's row has one. Raises what `check` raises."""
        data = self.check(value, dialect)
        return [IndexText(text) for text in self.indexed.index.each(self.indexed.cells.reloader(), data)]

    def check(self, value: Any, dialect: Any = None) -> bytes:
        """The plaintext of *value*, to look it up. Raises ComparisonError for what no cell of the source holds."""
        if _is_no_value(value):
            raise refused(self, "==", f" with {type(value).__name__}")
        stored, fault = self.indexed.stored(value, dialect), "the cell would be NULL"
        try:
            if stored is not None:
                return self.indexed.cells.plaintext_of(stored)
        except TypeError as error:
            fault = str(error)
        raise refused(self, "==", f" here ({fault})")

    def check_early(self, value: Any) -> None:
        """Raises what `check` raises, unless a type of the application, which may need a dialect, changes *value*."""
        if _is_no_value(value) or isinstance(self.indexed.type, EncryptedColumnType):
            self.check(value)

    def _home(self) -> Column[Any]:
        """The column of the table, also if this type stands in an alias. Raises KeyConfigError if there is no table."""
        for column in self.owner.base_columns if self.owner is not None else ():
            if isinstance(column, Column) and getattr(column, "table", None) is not None:
                return column
        raise KeyConfigError("a blind index: the column stands in no table yet")

    def place(self) -> str:
        """The column's name in messages."""
        with suppress(KeyConfigError):
            home = self._home()
            return f"{home.table.name}.{home.name}"
        return "a blind index"

    def named(self, name: str) -> None:
        """Takes the context from the table, and fills the column when rows are inserted."""
        if self.options["context"] is None:
            self.context = f"{name.rpartition('.')[0]}.{self.of}"
        if self.owner is not None and self.owner.default is None:
            ColumnDefault(index_of_inserted)._set_parent(self.owner)

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """The index to store for *value*; an IndexText as it is."""
        return without_wrapper(partial(self.of_value, dialect=dialect), value)

    def process_result_value(self, value: Any, dialect: Any) -> IndexText | None:  # noqa: ARG002 - SQLAlchemy's
        """The index."""
        return None if value is None else IndexText(value)

    @property
    def _static_cache_key(self) -> Any:
        # SQLAlchemy's own has the arguments that can be given by place.
        key = super()._static_cache_key
        return (*key, self.normalize) if isinstance(key, tuple) else key


def _is_no_value(value: Any) -> bool:
    """True for NULL, an index and what the database has, which no blind index looks up."""
    return value is None or isinstance(value, IndexText | ClauseElement) or hasattr(value, "__clause_element__")


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
            return kind.of_source(row[name], context.dialect)
    statement = context.compiled.statement
    if contains(set_by_values(statement) | later, source):
        raise StaleIndexError(
            f"{kind.place()}: {kind.of!r} is written, but the value is not known when its index is computed: it comes "
            f"from an expression, a bindparam, a SELECT or a later default; set {index.key!r} too"
        )
    return None
