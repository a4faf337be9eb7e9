"""The listeners on every engine and mapper, for what no type can see by itself. Other statements pay three look-ups.

They refuse statements that write, compare or order by anything but cells. Each compiled statement is checked once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import DefaultClause, event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapper
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
    TextClause,
)
from sqlalchemy.sql.functions import coalesce
from sqlalchemy.sql.selectable import ScalarSelect, SelectBase, SelectStatementGrouping

from keyring_core.errors import ComparisonError, KeyringError
from keyring_core.integrations.cells import Cells
from keyring_core.integrations.sqlalchemy.blind_index import (
    BlindIndexOf,
    refuse_other_values,
    stale_index,
    watch_mapper,
)
from keyring_core.integrations.sqlalchemy.column_type import SECRET_COLUMNS, ColumnType, cells_of, refusal, sign
from keyring_core.integrations.sqlalchemy.opened_rows import open_rows_of
from keyring_core.integrations.sqlalchemy.statements import column_of, once, written_expressions

_NULL_TESTS = frozenset({operators.is_, operators.is_not})


def listen() -> None:
    """Registers the listeners, once a process."""
    event.listen(Engine, "before_cursor_execute", _before_cursor_execute)
    event.listen(Engine, "after_execute", open_rows_of)
    event.listen(Engine, "handle_error", _handle_error)
    event.listen(Mapper, "mapper_configured", watch_mapper)


def _before_cursor_execute(
    _connection: Any, _cursor: Any, _statement: Any, _parameters: Any, context: Any, _many: Any
) -> None:
    if (compiled := context.compiled) is not None and not context.isddl:
        if fault := once(compiled, "keyring_core_fault", _fault_of):
            # A new error each time: one that was raised would keep the frames, and so the values, of its first caller.
            raise type(fault)(*fault.args)
        refuse_other_values(context)


def _handle_error(context: ExceptionContext) -> None:
    """Takes the parameters out of an error: other types' failures would show values of encrypted columns."""
    error: Any = context.sqlalchemy_exception
    if not isinstance(error, StatementError) or not error.params:
        return
    execution: Any = context.execution_context
    compiled = getattr(execution, "compiled", None)
    if compiled is None or isinstance(compiled.statement, TextClause):
        # Before execution, and of a statement that is written as text, only the text is known: no value has a type.
        text = context.statement or ""
        secret = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in SECRET_COLUMNS)
    else:
        secret = any(isinstance(bind.type, ColumnType) or cells_of(bind) for bind in compiled.binds.values())
    if secret:
        error.params = None
        error.add_detail("the parameters are left out: they hold values of encrypted columns")


def _fault_of(compiled: Any) -> KeyringError | None:
    """The error of the statement, which is never raised itself."""
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

    The database would store their results as they are: plaintext, or tokens of another context.
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
    """The expressions that the database computes for columns that the statement leaves out."""
    for column in compiled.statement.table.columns:
        made = column.default if compiled.isinsert else column.onupdate
        if made is not None and made.is_clause_element:
            yield column, made.arg, False
        if compiled.isinsert and isinstance(column.server_default, DefaultClause):
            text = str(getattr(column.server_default.arg, "text", column.server_default.arg))
            if not text.upper().startswith("NULL"):
                yield column, column.server_default, False


def _is_cell(expression: Any, stored_as: object, *, is_typed: bool = False) -> bool:
    """True if each result of *expression* is *stored_as* the column is; *is_typed*: a plain value gets its type.

    For other expressions it is False, even if their type is an encrypted one, as for `max` of a column and a text.
    """
    if isinstance(expression, Null):
        return True
    if isinstance(expression, BindParameter) and is_typed and expression.type._isnull:
        return True
    if (results := _results(expression)) is not None:
        return all(_is_cell(each, stored_as) for each in results)
    return isinstance(expression, BindParameter | ColumnClause) and _stored_as(expression) == stored_as


def _stored_as(element: Any) -> object:
    """The kind of cells, or of indexes, in *element*: equal ones can be copied. None if it holds neither."""
    if isinstance(kind := getattr(element, "type", None), BlindIndexOf):
        return kind.context
    cells = cells_of(element)
    return cells and (cells.reading, element.type.binary)


def _results(expression: Any) -> Sequence[Any] | None:
    """The expressions between which *expression* chooses; None if it is no such choice."""
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
    """The compared elements: *side*, and the elements of a list, a tuple, a grouping or a select there."""
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
