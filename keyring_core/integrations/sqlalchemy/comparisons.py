"""What SQL can ask of an encrypted column: whether it is NULL. Anything else raises before a statement is sent."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, ColumnClause, ColumnElement, Null
from sqlalchemy.types import TypeDecorator

from keyring_core.errors import ComparisonError
from keyring_core.integrations.cells import Cells

_EQUALITIES = frozenset({operators.eq, operators.ne})
_NULL_TESTS = _EQUALITIES | {operators.is_, operators.is_not}
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


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
    """The error for doing *what*, such as `==`, to the column of *cells*."""
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
