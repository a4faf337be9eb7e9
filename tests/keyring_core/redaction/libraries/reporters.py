"""loguru, OpenTelemetry and Sentry: what they print, and the texts that they send. Their fields are not promised."""
# ruff: noqa: TRY301 - a case does what it should not

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import sentry_sdk
from loguru import logger
from opentelemetry.sdk import _logs as otel
from opentelemetry.sdk._logs import export
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)


def caught(world: World) -> None:
    try:
        raise ValueError(f"password={world.unknown}")
    except ValueError:
        logger.exception("failed")


def decorated(world: World) -> None:
    @logger.catch
    def fail() -> None:
        raise ValueError(f"cannot use {world.key}")

    fail()


LOGURU: dict[str, Way] = {
    "message": lambda w: logger.info(f"cannot open mysql://bob:{w.unknown}@h"),
    "braces": lambda w: logger.info("password={}", w.unknown),
    "named": lambda w: logger.info("login with password={password}", password=w.unknown),
    "bytes": lambda w: logger.warning("loaded {!r}", w.raw),
    "exception": caught,
    "decorator": decorated,
    "opt": lambda w: logger.opt(exception=ValueError(f"token={w.unknown}")).error("x"),
    "lazy": lambda w: logger.opt(lazy=True).info("{}", lambda: f"password={w.unknown}"),
    "colors": lambda w: logger.opt(colors=True).info(f"<red>password={w.unknown}</red>"),
}


def to_stderr(act: Way, **options: Any) -> Way:
    """To the stderr of the moment."""

    def way(world: World) -> None:
        logger.remove()
        logger.add(sys.stderr, **options)
        act(world)

    return way


def to_logging(act: Way, *, own: bool = False) -> Way:
    """Through a handler of logging's, or, not *own*, through the logger of that name."""

    class Propagating(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger(record.name).handle(record)

    def way(world: World) -> None:
        logger.remove()
        logger.add(logging.StreamHandler(sys.stdout) if own else Propagating(), format="{message} {extra}")
        act(world)

    return way


def intercepted(world: World, *arguments: Any) -> None:
    """Loguru takes the records of logging, as its documentation shows."""

    class Intercepting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    logging.getLogger("taken").handlers = [Intercepting()]
    logging.getLogger("taken").propagate = False
    logging.getLogger("taken").warning(*arguments)


def in_context(world: World) -> None:
    with logger.contextualize(access_token=world.unknown):
        logger.info("x")


def diagnosed(value: str) -> None:
    try:
        int(value)
    except ValueError:
        logger.exception("failed")


cases.logs("loguru_stderr", {name: to_stderr(act) for name, act in LOGURU.items()}, setup="stdio")
cases.logs(
    "loguru_stderr",
    {
        "bound": to_stderr(lambda w: logger.bind(password=w.unknown).info("x"), format="{message} {extra}"),
        "context": to_stderr(in_context, format="{message} {extra}"),
        "serialized": to_stderr(lambda w: logger.bind(api_key=w.unknown).info("x"), serialize=True),
        "serialized_exception": to_stderr(caught, serialize=True),
        "diagnosed": to_stderr(lambda w: diagnosed(w.plaintext), diagnose=True),
        "enqueued": to_stderr(lambda w: (caught(w), logger.complete()), enqueue=True),
        "intercepted": to_stderr(lambda w: intercepted(w, "headers %s", {"X-Api-Key": w.unknown})),
    },
    setup="stdio",
)
cases.logs("loguru_logging", {name: to_logging(act) for name, act in LOGURU.items()})
cases.logs("loguru_handler", {name: to_logging(LOGURU[name], own=True) for name in ("message", "named", "exception")})
cases.logs(
    "loguru_handler",
    {"bound": to_logging(lambda w: logger.bind(password=w.unknown).info("x"), own=True)},
)


def exported(*arguments: Any, extra: bool = False, formatter: logging.Formatter | None = None) -> None:
    """Prints the body of a record that OpenTelemetry exports."""
    exporter = export.InMemoryLogRecordExporter()
    provider = otel.LoggerProvider()
    provider.add_log_record_processor(export.SimpleLogRecordProcessor(exporter))
    with warnings.catch_warnings(action="ignore"):
        handler = otel.LoggingHandler(logger_provider=provider)
    handler.setFormatter(formatter)
    own = logging.getLogger("exported")
    own.handlers, own.propagate = [handler], False
    own.error(*arguments, exc_info=sys.exc_info() if formatter else None)
    sys.stdout.write(f"{exporter.get_finished_logs()[0].log_record.body}\n")


def exported_error(world: World) -> None:
    try:
        raise ValueError(f"password={world.unknown}")
    except ValueError:
        exported("failed", formatter=logging.Formatter())


cases.logs(
    "opentelemetry",
    {
        "message": lambda w: exported(f"cannot open mysql://bob:{w.unknown}@h"),
        "argument": lambda w: exported("headers %s", {"X-Api-Key": w.unknown}),
        "named": lambda w: exported("login with %(password)s", {"password": w.unknown}),
        "registered": lambda w: exported("loaded %.20s", w.key),
        "exception": exported_error,
    },
)


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events.append(envelope.get_event())


def reported(*arguments: Any) -> None:
    """Prints the texts of an event of Sentry's that come from `getMessage`, and of its breadcrumb."""
    kept = Kept()
    sentry_sdk.init(
        "http://x@127.0.0.1:1/1",
        transport=kept,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration(event_level=logging.CRITICAL)],
    )
    log = logging.getLogger("reported")
    log.error(*arguments)
    log.critical(*arguments)
    sentry_sdk.get_client().close()
    for event in filter(None, kept.events):
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
        sys.stdout.write(f"{event['logentry']['formatted']}\n{crumbs}\n")


cases.logs(
    "sentry",
    {
        "message": lambda w: reported(f"cannot open mysql://bob:{w.unknown}@h"),
        "argument": lambda w: reported("headers %s", {"X-Api-Key": w.unknown}),
        "registered": lambda w: reported("loaded %s", w.raw),
    },
)
