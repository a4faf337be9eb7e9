"""The types of encrypted columns: EncryptedText, EncryptedBytes and EncryptedJSON."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from sqlalchemy import LargeBinary, Text
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from keyring_core.errors import KeyringError
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.sqlalchemy.column_type import ColumnType, OnlyNullTests, without_wrapper
from keyring_core.integrations.sqlalchemy.opened_rows import Opened

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy

T = TypeVar("T")


class EncryptedColumnType(ColumnType[T]):
    """The base of the encrypted types. None is NULL; any other value is one Fernet token."""

    impl = Text
    kind: ClassVar[ValueKind]
    comparator_factory = OnlyNullTests

    def __init__(
        self,
        context: str | bool = False,  # noqa: FBT001, FBT002 - a name, or True for the column's own
        *,
        accept_unbound: bool = False,
        accept_plaintext: bool = False,
        legacy: Legacy | None = None,
        binary: bool = False,
    ) -> None:
        """*context* binds the tokens to the column: a name, or True for the name of table and column.

        While a column is taken over it also reads what *accept_unbound* (this keyring's tokens without the context),
        *accept_plaintext* and *legacy* say. *binary* is for a BLOB or BYTEA column that holds the bytes of tokens.
        """
        super().__init__()
        self.stored = LargeBinary() if binary else Text()
        # SQLAlchemy's cache key is made of the attributes that are named like arguments.
        self.context, self.binary, self.legacy = context, binary, legacy
        self.accept_unbound, self.accept_plaintext = accept_unbound, accept_plaintext
        names = ("context", "accept_unbound", "accept_plaintext", "legacy")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        self.cells = Cells(self.kind, **options)
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
    def _static_cache_key(self) -> Any:
        # A statement is cached with its types: the same options in another column may mean another context.
        key = super()._static_cache_key
        return (*key, self.cells.column) if isinstance(key, tuple) else key


class EncryptedText(EncryptedColumnType[str]):
    """Text of any length.

    Examples:
        >>> users = Table("users", MetaData(), Column("api_key", EncryptedText(context=True)))
        >>> select(users).where(users.c.api_key.like("sk-%"))
        Traceback (most recent call last):
        keyring_core.errors.ComparisonError: users.api_key: 'like' would compare tokens, ...
    """

    kind = ValueKind.TEXT
    cache_ok = True


class EncryptedBytes(EncryptedColumnType[bytes]):
    """Bytes. The column is TEXT all the same, since a token is text."""

    kind = ValueKind.BYTES
    cache_ok = True


class EncryptedJSON(EncryptedColumnType[Any]):
    """Any value that JSON has a form for, encrypted as a whole. Like any None, `null` as the whole value is NULL.

    Examples:
        >>> EncryptedJSON().cells.seal({"scopes": ("read", "write")})
        Traceback (most recent call last):
        TypeError: an encrypted column: JSON would give back another one: it has lists in place of tuples, ...
    """

    kind = ValueKind.JSON
    cache_ok = True
