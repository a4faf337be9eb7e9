"""What a statement asks that tokens, or indexes, cannot answer: comparisons, orders, groups, and rows that are equal.

Rows may be compared whole if each holds its table's primary key: then no two of them are equal but one row with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    Case,
    ClauseList,
    ExpressionClauseList,
    Extract,
    Label,
    Over,
    TextClause,
    UnaryExpression,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import CompoundSelect, ScalarSelect, Select, SelectBase, SelectStatementGrouping

from keyring_core.errors import ComparisonError
from keyring_core.integrations.sqlalchemy.blind_index import BlindIndexOf
from keyring_core.integrations.sqlalchemy.column_type import cells_of, refusal, sign
from keyring_core.integrations.sqlalchemy.index_lookups import SoughtIndexes, refused
from keyring_core.integrations.sqlalchemy.statements import results_of

_NULL_TESTS = frozenset({operators.is_, operators.is_not})

_COMPARING = frozenset({"min", "max", "greatest", "least", "nullif"})
_READING = frozenset({"lower", "upper", "trim", "ltrim", "rtrim", "replace", "substr", "substring", "left", "right"})
_JOINING = frozenset({"concat", "concat_ws", "group_concat", "string_agg", "aggregate_strings"})
_COMPUTING = frozenset({"sum", "avg", "total", "abs", "round", "floor", "ceil", "ceiling", "extract", "date_part"})
_OF_VALUES = _COMPARING | _READING | _JOINING | _COMPUTING
"""Functions of the value, all of which give a wrong answer of a token. Others only pass it on, or count it."""
_OF_TEXT = _READING | {"nullif"}
"""Functions that change a text before it is compared: with an index, whose text is no value, they find nothing."""


def unanswerable(element: Any) -> Iterator[ComparisonError]:
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


def _parts(side: Any) -> Iterator[Any]:
    """The compared elements: *side*, or those of a list, a tuple, a choice, a grouping or a select there."""
    if isinstance(side, ClauseList | ExpressionClauseList):
        for each in side.clauses:
            yield from _parts(each)
    elif isinstance(side, SelectBase):
        # The column that IN compares with.
        for each in side.selected_columns:
            yield from _parts(each)
    elif (inner := results_of(side)) is not None:
        for each in inner:
            yield from _parts(each)
    elif isinstance(side, SelectStatementGrouping):
        yield from _parts(side.element)
    else:
        yield side


def _refused(elements: Any, what: str) -> Iterator[ComparisonError]:
    for each in elements:
        if cells := cells_of(each):
            yield refusal(cells, what)


def _refused_without_key(elements: Any, what: str) -> Iterator[ComparisonError]:
    """The errors of comparing whole rows, or groups, that have *elements*."""
    columns = [each.element if isinstance(each, Label) else each for each in elements]
    for column in columns:
        if (cells := cells_of(column)) and not _has_key(column, columns):
            yield refusal(cells, what)


def _has_key(column: Any, columns: Sequence[Any]) -> bool:
    """True if the primary key of the table of *column* is in *columns*."""
    key = {part for base in column.base_columns for part in getattr(getattr(base, "table", None), "primary_key", ())}
    found = {part for each in columns if _table(each) == _table(column) for part in each.base_columns}
    return bool(key) and key <= found


def _table(column: Any) -> int:
    # An annotated one is another object, with the same hash.
    return hash(getattr(column, "table", None))


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
