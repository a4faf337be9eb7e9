"""SQLAlchemy's types as rules for text: what `EncryptedText(of=sa.Date())` takes, and how its values are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlalchemy.util import method_is_overridden

from keyring_core.errors import KeyConfigError
from keyring_core.integrations import values
from keyring_core.integrations.sqlalchemy.column_type import ColumnType

OF = (
    "Date, DateTime, Time, Interval, Integer, Float, Numeric, Boolean, Uuid, Enum, String, Text, a database's own type "
    "of such values, or a TypeDecorator over one of these; bytes and JSON have EncryptedBytes and EncryptedJSON"
)
"""The types that `of` takes, as messages name them."""

_FORMS: Mapping[type, values.ValueForm | None] = MappingProxyType(
    {
        date: values.DATE,
        time: values.TIME,
        timedelta: values.INTERVAL,
        int: values.INTEGER,
        float: values.FLOAT,
        bool: values.BOOLEAN,
        UUID: values.UUID_FORM,
        str: None,
    }
)
ANY_DIALECT = DefaultDialect()
"""Given to an application's own type: what is encrypted depends on no database."""


def instance_of(of: Any) -> TypeEngine[Any]:
    """*of*, a type or the class of one, as SQLAlchemy takes both. Raises KeyConfigError if it is neither."""
    if isinstance(of, type) and issubclass(of, TypeEngine):
        of = of()
    if not isinstance(of, TypeEngine):
        given = f"the class {of.__name__}" if isinstance(of, type) else type(of).__name__
        raise KeyConfigError(f"of: takes a type of SQLAlchemy, not {given}; it may be {OF}")
    return of


def form_of(of: TypeEngine[Any]) -> values.ValueForm | None:
    """The rule for values of the type *of*; None for text, which is encrypted as it is.

    Raises KeyConfigError for a type whose values have no such form.
    """
    if isinstance(of, ColumnType):
        raise KeyConfigError(f"of: {type(of).__name__} is encrypted itself; name the type of the values")
    if isinstance(of, TypeDecorator) and not isinstance(of, sa.Interval):
        # What an application's own type binds is written. Equal types have equal rules; one that has no cache key is
        # equal to itself alone.
        inner = form_of(of.impl_instance)
        key = of._static_cache_key if of.cache_ok else of
        write, read = partial(_write_own, of, inner), partial(_read_own, of, inner)
        identity = ((type(of).__qualname__, (key, inner)),)
        return values.ValueForm(
            f"a value of {type(of).__name__}", partial(values.is_of, (object,)), write, read, identity
        )
    if isinstance(of, sa.Enum):
        # SQLAlchemy stores for each member its name, what `values_callable` says, or the text itself.
        member_of: Callable[[str], Any] = of.result_processor(ANY_DIALECT, None)  # type: ignore[no-untyped-call]
        words = f"a {of.enum_class.__name__}" if of.enum_class else f"one of {', '.join(of.enums)}"
        return values.choice_form(words, [(text, member_of(text)) for text in of.enums])
    kind = python_type_of(of)
    if isinstance(of, sa.Uuid) and kind is str:
        return UUID_TEXT
    if kind is datetime:
        return values.ZONED_DATETIME if getattr(of, "timezone", False) else values.DATETIME
    if kind is Decimal:
        return values.decimal_form(getattr(of, "scale", None))
    if kind not in _FORMS or getattr(of, "timezone", False):
        raise KeyConfigError(f"of: values of {of!r} cannot be encrypted as text; it may be {OF}")
    return _FORMS[kind]


def python_type_of(of: TypeEngine[Any]) -> type:
    """The class of the values of the type *of*; `object` if SQLAlchemy does not know it."""
    try:
        return of.python_type
    except NotImplementedError:  # SQLAlchemy 2.0
        return object


def length_of(of: TypeEngine[Any]) -> int | None:
    """The characters that a text of the type *of* may have."""
    while isinstance(of, TypeDecorator):
        of = of.impl_instance
    return of.length if isinstance(of, sa.String) else None


def after_own(of: TypeDecorator[Any], method: str, value: Any, dialect: Dialect = ANY_DIALECT) -> Any:
    """What *method* of *of* makes of *value*; *value* itself if that type has none of its own."""
    is_own = method_is_overridden(of, getattr(TypeDecorator, method))
    return getattr(of, method)(value, dialect) if is_own else value


def _write_own(of: TypeDecorator[Any], inner: values.ValueForm | None, value: object) -> str:
    """Raises ValueError for whatever the type raises: that may show the value."""
    try:
        bound = after_own(of, "process_bind_param", value)
        if inner is not None:
            return inner.text_of(bound)
    except Exception:
        bound = None
    if isinstance(bound, str):
        return bound
    raise ValueError("refused by the type")


def _read_own(of: TypeDecorator[Any], inner: values.ValueForm | None, text: str) -> Any:
    """Raises ValueError for whatever the type raises: that may show the text."""
    try:
        return after_own(of, "process_result_value", text if inner is None else inner.read(text))
    except Exception:
        fault = ValueError("refused by the type")
    raise fault


def _canonical_uuid(text: str) -> str:
    return str(UUID(text))


UUID_TEXT = values.ValueForm("a UUID as text", partial(values.is_of, (str,)), _canonical_uuid, _canonical_uuid)
"""`0f8fad5b-d9cb-469f-a165-70867728950e`, of `Uuid(as_uuid=False)`: text in this one spelling."""
