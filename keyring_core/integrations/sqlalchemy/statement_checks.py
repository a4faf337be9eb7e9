"""Refuses what no type can see by itself: statements that write, compare or order by something else than cells.

Each compiled statement is looked at once. SQLAlchemy keeps those that it compiled, and the answer with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import DefaultClause
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    Case,
    ClauseList,
    ColumnClause,
    ExpressionClauseList,
    Grouping,
    Label,
    Null,
)
from sqlalchemy.sql.functions import coalesce
from sqlalchemy.sql.selectable import ScalarSelect, SelectBase, SelectStatementGrouping

from keyring_core.errors import ComparisonError, KeyringError
from keyring_core.integrations.cells import Cells
from keyring_core.integrations.sqlalchemy.blind_index import BlindIndexOf
from keyring_core.integrations.sqlalchemy.column_type import SECRET_COLUMNS
from keyring_core.integrations.sqlalchemy.comparisons import cells_of, refusal, sign
from keyring_core.integrations.sqlalchemy.compiled import once
from keyring_core.integrations.sqlalchemy.stale_indexes import stale_index
from keyring_core.integrations.sqlalchemy.written_columns import column_of, written_expressions

_NULL_TESTS = frozenset({operators.is_, operators.is_not})


def refuse_faulty(compiled: Any) -> None:
    """Raises StaleIndexError or ComparisonError for a statement that must not be sent."""
    if fault := once(compiled, "keyring_core_fault", _fault_of):
        # A new error each time: one that is kept would keep the frames, and so the values, of its first caller.
        raise fault[0](fault[1])


def _fault_of(compiled: Any) -> tuple[type[KeyringError], str] | None:
    """The class and the message of what is wrong with the statement."""
    error = _error_of(compiled)
    return None if error is None else (type(error), str(error))


def _error_of(compiled: Any) -> KeyringError | None:
    statement = compiled.statement
    if statement is None or not SECRET_COLUMNS:
        return None
    if compiled.isinsert or compiled.isupdate:
        error = stale_index(compiled) or next(_unencrypted(compiled), None)
        if error:
            return error
    return next((error for element in visitors.iterate(statement) for error in _comparisons(element)), None)


def _unencrypted(compiled: Any) -> Iterator[ComparisonError]:
    """The errors of expressions that an INSERT or UPDATE writes in place of cells, or of indexes.

    The database would store what they come to as it is: plaintext, or tokens of another context.
    """
    statement = compiled.statement
    for key, expression, is_typed in (*written_expressions(compiled), *_defaults(compiled)):
        column = column_of(statement.table, key)
        stored_as = _stored_as(column)
        if stored_as is not None and not _is_cell(expression, stored_as, is_typed=is_typed):
            yield ComparisonError(
                f"{column.table.name}.{column.name}: the database cannot encrypt, so an SQL expression "
                f"({type(expression).__name__}) cannot be written; give a value, or a column that is encrypted in the "
                "same way"
            )


def _defaults(compiled: Any) -> Iterator[tuple[Any, Any, bool]]:
    """What the database computes for columns that the statement leaves out."""
    for column in compiled.statement.table.columns:
        made = column.default if compiled.isinsert else column.onupdate
        if made is not None and made.is_clause_element:
            yield column, made.arg, False
        if compiled.isinsert and isinstance(column.server_default, DefaultClause):
            text = str(getattr(column.server_default.arg, "text", column.server_default.arg))
            if not text.upper().startswith("NULL"):
                yield column, column.server_default, False


def _is_cell(expression: Any, stored_as: object, *, is_typed: bool = False) -> bool:
    """Whether all that *expression* comes to is *stored_as* the column is; *is_typed*: a plain value gets its type.

    Other expressions are none, even if their type is an encrypted one, as that of `max` of a column and a text is.
    """
    if isinstance(expression, Null):
        return True
    if isinstance(expression, BindParameter) and is_typed and expression.type._isnull:
        return True
    if (results := _results(expression)) is not None:
        return all(_is_cell(each, stored_as) for each in results)
    return isinstance(expression, BindParameter | ColumnClause) and _stored_as(expression) == stored_as


def _stored_as(element: Any) -> object:
    """What *element* holds, in a form to compare: cells, or indexes, of an equal form can be copied. None: neither."""
    if isinstance(kind := getattr(element, "type", None), BlindIndexOf):
        return kind.context
    cells = cells_of(element)
    return cells and (cells.reading, element.type.binary)


def _results(expression: Any) -> Sequence[Any] | None:
    """The expressions of which *expression* comes to one; None if it is no such choice."""
    if isinstance(expression, Label | Grouping):
        return [expression.element]
    if isinstance(expression, Case):
        otherwise = [] if expression.else_ is None else [expression.else_]
        return [*(result for _, result in expression.whens), *otherwise]
    if isinstance(expression, coalesce):
        return [*expression.clauses]
    return [*expression.element.selected_columns] if isinstance(expression, ScalarSelect) else None


def _comparisons(element: Any) -> Iterator[ComparisonError]:
    """The errors of *element*: an operator whose other side holds the encrypted column, or an ORDER BY."""
    if isinstance(element, BinaryExpression) and element.operator not in _NULL_TESTS:
        for side in (*_parts(element.left), *_parts(element.right)):
            if cells := cells_of(side):
                yield refusal(cells, sign(element.operator))
    for ordered in getattr(element, "_order_by_clauses", ()):
        if cells := _ordered_by(ordered, element):
            yield refusal(cells, "order_by")


def _parts(side: Any) -> Iterator[Any]:
    """What is compared: *side*, and what stands in a list, a tuple, a grouping or a select there."""
    yield side
    if isinstance(side, ClauseList | ExpressionClauseList):
        for each in side.clauses:
            yield from _parts(each)
    elif isinstance(side, Label | Grouping | SelectStatementGrouping | ScalarSelect):
        yield from _parts(side.element)
    elif isinstance(side, SelectBase):
        # The column that IN compares with.
        yield from side.selected_columns


def _ordered_by(ordered: Any, statement: Any) -> Cells | None:
    """The cells of the column that ORDER BY names, by itself or by its label."""
    inner = getattr(ordered, "element", None)
    if isinstance(inner, str):
        return cells_of(statement.selected_columns.get(inner))
    return cells_of(ordered) or (None if inner is None else _ordered_by(inner, statement))
