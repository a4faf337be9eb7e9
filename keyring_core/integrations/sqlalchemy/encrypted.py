"""The types of encrypted columns: EncryptedText, EncryptedBytes and EncryptedJSON."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, TypeVar, Unpack, overload

from sqlalchemy import LargeBinary, Text
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from keyring_core.errors import KeyringError
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.sqlalchemy.column_type import ColumnType, OnlyNullTests, without_wrapper
from keyring_core.integrations.sqlalchemy.opened_rows import Opened
from keyring_core.integrations.sqlalchemy.value_types import form_of, instance_of, length_of, python_type_of

T = TypeVar("T")
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    from keyring_core.integrations.values import ValueForm
    from keyring_core.legacy import Legacy

    V = DefaultTypeVar("V", default=str)
else:  # Python has defaults from 3.13 on.
    V = TypeVar("V")


class Options(TypedDict, total=False):
    """The options that all encrypted types have beside `context`."""

    keys: str | None
    accept_unbound: bool
    accept_plaintext: bool
    legacy: Legacy | None
    binary: bool


class EncryptedColumnType(ColumnType[T]):
    """The base of the encrypted types. None is NULL; any other value is one Fernet token."""

    impl = Text
    kind: ClassVar[ValueKind] = ValueKind.TEXT
    comparator_factory = OnlyNullTests
    of: ValueForm | None = None
    """The rule for values that the text stands for."""
    length: int | None = None
    """The most characters of a text."""
    _python_type: type[Any] = str

    def __init__(  # noqa: PLR0913 - the options of a column
        self,
        context: str | bool = False,  # noqa: FBT001, FBT002 - a name, or True for the column's own
        *,
        keys: str | None = None,
        accept_unbound: bool = False,
        accept_plaintext: bool = False,
        legacy: Legacy | None = None,
        binary: bool = False,
    ) -> None:
        """*context* binds the tokens to the column: a name, or True for the name of table and column.

        *keys* names a key set of its own, see `keyring_core.key_set`; otherwise the keys are `ENCRYPTION_KEY`'s.

        While a column is taken over it also reads what *accept_unbound* (this keyring's tokens without the context),
        *accept_plaintext* and *legacy* say. *binary* is for a BLOB or BYTEA column that holds the bytes of tokens.

        Raises KeyConfigError for a name that is no context or no key set.
        """
        super().__init__()
        self.stored = LargeBinary() if binary else Text()
        self.context, self.keys, self.binary, self.legacy = context, keys, binary, legacy
        self.accept_unbound, self.accept_plaintext = accept_unbound, accept_plaintext
        names = ("context", "keys", "accept_unbound", "accept_plaintext", "legacy")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        self.cells = Cells(self.kind, of=self.of, length=self.length, **options)
        self.options = {**options, "binary": binary}

    def named(self, name: str) -> None:
        """Gives the cells the name of their column."""
        self.cells.column = name

    def unowned(self) -> Self:
        """A copy with cells of its own."""
        copied = self.copy()
        copied.cells = copy.copy(self.cells)
        copied.cells.column = ""
        return copied

    def load_dialect_impl(self, dialect: Any) -> TypeEngine[Any]:  # noqa: ARG002 - SQLAlchemy's
        """The type of the column in any database."""
        return self.stored

    def compare_values(self, x: Any, y: Any) -> bool:
        """True if an attribute did not change. An SQL expression that it is set to cannot be compared."""
        return x is y if isinstance(x, ClauseElement) or isinstance(y, ClauseElement) else bool(x == y)

    def process_bind_param(self, value: Any, dialect: Any) -> str | bytes | None:  # noqa: ARG002 - SQLAlchemy's
        """The token of *value*."""
        if value is None:
            return None
        token = without_wrapper(self.cells.seal, value)
        return token.encode("ascii") if self.binary else token

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any]:  # noqa: ARG002 - SQLAlchemy's
        """Opens a cell, unless it was opened with the whole result (see `opened_rows`)."""

        def process(cell: Any) -> Any:
            if cell is None:
                return None
            if type(cell) is not Opened:
                return self.cells.open(cell)
            if isinstance(cell.value, KeyringError):
                raise cell.value
            return cell.value

        return process

    @property
    def python_type(self) -> type[Any]:
        """The class of the values, such as `date` for `of=Date()`."""
        return self._python_type

    @property
    def _static_cache_key(self) -> Any:
        # A statement is cached with its types: the same options in another column may mean another context.
        # SQLAlchemy's own key has the arguments that can be given by place, which is the context alone.
        key = super()._static_cache_key
        own = self.cells.reading, self.cells.length, self.cells.column, self.binary
        return (*key, *own) if isinstance(key, tuple) else key


class EncryptedText(EncryptedColumnType[V]):
    """Text of any length, or with *of* other values, which are encrypted as text.

    Examples:
        >>> Column("born", EncryptedText(of=Date()))
        Column('born', EncryptedText(of=Date()), table=None)
        >>> users = Table("users", MetaData(), Column("api_key", EncryptedText(context=True)))
        >>> select(users).where(users.c.api_key.like("sk-%"))
        Traceback (most recent call last):
        keyring_core.errors.ComparisonError: users.api_key: 'like' would compare tokens, ...
    """

    cache_ok = True

    @overload
    def __init__(self: EncryptedText[str], context: str | bool = False, **options: Unpack[Options]) -> None: ...  # noqa: FBT001, FBT002

    @overload
    def __init__(
        self,
        context: str | bool = False,  # noqa: FBT001, FBT002
        *,
        of: TypeEngine[V] | type[TypeEngine[V]],
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(
        self,
        context: str | bool = False,  # noqa: FBT001, FBT002 - a name, or True for the column's own
        *,
        of: Any = None,
        **options: Unpack[Options],
    ) -> None:
        """*of* is the SQLAlchemy type of the values; the options are those of every encrypted type.

        A text with more characters than *of* has as its length is refused. Raises KeyConfigError for a type whose
        values have no text.
        """
        kind = Text() if of is None else instance_of(of)
        self.of, self.length = form_of(kind), length_of(kind)
        self._python_type = python_type_of(kind)
        super().__init__(context, **options)
        self.options = {"context": context, "of": None if of is None else kind, **self.options}


class EncryptedBytes(EncryptedColumnType[bytes]):
    """Bytes. The column is TEXT all the same, since a token is text."""

    kind = ValueKind.BYTES
    _python_type = bytes
    cache_ok = True


class EncryptedJSON(EncryptedColumnType[Any]):
    """Any value that JSON has a form for, encrypted as a whole. Like any None, `null` as the whole value is NULL.

    Examples:
        >>> EncryptedJSON().cells.seal({"scopes": ("read", "write")})
        Traceback (most recent call last):
        TypeError: an encrypted column: JSON would give back another one: it has lists in place of tuples, ...
    """

    kind = ValueKind.JSON
    _python_type = object
    cache_ok = True
