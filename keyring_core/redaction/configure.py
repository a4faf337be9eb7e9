"""`configure_logging`: sends structlog and stdlib logging through one redacting chain, and out of the process."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from typing import Any, TextIO

import structlog

from keyring_core.redaction.guarded_streams import unguarded
from keyring_core.redaction.hooks import Hooks
from keyring_core.redaction.log_records import ChainFormatter, fill_in
from keyring_core.redaction.redactor import Redactor, get_redactor, set_redactor
from keyring_core.redaction.render import ConsoleRenderer, JsonRenderer, OtherRenderer, Render, withheld_event

# Undoes the last call, newest first.
_undo = ExitStack()


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
    handler.setFormatter(_formatter(render))
    _undo.callback(structlog.reset_defaults)
    _undo.callback(set_redactor, None)
    _undo.callback(root.setLevel, root.level)
    _undo.callback(root.removeHandler, handler)
    root.setLevel(known_level)
    root.addHandler(handler)
    set_redactor(redactor)
    Hooks(redactor, handler, _undo).install(guard_stdio=guard_stdio)
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


def _formatter(render: Any) -> ChainFormatter:
    return ChainFormatter(
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
