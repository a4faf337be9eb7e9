"""An encrypted column in Django's queries: where it may stand, what may be written to it, and which row is read.

Django's own handlers of FieldError see the errors, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import Case, Count, ExpressionWrapper, Field, Func, Value, When, Window
from django.db.models.deletion import Collector
from django.db.models.expressions import Col, CombinedExpression, OrderBy
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact, IsNull, Lookup
from django.db.models.sql.compiler import SQLCompiler

from keyring_core import errors
from keyring_core.integrations.cells import Cells

_COMPUTING = (OrderBy, Lookup, Func, CombinedExpression, ExpressionWrapper, Case, When, Window)
"""Expressions that compute with the columns inside of them, compare them, or take them for values of another type."""


class EncryptedComparisonError(errors.ComparisonError, FieldError):
    """A query compares, orders or computes with an encrypted column, which has another token for each row."""


class StaleIndexError(errors.StaleIndexError, FieldError):
    """An UPDATE would write a column, and not the blind index of it."""


def refusal(column: str, what: str) -> EncryptedComparisonError:
    """The error for a query that does *what* with the encrypted *column*."""
    return EncryptedComparisonError(
        f"{column}: {what} cannot work on an encrypted column, since equal values have different tokens; isnull works. "
        "To find rows by their value, add a BlindIndexField and filter by that"
    )


class EncryptedCol(Col):
    """The column in a query: it may be selected and tested for NULL."""

    target: Any

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The SQL. Raises EncryptedComparisonError inside anything that would compare tokens.

        Django asks no field whether it can be ordered by, or computed with, so this looks at who compiles it.
        """
        if what := self._comparison(sys._getframe(2)):
            raise refusal(self.target.cells.column, what)
        return super().as_sql(compiler, connection)

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        """The SQL that selects the column. Raises EncryptedComparisonError if rows that are equal become one."""
        if what := rows_made_one(compiler.query):
            selected = [*compiler.query.select, *compiler.query.annotation_select.values()]
            if not compiler.query.default_cols and not is_of_one_row(self, compiler.query, selected):
                raise refusal(self.target.cells.column, f"{what} without the primary key")
        return super().select_format(compiler, sql, params)

    def _comparison(self, frame: FrameType) -> str | None:
        """The use of the column by the caller of `SQLCompiler.compile` in *frame*, if that cannot work."""
        if frame.f_code.co_name == "get_distinct":
            return "distinct()"
        if frame.f_code.co_name == "get_group_by":
            query, grouped = frame.f_locals["self"].query, frame.f_locals["expressions"]
            return None if is_of_one_row(self, query, grouped) else "grouping without the primary key"
        parent = frame.f_locals.get("self")
        if not isinstance(parent, _COMPUTING) or self._is_passed_on(parent, frame):
            return None
        return "order_by()" if isinstance(parent, OrderBy) else type(parent).__name__

    def _is_passed_on(self, parent: Any, frame: FrameType) -> bool:
        """True if *parent*, which is compiled in *frame*, counts the column or gives its tokens as they are."""
        if isinstance(parent, Count):
            return not vars(parent)["distinct"]
        if isinstance(parent, Case | When):
            # The case that is compiled there, or that compiles the When there.
            case = _caller(frame, Case)
            return case is not None and self.target.takes_cells_of(case.f_locals["self"]._output_field_or_none)
        if isinstance(parent, Coalesce):
            columns = parent.get_source_expressions()
            return all(isinstance(each, EncryptedCol) and self.target.takes_cells_of(each.target) for each in columns)
        return isinstance(parent, IsNull)


def _caller(frame: FrameType | None, kind: type) -> FrameType | None:
    """The frame of a method of an object of *kind*: *frame*, or the nearest of its callers; None without one."""
    while frame is not None and not isinstance(frame.f_locals.get("self"), kind):
        frame = frame.f_back
    return frame


def rows_made_one(query: Any) -> str | None:
    """The part of *query* that compares whole rows, if there is one."""
    if query.combinator and not (query.combinator == "union" and query.combinator_all):
        return f"{query.combinator}()"
    return "distinct()" if query.distinct and not query.distinct_fields else None


def is_of_one_row(column: Col, query: Any, expressions: Iterable[object]) -> bool:
    """True if rows with equal *expressions* have their *column* from one row of its table: its tokens are equal then.

    They hold a key of that table, or one of a table that leads to one row of it.
    """
    known = [each for each in expressions if isinstance(each, Col)]
    alias: str | None = column.alias
    while alias is not None:
        if _hold_key([each.target for each in known if each.alias == alias]):
            return True
        join = query.alias_map.get(alias)
        if join is None:  # The column of an outer query, which is one row here.
            return True
        if getattr(getattr(join, "join_field", None), "multiple", False):
            return False
        alias, columns = join.parent_alias, {each.target.column for each in known if each.alias == join.parent_alias}
        if alias is not None and all(there in columns for there, _ in join.join_cols):
            return True
    return False


def _hold_key(fields: Sequence[Any]) -> bool:
    """True if *fields*, of one table, hold its primary key or a column without equal values."""
    if any(field.unique and not field.null for field in fields):
        return True
    options = fields[0].model._meta if fields else None
    return options is not None and {*getattr(options, "pk_fields", [options.pk])} <= {*fields}


class NullOnly(Exact):
    """The lookup behind `filter(api_key=None)`, which Django turns into IS NULL."""

    def __init__(self, lhs: Any, rhs: Any) -> None:
        if rhs is not None:
            raise refusal(lhs.output_field.cells.column, 'the lookup "exact"')
        super().__init__(lhs, rhs)


class WrittenAsGiven(Field):  # type: ignore[type-arg]  # Django's classes take no arguments when they run
    """A field whose values reach `get_db_prep_value` as they are, and which refuses what it could not encrypt."""

    def get_prep_value(self, value: Any) -> Any:
        """*value*: never made a str here, as a CharField or a TextField would."""
        return Field.get_prep_value(self, value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """The value to store. An expression is refused unless its results are cells of this column."""
        if hasattr(value, "as_sql"):
            check_written(self, value)
            return value
        return self.get_db_prep_value(value, connection)


def refuse_ordering(query: Any) -> None:
    """Raises EncryptedComparisonError if *query* orders by an encrypted column that it selects, by name.

    Django then writes the column's place into ORDER BY, and compiles no EncryptedCol there.
    """
    for order in query.order_by:
        expression = order.expression if isinstance(order, OrderBy) else order
        name = expression if isinstance(expression, str) else getattr(expression, "name", "")
        name = name.removeprefix("-")
        selected = query.annotations.get(name)
        place = (query.selected or {}).get(name)
        if selected is None and isinstance(place, int):
            selected = query.select[place]
        cells = getattr(getattr(selected, "_output_field_or_none", None), "cells", None)
        if isinstance(cells, Cells):
            raise refusal(cells.column, "order_by()")


def check_written(field: WrittenAsGiven, expression: Any) -> None:
    """Raises EncryptedComparisonError if *expression*, the new value of *field*, may be something but its cells."""
    if isinstance(expression, Case):
        for each in (*expression.cases, expression.default):
            check_written(field, each)
    elif isinstance(expression, When):
        check_written(field, expression.result)
    elif isinstance(expression, Cast):
        check_written(field, *expression.get_source_expressions())
    elif not _is_cell(field, expression):
        raise EncryptedComparisonError(
            f"{field.model._meta.db_table}.{field.column}: the database cannot encrypt, so an expression "
            f"({type(expression).__name__}) cannot be written; give a value, or the F() of a column that is encrypted "
            "in the same way"
        )


def _is_cell(field: WrittenAsGiven, expression: Any) -> bool:
    if isinstance(expression, Value):
        given = expression._output_field_or_none  # type: ignore[attr-defined]
        return expression.value is None if given is None else given is field
    return isinstance(expression, EncryptedCol) and bool(expression.target.takes_cells_of(field))


def row_of(expression: object) -> str:
    """The primary key of the row that is being read, such as `id=812`; "" if the query did not select it.

    Django gives a field no row, so this looks for it in the frame that calls the field. Only for an error.
    """
    frame = _caller(sys._getframe(1), SQLCompiler)
    row = frame and frame.f_locals.get("row")
    if frame is None or not isinstance(row, list) or not isinstance(expression, Col):
        return ""
    options = expression.target.model._meta
    keys = {field.column for field in getattr(options, "pk_fields", [options.pk])}
    return ", ".join(
        f"{column.target.column}={value}"
        for (column, *_), value in zip(frame.f_locals["self"].select or (), row, strict=False)
        if isinstance(column, Col) and column.alias == expression.alias and column.target.column in keys
    )


def is_deletion() -> bool:
    """True if Django reads rows that it is to delete, as for those that refer to them. Only for an error."""
    return _caller(sys._getframe(1), Collector) is not None
