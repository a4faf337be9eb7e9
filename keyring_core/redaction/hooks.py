"""Redacts what bypasses the chain: uncaught exceptions, warnings, foreign handlers, logging's own error reports."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from keyring_core.redaction.log_records import clean_copy, message_of
from keyring_core.redaction.redacting import keep, show_record
from keyring_core.redaction.redactor import Redactor, safe_repr
from keyring_core.redaction.render import withheld
from keyring_core.redaction.streams import GuardedStream, unguarded

_log = logging.getLogger("keyring_core.uncaught")


class Hooks:
    """Replaces functions of the interpreter and of logging; `remove` puts them back.

    *handler* shows what the interpreter would have shown, if no logger's handler does.
    """

    def __init__(self, redactor: Redactor, handler: logging.Handler, own_formatters: tuple[type, ...]) -> None:
        self._redactor = redactor
        self._handler = handler
        self._own_formatters = own_formatters
        self._undo: list[Callable[[], None]] = []

    def install(self, *, guard_stdio: bool) -> None:
        """Puts every hook in place."""
        self._replace(sys, "excepthook", lambda _: self._uncaught)
        self._replace(sys, "unraisablehook", lambda _: self._unraisable)
        self._replace(threading, "excepthook", lambda _: self._uncaught_in_thread)
        self._replace(logging.Handler, "format", self._handler_format)
        self._replace(logging.Handler, "handleError", lambda _: _handle_error)
        redactor = self._redactor
        self._replace(
            logging.LogRecord, "getMessage", lambda _: lambda record: show_record(record, message_of, redactor, record)
        )
        self._whole_records()
        self._warnings()
        if guard_stdio:
            for name in ("stdout", "stderr"):
                self._replace(sys, name, lambda stream: GuardedStream(unguarded(stream), self._redactor))

    def remove(self) -> None:
        """Puts everything back, newest first."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        before = getattr(owner, name)
        made = make(before)
        setattr(owner, name, made)

        def undo() -> None:
            if hasattr(made, "flush"):
                made.flush()
            if getattr(owner, name) is made:  # a later replacement stays
                setattr(owner, name, before)

        self._undo.append(undo)

    def _handler_format(self, before: Callable[..., str]) -> Callable[..., str]:
        redactor, own = self._redactor, self._own_formatters

        def redacted(handler: logging.Handler, record: logging.LogRecord) -> Any:
            text = before(handler, record)
            if isinstance(handler.formatter, own):
                return text
            return redactor.redact_json(text) if isinstance(text, str) else redactor.redact_value(text)

        return lambda handler, record: show_record(record, redacted, handler, record)

    def _whole_records(self) -> None:
        """Covers handlers that send the record itself, or show it later."""
        import logging.handlers  # noqa: PLC0415 - loaded when hooks are installed, not by an import

        redactor = self._redactor

        def cleaned(before: Callable[..., Any]) -> Callable[..., Any]:
            return lambda handler, record: before(handler, show_record(record, clean_copy, redactor, record))

        self._replace(logging.handlers.SocketHandler, "makePickle", cleaned)
        self._replace(logging.handlers.HTTPHandler, "mapLogRecord", cleaned)
        self._replace(
            logging.handlers.BufferingHandler, "emit", lambda emit: lambda handler, record: emit(handler, keep(record))
        )
        self._replace(logging.handlers.QueueHandler, "prepare", lambda prepare: lambda *args: keep(prepare(*args)))

    def _warnings(self) -> None:
        captured = getattr(logging, "_warnings_showwarning", None) is not None
        logging.captureWarnings(capture=True)
        if not captured:
            self._undo.append(lambda: logging.captureWarnings(capture=False))
        self._replace(warnings, "showwarning", _awake)

    def _uncaught(self, kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        self._report(logging.CRITICAL, "uncaught exception", (kind, error, traceback))

    def _uncaught_in_thread(self, args: Any) -> None:
        if args.exc_type is SystemExit:
            return
        name = args.thread.name if args.thread else None
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        self._report(logging.CRITICAL, "uncaught exception in a thread", exc_info, in_thread=name)

    def _unraisable(self, args: Any) -> None:
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        shown = safe_repr(args.object)
        self._report(logging.ERROR, "unraisable exception", exc_info, where=args.err_msg, object=shown)

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
