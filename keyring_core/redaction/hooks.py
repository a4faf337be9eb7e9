"""Redacts what bypasses the chain: uncaught exceptions, warnings, foreign handlers, logging's own error reports."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from keyring_core.redaction.block_masks import keep, show_record
from keyring_core.redaction.guarded_streams import GuardedStream, unguarded
from keyring_core.redaction.log_records import (
    ChainFormatter,
    RedactingFormatter,
    clean_copy,
    message_of,
    with_masked_texts,
)
from keyring_core.redaction.redactor import Redactor, safe_repr
from keyring_core.redaction.render import withheld

_log = logging.getLogger("keyring_core.uncaught")
# Their text is masked already.
_OWN_FORMATTERS = (ChainFormatter, RedactingFormatter)


class Hooks:
    """Replaces functions of the interpreter and of logging; *undo* puts them back when it is closed.

    *handler* shows what the interpreter would have shown, if no logger's handler does.
    """

    def __init__(self, redactor: Redactor, handler: logging.Handler, undo: ExitStack) -> None:
        self._redactor = redactor
        self._handler = handler
        self._undo = undo

    def install(self, *, guard_stdio: bool) -> None:
        """Puts every hook in place."""
        redactor = self._redactor
        self._replace(sys, "excepthook", lambda *error: self._report(logging.CRITICAL, "uncaught exception", error))
        self._replace(sys, "unraisablehook", self._unraisable)
        self._replace(threading, "excepthook", self._uncaught_in_thread)
        self._replace(logging.Handler, "format", self._handler_format(logging.Handler.format))
        self._replace(logging.Handler, "handleError", _handle_error)
        self._replace(logging.LogRecord, "getMessage", lambda record: show_record(record, message_of, redactor, record))
        self._whole_records()
        captured = getattr(logging, "_warnings_showwarning", None) is not None
        logging.captureWarnings(capture=True)
        if not captured:
            self._undo.callback(logging.captureWarnings, capture=False)
        self._replace(warnings, "showwarning", _awake(warnings.showwarning))
        if guard_stdio:
            self._replace(sys, "stdout", GuardedStream(unguarded(sys.stdout), redactor))
            self._replace(sys, "stderr", GuardedStream(unguarded(sys.stderr), redactor))

    def _replace(self, owner: Any, name: str, made: Any) -> None:
        before = getattr(owner, name)
        setattr(owner, name, made)

        def undo() -> None:
            if hasattr(made, "flush"):
                made.flush()
            if getattr(owner, name) is made:  # a later replacement stays
                setattr(owner, name, before)

        self._undo.callback(undo)

    def _handler_format(self, before: Callable[..., str]) -> Callable[..., str]:
        redactor = self._redactor

        def redacted(handler: logging.Handler, record: logging.LogRecord) -> Any:
            if isinstance(handler.formatter, _OWN_FORMATTERS):
                return before(handler, record)
            return redactor.redact_rendered(
                lambda one: before(handler, one), record, lambda one: with_masked_texts(redactor, one)
            )

        return lambda handler, record: show_record(record, redacted, handler, record)

    def _whole_records(self) -> None:
        """Covers handlers that send the record itself, or show it later."""
        from logging import handlers  # noqa: PLC0415 - loaded when hooks are installed, not by an import

        redactor = self._redactor
        emit, prepare = handlers.BufferingHandler.emit, handlers.QueueHandler.prepare

        def cleaned(before: Callable[..., Any]) -> Callable[..., Any]:
            return lambda handler, record: before(handler, show_record(record, clean_copy, redactor, record))

        self._replace(handlers.SocketHandler, "makePickle", cleaned(handlers.SocketHandler.makePickle))
        self._replace(handlers.HTTPHandler, "mapLogRecord", cleaned(handlers.HTTPHandler.mapLogRecord))
        self._replace(handlers.BufferingHandler, "emit", lambda handler, record: emit(handler, keep(record)))
        self._replace(handlers.QueueHandler, "prepare", lambda *args: keep(prepare(*args)))

    def _uncaught_in_thread(self, args: Any) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread else None
            exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
            self._report(logging.CRITICAL, "uncaught exception in a thread", exc_info, in_thread=name)

    def _unraisable(self, args: Any) -> None:
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        self._report(logging.ERROR, "unraisable exception", exc_info, where=args.err_msg, object=safe_repr(args.object))

    def _report(self, level: int, message: str, exc_info: Any, **extra: Any) -> None:
        """Logs it, by *handler* if no logger would: the hooks have replaced the interpreter's own report."""
        _log.disabled = False  # dictConfig and fileConfig disable every existing logger
        with suppress(Exception):  # a handler's error: the interpreter would print it, unmasked
            if _is_heard(level):
                _log.log(level, message, exc_info=exc_info, extra=extra)
                return
        self._handler.handle(_log.makeRecord(_log.name, level, __file__, 0, message, (), exc_info, extra=extra))


def _is_heard(level: int) -> bool:
    """True if a handler takes records of `_log` at *level*."""
    logger: logging.Logger | None = _log if _log.isEnabledFor(level) else None
    while logger is not None:
        if any(level >= one.level and not isinstance(one, logging.NullHandler) for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _awake(show: Callable[..., None]) -> Callable[..., None]:
    """*show*, which `logging.captureWarnings` installed, made to work after a dictConfig or fileConfig too."""

    def show_warning(*args: Any, **kwargs: Any) -> None:
        logging.getLogger("py.warnings").disabled = False
        show(*args, **kwargs)

    return show_warning


def _handle_error(_handler: logging.Handler, record: logging.LogRecord) -> None:
    """Replaces ``--- Logging error ---``, which prints message and arguments unmasked."""
    error = sys.exc_info()[1]
    if not logging.raiseExceptions or error is None or sys.stderr is None:
        return
    with suppress(Exception):  # stderr is closed
        unguarded(sys.stderr).write(withheld(error, record.name, record.levelname) + "\n")
