"""stdlib logging: handlers, formatters and filters of other people."""
# ruff: noqa: TRY301 - a case does what it should not

from __future__ import annotations

import http.server
import json
import logging
import logging.config
import logging.handlers
import queue
import socketserver
import sys
import threading

from tests.keyring_core.redaction.leaks.case import World, leak


def own_logger(name: str, handler: logging.Handler) -> logging.Logger:
    """A logger as libraries have them: with a handler of its own."""
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.propagate = False
    return logger


@leak()
def message(world: World) -> None:
    """A message."""
    world.std.info(f"loaded {world.key}")


@leak()
def arguments(world: World) -> None:
    """Arguments of several types."""
    world.std.info("loaded %s %r %s", world.key, world.raw, [world.plaintext])


@leak()
def argument_cut(world: World) -> None:
    """An argument cut by its format."""
    world.std.info("loaded %.9s", world.plaintext[6:])


@leak()
def named_arguments(world: World) -> None:
    """Named arguments."""
    world.std.info("loaded %(a)s", {"a": world.key})


@leak()
def message_is_no_text(world: World) -> None:
    """A message that is a dict."""
    world.std.info({"a": world.key})


@leak()
def extra(world: World) -> None:
    """Extra fields."""
    world.std.info("loaded", extra={"note": world.raw, "other": [world.password]})


@leak()
def adapter(world: World) -> None:
    """A logger adapter that puts its context into the message."""
    logging.LoggerAdapter(world.std, {"note": world.key}).info("loaded %s", world.key)


@leak()
def child_logger(world: World) -> None:
    """A child of a child."""
    world.std.getChild("a").getChild("b").info("loaded %s", world.key)


@leak()
def handler_of_its_own(world: World) -> None:
    """A logger with a handler of its own that passes nothing on."""
    own_logger("lib", logging.StreamHandler(sys.stdout)).error("loaded %s", world.key)


@leak()
def handler_added_later(world: World) -> None:
    """A second handler on the root logger."""
    logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
    world.std.info("loaded %s", world.key)
    world.log.info("loaded", note=world.key, password=world.unknown)


@leak()
def forced_configuration(world: World) -> None:
    """``basicConfig(force=True)``."""
    logging.basicConfig(force=True, level="INFO")
    world.std.info("loaded %s", world.key)


@leak()
def dict_configuration(world: World) -> None:
    """``dictConfig`` after `configure_logging`."""
    handler = {"class": "logging.StreamHandler"}
    root = {"handlers": ["h"], "level": "INFO"}
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "handlers": {"h": handler}, "root": root}
    )
    world.std.warning("loaded %s", world.key)


@leak()
def last_resort(world: World) -> None:
    """No handler at all."""
    logging.getLogger().handlers.clear()
    logging.getLogger("lonely").warning("loaded %s", world.key)


@leak()
def file_handler(world: World) -> None:
    """A log file."""
    own_logger("file", logging.FileHandler(world.folder / "app.log")).error("loaded %s", world.key)


@leak()
def rotating_file_handler(world: World) -> None:
    """A rotating log file."""
    handler = logging.handlers.RotatingFileHandler(world.folder / "app.log", maxBytes=100, backupCount=2)
    for _ in range(3):
        own_logger("file", handler).error("loaded %s", world.key)


@leak()
def memory_handler(world: World) -> None:
    """A handler that keeps records for later."""
    memory = logging.handlers.MemoryHandler(10, target=logging.StreamHandler(sys.stdout))
    own_logger("memory", memory).error("loaded %s", world.key)
    memory.flush()


@leak()
def queue_handler(world: World) -> None:
    """A queue and its listener."""
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    listener = logging.handlers.QueueListener(records, logging.StreamHandler(sys.stdout))
    own_logger("queue", logging.handlers.QueueHandler(records)).error("loaded %s", world.key)
    listener.start()
    listener.stop()


@leak()
def handler_that_reads_the_message(world: World) -> None:
    """A handler that formats nothing and asks for the message."""

    class Reading(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sys.stdout.write(record.getMessage() + "\n")

    own_logger("reading", Reading()).error("loaded %s", world.key)


@leak()
def handler_that_formats_itself(world: World) -> None:
    """A handler whose own ``format`` starts from the inherited one."""

    class Formatting(logging.StreamHandler):  # type: ignore[type-arg]
        def format(self, record: logging.LogRecord) -> str:
            return "> " + super().format(record)

    own_logger("formatting", Formatting(sys.stdout)).error("loaded %s", world.key)


@leak()
def formatter_that_writes_json(world: World) -> None:
    """A foreign formatter that writes every field of the record as JSON."""

    class Json(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps(vars(record), default=repr)

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Json())
    own_logger("json", handler).error("loaded %s", world.password, extra={"note": world.raw})


@leak()
def formatter_that_writes_names(world: World) -> None:
    """The same, with a secret that only the name of its extra field shows."""

    class Json(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps({"message": record.getMessage(), "password": vars(record)["password"]})

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Json())
    own_logger("json", handler).error("loaded", extra={"password": world.unknown})


@leak()
def formatter_with_braces(world: World) -> None:
    """A foreign formatter in another style."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("{levelname} {message} {note}", style="{"))
    own_logger("braces", handler).error("loaded", extra={"note": world.key})


@leak()
def filter_that_rewrites(world: World) -> None:
    """A filter that puts a secret into the record."""

    def rewrite(record: logging.LogRecord) -> bool:
        record.msg = f"rewritten {world.key}"
        return True

    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(rewrite)
    own_logger("filtered", handler).error("loaded")


@leak()
def foreign_traceback(world: World) -> None:
    """A traceback in a foreign handler."""
    try:
        raise ValueError(world.key)
    except ValueError:
        own_logger("lib", logging.StreamHandler(sys.stdout)).exception("failed")


@leak()
def foreign_stack(world: World) -> None:
    """A stack in a foreign handler."""
    own_logger("lib", logging.StreamHandler(sys.stdout)).error("failed %s", world.key, stack_info=True)


@leak()
def wrong_arguments(world: World) -> None:
    """A call whose arguments do not fit its format: ``--- Logging error ---``."""
    world.std.error("loaded %d", world.key)


@leak()
def wrong_arguments_in_foreign_handler(world: World) -> None:
    """The same, in a foreign handler."""
    own_logger("lib", logging.StreamHandler(sys.stdout)).error("loaded %s %s", world.key)


@leak()
def handler_that_fails(world: World) -> None:
    """A handler that fails while it writes."""

    class Failing(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            try:
                raise OSError(f"no space for {record.getMessage()}")
            except OSError:
                self.handleError(record)

    own_logger("failing", Failing(sys.stdout)).error("loaded %s", world.key)


@leak()
def socket_handler(world: World) -> None:
    """A handler that sends whole records to another machine."""
    got = bytearray()

    class Receiver(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            got.extend(self.rfile.read())

    with socketserver.TCPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        handler = logging.handlers.SocketHandler(*server.server_address)  # type: ignore[arg-type]
        own_logger("socket", handler).error("loaded %s", world.key, extra={"note": world.key})
        handler.close()
        thread.join(300)
    (world.folder / "received").write_bytes(got)


@leak()
def http_handler(world: World) -> None:
    """A handler that sends whole records in a URL."""
    got = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        handler = logging.handlers.HTTPHandler(f"127.0.0.1:{server.server_port}", "/log")
        own_logger("http", handler).error("loaded %s", world.key)
        thread.join(300)
    (world.folder / "received").write_text("\n".join(got))


def _formatter_case(name: str, *args: object, **kwargs: object) -> None:
    def run(world: World) -> None:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(world.formatter(*args, **kwargs))
        logger = own_logger("parts", handler)
        logger.error("loaded %s %.9s", world.key, world.plaintext[6:], extra={"note": world.password})
        try:
            raise ValueError(world.letter, world.raw)
        except ValueError:
            logger.exception("failed")

    run.__module__ = __name__
    leak("parts", name=name)(run)


_formatter_case("formatter_alone")
_formatter_case("formatter_alone_with_fields", "%(asctime)s %(name)s %(message)s %(note)s", defaults={"note": ""})
_formatter_case("formatter_alone_with_braces", "{levelname} {message} {note}", style="{", defaults={"note": ""})
