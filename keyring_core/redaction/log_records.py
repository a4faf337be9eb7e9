"""Stdlib log records without secrets: formatted, as a message, or as a copy. The record itself is not changed."""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, SupportsInt

import structlog

from keyring_core.redaction.block_masks import show_record
from keyring_core.redaction.redactor import Redacted, Redactor, get_redactor, safe_repr
from keyring_core.redaction.render import block, one_line, withheld
from keyring_core.redaction.sensitive_names import PLAIN, PLAIN_MODULES

_SENDABLE = PLAIN | {str, bytes}


class RedactingFormatter(logging.Formatter):
    """Formats like `logging.Formatter`, masks the result, and keeps an event on one line.

    It covers only the handlers that it is set on, with their tracebacks: no other handlers, no uncaught exceptions, no
    warnings. *redactor* defaults to the one in force when the record is formatted.

    Examples:
        >>> record = logging.makeLogRecord({"levelname": "INFO", "msg": "password=hunter22"})
        >>> RedactingFormatter("%(levelname)s %(message)s").format(record)
        'INFO password=[REDACTED:password]'
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
        show = super().format
        return str(redactor.redact_rendered(show, own, lambda one: with_masked_texts(redactor, one)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The first line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback, indented."""
        return block(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """A stack, indented."""
        return block(super().formatStack(stack_info))


class ChainFormatter(structlog.stdlib.ProcessorFormatter):
    """structlog's formatter for both kinds of records. Withholds the content of an event that cannot be redacted."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text without secrets. Never raises."""
        try:
            return super().format(record)
        except Exception as error:
            return withheld(error, record.name, record.levelname)


def message_of(redactor: Redactor, record: logging.LogRecord) -> str:
    """The record's message, masked. Raises what ``msg % args`` raises."""
    if isinstance(record.msg, Redacted):
        return record.msg
    # In a foreign handler, a structlog event is a dict: its names count, and it can be circular.
    message = safe_repr(record.msg if isinstance(record.msg, str) else redactor.redact_value(record.msg), str)
    if record.args:
        message = fill_in(redactor, message, record.args)
    return redactor.redact(message)


def fill_in(redactor: Redactor, message: Any, args: Any) -> Any:
    """``message % args``, and raises what that raises. The arguments are masked, and not yet the message.

    They are masked before they are put in: ``%.10s`` would leave a piece that equals no value, and the names in
    ``%(password)s`` would be lost.
    """
    masked = redactor.redact_value(args)
    with suppress(Exception):
        return message % masked
    # A mask does not fit "%d", nor a dict in the place of a mapping that has an answer to every name.
    if isinstance(args, Mapping):
        return message % _Lookups(redactor, args)
    return message % tuple(_fitting(*pair) for pair in zip(args, masked, strict=True))


class _Lookups:
    """The values of *mapping*, each masked by the name that a message asks for."""

    def __init__(self, redactor: Redactor, mapping: Mapping[Any, Any]) -> None:
        self._redactor, self._mapping = redactor, mapping

    def __getitem__(self, name: str) -> Any:
        value = self._mapping[name]
        [masked] = self._redactor.redact_value({name: value}).values()
        return _fitting(value, masked)


def _fitting(value: Any, masked: Any) -> Any:
    """*masked*, but a number as it is, which the message shows whole: its text is masked there."""
    return value if isinstance(value, SupportsInt) else masked


def clean_copy(redactor: Redactor, record: logging.LogRecord) -> logging.LogRecord:
    """A copy of *record* that can be sent elsewhere: the traceback and every object have become masked text."""
    clean = copy.copy(record)
    clean.msg, clean.args = message_of(redactor, record), None
    if record.exc_info and not record.exc_text:
        clean.exc_text = logging.Formatter().formatException(record.exc_info)
    clean.exc_info = None
    clean.__dict__.update(_sendable(redactor, redactor.redact_value(clean.__dict__)))
    return clean


def with_masked_texts(redactor: Redactor, record: logging.LogRecord) -> logging.LogRecord:
    """A copy of *record* whose texts are masked, each by itself. It does not touch the message before ``% args``."""
    own = copy.copy(record)
    texts = {name: text for name, text in vars(record).items() if type(text) is str and name != "msg"}
    own.__dict__.update(redactor.redact_value(texts))
    return own


def _sendable(redactor: Redactor, value: Any) -> Any:
    """*value* with each object replaced by its text: its attributes may hold more than its repr shows."""
    kind = type(value)
    if kind in _SENDABLE or kind.__module__ in PLAIN_MODULES:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {_sendable(redactor, key): _sendable(redactor, item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | deque):
        items = [_sendable(redactor, item) for item in value]
        # What is hashable stays so.
        plain = next((plain for plain in (tuple, frozenset, set) if isinstance(value, plain)), list)
        return plain(items)
    return redactor.redact(str.__str__(value) if isinstance(value, str) else safe_repr(value))
