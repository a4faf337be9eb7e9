"""The listeners on every engine and mapper, for what no type can see by itself. Other statements pay three look-ups.

They refuse statements that write anything but cells, or ask what tokens cannot answer. Each compiled statement is
checked once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import DefaultClause, event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, ColumnClause, Null, TextClause

from keyring_core.errors import ComparisonError, KeyringError
from keyring_core.integrations.sqlalchemy.blind_index import BlindIndexOf
from keyring_core.integrations.sqlalchemy.column_type import SECRET_COLUMNS, ColumnType, cells_of
from keyring_core.integrations.sqlalchemy.index_lookups import SoughtIndexes
from keyring_core.integrations.sqlalchemy.index_writes import (
    name_sources,
    refuse_other_values,
    stale_index,
    watch_mapper,
)
from keyring_core.integrations.sqlalchemy.opened_rows import open_rows_of
from keyring_core.integrations.sqlalchemy.questions import unanswerable
from keyring_core.integrations.sqlalchemy.statements import column_of, once, results_of, written_expressions


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
    error: KeyringError | None = _shared_parameter(compiled)
    if not error and (compiled.isinsert or compiled.isupdate):
        error = stale_index(compiled) or next(_unencrypted(compiled), None)
    if error:
        return error
    return next((error for element in visitors.iterate(statement) for error in unanswerable(element)), None)


def _shared_parameter(compiled: Any) -> ComparisonError | None:
    """The error of one name for values of an encrypted column, or an index, and of another.

    SQLAlchemy converts its value once, by the last one's type, and sends that for all: plaintext, or an index in place
    of a token.
    """
    kinds: dict[str, set[object]] = {}
    for bind, name in compiled.bind_names.items():
        sought = bind.type.kind.identity if isinstance(bind.type, SoughtIndexes) else None
        stored_as = sought or _stored_as(bind)
        kinds.setdefault(name, set()).add(stored_as and (type(bind.type), stored_as))
    for name, found in kinds.items():
        if len(found) > 1:
            return ComparisonError(
                f"the bindparam {name!r} stands for values of an encrypted column, or a blind index, and of another "
                "one; give each a name of its own"
            )
    return None


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
    cells = cells_of(element)
    return cells and (cells.reading, element.type.binary)
