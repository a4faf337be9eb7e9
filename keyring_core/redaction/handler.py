"""The handler and formatter through which structlog and stdlib events leave the process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import structlog

from keyring_core.redaction.log_records import fill_in
from keyring_core.redaction.redactor import Redactor
from keyring_core.redaction.render import withheld, withheld_event
from keyring_core.redaction.streams import unguarded


class ChainFormatter(structlog.stdlib.ProcessorFormatter):
    """structlog's formatter for both kinds of records. Withholds the content of an event that cannot be redacted."""

    def __init__(self, processors: Iterable[Any], foreign_pre_chain: Iterable[Any]) -> None:
        super().__init__(processors=list(processors), foreign_pre_chain=list(foreign_pre_chain))

    def format(self, record: logging.LogRecord) -> str:
        """The record as text without secrets. Never raises."""
        try:
            return super().format(record)
        except Exception as error:
            return withheld(error, record.name, record.levelname)


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
