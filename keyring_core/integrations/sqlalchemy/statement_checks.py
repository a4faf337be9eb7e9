"""The listeners on every engine and mapper, for what no type can see by itself. Other statements pay three look-ups.

They refuse statements that write anything but cells, or ask what tokens, or indexes, cannot answer: comparisons,
orders, groups, and rows that are equal. Rows may be compared whole if each holds its table's primary key: then no two
of them are equal but one row with itself. Each compiled statement is checked once.
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
    Extract,
    Label,
    Null,
    Over,
    TextClause,
    UnaryExpression,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import CompoundSelect, ScalarSelect, Select, SelectBase

from keyring_core.errors import ComparisonError, KeyringError
from keyring_core.integrations.sqlalchemy.column_type import SECRET_COLUMNS, ColumnType, cells_of, refusal, sign
from keyring_core.integrations.sqlalchemy.index_column import BlindIndexOf
from keyring_core.integrations.sqlalchemy.index_lookups import SoughtIndexes, refused
from keyring_core.integrations.sqlalchemy.index_writes import (
    name_sources,
    refuse_other_values,
    stale_index,
    watch_mapper,
)
from keyring_core.integrations.sqlalchemy.opened_rows import open_rows_of
from keyring_core.integrations.sqlalchemy.statements import column_of, once, results_of, written_expressions

_NULL_TESTS = frozenset({operators.is_, operators.is_not})

_COMPARING = frozenset({"min", "max", "greatest", "least", "nullif"})
_READING = frozenset({"lower", "upper", "trim", "ltrim", "rtrim", "replace", "substr", "substring", "left", "right"})
_JOINING = frozenset({"concat", "concat_ws", "group_concat", "string_agg", "aggregate_strings"})
_COMPUTING = frozenset({"sum", "avg", "total", "abs", "round", "floor", "ceil", "ceiling", "extract", "date_part"})
_OF_VALUES = _COMPARING | _READING | _JOINING | _COMPUTING
"""Functions of the value, all of which give a wrong answer of a token. Others only pass it on, or count it."""
_OF_TEXT = _READING | {"nullif"}
"""Functions that change a text before it is compared: with an index, whose text is no value, they find nothing."""


def listen() -> None:
    """Registers the listeners, once a process."""
    event.listen(Engine, "before_cursor_execute", _before_cursor_execute)
    event.listen(Engine, "after_execute", open_rows_of)
    event.listen(Engine, "handle_error", _handle_error)
    event.listen(Mapper, "after_mapper_constructed", name_sources)
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
    error: KeyringError | None = next(_shared_parameters(compiled), None)
    if compiled.isinsert or compiled.isupdate:
        error = error or stale_index(compiled) or next(_unencrypted(compiled), None)
    return error or next((error for element in visitors.iterate(statement) for error in _unanswerable(element)), None)


def _shared_parameters(compiled: Any) -> Iterator[ComparisonError]:
    """The errors of parameters with one name that stand for a cell, or an index, and for something else.

    SQLAlchemy gives all of them what the last one's type makes of the value: plaintext, or an index in place of a cell.
    """
    first: dict[str, Any] = {}
    for bind, name in compiled.bind_names.items():
        other = first.setdefault(name, bind)
        if _stored_as(bind) != _stored_as(other):
            cells = cells_of(bind) or cells_of(other)
            kinds = [each.type for each in (bind, other) if _stored_as(each)]
            place = cells.column if cells else getattr(kinds[0], "kind", kinds[0]).place()
            yield ComparisonError(
                f"{place}: the bindparam {name!r} is also given to a column that is not encrypted in the same way; "
                "give each a name of its own"
            )


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
    if (results := results_of(expression)) is not None:
        return all(_is_cell(each, stored_as) for each in results)
    return isinstance(expression, BindParameter | ColumnClause) and _stored_as(expression) == stored_as


def _stored_as(element: Any) -> object:
    """The kind of cells, or of indexes, in *element*: equal ones can be copied. None if it holds neither."""
    if isinstance(kind := getattr(element, "type", None), BlindIndexOf):
        return kind.identity
    if isinstance(kind, SoughtIndexes):
        return SoughtIndexes, kind.kind.identity
    cells = cells_of(element)
    return cells and (cells.reading, element.type.binary)


def _unanswerable(element: Any) -> Iterator[ComparisonError]:
    """The errors of *element*, which is part of a statement."""
    for ordered in getattr(element, "_order_by_clauses", ()):
        yield from _refused([_column(ordered, element)], "order_by")
    if isinstance(element, BinaryExpression) and element.operator not in _NULL_TESTS:
        yield from _of_comparison([element.left, element.right], sign(element.operator))
    elif isinstance(element, FunctionElement) and element.name.lower() in _OF_VALUES:
        yield from _refused(element.clauses, element.name)
        if element.name.lower() in _OF_TEXT:
            kinds = (getattr(each, "type", None) for each in element.clauses)
            yield from (refused(kind, element.name) for kind in kinds if isinstance(kind, BlindIndexOf))
    elif isinstance(element, Extract):
        yield from _refused([element.expr], "extract")
    elif isinstance(element, UnaryExpression) and element.operator is operators.distinct_op:
        yield from _refused([element.element], "distinct")
    elif isinstance(element, Over):
        for what in ("partition_by", "order_by"):
            yield from _refused(getattr(element, what) if getattr(element, what) is not None else (), what)
    elif isinstance(element, Case) and element.value is not None:
        yield from _of_comparison([element.value, *(each for each, _ in element.whens)], "case")
    elif isinstance(element, CompoundSelect) and element.keyword.name != "UNION_ALL":
        for each in element.selects:
            yield from _refused_without_key(each.selected_columns, element.keyword.name.lower())
    grouped = [_column(each, element) for each in getattr(element, "_group_by_clauses", ())]
    yield from _refused_without_key(grouped, "group_by")
    if isinstance(element, Select) and element._distinct:
        # DISTINCT ON is an extension from SQLAlchemy 2.1 on, which stands in front of the columns.
        extension = getattr(element, "_pre_columns_clause", None)
        on = element._distinct_on or getattr(extension, "_distinct_on", ())
        columns = [_column(each, element) for each in on] if on else element.selected_columns
        yield from _refused_without_key(columns, "distinct")


def _of_comparison(compared: Sequence[Any], what: str) -> Iterator[ComparisonError]:
    sides = [part for each in compared for part in _parts(each)]
    yield from _refused(sides, what)
    kinds = [each.type for each in sides if isinstance(getattr(each, "type", None), BlindIndexOf)]
    for side in sides if kinds else ():
        kind = getattr(side, "type", None)
        if not (isinstance(kind, SoughtIndexes) or getattr(kind, "identity", None) == kinds[0].identity):
            yield refused(kinds[0], what)


def _parts(side: Any) -> list[Any]:
    """The compared elements: *side*, or those of a list, a tuple, a choice, a grouping or a select there."""
    if isinstance(side, ClauseList | ExpressionClauseList):
        inner: Any = side.clauses
    else:  # Of a select the column that IN compares with.
        inner = side.selected_columns if isinstance(side, SelectBase) else results_of(side)
    return [side] if inner is None else [part for each in inner for part in _parts(each)]


def _refused(elements: Any, what: str) -> Iterator[ComparisonError]:
    return (refusal(cells, what) for each in elements if (cells := cells_of(each)))


def _refused_without_key(elements: Any, what: str) -> Iterator[ComparisonError]:
    """The errors of comparing whole rows, or groups, that have *elements*."""
    columns = [each.element if isinstance(each, Label) else each for each in elements]
    return _refused([each for each in columns if cells_of(each) and not _has_key(each, columns)], what)


def _has_key(column: Any, columns: Sequence[Any]) -> bool:
    """True if the primary key of the table of *column* is in *columns*."""
    key = {part for base in column.base_columns for part in getattr(getattr(base, "table", None), "primary_key", ())}
    # An annotated table is another object, with the same hash.
    alike = [each for each in columns if hash(getattr(each, "table", None)) == hash(getattr(column, "table", None))]
    return bool(key) and key <= {part for each in alike for part in each.base_columns}


def _column(clause: Any, statement: Any) -> Any:
    """What a clause of ORDER BY or GROUP BY stands for: itself, or a selected column by its label, name or place."""
    while (inner := getattr(clause, "element", None)) is not None and not isinstance(clause, ScalarSelect):
        clause = inner
    text = clause.text if isinstance(clause, TextClause) else clause
    if not isinstance(text, str):
        return clause
    columns = statement.selected_columns
    if text.isdecimal():
        return [*columns][int(text) - 1] if 0 < int(text) <= len(columns) else None
    return columns.get(text)
