"""`RedactingFormatter`: a stdlib formatter for `logging.config.dictConfig` that masks what it formats."""

from __future__ import annotations

import copy
import logging
from types import TracebackType
from typing import Any, TypeAlias

from keyring_core.redaction.current import get_redactor
from keyring_core.redaction.deferred import show_record
from keyring_core.redaction.lines import block, one_line
from keyring_core.redaction.log_records import message_of
from keyring_core.redaction.redactor import Redactor
from keyring_core.redaction.render import withheld

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class RedactingFormatter(logging.Formatter):
    """Formats like `logging.Formatter`, masks the result, and keeps an event on one line.

    It covers only the handlers that it is set on, with their tracebacks: no other handlers, no uncaught exceptions, no
    warnings. *redactor* defaults to the one in force when the record is formatted.
    """

    def __init__(self, *args: Any, redactor: Redactor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The record as text without secrets. Never raises."""
        redactor = self._redactor or get_redactor()
        try:
            return show_record(record, self._masked, redactor, record)
        except Exception as error:
            return withheld(error, record.name, record.levelname)

    def _masked(self, redactor: Redactor, record: logging.LogRecord) -> str:
        own = copy.copy(record)  # formatting stores texts in the record, which other handlers would use
        own.msg, own.args = message_of(redactor, record), None
        own.exc_text = None  # another formatter may have stored its own
        return redactor.redact(super().format(own))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The first line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802
        """A traceback, indented."""
        return block(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """A stack, indented."""
        return block(super().formatStack(stack_info))
