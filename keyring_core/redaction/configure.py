"""`configure_logging`: sends structlog and stdlib logging through one redacting chain, and out of the process.

Hooks redact what bypasses the chain: uncaught exceptions, warnings, foreign handlers, logging's own error reports.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TextIO

import structlog

from keyring_core.redaction.block_masks import keep, show_record
from keyring_core.redaction.guarded_streams import GuardedStream, unguarded
from keyring_core.redaction.log_records import (
    ChainFormatter,
    RedactingFormatter,
    clean_copy,
    fill_in,
    message_of,
    with_masked_texts,
)
from keyring_core.redaction.redactor import Redactor, get_redactor, safe_repr, set_redactor
from keyring_core.redaction.render import (
    ConsoleRenderer,
    JsonRenderer,
    OtherRenderer,
    Render,
    withheld,
    withheld_event,
)

# Undoes the last call, newest first.
_undo = ExitStack()
_log = logging.getLogger("keyring_core.uncaught")


def configure_logging(
    redactor: Redactor | None = None,
    stream: TextIO | None = None,
    renderer: str | Render = "auto",
    level: int | str = "INFO",
    guard_stdio: bool = False,  # noqa: FBT001, FBT002
) -> Redactor:
    """Sets up structlog and stdlib logging so that secrets are masked; returns the redactor in force.

    *redactor* defaults to the one in force, *stream* to ``sys.stderr``. *renderer* is ``"json"``, ``"console"``,
    ``"auto"`` (console on a terminal, JSON elsewhere) or any structlog renderer that returns text. *guard_stdio*
    also masks what is printed to stdout and stderr. Another call replaces the setup; `reset_logging` undoes it.
    Raises ValueError for an unknown renderer or level, and changes nothing then.

    Examples:
        >>> redactor = configure_logging(stream=sys.stdout, renderer="json")
        >>> logging.getLogger("app").warning("password=%s", "hunter22")
        {"event":...password=[REDACTED:password]...}
        >>> reset_logging()
    """
    redactor = redactor or get_redactor()
    render = _renderer(redactor, stream or sys.stderr, renderer)
    known_level = logging.NullHandler(level).level
    reset_logging()
    root = logging.getLogger()
    handler = LogHandler(stream)
    handler.setFormatter(
        ChainFormatter(
            processors=[
                structlog.processors.format_exc_info,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                render,
            ],
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _stack_of_record,
            ],
        )
    )
    _undo.callback(structlog.reset_defaults)
    _undo.callback(set_redactor, None)
    _undo.callback(root.setLevel, root.level)
    _undo.callback(root.removeHandler, handler)
    root.setLevel(known_level)
    root.addHandler(handler)
    set_redactor(redactor)
    install_hooks(redactor, handler, guard_stdio=guard_stdio)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            put_in_positional(redactor),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return redactor


def reset_logging() -> None:
    """Undoes `configure_logging`: removes its handler and hooks, and resets structlog to its defaults."""
    _undo.close()


def _renderer(redactor: Redactor, target: TextIO, renderer: str | Render) -> Any:
    if callable(renderer):
        return OtherRenderer(redactor, renderer)
    on_terminal = bool(getattr(target, "isatty", lambda: False)())
    if renderer == "json" or (renderer == "auto" and not on_terminal):
        return JsonRenderer(redactor)
    if renderer in ("console", "auto"):
        return ConsoleRenderer(redactor, structlog.dev.ConsoleRenderer(colors=on_terminal))
    raise ValueError(f'renderer is "json", "console", "auto" or a structlog renderer, not {renderer!r}')


def _stack_of_record(_logger: Any, _method: str, event: Any) -> Any:
    """A stdlib record's formatted ``stack_info`` under structlog's name for it."""
    if "stack_info" in event:
        event["stack"] = event.pop("stack_info")
    return event


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes lines to *stream*, or to the ``sys.stderr`` of the moment."""

    def __init__(self, stream: TextIO | None) -> None:
        logging.Handler.__init__(self)
        self._stream = stream

    @property
    def stream(self) -> TextIO:
        """The stream that lines are written to."""
        return unguarded(self._stream or sys.stderr)  # lines are already redacted

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        self._stream = stream


def put_in_positional(redactor: Redactor) -> Any:
    """A processor that puts ``%s`` arguments into the event, masked, as structlog's PositionalArgumentsFormatter does.

    If they do not fit, or an argument raises, it withholds the event: structlog would raise into the service.
    """

    def process(_logger: Any, _method: str, event: dict[str, Any]) -> Any:
        args = event.pop("positional_args", ())
        if not args:
            return event
        if len(args) == 1 and isinstance(args[0], dict) and args[0]:
            args = args[0]
        try:
            return event | {"event": fill_in(redactor, event["event"], args)}
        except Exception as error:
            return withheld_event(error, event.get("logger"), event.get("level"))

    return process


def install_hooks(redactor: Redactor, handler: logging.Handler, *, guard_stdio: bool) -> None:
    """Replaces functions of the interpreter and of logging; `_undo` puts them back when it is closed.

    *handler* shows what the interpreter would have shown, if no logger's handler does.
    """
    from logging import handlers  # noqa: PLC0415 - loaded when hooks are installed, not by an import

    report = partial(_report, handler)

    def uncaught_in_thread(args: Any) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread else None
            exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
            report(logging.CRITICAL, "uncaught exception in a thread", exc_info, in_thread=name)

    def unraisable(args: Any) -> None:
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        report(logging.ERROR, "unraisable exception", exc_info, where=args.err_msg, object=safe_repr(args.object))

    def cleaned(before: Callable[..., Any]) -> Callable[..., Any]:
        return lambda handler, record: before(handler, show_record(record, clean_copy, redactor, record))

    captured = getattr(logging, "_warnings_showwarning", None) is not None
    logging.captureWarnings(capture=True)
    if not captured:
        _undo.callback(logging.captureWarnings, capture=False)
    show, emit, prepare = warnings.showwarning, handlers.BufferingHandler.emit, handlers.QueueHandler.prepare

    def show_warning(*args: Any, **kwargs: Any) -> None:
        # A dictConfig or fileConfig disables the logger that `captureWarnings` writes to.
        logging.getLogger("py.warnings").disabled = False
        show(*args, **kwargs)

    hooks: list[tuple[Any, str, Any]] = [
        (sys, "excepthook", lambda *error: report(logging.CRITICAL, "uncaught exception", error)),
        (sys, "unraisablehook", unraisable),
        (threading, "excepthook", uncaught_in_thread),
        (logging.Handler, "format", _redacting(logging.Handler.format, redactor)),
        (logging.Handler, "handleError", _handle_error),
        (logging.LogRecord, "getMessage", lambda record: show_record(record, message_of, redactor, record)),
        # These handlers send the record itself, or show it later.
        (handlers.SocketHandler, "makePickle", cleaned(handlers.SocketHandler.makePickle)),
        (handlers.HTTPHandler, "mapLogRecord", cleaned(handlers.HTTPHandler.mapLogRecord)),
        (handlers.BufferingHandler, "emit", lambda handler, record: emit(handler, keep(record))),
        (handlers.QueueHandler, "prepare", lambda *args: keep(prepare(*args))),
        (warnings, "showwarning", show_warning),
    ]
    for name in ("stdout", "stderr") if guard_stdio else ():
        hooks.append((sys, name, GuardedStream(unguarded(getattr(sys, name)), redactor)))
    for owner, name, made in hooks:
        _undo.callback(_put_back, owner, name, made, getattr(owner, name))
        setattr(owner, name, made)


def _put_back(owner: Any, name: str, made: Any, before: Any) -> None:
    if hasattr(made, "flush"):
        made.flush()
    if getattr(owner, name) is made:  # a later replacement stays
        setattr(owner, name, before)


def _redacting(before: Callable[..., str], redactor: Redactor) -> Callable[..., str]:
    """`logging.Handler.format`, which is *before*, without secrets."""

    def redacted(handler: logging.Handler, record: logging.LogRecord) -> Any:
        if isinstance(handler.formatter, ChainFormatter | RedactingFormatter):
            return before(handler, record)  # whose text is masked already
        return redactor.redact_rendered(
            lambda one: before(handler, one), record, lambda one: with_masked_texts(redactor, one)
        )

    return lambda handler, record: show_record(record, redacted, handler, record)


def _report(handler: logging.Handler, level: int, message: str, exc_info: Any, **extra: Any) -> None:
    """Logs it, by *handler* if no logger would: the hooks have replaced the interpreter's own report."""
    _log.disabled = False  # dictConfig and fileConfig disable every existing logger
    with suppress(Exception):  # a handler's error: the interpreter would print it, unmasked
        if _is_heard(level):
            _log.log(level, message, exc_info=exc_info, extra=extra)
            return
    handler.handle(_log.makeRecord(_log.name, level, __file__, 0, message, (), exc_info, extra=extra))


def _is_heard(level: int) -> bool:
    """True if a handler takes records of `_log` at *level*."""
    logger: logging.Logger | None = _log if _log.isEnabledFor(level) else None
    while logger is not None:
        if any(level >= one.level and not isinstance(one, logging.NullHandler) for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _handle_error(_handler: logging.Handler, record: logging.LogRecord) -> None:
    """Replaces ``--- Logging error ---``, which prints message and arguments unmasked."""
    error = sys.exc_info()[1]
    if not logging.raiseExceptions or error is None or sys.stderr is None:
        return
    with suppress(Exception):  # stderr is closed
        unguarded(sys.stderr).write(withheld(error, record.name, record.levelname) + "\n")
