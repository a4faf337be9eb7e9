"""Handlers, formatters and renderers of logging, structlog and python-json-logger."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue
import sys
from collections.abc import Callable
from typing import Any

import structlog
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.msgspec import MsgspecFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)

Act = Callable[[logging.Logger, World], Any]


def failing(world: World) -> None:
    raise ValueError(f"password={world.unknown}")


def caught(logger: Any, world: World) -> None:
    try:
        failing(world)
    except ValueError:
        logger.exception("failed")


# What a service logs, for each formatter and handler.
ACTS: dict[str, Act] = {
    "message": lambda logger, w: logger.info(f"cannot open mysql://bob:{w.unknown}@h"),
    "argument": lambda logger, w: logger.info("headers %s", {"X-Api-Key": w.unknown}),
    "extra": lambda logger, w: logger.info("x", extra={"password": w.unknown}),
    "exception": caught,
}


def with_handler(make: Callable[[World], logging.Handler], act: Act) -> Way:
    """A logger that has a handler of its own."""

    def way(world: World) -> None:
        logger = logging.getLogger("own")
        logger.handlers, logger.propagate = [make(world)], False
        logger.setLevel("DEBUG")
        act(logger, world)

    return way


def each(make: Callable[[World], logging.Handler], names: str = "message argument extra exception") -> dict[str, Way]:
    return {name: with_handler(make, ACTS[name]) for name in names.split()}


def formatted(formatter: logging.Formatter) -> Callable[[World], logging.Handler]:
    def make(_: World) -> logging.Handler:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(formatter)
        return handler

    return make


cases.logs("json_logger", each(formatted(JsonFormatter())))
cases.logs("json_logger_orjson", each(formatted(OrjsonFormatter())))
cases.logs("json_logger_msgspec", each(formatted(MsgspecFormatter())))
cases.logs(
    "json_logger_fields",
    each(formatted(JsonFormatter("%(message)s %(password)s", rename_fields={"message": "m"})), "message extra")
    | {
        "indented": with_handler(formatted(JsonFormatter(json_indent=2)), ACTS["extra"]),
        "dict": with_handler(formatted(JsonFormatter()), lambda logger, w: logger.info({"apiKey": w.unknown})),
        "nested": with_handler(
            formatted(JsonFormatter()), lambda logger, w: logger.info("x", extra={"a": [{"client_secret": w.unknown}]})
        ),
    },
)

# The handlers of the standard library that write here. An `extra` field shows only if the format names it.
FORMAT = logging.Formatter("%(message)s password=%(password)s", defaults={"password": ""})


def in_file(kind: Callable[..., logging.Handler], **options: Any) -> Callable[[World], logging.Handler]:
    def make(world: World) -> logging.Handler:
        handler = kind(world.folder / "app.log", **options)
        handler.setFormatter(FORMAT)
        return handler

    return make


def queued(act: Act) -> Way:
    """What a listener writes after the call."""

    def way(world: World) -> None:
        records: queue.Queue[Any] = queue.Queue()
        with_handler(lambda _: logging.handlers.QueueHandler(records), act)(world)
        listener = logging.handlers.QueueListener(records, formatted(FORMAT)(world))
        listener.start()
        listener.stop()

    return way


def remembered(act: Act) -> Way:
    """What a handler keeps until a record of level ERROR comes."""

    def way(world: World) -> None:
        target = formatted(FORMAT)(world)
        with_handler(lambda _: logging.handlers.MemoryHandler(9, target=target), act)(world)
        logging.getLogger("own").error("flush")

    return way


cases.logs("file", each(in_file(logging.FileHandler)))
cases.logs("timed_file", each(in_file(logging.handlers.TimedRotatingFileHandler, when="S"), "message exception"))
cases.logs("watched_file", each(in_file(logging.handlers.WatchedFileHandler), "argument exception"))
cases.logs("queue", {name: queued(ACTS[name]) for name in ACTS})
cases.logs("memory", {name: remembered(ACTS[name]) for name in ACTS})


def configured(formatter: dict[str, Any], act: Act, **handler: Any) -> Way:
    """A service's dictConfig, run after redaction was set up."""

    def way(world: World) -> None:
        handler_ = {"class": "logging.StreamHandler", "formatter": "f"} | handler
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"f": formatter},
                "handlers": {"h": handler_},
                "loggers": {"own": {"handlers": ["h"], "level": "DEBUG", "propagate": False}},
            }
        )
        act(logging.getLogger("own"), world)

    return way


cases.logs(
    "dict_config",
    {
        "percent": configured({"format": "%(levelname)s %(message)s"}, ACTS["message"]),
        "braces": configured({"format": "{message}", "style": "{"}, ACTS["argument"]),
        "dollars": configured({"format": "$message", "style": "$"}, ACTS["exception"]),
        "stdout": configured({}, ACTS["exception"], stream="ext://sys.stdout"),
        "json": configured({"()": "pythonjsonlogger.json.JsonFormatter"}, ACTS["extra"]),
        "structlog": configured(
            {"()": structlog.stdlib.ProcessorFormatter, "processor": structlog.processors.JSONRenderer()},
            ACTS["message"],
        ),
    },
)


def shown(*processors: Any, factory: Any = None) -> Callable[[Act], Way]:
    """A logger of an existing structlog configuration, with the redacting processor in it."""

    def of(act: Act) -> Way:
        return lambda world: act(world.structlog_chain(*processors, factory=factory and factory()), world)

    return of


STRUCTLOG: dict[str, Act] = {
    "field": lambda log, w: log.info("x", password=w.unknown),
    "nested": lambda log, w: log.info("x", request={"headers": {"X-Api-Key": w.unknown}}),
    "event": lambda log, w: log.info(f"cannot open mysql://bob:{w.unknown}@h"),
    "bound": lambda log, w: log.bind(api_key=w.unknown).warning("x"),
    "exception": caught,
}
RENDERERS: dict[str, list[Any]] = {
    "json": [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    "json_traceback": [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
    "key_value": [structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
    "logfmt": [structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer(bool_as_flag=True)],
    "console": [structlog.dev.ConsoleRenderer(colors=False)],
    "console_colors": [structlog.dev.ConsoleRenderer(colors=True)],
    "sorted": [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=True)],
}
for _name, _processors in RENDERERS.items():
    # logfmt refuses nested values.
    _acts = {name: act for name, act in STRUCTLOG.items() if not (_name == "logfmt" and name == "nested")}
    cases.logs(f"structlog_{_name}", {name: shown(*_processors)(act) for name, act in _acts.items()}, setup="parts")
