"""What the types ask of every engine and mapper. Any other statement pays for three look-ups."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.elements import TextClause

from keyring_core.integrations.sqlalchemy.column_type import SECRET_COLUMNS, ColumnType
from keyring_core.integrations.sqlalchemy.comparisons import cells_of
from keyring_core.integrations.sqlalchemy.opened_rows import open_rows_of
from keyring_core.integrations.sqlalchemy.stale_indexes import refuse_other_values, watch_mapper
from keyring_core.integrations.sqlalchemy.statement_checks import refuse_faulty


def listen() -> None:
    """Registers the listeners, once a process."""
    event.listen(Engine, "before_cursor_execute", _before_cursor_execute)
    event.listen(Engine, "after_execute", _after_execute)
    event.listen(Engine, "handle_error", _handle_error)
    event.listen(Mapper, "mapper_configured", watch_mapper)


def _before_cursor_execute(
    _connection: Any, _cursor: Any, _statement: Any, _parameters: Any, context: Any, _many: Any
) -> None:
    if (compiled := context.compiled) is not None and not context.isddl:
        refuse_faulty(compiled)
        refuse_other_values(context)


def _after_execute(
    _connection: Any, _statement: Any, _multiparams: Any, _params: Any, _options: Any, result: Any
) -> None:
    open_rows_of(result)


def _handle_error(context: ExceptionContext) -> None:
    """Takes the parameters out of an error: other types' failures would show values of encrypted columns."""
    error: Any = context.sqlalchemy_exception
    if not isinstance(error, StatementError) or not error.params:
        return
    execution: Any = context.execution_context
    compiled = getattr(execution, "compiled", None)
    if compiled is None or isinstance(compiled.statement, TextClause):
        # Before execution, and of a statement that is written as text, nothing is known but that: no value has a type.
        text = context.statement or ""
        secret = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in SECRET_COLUMNS)
    else:
        secret = any(isinstance(bind.type, ColumnType) or cells_of(bind) for bind in compiled.binds.values())
    if secret:
        error.params = None
        error.add_detail("the parameters are left out: they hold values of encrypted columns")
