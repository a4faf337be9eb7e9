"""`configure_logging` and the parts that can be used without it."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from keyring_core.redaction import (
    RedactingFormatter,
    Redactor,
    configure_logging,
    get_redactor,
    redact_processor,
    reset_logging,
)
from keyring_core.redaction.guarded_streams import GuardedStream
from tests.keys import random_secret

SECRET = random_secret()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_returns_the_redactor_in_force() -> None:
    """The redactor given is the one in force; without one it is the process-wide one."""
    mine = Redactor()

    assert configure_logging(mine) is mine
    assert get_redactor() is mine
    reset_logging()
    assert get_redactor() is not mine
    assert configure_logging() is get_redactor()


def test_json_elsewhere_and_console_on_a_terminal() -> None:
    """The renderer "auto" looks at the stream."""
    plain, terminal = io.StringIO(), Terminal()

    for stream in (plain, terminal):
        configure_logging(stream=stream)
        structlog.get_logger().info("event", n=1)

    assert json.loads(plain.getvalue())["n"] == 1
    assert "\x1b[" in terminal.getvalue()


def test_somebody_elses_renderer() -> None:
    """Any renderer that returns text will do; what it wrote is scanned."""
    stream = io.StringIO()
    configure_logging(Redactor([SECRET]), stream=stream, renderer=structlog.processors.LogfmtRenderer())

    structlog.get_logger().info("event", note=SECRET, password="x1")

    assert "note=[REDACTED:secret]" in stream.getvalue().replace('"', "")
    assert "password=[REDACTED:password]" in stream.getvalue().replace('"', "")


@pytest.mark.parametrize("renderer", ["xml", "", None])
def test_unknown_renderer(renderer: Any) -> None:
    """An unknown renderer is refused by name, and leaves logging as it was."""
    with pytest.raises(ValueError, match="renderer"):
        configure_logging(renderer=renderer)

    assert not structlog.is_configured()


def test_level() -> None:
    """Events below the level are not written."""
    stream = io.StringIO()
    configure_logging(stream=stream, level="WARNING")

    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")

    assert len(stream.getvalue().splitlines()) == 1


def test_calling_it_again_replaces_what_it_set_up() -> None:
    """Two calls write one line an event, to the stream of the second."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging(stream=first)
    configure_logging(stream=second)

    structlog.get_logger().info("event")

    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_calling_it_again_keeps_the_redactor() -> None:
    """A second plain call, as in a forked worker, keeps the redactor of the first, with all that it knows."""
    mine = configure_logging(Redactor([SECRET]))

    assert configure_logging() is mine
    assert get_redactor() is mine


@pytest.mark.parametrize("refused", [{"level": "VERBOSE"}, {"level": None}, {"renderer": "xml"}])
def test_a_refused_call_changes_nothing(refused: dict[str, Any]) -> None:
    """A wrong level or renderer leaves the protection that there is."""
    stream = io.StringIO()
    mine = configure_logging(Redactor([SECRET]), stream=stream)
    hook = sys.excepthook

    with pytest.raises((ValueError, TypeError)):
        configure_logging(**refused)
    structlog.get_logger().info("event", note=SECRET)

    assert get_redactor() is mine
    assert sys.excepthook is hook
    assert json.loads(stream.getvalue())["note"] == "[REDACTED:secret]"


def test_reset_puts_everything_back() -> None:
    """After `reset_logging` every hook, stream, handler, level and structlog's configuration is what it was."""

    def state() -> list[object]:
        return [
            sys.excepthook,
            sys.unraisablehook,
            threading.excepthook,
            warnings.showwarning,
            sys.stdout,
            sys.stderr,
            logging.Handler.format,
            logging.Handler.handleError,
            logging.LogRecord.getMessage,
            logging.handlers.SocketHandler.makePickle,
            logging.handlers.HTTPHandler.mapLogRecord,
            [type(handler) for handler in logging.getLogger().handlers],
            logging.getLogger().level,
            structlog.is_configured(),
        ]

    import logging.handlers

    before = state()
    configure_logging(guard_stdio=True)
    during = state()
    reset_logging()

    assert state() == before
    assert not any(now is was for now, was in zip(during[:11], before[:11], strict=True))


def test_reset_leaves_a_later_hook_in_place() -> None:
    """A hook that was installed later stays."""
    before = sys.excepthook
    configure_logging()
    sys.excepthook = later = lambda *_: None
    try:
        reset_logging()

        assert sys.excepthook is later
    finally:
        sys.excepthook = before


@pytest.mark.parametrize("renderer", ["json", "console"])
def test_an_event_that_cannot_be_redacted_is_withheld(monkeypatch: pytest.MonkeyPatch, renderer: str) -> None:
    """The line goes out without content: that there was an event, its logger, its level, what failed."""
    stream = io.StringIO()
    configure_logging(stream=stream, renderer=renderer)

    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Redactor, "redact_event", fail)
    structlog.get_logger("svc").warning("event", note=SECRET)

    assert json.loads(stream.getvalue()) == {
        "event": "withheld",
        "logger": "svc",
        "level": "WARNING",
        "error": "RuntimeError",
    }


def test_processor_keeps_types_and_the_event() -> None:
    """Before a renderer, harmless values keep their types, and the caller's event its values."""
    error = ValueError(SECRET)
    event = {"event": "x", "n": 1, "flag": True, "items": [1, 2], "note": SECRET, "exc_info": error}
    get_redactor().add(SECRET)

    shown = redact_processor(None, "info", event)

    assert shown.pop("exception") == "ValueError: [REDACTED:secret]"
    assert shown == {"event": "x", "n": 1, "flag": True, "items": [1, 2], "note": "[REDACTED:secret]"}
    assert (event["note"], event["exc_info"]) == (SECRET, error)


@pytest.mark.parametrize("rendered", [str, str.encode, lambda text: bytearray(text.encode())])
def test_processor_scans_rendered_text(rendered: Callable[[str], Any]) -> None:
    """Behind a renderer it takes text or bytes, and gives back the same."""
    get_redactor().add(SECRET)

    shown = redact_processor(None, "info", rendered(f"note={SECRET}"))

    assert shown in ("note=[REDACTED:secret]", b"note=[REDACTED:secret]")


def test_processor_withholds_what_it_cannot_redact(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it fails, the event has no content."""

    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("keyring_core.redaction.redactor.find_shapes", fail)

    shown = redact_processor(None, "info", {"event": SECRET})

    assert (shown["event"], SECRET in repr(shown)) == ("withheld", False)


def test_formatter_in_dict_config(tmp_path: Any) -> None:
    """`RedactingFormatter` works from a dictConfig."""
    get_redactor().add(SECRET)
    path = tmp_path / "app.log"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "f": {"()": "keyring_core.redaction.RedactingFormatter", "format": "%(levelname)s %(message)s"}
            },
            "handlers": {"h": {"class": "logging.FileHandler", "filename": path, "formatter": "f"}},
            "loggers": {"only.here": {"handlers": ["h"], "propagate": False}},
        }
    )
    logger = logging.getLogger("only.here")

    try:
        raise ValueError(SECRET)  # noqa: TRY301
    except ValueError:
        logger.exception("failed\nwith %s", SECRET)
    for handler in logger.handlers:
        handler.close()

    first, *rest = path.read_text().splitlines()
    assert first == "ERROR failed\\nwith [REDACTED:secret]"
    assert rest[-1] == "    ValueError: [REDACTED:secret]"
    assert all(line.startswith("    ") for line in rest)


def test_formatter_leaves_the_record_alone() -> None:
    """What it formats is no other handler's text."""
    record = logging.makeLogRecord({"msg": "got %s", "args": (SECRET,)})

    RedactingFormatter(redactor=Redactor([SECRET])).format(record)

    assert (record.msg, record.args, record.exc_text) == ("got %s", (SECRET,), None)


def test_formatter_withholds_what_it_cannot_format() -> None:
    """Arguments that do not fit give a line without content, and no exception."""
    record = logging.makeLogRecord({"name": "svc", "levelname": "INFO", "msg": "got %d", "args": (SECRET,)})

    shown = json.loads(RedactingFormatter(redactor=Redactor([SECRET])).format(record))

    assert shown == {"event": "withheld", "logger": "svc", "level": "INFO", "error": "TypeError"}


def test_guarded_stream_waits_for_the_line() -> None:
    """A secret that comes in two writes is masked; a flush lets out what there is."""
    stream = io.StringIO()
    guarded = GuardedStream(stream, Redactor([SECRET]))

    guarded.write(SECRET[:10])
    held = stream.getvalue()
    guarded.write(SECRET[10:] + "\nnext")
    guarded.flush()

    assert held == ""
    assert stream.getvalue() == "[REDACTED:secret]\nnext"


def test_guarded_stream_is_a_stream() -> None:
    """A guarded stream passes on all other attributes and methods."""
    guarded = GuardedStream(Terminal(), Redactor())

    assert guarded.isatty()
    assert guarded.closed is False
    assert print("x", file=guarded) is None  # type: ignore[arg-type,func-returns-value]


def test_import_is_light() -> None:
    """Importing the package compiles no shape, starts no thread, and does not load orjson."""
    code = (
        "import sys, threading, keyring_core.redaction\n"
        "from keyring_core.redaction.patterns import compiled\n"
        "assert not {'orjson', 'logging.handlers.SocketHandler', 'sqlalchemy'} & set(sys.modules)\n"
        "assert compiled.cache_info().currsize == 0\n"
        "assert threading.active_count() == 1\n"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
