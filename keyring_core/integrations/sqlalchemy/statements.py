"""The columns that an INSERT or UPDATE writes. SQLAlchemy keeps them in private attributes; only this file reads those.

SQLAlchemy also keeps a compiled statement for its next execution, and what was found out about it is kept with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.sql.elements import Case, ClauseElement, Grouping, Label
from sqlalchemy.sql.functions import coalesce
from sqlalchemy.sql.selectable import ScalarSelect

T = TypeVar("T")


def once(compiled: Any, name: str, make: Callable[[Any], T]) -> T:
    """The result of *make* for *compiled*: made once, and kept as its attribute *name*."""
    known: dict[str, T] = compiled.__dict__
    try:
        return known[name]
    except KeyError:
        made = known[name] = make(compiled)
        return made


def set_by_values(statement: Any) -> set[Any]:
    """The columns, or their names, that `values()` sets, or that INSERT FROM SELECT fills. Rows set the same ones."""
    several = getattr(statement, "_multi_values", None) or ()
    first = several[0][0] if several else None
    return (
        columns_in(getattr(statement, "_values", None))
        | columns_in(first)
        | columns_in(getattr(statement, "_select_names", None))
    )


def contains(written: set[Any], column: Any) -> bool:
    """True if *column* is in *written*, by itself or by its name."""
    return column in written or column.key in written or column.name in written


def columns_in(written: Any) -> set[Any]:
    """The columns that are written: a mapping, names, or in SQLAlchemy 2.0 also pairs."""
    return {each[0] if isinstance(each, tuple) else each for each in written or ()}


def written_expressions(compiled: Any) -> Iterator[tuple[Any, Any, bool]]:
    """Each column, or its name, that an INSERT or UPDATE sets to an SQL expression, with that expression.

    The third is True if a parameter without a type gets the column's type: not in a SELECT.
    """
    statement, state = compiled.statement, compiled.compile_state
    rows = [getattr(statement, "_values", None), *(getattr(state, "_multi_parameters", None) or ())]
    rows += [getattr(statement, "_ordered_values", None), upserted(statement)]
    for row in filter(None, rows):
        for key, value in row.items() if isinstance(row, Mapping) else row:
            expression = value.__clause_element__() if hasattr(value, "__clause_element__") else value
            if isinstance(expression, ClauseElement):
                yield key, expression, True
    select = getattr(statement, "select", None)
    if compiled.isinsert and select is not None:
        for key, expression in zip(statement._select_names, select.selected_columns, strict=False):
            yield key, expression, False


def upserted(statement: Any) -> Any:
    """What ON CONFLICT (PostgreSQL, SQLite) or ON DUPLICATE KEY (MySQL) writes; None if there is none."""
    clause = getattr(statement, "_post_values_clause", None)
    return getattr(clause, "update_values_to_set", None) or getattr(clause, "update", None)


def column_of(table: Any, key: Any) -> Any:
    """The column of *table* that *key* names: itself, its key or its name; None if the table lacks it."""
    if not isinstance(key, str):
        return key
    return next((each for each in table.columns if key in {each.key, each.name}), None)


def results_of(expression: Any) -> Sequence[Any] | None:
    """The expressions between which *expression* chooses; None if it is no such choice."""
    if isinstance(expression, Label | Grouping):
        return [expression.element]
    if isinstance(expression, Case):
        otherwise = [] if expression.else_ is None else [expression.else_]
        return [*(result for _, result in expression.whens), *otherwise]
    if isinstance(expression, coalesce):
        return [*expression.clauses]
    return [*expression.element.selected_columns] if isinstance(expression, ScalarSelect) else None
