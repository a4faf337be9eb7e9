"""The base of the column types: knows its one column, refuses comparisons, and carries no value out in an error.

SQL can ask an encrypted column for NULL alone. Anything else raises before a statement is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Self, TypeVar

from sqlalchemy import Column, Table, event
from sqlalchemy.exc import CompileError, DontWrapMixin
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, ColumnClause, ColumnElement, Null
from sqlalchemy.types import TypeDecorator, TypeEngine

from keyring_core.errors import ComparisonError
from keyring_core.integrations.cells import Cells

T = TypeVar("T")

_EQUALITIES = frozenset({operators.eq, operators.ne})
_NULL_TESTS = _EQUALITIES | {operators.is_, operators.is_not}
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

SECRET_COLUMNS: set[str] = set()
"""The names of all columns of such a type in this process. No message may show their parameters."""


class ColumnType(TypeDecorator[T]):
    """The base of the types. `owner` is the column; one instance given to several columns is copied for each."""

    cache_ok = True
    owner: Column[Any] | None = None
    stored: TypeEngine[Any]
    """The plain type of the column, as migrations have it."""
    options: dict[str, Any]
    """The arguments that make such a type again; none is secret."""

    def named(self, name: str) -> None:
        """Takes the name of the column, such as `users.api_key`, as soon as it has a table."""
        raise NotImplementedError

    def unowned(self) -> Self:
        """A copy for another column: it shares no state with this one, while `copy`, made for each dialect, may."""
        return self.copy()

    def _set_parent(self, parent: Any, outer: bool = False, **kw: Any) -> None:  # noqa: FBT001, FBT002 - SQLAlchemy's
        """SQLAlchemy calls it once for each column that is made with this instance."""
        super()._set_parent(parent, outer=outer, **kw)
        if not isinstance(parent, Column):
            return
        own = self
        if self.owner is not None and self.owner is not parent:
            own = self.unowned()
            parent.type = _with_inner(parent.type, self, own)
        own.owner = parent
        event.listen(parent, "after_parent_attach", own._attached)

    def _attached(self, column: Column[Any], table: Any) -> None:
        SECRET_COLUMNS.add(column.name)
        # The bare name: a schema differs between deployments, and a context has to stay the same.
        if isinstance(table, Table):
            self.named(f"{table.name}.{column.name}")

    def literal_processor(self, dialect: Any) -> Any:  # noqa: ARG002 - SQLAlchemy's
        """Refuses: if a literal cannot be rendered, SQLAlchemy's message shows the value."""
        raise CompileError(
            f"{type(self).__name__}: a value of an encrypted column is sent as a parameter and not rendered into SQL; "
            "compile without literal_binds"
        )

    def __getstate__(self) -> dict[str, Any]:
        # While a type is unpickled, SQLAlchemy sets this to a class, which stays unless the state has the instance.
        # `__setstate__` would prevent that, but an application's own type over this one would find it, too.
        return {**self.__dict__, "impl_instance": self.impl_instance}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items() if value)
        return f"{type(self).__name__}({options})"


def _with_inner(outer: TypeEngine[Any], inner: TypeEngine[Any], own: TypeEngine[Any]) -> TypeEngine[Any]:
    """*outer* with *own* in place of *inner*, which it is itself, or which an application's own type is made over."""
    if outer is inner:
        return own
    if not isinstance(outer, TypeDecorator):
        return outer
    copied = outer.copy()
    copied.impl = copied.__dict__["impl_instance"] = _with_inner(outer.impl_instance, inner, own)
    return copied


def without_wrapper(action: Callable[[Any], T], value: Any) -> T:
    """The result of *action* for *value*; its error gets a class that SQLAlchemy does not wrap into a StatementError.

    That would show all parameters of the statement as they are.
    """
    try:
        return action(value)
    except Exception as error:
        fault = error
    # Outside of `except`: no error that may hold the value becomes its context.
    of: Any = type(fault)
    kind = _not_wrapped_kind(of)
    copied: Exception = kind.__new__(kind, *fault.args)
    copied.args = fault.args
    copied.__dict__.update(fault.__dict__)
    raise copied


@cache
def _not_wrapped_kind(kind: Any) -> type[Exception]:
    def __reduce__(self: Exception) -> Any:  # noqa: N807 - becomes a method
        return kind, self.args

    def cause(self: Exception) -> BaseException | None:
        found = stored_cause.__get__(self)
        return None if found is self else found

    # SQLAlchemy raises an error that it does not wrap from itself: code that follows causes would never end.
    stored_cause: Any = BaseException.__dict__["__cause__"]
    names = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__reduce__": __reduce__,
        "__cause__": property(cause, stored_cause.__set__),
    }
    return type(kind.__name__, (kind, DontWrapMixin), names)


class OnlyNullTests(TypeDecorator.Comparator[Any]):
    """`is_(None)`, `is_not(None)`, `== None` and `!= None` work; each other operator raises ComparisonError."""

    __slots__ = ()

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
        """The test for NULL, or ComparisonError."""
        if len(other) == 1 and op in _NULL_TESTS and (other[0] is None or isinstance(other[0], Null)):
            return super().operate(op, *other, **kwargs)
        if op in _EQUALITIES and isinstance(other[0], ColumnClause):
            return ComparedColumns(self.expr, other[0], op)
        raise self.refusal(op)

    def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> ColumnElement[Any]:  # noqa: ARG002
        """Raises ComparisonError."""
        raise self.refusal(op)

    def refusal(self, op: Any) -> ComparisonError:
        """The error for *op*."""
        kind: Any = self.expr.type
        return refusal(kind.cells, sign(op))


class ComparedColumns(BinaryExpression[bool]):
    """A column compared with one: SQLAlchemy does so to look it up in a list or a dict. As SQL it raises."""

    inherit_cache = True


@compiles(ComparedColumns)
def _refuse(element: ComparedColumns, _compiler: Any, **_options: Any) -> str:
    comparator: Any = element.left.comparator
    raise comparator.refusal(element.operator)


def refusal(cells: Cells, what: str) -> ComparisonError:
    """The error for the operation *what*, such as `==`, on the column of *cells*."""
    return ComparisonError(
        f"{cells.column or 'an encrypted column'}: {what!r} would compare tokens, and equal values have different "
        "tokens; load the rows and compare in Python, or look rows up by a column of the type BlindIndexOf"
    )


def cells_of(element: Any) -> Cells | None:
    """The cells of an element whose type is an encrypted one, or an application's own type over one."""
    cells = getattr(getattr(element, "type", None), "cells", None)
    return cells if isinstance(cells, Cells) else None


def sign(op: Any) -> str:
    """*op* as a reader knows it: `==`, `like`, `desc`."""
    name = str(getattr(op, "opstring", None) or getattr(op, "__name__", op))
    return _SIGNS.get(name, name.removesuffix("_op"))
