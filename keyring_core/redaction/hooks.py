"""The ways around a logger: uncaught exceptions, warnings, other people's handlers, logging's own error reports."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from keyring_core.redaction.deferred import keep, show_record
from keyring_core.redaction.log_records import clean_copy, message_of
from keyring_core.redaction.redactor import Redactor, safe_repr
from keyring_core.redaction.render import withheld
from keyring_core.redaction.streams import GuardedStream, unguarded

_log = logging.getLogger("keyring_core.uncaught")


class Hooks:
    """What was put in place of what; `remove` puts it back.

    *handler* shows what the interpreter would show, where no handler of the loggers does.
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
        self._replace(logging.LogRecord, "getMessage", self._get_message)
        self._whole_records()
        self._warnings()
        if guard_stdio:
            for name in ("stdout", "stderr"):
                self._replace(sys, name, lambda stream: GuardedStream(unguarded(stream), self._redactor))

    def remove(self) -> None:
        """Puts back what stood there before, newest first."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        before = getattr(owner, name)
        ours = make(before)
        setattr(owner, name, ours)

        def undo() -> None:
            if hasattr(ours, "flush"):
                ours.flush()
            if getattr(owner, name) is ours:  # whoever came after us stays
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

    def _get_message(self, _before: Callable[..., str]) -> Callable[..., str]:
        redactor = self._redactor

        return lambda record: show_record(record, message_of, redactor, record)

    def _whole_records(self) -> None:
        """Handlers that send the record itself, not its text, or show it later."""
        import logging.handlers  # noqa: PLC0415 - loaded when hooks are installed, not by an import

        redactor = self._redactor

        def cleaned(before: Callable[..., Any]) -> Callable[..., Any]:
            return lambda handler, record: before(handler, clean_copy(redactor, record))

        self._replace(logging.handlers.SocketHandler, "makePickle", cleaned)
        self._replace(logging.handlers.HTTPHandler, "mapLogRecord", cleaned)

        def kept(before: Callable[..., Any]) -> Callable[..., Any]:
            return lambda handler, record: before(handler, keep(record))

        def kept_copy(before: Callable[..., Any]) -> Callable[..., Any]:
            return lambda handler, record: keep(before(handler, record))

        self._replace(logging.handlers.BufferingHandler, "emit", kept)
        self._replace(logging.handlers.QueueHandler, "prepare", kept_copy)

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
        """Logs it, and never stays silent: the interpreter's own report is what the hooks have replaced."""
        _log.disabled = False  # dictConfig and fileConfig switch off every logger that is there already
        with suppress(Exception):  # of somebody's handler: the interpreter would print it and the first one in clear
            if _is_heard(level):
                _log.log(level, message, exc_info=exc_info, extra=extra)
                return
        self._handler.handle(_log.makeRecord(_log.name, level, __file__, 0, message, (), exc_info, extra=extra))


def _is_heard(level: int) -> bool:
    """Whether a handler would take what `_log` says at *level*."""
    logger: logging.Logger | None = _log if _log.isEnabledFor(level) else None
    while logger is not None:
        if any(level >= one.level and not isinstance(one, logging.NullHandler) for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _awake(show: Callable[..., None]) -> Callable[..., None]:
    """*show*, what `logging.captureWarnings` put in place, also after a dictConfig or fileConfig."""

    def show_warning(*args: Any, **kwargs: Any) -> None:
        logging.getLogger("py.warnings").disabled = False
        show(*args, **kwargs)

    return show_warning


def _handle_error(_handler: logging.Handler, record: logging.LogRecord) -> None:
    """In place of ``--- Logging error ---``, which prints message and arguments as they are."""
    error = sys.exc_info()[1]
    if not logging.raiseExceptions or error is None or sys.stderr is None:
        return
    with suppress(Exception):  # stderr is closed: there is nowhere left to say so
        unguarded(sys.stderr).write(withheld(error, record.name, record.levelname) + "\n")
